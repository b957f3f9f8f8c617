"""What stands in the way at the start: a folder not trusted, no agent, no sign-in, no model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.sessions.test_disk import disk, fill
from tests.stories.lab import Lab, free_port, running_lab, with_model
from tests.stories.panel import Panel, open_lab, open_split

__all__ = ["disk"]  # a fixture

pytestmark = pytest.mark.story


def hooked_folder(lab: Lab, name: str) -> Path:
    """A folder whose settings run a command at claude's start; gives the file that it makes."""
    ran = lab.folder / f"{name}-ran"
    hook = [{"hooks": [{"type": "command", "command": f"touch {ran}"}]}]
    settings = lab.root / name / ".claude" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"hooks": {"SessionStart": hook, "UserPromptSubmit": hook}}))
    return ran


def open_split_in(page: Page, folder: str) -> None:
    page.locator(".jp-DirListing-item", has_text=folder).dblclick()
    expect(page.locator(".jp-BreadCrumbs")).to_contain_text(folder)
    page.get_by_role("button", name=re.compile("^New Launcher")).first.click()
    page.locator(".jp-LauncherCard:visible", has_text=re.compile("^Agent$")).click()


@pytest.mark.parametrize(("decision", "runs"), [("Go on without them", False), ("Trust", True)])
def test_a_folder_that_would_run_something(lab: Lab, page: Page, decision: str, runs: bool) -> None:
    name = "trusted" if runs else "foreign"
    ran = hooked_folder(lab, name)
    open_lab(page, lab, name)
    open_split_in(page, name)
    card = page.get_by_role("alert").filter(has_text="Do you trust the files of this folder?")
    expect(card).to_contain_text(".claude/settings.json")
    assert lab.sessions() == [] or lab.sessions()[0]["workspace"]["path"] != name
    assert not ran.exists()

    card.get_by_role("button", name=decision, exact=True).click()
    panel = Panel(page.locator(".al-Split"))
    panel.a_b_c()
    assert ran.exists() == runs


def test_not_signed_in(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "signed-out")
    panel = open_split(page)
    panel.ask("fail: 401")
    card = panel.log.get_by_role("group", name="claude is not signed in")
    expect(card).to_contain_text("claude /login")
    card.get_by_role("button", name="Sign in in the terminal").click()
    # Typed, but not run: that takes the person's own Enter.
    rows = page.get_by_role("region", name="Terminal").locator(".xterm-accessibility-tree")
    expect(rows).to_contain_text("claude /login")
    panel.a_b_c()


@pytest.fixture
def lab_without_agent(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path, {}, claude_command=["/no/such/claude"]) as lab:
        yield lab


def test_no_agent(lab_without_agent: Lab, page: Page) -> None:
    open_lab(page, lab_without_agent, "missing")
    page.locator(".jp-LauncherCard", has_text=re.compile("^Agent$")).click()
    panel = Panel(page.locator(".al-Split"))
    expect(panel.region.get_by_text("is not installed").first).to_be_visible()
    expect(panel.region.get_by_text("pip install 'agent-lab[claude]'").first).to_be_visible()


@pytest.fixture
def lab_without_model(tmp_path: Path) -> Iterator[Lab]:
    """Nothing listens where the model should be."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running_lab(tmp_path, with_model(tmp_path, nowhere)) as lab:
        yield lab


def test_no_model(lab_without_model: Lab, page: Page) -> None:
    held: list[tuple[WebSocketRoute, str | bytes]] = []
    ended = False

    def route(socket: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            nonlocal ended
            if ended:
                held.append((socket, message))
            else:
                ended = '"turn_ended"' in str(message)
                socket.send(message)

        socket.connect_to_server().on_message(pass_on)

    page.route_web_socket(re.compile("/chat"), route)
    open_lab(page, lab_without_model, "no-model")
    panel = open_split(page)
    panel.ask("hello")
    card = panel.log.get_by_role("group", name="The model could not be reached")
    again = card.get_by_role("button", name="Try again")
    # The turn's end, and that the session is busy no longer, come one after the other.
    expect(again).to_be_disabled()
    while not held:
        page.wait_for_timeout(20)  # the route lives in this thread
    for socket, message in held:
        socket.send(message)
    expect(again).to_be_enabled()
    expect(card).to_contain_text("Check the network and the API address")


def test_a_model_that_is_tried_again_can_be_stopped(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "tried-again")
    panel = open_split(page)
    # The model says how long to wait: long enough for any hand to reach the button.
    panel.ask("fail: 529 retry-after 25")
    expect(panel.log.get_by_text(re.compile("^Try 1 of"))).to_be_visible()
    panel.button("Stop").click()
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    panel.a_b_c()


@pytest.fixture
def small_disk_lab(tmp_path: Path, model_url: str, disk: Path) -> Iterator[Lab]:
    """Its sessions are stored where there is little room."""
    with running_lab(tmp_path, with_model(tmp_path, model_url), data_dir=str(disk)) as lab:
        yield lab


def test_a_full_disk(small_disk_lab: Lab, disk: Path, page: Page) -> None:
    open_lab(page, small_disk_lab, "full")
    panel = open_split(page)
    panel.answers("hello")
    panel.status("Idle")
    ballast = fill(disk)
    panel.ask("no room for this")
    card = panel.log.get_by_role("group", name="The disk is full")
    expect(card).to_contain_text("Free some space, then try again.")
    ballast.unlink()
    card.get_by_role("button", name="Try again").click()
    panel.says("Answer to: no room for this")
    panel.a_b_c()

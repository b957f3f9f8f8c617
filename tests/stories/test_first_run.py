"""The first run: what is missing stands there with what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from playwright.sync_api import Locator, Page, expect

from agent_lab.agents.registry import claude_command
from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import open_beside, open_lab, open_split
from tests.stories.sessions_panel import open_list, open_page

pytestmark = pytest.mark.story


def check(place: Page | Locator, name: str) -> Locator:
    return place.get_by_role("region", name="Readiness").locator(f"[data-check={name}]")


@pytest.fixture
def bare_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """The agent's program is not there yet, and nobody has signed in."""
    environment = {**with_model(tmp_path, model_url), "ANTHROPIC_API_KEY": ""}
    command = [str(tmp_path / "claude")]
    with running_lab(tmp_path, environment, claude_command=command) as lab:
        yield lab


def test_from_nothing_to_ready(bare_lab: Lab, page: Page) -> None:
    open_lab(page, bare_lab, "bare")
    sessions = open_list(page)
    expect(sessions.nav.get_by_text("No sessions yet")).to_be_visible()
    expect(sessions.nav.get_by_role("heading", name="Almost ready")).to_be_visible()
    agent = check(sessions.nav, "agent")
    expect(agent).to_contain_text("To do:")
    expect(agent).to_contain_text("pip install 'agent-lab[claude]'")

    program = claude_command(())
    assert program is not None
    (bare_lab.folder / "claude").symlink_to(program[0])
    sessions.button("Check again").click()
    expect(agent).to_contain_text("Claude is installed.")
    expect(check(sessions.nav, "version")).to_contain_text("will do")
    signed_in = check(sessions.nav, "signed_in")
    expect(signed_in).to_contain_text("Claude is not signed in.")
    signed_in.get_by_role("button", name="Sign in").click()
    # Typed, but not run: that takes the person's own Enter.
    rows = page.locator(".jp-Terminal .xterm-accessibility-tree")
    expect(rows).to_contain_text("/login")

    stored = bare_lab.folder / "home" / ".claude" / ".credentials.json"
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text("{}")
    sessions.button("Check again").click()
    expect(sessions.nav.get_by_role("heading", name="Ready", exact=True)).to_be_visible()
    expect(signed_in).to_contain_text("Fine:")


def test_the_page_has_the_commands_to_copy(bare_lab: Lab, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sessions, _ = open_page(page, bare_lab)
    agent = check(sessions.nav, "agent")
    agent.get_by_role("button", name="Copy").click()
    expect(agent.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()").startswith("pip install")


def test_an_empty_session_says_what_is_missing(bare_lab: Lab, page: Page) -> None:
    program = claude_command(())
    assert program is not None
    (bare_lab.folder / "claude").symlink_to(program[0])
    open_lab(page, bare_lab, "empty")
    panel = open_split(page)
    signed_in = check(panel.log, "signed_in")
    expect(signed_in).to_contain_text("Claude is not signed in.")
    signed_in.get_by_role("button", name="Sign in").click()
    rows = page.get_by_role("region", name="Terminal").locator(".xterm-accessibility-tree")
    expect(rows).to_contain_text("/login")


def test_a_notebook_without_a_kernel(lab: Lab, page: Page) -> None:
    notebook = {"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "P"}},
                "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    (lab.root / "still.ipynb").write_text(json.dumps(notebook))
    open_lab(page, lab, "still", "still.ipynb")
    panel = open_beside(page)
    panel.status("Idle")
    expect(panel.log.get_by_text("still.ipynb")).to_be_visible()
    # All is well: nothing is said.
    expect(panel.log.get_by_role("region", name="Readiness")).to_have_count(0)

    for session in lab.call("GET", "api/sessions"):
        lab.call("DELETE", f"api/sessions/{session['id']}")
    kernel = check(panel.log, "kernel")
    until(lambda: back_at(page, kernel))
    kernel.get_by_role("button", name="Start the kernel").click()
    panel.status("Idle")
    expect(kernel).to_have_count(0)
    assert [one["path"] for one in lab.call("GET", "api/sessions")] == ["still.ipynb"]
    panel.answers("hello")


def back_at(page: Page, card: Locator) -> int:
    """The person comes back to the window. Returns how many such cards there are then."""
    page.evaluate("() => { window.dispatchEvent(new Event('focus')); }")
    return card.count()


def test_a_folder_that_changes_under_an_empty_session(lab: Lab, page: Page) -> None:
    ran = lab.folder / "trusted-after-all"
    later = Path(mkdtemp(prefix="later-", dir=lab.root))  # another one if this is told once more
    sessions, panel = open_page(page, lab)
    sessions.button("New").click()
    folder = sessions.nav.get_by_role("combobox", name="Folder of the new session")
    folder.fill(later.name)
    folder.press("Enter")
    panel.status("Idle")
    expect(panel.log.get_by_role("region", name="Readiness")).to_have_count(0)

    server = {"command": "/bin/sh", "args": ["-c", f"touch '{ran}'"]}
    (later / ".mcp.json").write_text(json.dumps({"mcpServers": {"theirs": server}}))
    trust = check(panel.log, "trust")
    until(lambda: back_at(page, trust))
    expect(trust).to_contain_text(".mcp.json")
    assert not ran.exists()
    trust.get_by_role("button", name="Trust").click()
    expect(trust).to_have_count(0)
    panel.answers("hello")
    assert until(ran.exists)

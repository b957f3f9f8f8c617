"""What stands at the gate, told more than once: a decision that is kept, a program that comes late,
a model that answers at the third try."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from agent_lab.agents.registry import claude_command
from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import Panel, open_lab, open_split

pytestmark = pytest.mark.story


def serve_from(lab: Lab, folder: str, mark: Path) -> None:
    """Settings of a folder by which claude starts a server: a program that makes `mark`."""
    server = {"command": "/bin/sh", "args": ["-c", f"touch '{mark}'"]}
    place = lab.root / folder
    place.mkdir(exist_ok=True)
    (place / ".mcp.json").write_text(json.dumps({"mcpServers": {"theirs": server}}))


def open_in(page: Page, folder: str) -> Panel:
    """One more session, in a folder of its own."""
    page.evaluate("cwd => window.jupyterapp.commands.execute('agent-lab:open', {cwd}) && 0", folder)
    return Panel(page.locator(".al-Split:visible"))


def card_in(panel: Panel) -> Locator:
    return panel.region.get_by_role("alert").filter(has_text="Do you trust the files")


def test_a_decision_holds_until_the_files_change(lab: Lab, page: Page, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    serve_from(lab, "theirs", first)
    open_lab(page, lab, "theirs")
    panel = open_in(page, "theirs")
    expect(card_in(panel)).to_contain_text(".mcp.json")
    card_in(panel).get_by_role("button", name="Go on without them").click()
    panel.answers("hello")
    assert not first.exists()

    panel = open_in(page, "theirs")
    expect(panel.box).to_be_visible()
    panel.answers("once more")
    assert not first.exists()

    serve_from(lab, "theirs", second)
    panel = open_in(page, "theirs")
    card_in(panel).get_by_role("button", name="Trust", exact=True).click()
    panel.answers("now with them")
    assert until(second.exists)
    assert not first.exists()

    panel = open_in(page, "theirs")
    panel.a_b_c()


@pytest.fixture
def bare_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """The agent's program is not there yet."""
    command = [str(tmp_path / "claude")]
    with running_lab(tmp_path, with_model(tmp_path, model_url), claude_command=command) as lab:
        yield lab


def test_an_agent_that_is_installed_meanwhile(bare_lab: Lab, page: Page) -> None:
    open_lab(page, bare_lab, "meanwhile")
    page.locator(".jp-LauncherCard", has_text=re.compile("^Agent$")).click()
    panel = Panel(page.locator(".al-Split"))
    expect(panel.region.get_by_text("pip install 'agent-lab[claude]'").first).to_be_visible()
    program = claude_command(())
    assert program is not None
    (bare_lab.folder / "claude").symlink_to(program[0])
    panel.button("Try again").first.click()
    panel.a_b_c()


def test_a_model_that_answers_at_the_third_try(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "third")
    panel = open_split(page)
    panel.ask("retry: 529 x2")
    expect(panel.log).to_contain_text("Try 1 of")
    panel.says("Answered after 2 failures.")
    panel.a_b_c()


def test_stop_between_two_tries(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "between")
    panel = open_split(page)
    panel.ask("fail: 529")
    expect(panel.log).to_contain_text("Try 1 of")
    panel.button("Stop").click()
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    panel.a_b_c()

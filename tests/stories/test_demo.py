"""The demo as a newcomer plays it: run all, send the error, allow, see it mended, Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import PATIENCE_SECONDS, free_port, surroundings
from tests.stories.panel import Panel

pytestmark = pytest.mark.story


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running demo and the address it printed."""
    command = [sys.executable, "-m", "jupyter", "agent-lab", "demo", "--no-browser"]
    with subprocess.Popen(
        [*command, f"--port={free_port()}"], cwd=tmp_path, env=surroundings(tmp_path),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield process, next(line.strip() for line in process.stdout if "http://" in line)
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)


def test_a_failing_cell_is_repaired(demo: tuple[subprocess.Popen[str], str], page: Page) -> None:
    process, address = demo
    page.goto(address)
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    last = page.locator(".jp-Notebook .jp-CodeCell").last
    expect(last).to_be_visible()

    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    expect(last).to_contain_text("could not convert string to float")
    last.get_by_role("button", name="Ask agent").click()

    panel = Panel(page)
    expect(panel.region.get_by_text("Demo model: scripted answers")).to_be_visible()
    expect(panel.button(re.compile(r"^error in \[\d+\]$"))).to_be_visible()
    panel.ask("Why does the last cell fail? Fix it.")

    thinking = panel.log.get_by_role("group", name="Thinking").first
    expect(thinking).to_contain_text("The last cell calls revenue_by_region")
    expect(panel.tool("Read report.py").or_(panel.tool("Read")).first).to_be_visible()
    panel.choose("Allow once")
    panel.choose("Allow once")

    expect(panel.log.get_by_text("The last cell works again")).to_be_visible()
    panel.status("Idle")
    expect(panel.region.get_by_role("status", name="Cost")).to_contain_text("$")

    # The agent has run it, in the live kernel.
    expect(last.locator(".jp-OutputArea-output table")).to_contain_text("North")
    expect(last).not_to_contain_text("could not convert")

    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert [child for child in started if child.is_running()] == []


def test_a_change_of_the_tour_is_reviewed(
    demo: tuple[subprocess.Popen[str], str], page: Page
) -> None:
    """What the tour says of buttons: rejected with a reason, tried, accepted, undone."""
    _, address = demo
    page.goto(address.replace("analysis.ipynb", "tour.ipynb"))
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    notebook = page.get_by_role("main").locator(".jp-NotebookPanel:visible")
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    revenue = notebook.locator(".jp-CodeCell").nth(1)
    notebook.locator(".jp-CodeCell").nth(0).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(revenue.locator(".jp-OutputArea-output").last).to_contain_text("531564")

    notebook.get_by_role("button", name="Agent", exact=True).click()
    panel = Panel(page)
    panel.ask("West's prices are in cents. Mend the revenue.")
    card = revenue.get_by_role("group", name="Change cell [2]?", exact=True)
    expect(card.locator(".al-added").first).to_contain_text("/= 100")
    accept = card.get_by_role("button", name="Accept", exact=True)
    expect(accept).to_have_attribute("aria-disabled", "false")  # not before it can have been read
    why = card.get_by_role("textbox", name="Reject and tell it why")
    why.fill("that divides again with each run")
    why.press("Enter")

    expect(card.locator(".al-added").first).to_contain_text("euros")
    card.get_by_role("button", name="Try", exact=True).click()
    tried = card.get_by_role("group", name="Result of the trial")
    expect(tried).to_contain_text("531564")
    expect(tried).to_contain_text("5315.64")
    accept.click()
    expect(card).to_have_count(0)
    source = revenue.locator(".cm-content")
    expect(source).to_contain_text("euros")
    expect(panel.log.get_by_role("blockquote")).to_contain_text("divides again with each run")
    panel.status("Idle")

    panel.log.get_by_role("button", name="Undo", exact=True).click()
    expect(source).not_to_contain_text("euros")

    panel.ask("Draw the revenue of each region by month.")
    panel.choose("Allow once")
    step = panel.tool("Run code")
    expect(panel.log.get_by_text("West towers over the others")).to_be_visible()
    step.get_by_role("button").first.click()
    expect(step.get_by_role("img", name="Output of the tool")).to_be_visible()

"""In a notebook: `%agent` in a cell, the panel beside it, and the panel as a cell's own output."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab
from tests.stories.panel import Panel, beside, open_beside, open_lab

pytestmark = pytest.mark.story

SENT = "The answer appears in the Agent panel."


def open_notebook(page: Page, lab: Lab, name: str, *cells: str) -> Locator:
    """A new notebook with these cells and a kernel that waits; gives its cells."""
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (lab.root / f"{name}.ipynb").write_text(json.dumps(notebook))
    open_lab(page, lab, name, f"{name}.ipynb")
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    return page.locator(".jp-Notebook .jp-CodeCell")


def run(page: Page, cell: Locator) -> None:
    cell.locator(".jp-InputArea-editor").click()
    page.wait_for_timeout(400)  # a person's pace: what runs faster is a notebook run as a whole
    page.keyboard.press("Control+Enter")


def test_the_magic_asks_about_a_failing_cell(telling_lab: Lab, page: Page) -> None:
    cells = open_notebook(
        page, telling_lab, "magic", "%load_ext agent_lab", "1 / 0", "%agent What now", "%agent why?"
    )
    run(page, cells.nth(0))
    run(page, cells.nth(1))
    expect(cells.nth(1)).to_contain_text("ZeroDivisionError")
    run(page, cells.nth(2))
    expect(cells.nth(2)).to_contain_text(f"Sent to the agent of magic.ipynb. {SENT}")

    panel = open_beside(page)
    told = panel.log.locator("code").filter(has_text="What now")
    expect(told).to_contain_text("ZeroDivisionError: division by zero")
    expect(told).to_contain_text("source:\n1 / 0")
    assert "\x1b" not in told.inner_text()
    expect(panel.log).to_contain_text("from the notebook, %agent")
    panel.button("What was sent").click()
    expect(panel.log.locator(".al-sent-all")).to_contain_text("ZeroDivisionError")

    run(page, cells.nth(3))
    expect(cells.nth(3)).to_contain_text(SENT)
    expect(panel.log.locator("code").filter(has_text="why?")).to_contain_text("ZeroDivision")
    panel.a_b_c()


def test_an_error_is_sent_from_its_cell(telling_lab: Lab, page: Page) -> None:
    cells = open_notebook(page, telling_lab, "error", "{}['missing']")
    run(page, cells.nth(0))
    cells.nth(0).get_by_role("button", name="Ask agent").click()
    panel = beside(page)
    chip = panel.region.get_by_role("button", name="error in [1]", exact=True)
    expect(chip).to_be_visible()
    expect(panel.box).to_be_focused()
    panel.ask("What is wrong?")
    told = panel.log.locator("code").filter(has_text="What is wrong?")
    expect(told).to_contain_text("KeyError: 'missing'")
    expect(chip).to_be_hidden()


def test_the_chat_in_a_cell(telling_lab: Lab, page: Page) -> None:
    cells = open_notebook(
        page, telling_lab, "widget", "from agent_lab import AgentChat\nAgentChat()", "'not run'"
    )
    run(page, cells.nth(0))
    panel = Panel(cells.nth(0))
    panel.box.click()
    page.keyboard.type("ab dd y")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    expect(panel.box).to_have_value("ab dd y\nsecond line")
    expect(panel.box).to_be_focused()
    expect(cells).to_have_count(2)
    expect(cells.nth(0).locator(".jp-InputPrompt")).to_have_text("[1]:")
    page.keyboard.press("Enter")
    expect(panel.log).to_contain_text(re.compile("Answer to: ab dd y\\s+second line"))
    panel.a_b_c()
    expect(cells.nth(1).locator(".jp-InputPrompt")).to_have_text("[ ]:")

    beside = open_beside(page)
    beside.says("Answer to: C")
    assert len([s for s in telling_lab.sessions() if s["notebook"]["path"] == "widget.ipynb"]) == 1

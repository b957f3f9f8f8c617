"""In Notebook 7, where a page is one document: the chat beside it, nothing that cannot work."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import TOKEN, Lab, until
from tests.stories.panel import beside

pytestmark = pytest.mark.story


WIDTH = 1400


def test_the_chat_beside_the_document(lab: Lab, page: Page) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": "1 / 0"}
    notebook = {
        "cells": [{**cell, "execution_count": None}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (lab.root / "alone.ipynb").write_text(json.dumps(notebook))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{lab.url}notebooks/alone.ipynb?token={TOKEN}")
    cell_1 = page.locator(".jp-Notebook .jp-CodeCell").first
    expect(cell_1).to_be_visible()
    toolbar = page.locator(".jp-NotebookPanel-toolbar")
    expect(toolbar.get_by_role("button", name="Agent")).to_be_visible()

    before = len(lab.sessions())

    def palette_is_open() -> bool:
        """A page that still comes up may take the focus, and the keys, away."""
        cell_1.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Control+Shift+C")
        with suppress(AssertionError):
            # It is made at the first call: what is typed before is typed in the cell.
            expect(page.locator(".lm-CommandPalette-input")).to_be_focused(timeout=5000)
            return True
        return False

    until(palette_is_open)
    page.keyboard.type("agent")
    palette = page.locator(".lm-CommandPalette-content")
    expect(palette.get_by_role("menuitem", name="Agent", exact=True)).to_be_visible()
    expect(palette.get_by_text("New agent session beside a terminal")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()

    until(
        lambda: [
            each for each in lab.call("GET", "api/kernels") if each["execution_state"] == "idle"
        ]
    )
    toolbar.get_by_role("button", name="Agent").click()
    panel = beside(page)
    panel.answers("hello")
    box = panel.region.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= WIDTH
    assert len(lab.sessions()) == before + 1

    cell_1.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    cell_1.get_by_role("button", name="Ask agent").click()
    chip = panel.region.get_by_role("button", name="error in [1]", exact=True)
    expect(chip).to_be_visible()
    expect(panel.box).to_be_focused()
    panel.ask("What is wrong?")
    expect(chip).to_be_hidden()
    panel.status("Idle")
    panel.a_b_c()
    assert [line for line in said if "agent-lab" in line] == []

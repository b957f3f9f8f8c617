"""The whole story in one piece: a cell fails, the agent looks into memory and proposes, a person
tries, compares, accepts, and takes it back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.stories.bond import (
    command,
    done,
    idle,
    open_notebook,
    run,
    source_of,
    sources,
    telling_asking_lab,
)
from tests.stories.lab import Lab, until
from tests.stories.panel import beside, settle
from tests.stories.test_bond_proposals import choose, fresh, proposal

pytestmark = pytest.mark.story

CELLS = (
    'import pandas as pd\norders = pd.DataFrame({"region": ["north", "south", "north"], '
    '"price": [1.0, 2.0, 4.0]})',
    'orders["price"].sum()',
    'totals = orders.groupby("regoin")[["price"]].sum()\ntotals',
    '("totals" in globals(), orders.shape)',
)
SHAPE = "2 \N{MULTIPLICATION SIGN} 1"
MENDED = 'totals = orders.groupby("region")[["price"]].sum()\ntotals'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with telling_asking_lab(tmp_path_factory.mktemp("whole"), "whole.toml") as lab:
        yield lab


def saved(page: Page, file: Path) -> Any:
    """The third cell as it stands in the file, once the notebook was saved."""
    command(page, "docmanager:save")
    expect(page.locator(".jp-NotebookPanel")).to_be_visible()
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    found = json.loads(file.read_text())["cells"][2]
    return {**found, "source": "".join(found["source"])}


def test_a_failure_is_fixed_tried_compared_accepted_and_undone(lab: Lab, page: Page) -> None:
    name = fresh("sales")
    notebook, file = f"{name}.ipynb", lab.root / f"{name}.ipynb"
    cells = open_notebook(page, lab, name, *CELLS)
    idle(page)
    for number in range(3):
        run(page, cells.nth(number))
    outputs = cells.nth(2).locator(".jp-OutputArea-output")
    expect(outputs).to_contain_text("KeyError: 'regoin'")
    # SHOT failed

    # It looks into memory first, and says so; nothing is changed before a person said yes.
    cells.nth(2).get_by_role("button", name="Fix with agent").click()
    panel = beside(page)
    at_cell = proposal(cells.nth(2), "Change cell [3]?")
    in_chat = proposal(panel.log, "Change cell [3]?")
    expect(at_cell).to_be_visible()
    expect(in_chat).to_be_visible()
    # SHOT proposed
    looked = panel.log.get_by_role("group", name=re.compile("variable", re.IGNORECASE))
    expect(looked.first).to_be_attached()
    for card in (at_cell, in_chat):
        expect(card.locator(".al-added").first).to_contain_text('groupby("region")')
        expect(card.locator(".al-removed").first).to_contain_text('groupby("regoin")')
    assert sources(lab, notebook)[2] == CELLS[2]

    # A reload between the proposal and its trial loses nothing.
    assert saved(page, file)["source"] == CELLS[2]
    page.reload()
    settle(page)
    idle(page)
    expect(at_cell).to_be_visible()
    expect(outputs).to_contain_text("KeyError: 'regoin'")
    # SHOT reloaded

    # Tried on the live data: before it failed, after it is a table. Both places show it.
    at_cell.get_by_role("button", name="Try", exact=True).click()
    result = at_cell.get_by_role("group", name="Result of the trial")
    expect(result.locator(".al-trial-side").nth(0)).to_contain_text("failed")
    expect(result.locator(".al-trial-side").nth(0)).to_contain_text("KeyError")
    expect(result.locator(".al-trial-side").nth(1)).to_contain_text("worked")
    expect(result).to_contain_text(SHAPE)
    expect(result).to_contain_text("north")
    command(page, "agent-lab:open-notebook")
    expect(in_chat.get_by_role("group", name="Result of the trial")).to_contain_text(SHAPE)
    # SHOT tried
    assert sources(lab, notebook)[2] == CELLS[2]
    run(page, cells.nth(3))
    expect(cells.nth(3).locator(".jp-OutputArea-output")).to_have_text("(False, (3, 2))")
    assert saved(page, file)["source"] == CELLS[2]

    choose(at_cell, "Accept")
    expect(page.get_by_role("group", name="Change cell [3]?", exact=True)).to_have_count(0)
    expect(source_of(cells.nth(2))).to_contain_text('groupby("region")')
    panel.status("Idle")
    expect(panel.log.get_by_text("misspelt column")).to_be_visible()
    # SHOT accepted
    stands = saved(page, file)
    assert stands["source"] == MENDED
    (session,) = [one for one in lab.sessions() if (one["notebook"] or {}).get("path") == notebook]
    assert stands["metadata"]["agent_lab"]["session"] == session["id"]

    # The notebook's own undo and redo.
    source_of(cells.nth(2)).click()
    page.keyboard.press("Control+z")
    until(lambda: sources(lab, notebook)[2] == CELLS[2])
    # SHOT undone-in-the-cell
    page.keyboard.press("Control+Shift+z")
    until(lambda: sources(lab, notebook)[2] == MENDED)
    assert marked(lab, notebook)["session"] == session["id"]

    run(page, cells.nth(2))
    expect(outputs.get_by_role("table")).to_contain_text("north")
    expect(cells.nth(2).get_by_role("button", name="Fix with agent")).to_have_count(0)
    run(page, cells.nth(3))
    expect(cells.nth(3).locator(".jp-OutputArea-output")).to_have_text("(True, (3, 2))")
    # SHOT ran

    # And the chat's.
    undo = panel.log.get_by_role("button", name="Undo", exact=True)
    undo.click()
    expect(source_of(cells.nth(2))).to_contain_text('groupby("regoin")')
    expect(undo).to_have_count(0)
    # SHOT undone-in-the-chat
    # All of it was in sight: nobody was told of anything, and nothing went wrong.
    expect(page.locator(".jp-Notification-Status")).to_have_text("0")
    undone = saved(page, file)
    assert undone["source"] == CELLS[2]
    assert "agent_lab" not in undone["metadata"]


def marked(lab: Lab, notebook: str) -> Any:
    """What the third cell says of who wrote it."""
    return done(lab, notebook, "read")["cells"][2]["metadata"].get("agent_lab")

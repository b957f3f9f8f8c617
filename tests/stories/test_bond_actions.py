"""At an error, an output, a cell: what a person asks of the agent without leaving the notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from agent_lab.notebook.provenance import ran, wrote
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
from tests.stories.lab import Lab
from tests.stories.panel import beside

pytestmark = pytest.mark.story


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with telling_asking_lab(tmp_path_factory.mktemp("actions")) as lab:
        yield lab


def choose(page: Page, place: Locator, item: str) -> None:
    """Of the context menu."""
    place.click(button="right")
    page.locator(".lm-Menu").get_by_role("menuitem", name=item).click()


def test_fix_sends_all_that_it_takes(lab: Lab, page: Page) -> None:
    cells = open_notebook(
        page, lab, "fix", "amounts = [1, 2]\nunrelated = 3", "total = amounts['x']"
    )
    idle(page)
    run(page, cells.nth(0))
    run(page, cells.nth(1))
    fix = cells.nth(1).get_by_role("button", name="Fix with agent")
    fix.focus()
    page.keyboard.press("Enter")
    panel = beside(page)
    panel.says("Fix this error.")
    told = panel.log.locator("code").filter(has_text="Fix this error.")
    expect(told).to_contain_text("TypeError: list indices must be integers")
    expect(told).to_contain_text("total = amounts['x']")
    expect(told).to_contain_text("c1")
    expect(told).to_contain_text(re.compile("amounts: list 2 items"))
    expect(told).not_to_contain_text("unrelated")
    assert "\x1b" not in told.inner_text()
    for chip in ("error in [2]", "cell [2]", "amounts"):
        expect(panel.log.get_by_text(chip, exact=True).first).to_be_attached()
    assert sources(lab, "fix.ipynb")[1] == "total = amounts['x']", "the key went to the button"
    panel.status("Idle")

    # The same without the mouse, on the cell that is active.
    source_of(cells.nth(1)).click()
    command(page, "agent-lab:fix-error")
    panel.says("Fix this error.", times=2)
    panel.status("Idle")


def test_ask_waits_for_the_question(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, "asks", "{}['missing']")
    idle(page)
    run(page, cells.nth(0))
    cells.nth(0).get_by_role("button", name="Ask agent").click()
    panel = beside(page)
    for chip in ("error in [1]", "cell [1]"):
        expect(panel.region.get_by_role("button", name=chip, exact=True)).to_be_visible()
    expect(panel.box).to_be_focused()
    expect(panel.log).not_to_contain_text("missing")
    panel.ask("Why?")
    told = panel.log.locator("code").filter(has_text="Why?")
    expect(told).to_contain_text("KeyError: 'missing'")
    expect(told).to_contain_text("source:\n{}['missing']")


def test_the_menus_of_a_cell_and_an_output(lab: Lab, page: Page) -> None:
    source = "print('first')\nprint(open)\ndisplay('second')"
    cells = open_notebook(page, lab, "menus", source, "")
    idle(page)
    run(page, cells.nth(0))
    outputs = cells.nth(0).locator(".jp-OutputArea-child")
    expect(outputs).to_have_count(2)
    choose(page, outputs.nth(1), "Send Output to Agent")
    panel = beside(page)
    expect(panel.region.get_by_role("button", name="output of [1]", exact=True)).to_be_visible()
    expect(panel.box).to_be_focused()
    panel.ask("What is it?")
    told = panel.log.locator("code").filter(has_text="What is it?")
    expect(told).to_contain_text("'second'")
    expect(told).not_to_contain_text("first")

    choose(page, cells.nth(0).locator(".jp-InputArea-editor"), "Explain With Agent")
    panel.says("Explain this cell.")
    expect(panel.log.locator("code").filter(has_text="Explain this cell.")).to_contain_text(source)
    choose(page, cells.nth(0).locator(".jp-InputArea-editor"), "Ask Agent About This Cell")
    expect(panel.region.get_by_role("button", name="cell [1]", exact=True)).to_be_visible()
    cells.nth(1).locator(".jp-InputArea-editor").click(button="right")
    item = page.locator(".lm-Menu").get_by_role("menuitem", name="Explain With Agent")
    expect(item).to_have_class(re.compile("lm-mod-disabled"))
    page.keyboard.press("Escape")


def test_who_wrote_this(lab: Lab, page: Page) -> None:
    session = lab.call("POST", "agent-lab/api/sessions", {"title": "Fix the groupby"})
    told = {
        "session": session["id"],
        "turn": None,
        "agent": "claude",
        "model": "claude-opus-4-1",
        "at": "2026-11-21T14:02:00.000Z",
    }
    cells = open_notebook(
        page, lab, "who",
        {"source": "x = 1", "metadata": wrote("x = 1", **told)},
        {"source": "x = 3", "metadata": wrote("x = 2", **told)},
        {"source": "x", "execution_count": 4, "metadata": ran(4, **told)},
        {"source": "x", "execution_count": 5, "metadata": ran(4, **told)},
    )  # fmt: skip
    dialog = page.get_by_role("dialog")

    def says(index: int) -> None:
        choose(page, cells.nth(index).locator(".jp-InputArea-editor"), "Who Wrote This")

    says(0)
    written = re.compile(r"Written by claude \(opus\) on .*2026.*02.*; in “Fix the groupby”")
    expect(dialog).to_contain_text(written)
    expect(dialog).not_to_contain_text("edited since")
    dialog.get_by_role("button", name="Close").click()
    says(1)
    expect(dialog).to_contain_text("edited since")
    page.keyboard.press("Escape")
    says(2)
    expect(dialog).to_contain_text("Run by claude (opus)")
    page.keyboard.press("Escape")
    says(3)
    expect(dialog).to_contain_text("No agent has left its mark on this cell.")
    dialog.get_by_role("button", name="Close").click()
    prompt = cells.nth(1).locator(".jp-InputPrompt")
    prompt.hover()
    expect(prompt).to_have_attribute("title", re.compile(r"^Written by claude .*edited since; in"))

    says(0)
    dialog.get_by_role("button", name="Show in Session").click()
    expect(page.locator(".al-Split")).to_be_visible()
    page.get_by_role("tab", name="who.ipynb").click()
    command(page, "agent-lab:remove-marks")
    expect(page.get_by_text("4 marks were removed")).to_be_visible()
    cells_now = done(lab, "who.ipynb", "read")["cells"]
    assert all("agent_lab" not in cell["metadata"] for cell in cells_now)


def test_a_cell_is_changed_at_the_cell(lab: Lab, page: Page) -> None:
    name = "inline.ipynb"
    cells = open_notebook(page, lab, "inline", "x = 1", "x + 1", "")
    idle(page)
    run(page, cells.nth(0))
    source_of(cells.nth(1)).click()
    page.keyboard.press("End")
    page.keyboard.press("Control+k")
    prompt = cells.nth(1).get_by_role("group", name="Change this cell with the agent")
    field = prompt.get_by_role("textbox")
    expect(field).to_be_focused()
    page.keyboard.type("a b dd")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("y")
    expect(field).to_have_value("a b dd\ny")
    expect(cells).to_have_count(3)
    page.keyboard.press("Escape")
    expect(prompt).to_have_count(0)
    expect(source_of(cells.nth(1))).to_be_focused()
    page.keyboard.type("0")
    assert sources(lab, name) == ["x = 1", "x + 10", ""]

    # In command mode too; and what covers nothing pushes the next cell down.
    page.keyboard.press("Escape")
    below = cells.nth(2).bounding_box()
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    pushed = cells.nth(2).bounding_box()
    assert below is not None
    assert pushed is not None
    assert pushed["y"] > below["y"] + 20
    page.keyboard.type("ask: what shall x be")
    page.keyboard.press("Enter")
    status = prompt.get_by_role("status")
    expect(status).to_contain_text("Waits for your answer in the chat")
    prompt.get_by_role("button", name="Show in chat").click()
    panel = beside(page)
    expect(panel.log).to_contain_text('with the tool edit_cell, cell_id "c1"')
    done(lab, name, "edit", cell_id="c1", expected_source="x + 10", source="x + 2")
    prompt.get_by_role("button", name="Stop").click()
    expect(status).to_have_text("Stopped.")

    field.fill("make it nice")
    field.press("Enter")
    expect(status).to_contain_text("The agent left this cell as it is.")
    told = panel.log.locator("code").filter(has_text="make it nice")
    expect(told).to_contain_text("source:\nx + 2")
    expect(told).to_contain_text(re.compile("x: int"))
    field.press("Escape")
    expect(prompt).to_have_count(0)

    source_of(cells.nth(2)).click()
    page.keyboard.press("Control+k")
    empty = cells.nth(2).get_by_role("group", name="Write this cell with the agent")
    expect(empty.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("a plot")
    page.keyboard.press("Enter")
    told = panel.log.locator("code").filter(has_text="a plot")
    expect(told).to_contain_text("The cell c2 of inline.ipynb is empty")

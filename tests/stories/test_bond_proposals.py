"""Proposed cell changes: seen at the cell and in the chat, answered once, wherever that is."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.bond import (
    command,
    done,
    idle,
    open_notebook,
    run,
    source_of,
    sources,
    telling_asking_lab,
    write_notebook,
)
from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, until
from tests.stories.panel import SIDE_BAR, beside, settle
from tests.stories.sessions_panel import open_page
from tests.stories.test_access import in_each_theme

pytestmark = pytest.mark.story

MARKED = {"tags": ["kept"]}

_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with telling_asking_lab(tmp_path_factory.mktemp("proposals"), "proposals.toml") as lab:
        yield lab


def fresh(name: str) -> str:
    """A notebook with a kernel and a session of its own, also where a story is told once more."""
    return f"{name}{next(_numbers)}"


def session_of(lab: Lab, notebook: str) -> str:
    """The notebook's session, which no page has to show."""
    kernel = next(
        one["kernel"]["id"]
        for one in lab.call("GET", "api/sessions")
        if one["path"] == f"{notebook}.ipynb"
    )
    asked = {"notebook": f"{notebook}.ipynb", "kernel_id": kernel}
    made: str = lab.call("POST", "agent-lab/api/sessions", asked)["id"]
    return made


def prompt(lab: Lab, session: str, text: str) -> None:
    content = [{"type": "text", "text": text}]
    lab.call("POST", f"agent-lab/api/sessions/{session}/prompt", {"content": content})


def told(lab: Lab, session: str) -> list[str]:
    """What the agent says of its tools' answers, the oldest first."""
    said = [
        "".join(block.get("text", "") for block in event["content"])
        for event in lab.events(session)
        if event["type"] == "agent_message"
    ]
    return [words for words in said if words.startswith("It said")]


def says(lab: Lab, session: str, words: str, times: int = 1) -> None:
    until(lambda: len(told(lab, session)) == times and words in told(lab, session)[-1])


def proposal(place: Page | Locator, title: str) -> Locator:
    return place.get_by_role("group", name=title, exact=True)


def choose(card: Locator, option: str) -> None:
    """As soon as its buttons work."""
    button = card.get_by_role("button", name=option, exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()


def test_a_change_is_accepted_at_its_cell_and_undone(lab: Lab, page: Page) -> None:
    name = fresh("accepts")
    cells = open_notebook(page, lab, name, "x = 1\ny = 2", "", *["pass"] * 30)
    idle(page)
    session = session_of(lab, name)
    source_of(cells.nth(1)).click()
    page.keyboard.type("a")
    seen = page.locator(".jp-WindowedPanel-outer").first.evaluate("node => node.scrollTop")
    prompt(lab, session, "edit c0: x = 1\ny = 3")
    card = proposal(cells.nth(0), "Change cell c0?")
    expect(card.locator(".al-added")).to_have_text("+y = 3")
    expect(card.locator(".al-removed")).to_have_text("\N{MINUS SIGN}y = 2")
    expect(source_of(cells.nth(1))).to_be_focused()
    page.keyboard.type("b")
    assert sources(lab, f"{name}.ipynb")[:2] == ["x = 1\ny = 2", "ab"]
    assert page.locator(".jp-WindowedPanel-outer").first.evaluate("node => node.scrollTop") == seen
    expect(page.locator(SIDE_BAR)).not_to_be_visible()

    choose(card, "Accept")
    expect(card).to_have_count(0)
    expect(source_of(cells.nth(0))).to_contain_text("y = 3")
    says(lab, session, "Changed cell c0")
    source_of(cells.nth(0)).click()
    page.keyboard.press("Control+z")
    expect(source_of(cells.nth(0))).to_contain_text("y = 2")

    # The chat that is opened now tells it in one line, and offers to undo it while it can.
    page.keyboard.press("Control+Shift+z")
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    line = panel.log.get_by_role("group", name="Proposal: Change cell c0")
    expect(line).to_contain_text("accepted")
    undo = panel.log.get_by_role("button", name="Undo", exact=True)
    undo.click()
    expect(source_of(cells.nth(0))).to_contain_text("y = 2")
    expect(undo).to_have_count(0)
    line.get_by_role("button").first.click()
    expect(line.locator(".al-added")).to_have_text("+y = 3")


def test_deleted_moved_and_retyped_cells_are_put_back(lab: Lab, page: Page) -> None:
    name = fresh("back")
    cells = open_notebook(
        page, lab, name, "a = 1", {"source": "b = 2\nb", "metadata": MARKED}, "c = 3"
    )
    idle(page)
    run(page, cells.nth(1))
    expect(cells.nth(1).locator(".jp-OutputArea-output")).to_have_text("2")
    before = done(lab, f"{name}.ipynb", "read")["cells"]
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    undo = panel.log.get_by_role("button", name="Undo", exact=True)

    def change(asked: str, title: str) -> None:
        panel.ask(asked)
        choose(proposal(panel.log, title), "Accept")
        panel.status("Idle")

    change("delete c1", "Delete cell [1]?")
    expect(cells).to_have_count(2)
    expect(undo).to_have_attribute("title", "Put the cell back as it was")
    undo.click()
    expect(cells).to_have_count(3)
    assert done(lab, f"{name}.ipynb", "read")["cells"] == before
    expect(undo).to_have_count(0)

    change("move c0 behind c2", "Move cell c0 below c2?")
    assert sources(lab, f"{name}.ipynb") == ["b = 2\nb", "c = 3", "a = 1"]
    undo.click()
    assert done(lab, f"{name}.ipynb", "read")["cells"] == before
    expect(undo).to_have_count(0)

    change("text c2: # C", "Change cell c2?")
    expect(cells.nth(2).get_by_role("heading", name="C")).to_be_visible()
    undo.click()
    expect(source_of(cells.nth(2))).to_have_text("c = 3")
    back = done(lab, f"{name}.ipynb", "read")["cells"]
    assert [cell["cell_type"] for cell in back] == ["code"] * 3
    assert "agent_lab" not in back[2]["metadata"]

    # A page that did not see the cell go has its source and its place from the log.
    change("delete c0", "Delete cell c0?")
    expect(cells).to_have_count(2)
    command(page, "docmanager:save")
    expect(page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    page.reload()
    settle(page)
    expect(undo).to_have_attribute("title", "Put the cell back, without its outputs")
    undo.click()
    assert sources(lab, f"{name}.ipynb") == ["a = 1", "b = 2\nb", "c = 3"]


def test_a_rejection_with_its_reason_reaches_the_agent(lab: Lab, page: Page) -> None:
    name = fresh("rejects")
    cells = open_notebook(page, lab, name, "x = 1")
    idle(page)
    run(page, cells.nth(0))
    expect(cells.nth(0).locator(".jp-InputPrompt")).to_have_text("[1]:")
    session = session_of(lab, name)
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    panel.ask("edit c0: x = 99")
    until(lambda: lab.call("GET", f"agent-lab/api/sessions/{session}")["pending_permissions"])
    both = page.get_by_role("group", name="Change cell [1]?", exact=True)
    expect(both).to_have_count(2)
    card = proposal(cells.nth(0), "Change cell [1]?")
    expect(card.get_by_role("button", name="Reject", exact=True)).to_have_attribute(
        "aria-disabled", "false"
    )
    why = card.get_by_role("textbox", name="Reject and tell it why")
    why.fill("99 is too much")
    why.press("Enter")
    expect(both).to_have_count(0)
    says(lab, session, "and says: 99 is too much")
    line = panel.log.get_by_role("group", name="Proposal: Change cell [1]")
    expect(line).to_contain_text("rejected")
    expect(panel.log.locator(".al-told")).to_contain_text("99 is too much")
    assert sources(lab, f"{name}.ipynb") == ["x = 1"]
    expect(panel.log.get_by_role("button", name="Undo")).to_have_count(0)


def test_edited_in_one_tab_after_a_reload_and_gone_from_the_other(
    lab: Lab, new_page: NewPage
) -> None:
    name = fresh("edits")
    page, other = new_page(), new_page()
    cells = open_notebook(page, lab, name, "x = 1")
    idle(page)
    session = session_of(lab, name)
    prompt(lab, session, "edit c0: x = 2")
    card = proposal(page, "Change cell c0?")
    card.get_by_role("button", name="Edit…").click()
    field = card.get_by_role("textbox", name="New source of the cell")
    expect(field).to_be_focused()
    field.fill("x = 7")
    expect(card.locator(".al-added")).to_have_text("+x = 7")
    page.reload()
    settle(page)
    expect(field).to_have_value("x = 7")
    expect(field).not_to_be_focused()

    other.goto(lab.page(f"{name}-other", f"{name}.ipynb"))
    settle(other)
    elsewhere = proposal(other, "Change cell c0?")
    expect(elsewhere.locator(".al-added")).to_have_text("+x = 2")
    choose(card, "Accept")
    expect(card).to_have_count(0)
    expect(elsewhere).to_have_count(0)
    says(lab, session, "edited your version")
    until(lambda: sources(lab, f"{name}.ipynb") == ["x = 7"])
    command(page, "agent-lab:open-notebook")
    line = beside(page).log.get_by_role("group", name="Proposal: Change cell c0")
    expect(line).to_contain_text("accepted as you edited it")
    expect(source_of(cells.nth(0))).to_contain_text("7")


def test_new_and_deleted_cells_by_the_keyboard_alone(lab: Lab, page: Page) -> None:
    name = fresh("keys")
    cells = open_notebook(page, lab, name, "a = 1", "b = 2")
    idle(page)
    session = session_of(lab, name)
    source_of(cells.nth(1)).click()
    prompt(lab, session, "insert c0: between = 1")
    # Between the cells: in the one that it follows, below all that this shows.
    card = proposal(cells.nth(0), "New cell after c0?")
    first = card.get_by_role("button", name="Accept", exact=True)
    expect(first).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("Control+Alt+k")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(first).to_be_focused()
    page.keyboard.press("1")
    expect(cells).to_have_count(3)
    says(lab, session, "Inserted cell")
    assert sources(lab, f"{name}.ipynb") == ["a = 1", "between = 1", "b = 2"]
    # The focus is the notebook's again.
    page.wait_for_function("document.activeElement.closest('.jp-Notebook') !== null")
    expect(page.locator(".jp-Notebook")).to_have_class(re.compile("jp-mod-commandMode"))

    prompt(lab, session, "delete c1")
    gone = proposal(cells.nth(2), "Delete cell c1?")
    expect(cells.nth(2)).to_have_class(re.compile("al-mod-goes"))
    expect(gone.get_by_role("button", name="Accept", exact=True)).to_have_attribute(
        "aria-disabled", "false"
    )
    page.keyboard.press("Control+Alt+k")
    page.keyboard.press("Escape")
    expect(gone).to_have_count(0)
    expect(cells.nth(2)).not_to_have_class(re.compile("al-mod-goes"))
    says(lab, session, "Nothing was changed", times=2)
    expect(cells).to_have_count(3)


def test_a_change_is_answered_in_the_chat_by_its_keys(lab: Lab, page: Page) -> None:
    name = fresh("chat")
    cells = open_notebook(page, lab, name, "x = 1")
    idle(page)
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    panel.ask("edit c0: x = 2")
    card = proposal(panel.log, "Change cell c0?")
    accept = card.get_by_role("button", name="Accept", exact=True)
    expect(accept).to_be_focused()
    expect(accept).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("3")
    line = panel.log.get_by_role("group", name="Proposal: Change cell c0")
    expect(line).to_contain_text("rejected")
    panel.status("Idle")

    panel.ask("edit c0: x = 3")
    expect(accept).to_be_focused()
    expect(accept).to_have_attribute("aria-disabled", "false")
    page.keyboard.press("2")
    expect(source_of(cells.nth(0))).to_have_text("x = 3")
    panel.status("Idle")
    # What it scoped: the next one is not asked about, and can be undone from its card.
    panel.ask("edit c0: x = 4")
    expect(source_of(cells.nth(0))).to_have_text("x = 4")
    panel.status("Idle")
    panel.tool("Edit cell").last.get_by_role("button").first.click()
    panel.log.get_by_role("button", name="Undo", exact=True).last.click()
    expect(source_of(cells.nth(0))).to_have_text("x = 3")


def test_a_change_is_tried_before_it_is_accepted(lab: Lab, page: Page) -> None:
    paths = lab.call("GET", "agent-lab/api/openapi.json")["paths"]
    if not any(path.endswith("/trial") for path in paths):
        pytest.skip("this server tries nothing")
    name = fresh("tried")
    cells = open_notebook(page, lab, name, "print('accuracy:', 0.5)")
    idle(page)
    session = session_of(lab, name)
    prompt(lab, session, "edit c0: print('accuracy:', 0.75)")
    card = proposal(cells.nth(0), "Change cell c0?")
    card.get_by_role("button", name="Try", exact=True).click()
    result = card.get_by_role("group", name="Result of the trial")
    expect(result.get_by_role("row", name=re.compile("accuracy 0.5 0.75"))).to_be_visible()
    assert sources(lab, f"{name}.ipynb") == ["print('accuracy:', 0.5)"]
    expect(cells.nth(0).locator(".jp-OutputArea-output")).to_have_count(0)
    choose(card, "Accept")
    expect(source_of(cells.nth(0))).to_contain_text("0.75")


def tried(card: Locator, button: str) -> Locator:
    """The result, once there is one."""
    card.get_by_role("button", name=button, exact=True).click()
    result = card.get_by_role("group", name="Result of the trial")
    expect(result).to_be_visible()
    return result


def test_what_a_trial_showed_is_told_with_a_rejection(lab: Lab, page: Page) -> None:
    name = fresh("tells")
    cells = open_notebook(page, lab, name, "print('accuracy:', 0.5)")
    idle(page)
    session = session_of(lab, name)
    prompt(lab, session, "edit c0: print('accuracy:', 1 / 4)")
    card = proposal(cells.nth(0), "Change cell c0?")
    tells = card.get_by_role("checkbox", name=re.compile("tell the agent what the trial showed"))
    expect(card).to_be_visible()
    expect(tells).to_have_count(0)
    tried(card, "Try")
    expect(tells).to_be_checked()
    # What was to be answered stays where it was.
    choose(card, "Reject")
    says(lab, session, "tried it in a copy of the kernel")
    assert "accuracy: 0.25" in told(lab, session)[-1]
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    line = panel.log.get_by_text("The agent was told what the trial showed")
    expect(panel.log.get_by_text("You", exact=True)).to_have_count(0)  # it was not in their words
    line.click()
    expect(panel.log.locator("details pre")).to_contain_text("accuracy: 0.25")
    # SHOT told

    prompt(lab, session, "edit c0: print('accuracy:', 1 / 8)")
    tried(card, "Try")
    tells.uncheck()
    page.reload()
    settle(page)
    expect(tells).not_to_be_checked()
    why = card.get_by_role("textbox", name="Reject and tell it why")
    expect(card.get_by_role("button", name="Reject", exact=True)).to_have_attribute(
        "aria-disabled", "false"
    )
    why.fill("worse")
    why.press("Enter")
    says(lab, session, "and says: worse", times=2)
    assert "0.125" not in told(lab, session)[-1]
    assert sources(lab, f"{name}.ipynb") == ["print('accuracy:', 0.5)"]


def test_a_persons_own_version_is_tried(lab: Lab, page: Page) -> None:
    name = fresh("mine")
    cells = open_notebook(page, lab, name, "print('accuracy:', 0.5)")
    idle(page)
    session = session_of(lab, name)
    prompt(lab, session, "edit c0: print('accuracy:', 0.75)")
    card = proposal(cells.nth(0), "Change cell c0?")
    expect(tried(card, "Try")).to_contain_text("0.75")
    card.get_by_role("button", name="Edit…").click()
    field = card.get_by_role("textbox", name="New source of the cell")
    field.fill("print('accuracy:', 0.875)")
    note = card.get_by_text("This was tried with the version that was proposed.")
    expect(note).to_be_visible()
    # SHOT mine-before
    result = tried(card, "Try your version")
    expect(result.get_by_role("row", name=re.compile("accuracy 0.5 0.875"))).to_be_visible()
    expect(note).to_have_count(0)
    # SHOT mine
    field.fill("print('accuracy:', 0.9)")
    expect(card.get_by_text("This was tried with another version of yours.")).to_be_visible()
    assert sources(lab, f"{name}.ipynb") == ["print('accuracy:', 0.5)"]
    choose(card, "Accept")
    until(lambda: sources(lab, f"{name}.ipynb") == ["print('accuracy:', 0.9)"])


def test_a_change_is_undone_where_no_notebook_is_open(lab: Lab, page: Page) -> None:
    """On the page without JupyterLab, as on a phone: in the file, while it still is that change."""
    name = fresh("far")
    file = write_notebook(lab, name, "x = 1")
    new = {"path": f"{name}.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    lab.call("POST", "api/sessions", new)
    session = session_of(lab, name)
    _, panel = open_page(page, lab, session)

    def stands() -> str:
        return "".join(json.loads(file.read_text())["cells"][0]["source"])

    panel.ask("edit c0: x = 2")
    choose(proposal(panel.log, "Change cell c0?"), "Accept")
    panel.status("Idle")
    assert stands() == "x = 2"
    undo = panel.log.get_by_role("button", name="Undo", exact=True)
    undo.click()
    expect(undo).to_have_count(0)
    assert stands() == "x = 1"

    panel.ask("edit c0: x = 3")
    choose(proposal(panel.log, "Change cell c0?"), "Accept")
    panel.status("Idle")
    file.write_text(file.read_text().replace("x = 3", "x = 33"))
    undo.click()
    expect(panel.log.get_by_role("alert")).to_contain_text("left alone")
    expect(undo).to_have_count(0)
    # SHOT far
    assert stands() == "x = 33"


def test_a_proposal_in_sight_is_not_told_again(lab: Lab, page: Page) -> None:
    name = fresh("sight")
    cells = open_notebook(page, lab, name, "x = 1")
    idle(page)
    session = session_of(lab, name)
    prompt(lab, session, f"edit c0: x = '{name}'")
    toast = page.locator(".Toastify__toast").filter(has_text=name)
    expect(proposal(cells.nth(0), "Change cell c0?")).to_be_visible()
    page.wait_for_timeout(3000)
    assert toast.count() == 0
    # Once nobody looks at the notebook it is; who comes back has it before their eyes.
    command(page, "launcher:create")
    expect(toast).to_contain_text("Permission needed: Change cell c0")
    page.get_by_role("tab", name=f"{name}.ipynb").click()
    expect(toast).to_have_count(0)
    choose(proposal(cells.nth(0), "Change cell c0?"), "Accept")
    expect(source_of(cells.nth(0))).to_contain_text(name)
    page.wait_for_timeout(2500)
    assert toast.filter(has_text="Permission").count() == 0
    assert page.get_by_text("The panel was closed").count() == 0


def test_asked_at_the_cell_answered_at_the_cell(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, fresh("asked"), "x = 1")
    idle(page)
    source_of(cells.nth(0)).click()
    page.keyboard.press("Control+k")
    page.keyboard.type("say where")
    page.keyboard.press("Enter")
    asked = cells.nth(0).get_by_role("group", name="Change this cell with the agent")
    card = proposal(cells.nth(0), "Change cell c0?")
    expect(asked.get_by_role("status")).to_have_text(
        "The agent proposes a change: answer it below."
    )
    above, below = asked.bounding_box(), card.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] < below["y"]
    choose(card, "Accept")
    expect(asked.get_by_role("status")).to_contain_text("The agent changed this cell")
    expect(source_of(cells.nth(0))).to_have_text("asked = 'here'")


def test_all_that_wait_are_accepted_at_once(lab: Lab, page: Page) -> None:
    """Of two sessions: claude's own changes come one after the other."""
    name = fresh("all")
    cells = open_notebook(page, lab, name, "first = 1", "second = 2")
    idle(page)
    session = session_of(lab, name)
    another = lab.call("POST", "agent-lab/api/sessions", {"path": ""})["id"]
    prompt(lab, session, "edit c0: first = 10")
    prompt(lab, another, f"in {name}.ipynb c1: second = 20")
    expect(proposal(cells.nth(0), "Change cell c0?")).to_be_visible()
    expect(proposal(cells.nth(1), "Change cell c1?")).to_be_visible()
    bar = page.get_by_role("button", name="Accept all (2)", exact=True)
    expect(bar).to_be_visible()
    page.wait_for_timeout(600)
    bar.click()
    until(lambda: sources(lab, f"{name}.ipynb") == ["first = 10", "second = 20"])
    expect(bar).not_to_be_visible()


def test_for_everybody(lab: Lab, page: Page) -> None:
    name = fresh("everybody")
    cells = open_notebook(page, lab, name, "x = 1")
    idle(page)
    command(page, "agent-lab:open-notebook")
    panel = beside(page)
    panel.ask("edit c0: x = 2")
    card = proposal(cells.nth(0), "Change cell c0?")
    expect(card.get_by_role("button", name="Accept", exact=True)).to_have_attribute(
        "aria-disabled", "false"
    )
    card.get_by_role("button", name="Edit…").click()
    expect(proposal(panel.log, "Change cell c0?")).to_be_visible()
    in_each_theme(page, ".al-Proposal")
    in_each_theme(page, f"{SIDE_BAR} .al-ask")
    in_each_theme(page, ".al-ProposalBar")

"""A notebook that is open is read and changed in its page: undo works, nothing is taken from who
writes there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from agent_lab.notebook.document import upgrade
from tests.stories.bond import (
    ask,
    asking_lab,
    command,
    done,
    held,
    idle,
    open_notebook,
    run,
    source_of,
    sources,
    write_notebook,
)
from tests.stories.lab import Lab, until
from tests.stories.panel import open_lab, settle

pytestmark = pytest.mark.story

MARK = {"agent_lab": {"session": "s", "agent": "claude"}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    with asking_lab(tmp_path_factory.mktemp("bond"), model_url) as lab:
        yield lab


def test_changes_while_a_person_writes(lab: Lab, page: Page) -> None:
    name = "writes.ipynb"
    cells = open_notebook(page, lab, "writes", "first = 1", "second = 2", "third = 3")
    source_of(cells.nth(1)).click()
    page.keyboard.press("End")
    page.keyboard.type(" + 2")
    assert sources(lab, name) == ["first = 1", "second = 2 + 2", "third = 3"], "unsaved work"

    new = {"id": "new", "cell_type": "code", "source": "zero = 0", "metadata": MARK}
    assert done(lab, name, "insert", cell=new, after_cell_id="") == {"index": 0}
    page.keyboard.type(" + 3")
    done(lab, name, "edit", cell_id="c0", expected_source="first = 1", source="first = 10\nmore",
         metadata=MARK)  # fmt: skip
    done(lab, name, "move", cell_id="c2", after_cell_id="")
    done(lab, name, "delete", cell_id="new", expected_source="zero = 0")
    page.keyboard.type(" + 4")
    wanted = ["third = 3", "first = 10\nmore", "second = 2 + 2 + 3 + 4"]
    assert sources(lab, name) == wanted
    expect(cells).to_have_count(3)
    expect(source_of(cells.nth(2))).to_be_focused()
    marks = [c["metadata"].get("agent_lab") for c in done(lab, name, "read")["cells"]]
    assert marks == [None, MARK["agent_lab"], None]
    on_disk = json.loads((lab.root / name).read_text())
    assert [c["source"] for c in on_disk["cells"]] == ["first = 1", "second = 2", "third = 3"]

    # Of the cell that the person writes in, the middle is changed: the cursor stays behind its 4.
    done(lab, name, "edit", cell_id="c1", expected_source=wanted[2],
         source="second = 2 + 222 + 3 + 4")  # fmt: skip
    page.keyboard.type("5")
    assert sources(lab, name)[2] == "second = 2 + 222 + 3 + 45"


def test_undo_takes_each_change_back(lab: Lab, page: Page) -> None:
    name = "undo.ipynb"
    cells = open_notebook(page, lab, "undo", "first = 1", "second = 2")
    source_of(cells.nth(0)).click()
    page.keyboard.press("End")
    page.keyboard.type("1")
    done(lab, name, "edit", cell_id="c0", expected_source="first = 11", source="first = 99",
         metadata=MARK)  # fmt: skip
    expect(source_of(cells.nth(0))).to_have_text("first = 99")
    page.keyboard.press("Control+z")
    expect(source_of(cells.nth(0))).to_have_text("first = 11")
    page.keyboard.press("Control+Shift+z")
    expect(source_of(cells.nth(0))).to_have_text("first = 99")

    new = {"id": "new", "cell_type": "markdown", "source": "# Title", "metadata": {}}
    done(lab, name, "insert", cell=new, after_cell_id="c0")
    expect(cells).to_have_count(3)
    expect(cells.nth(1).get_by_role("heading", name="Title")).to_be_visible()
    done(lab, name, "delete", cell_id="c1", expected_source="second = 2")
    expect(cells).to_have_count(2)
    command(page, "notebook:undo-cell-action")
    expect(source_of(cells.nth(2))).to_have_text("second = 2")
    command(page, "notebook:undo-cell-action")
    expect(cells).to_have_count(2)
    assert sources(lab, name) == ["first = 99", "second = 2"]
    done(lab, name, "edit", cell_id="c1", expected_source="second = 2", source="## Second",
         cell_type="markdown", metadata=MARK)  # fmt: skip
    expect(cells.nth(1).get_by_role("heading", name="Second")).to_be_visible()
    assert done(lab, name, "read", cell_id="c1")["metadata"]["agent_lab"] == MARK["agent_lab"]
    command(page, "notebook:undo-cell-action")
    expect(source_of(cells.nth(1))).to_have_text("second = 2")
    done(lab, name, "move", cell_id="c1", after_cell_id="")
    assert sources(lab, name) == ["second = 2", "first = 99"]
    command(page, "notebook:undo-cell-action")
    assert sources(lab, name) == ["first = 99", "second = 2"]


def test_cells_of_an_old_notebook_keep_their_ids(lab: Lab, page: Page) -> None:
    name = "old.ipynb"
    file = write_notebook(lab, "old", "a = 1", "a = 1", {"source": "# T", "cell_type": "markdown"})
    content = json.loads(file.read_text()) | {"nbformat_minor": 4}
    for cell in content["cells"]:
        del cell["id"]
    file.write_text(json.dumps(content))
    upgrade(content)  # as the tools read the file
    ids = [cell["id"] for cell in content["cells"]]

    def seen() -> list[str]:
        held(lab, name)
        return [cell["id"] for cell in done(lab, name, "read")["cells"]]

    open_lab(page, lab, "old", name)
    dirty = page.locator(".jp-mod-current.jp-mod-dirty")
    idle(page)
    assert seen() == ids
    command(page, "docmanager:save")  # with what JupyterLab notes of the kernel's language
    expect(dirty).to_have_count(0)
    page.reload()
    settle(page)
    idle(page)
    assert seen() == ids
    expect(dirty).to_have_count(0)
    # What a person edits and saves stays of that format; the cells that are as they were are known.
    cells = page.locator(".jp-Notebook .jp-Cell")
    source_of(cells.nth(0)).click()
    page.keyboard.press("End")
    page.keyboard.type("1")
    expect(dirty).to_have_count(1)
    assert seen() == ids
    command(page, "docmanager:save")
    expect(dirty).to_have_count(0)
    assert json.loads(file.read_text())["nbformat_minor"] == 4
    page.reload()
    settle(page)
    until(lambda: seen()[2] == ids[2])
    ids = seen()
    command(page, "docmanager:reload")
    until(lambda: seen() == ids)

    # With an agent's first change they are written down, and hold whatever becomes of the cells.
    edit = {"cell_id": ids[1], "expected_source": "a = 1", "source": "b = 2"}
    assert done(lab, name, "edit", **edit) == {"index": 1, "upgraded": True}
    assert done(lab, name, "edit", **edit | {"expected_source": "b = 2", "source": "b = 3"}) == {
        "index": 1
    }
    assert seen() == ids
    command(page, "docmanager:save")
    expect(dirty).to_have_count(0)
    saved = json.loads(file.read_text())
    assert ([cell["id"] for cell in saved["cells"]], saved["nbformat_minor"]) == (ids, 5)
    page.reload()
    settle(page)
    idle(page)
    assert seen() == ids


def test_a_cell_that_runs_shows_it_and_its_outputs_grow(lab: Lab, page: Page) -> None:
    name = "outputs.ipynb"
    cells = open_notebook(page, lab, "outputs", "go()", "other")
    prompt = cells.nth(0).locator(".jp-InputPrompt")
    output = cells.nth(0).locator(".jp-OutputArea-output")

    def shows(count: int | None, running: bool, *outputs: object) -> None:
        done(lab, name, "outputs", cell_id="c0", outputs=list(outputs), execution_count=count,
             running=running)  # fmt: skip

    def stream(text: object, kind: str = "stdout") -> object:
        return {"output_type": "stream", "name": kind, "text": text}

    shows(None, True)
    expect(prompt).to_have_text("[*]:")
    shows(None, True, stream("one\n"))
    expect(output).to_have_text("one\n")
    output.evaluate("node => { node.dataset.seen = 'yes' }")
    shows(None, True, stream(["one\n", "two\n"]))
    expect(output).to_have_text("one\ntwo\n")
    expect(output).to_have_attribute("data-seen", "yes")
    html = {"output_type": "display_data", "data": {"text/html": "<b id='bold'>table</b>"},
            "metadata": {}}  # fmt: skip
    shows(None, True, stream("one\n"), stream("two\n"), html)
    expect(output).to_have_count(2)
    expect(page.locator("#bold")).to_be_visible()
    shows(7, False, html)
    expect(output).to_have_count(1)
    expect(prompt).to_have_text("[7]:")
    error = {"output_type": "error", "ename": "E", "evalue": "no", "traceback": ["E: no"]}
    shows(8, False, stream("again"), error)
    expect(output).to_have_count(2)
    (first, second) = done(lab, name, "read")["cells"]
    assert (first["outputs"], first["execution_count"]) == ([stream("again"), error], 8)
    assert done(lab, name, "read", cell_id="c0", outputs=False)["outputs"] == []
    assert second == done(lab, name, "read", cell_id="c1")

    # The person runs it: what comes then is the kernel's.
    idle(page)
    run(page, cells.nth(0))
    expect(cells.nth(0)).to_contain_text("NameError")
    expect(prompt).to_have_text("[1]:")


def test_what_is_seen_stays_where_it_is(lab: Lab, page: Page) -> None:
    name = "still.ipynb"
    cells = open_notebook(page, lab, "still", *(f"cell = {n}" for n in range(60)))
    source_of(cells.nth(0)).click()
    place = cells.filter(has_text="cell = 30")
    place.scroll_into_view_if_needed()
    expect(place.locator(".cm-content")).to_be_visible()
    box = place.bounding_box()
    assert box is not None

    def still() -> None:
        # Nothing tells that nothing moves: two frames are drawn, then it is looked at.
        page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )
        until(lambda: abs((place.bounding_box() or box)["y"] - box["y"]) < 1)

    new = {"id": "new", "cell_type": "code", "source": "a\n" * 12, "metadata": {}}
    done(lab, name, "insert", cell=new, after_cell_id="c2")
    still()
    lines = {"output_type": "stream", "name": "stdout", "text": "line\n" * 12}
    done(lab, name, "outputs", cell_id="new", outputs=[lines], execution_count=1, running=False)
    still()
    done(lab, name, "delete", cell_id="new", expected_source="a\n" * 12)
    still()
    done(lab, name, "reveal", cell_id="c59")
    expect(cells.filter(has_text="cell = 59")).to_be_in_viewport()
    active = page.evaluate("() => document.querySelector('.jp-Notebook .jp-mod-active').innerText")
    assert "cell = 0" in active


def test_what_does_not_fit_is_refused(lab: Lab, page: Page) -> None:
    name = "refused.ipynb"
    locked = {"source": "locked", "metadata": {"editable": False, "deletable": False}}
    text = {"source": "text", "cell_type": "markdown"}
    open_notebook(page, lab, "refused", "first", locked, text)
    before = done(lab, name, "read")["cells"]
    for op, fields, reason in (
        ("edit", {"cell_id": "c9", "expected_source": "", "source": "x"}, "cell_not_found"),
        ("edit", {"cell_id": "c0", "expected_source": "old", "source": "x"}, "cell_changed"),
        ("edit", {"cell_id": "c1", "expected_source": "locked", "source": "x"}, "locked"),
        ("edit", {"cell_id": "c0", "expected_source": "first"}, "invalid"),
        ("delete", {"cell_id": "c0", "expected_source": "old"}, "cell_changed"),
        ("delete", {"cell_id": "c1", "expected_source": "locked"}, "locked"),
        ("move", {"cell_id": "c0", "after_cell_id": "c9"}, "cell_not_found"),
        ("outputs", {"cell_id": "c0", "outputs": [], "expected_source": "old"}, "cell_changed"),
        ("outputs", {"cell_id": "c2", "outputs": [], "execution_count": 1}, "invalid"),
        ("outputs", {"cell_id": "c0", "outputs": "no", "execution_count": 1}, "invalid"),
        ("insert", {"cell": {"id": "c0", "cell_type": "code", "source": ""}}, "cell_exists"),
        ("insert", {"cell": {"id": "n", "cell_type": "what", "source": ""}}, "invalid"),
        ("insert", {"cell": None}, "invalid"),
        ("reveal", {"cell_id": "constructor"}, "cell_not_found"),
        ("toString", {}, "invalid"),
    ):
        answer = ask(lab, name, op, **fields)
        assert answer.get("reason") == reason, (op, fields, answer)
    assert done(lab, name, "read")["cells"] == before


def test_two_windows_a_rename_and_a_reload(lab: Lab, new_page: Callable[[], Page]) -> None:
    write_notebook(lab, "two", "x = 1")
    first, second = new_page(), new_page()
    for number, page in enumerate((first, second)):
        open_lab(page, lab, f"two-{number}", "two.ipynb")
        idle(page)
    held(lab, "two.ipynb")
    for here, source in ((first, "x = 2"), (second, "x = 3")):
        here.bring_to_front()
        cell = source_of(here.locator(".jp-Notebook .jp-Cell").first)
        cell.click()
        expect(cell).to_be_focused()
        old = cell.inner_text()
        done(lab, "two.ipynb", "edit", cell_id="c0", expected_source=old, source=source)
        expect(cell).to_have_text(source)
    expect(first.locator(".jp-Notebook .cm-content").first).to_have_text("x = 2")
    first.close()
    lab.call("PATCH", "api/contents/two.ipynb", {"path": "renamed.ipynb"})
    # The server renames the file alone; the page follows where the person renames it.
    lab.call("PATCH", "api/contents/renamed.ipynb", {"path": "two.ipynb"})
    second.evaluate(
        "() => window.jupyterapp.serviceManager.contents.rename('two.ipynb', 'renamed.ipynb')"
    )
    held(lab, "renamed.ipynb")
    assert ask(lab, "two.ipynb", "read")["reason"] == "not_open"
    assert sources(lab, "renamed.ipynb") == ["x = 3"]
    second.keyboard.press("Control+s")
    expect(second.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    second.reload()
    settle(second)
    held(lab, "renamed.ipynb")
    assert sources(lab, "renamed.ipynb") == ["x = 3"]
    idle(second)  # a server that is stopped while it answers a page that comes up hangs (anyio)
    lab.stop()
    lab.start()
    held(lab, "renamed.ipynb")
    second.close()
    until(lambda: ask(lab, "renamed.ipynb", "read").get("reason") == "not_open")

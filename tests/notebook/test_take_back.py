"""A change that was accepted is taken back with no tab open: in the file, and as it was made."""

from __future__ import annotations

from typing import Any

from agent_lab.notebook.document import source_of
from tests.notebook.conftest import Bind
from tests.notebook.lab import Bonded
from tests.notebook.test_claude_door import done, lab_config, model
from tests.notebook.test_foresight import answer
from tests.sessions.living import Reader, send

__all__ = ["lab_config", "model"]


async def changed(lab: Bonded, prompt: str, option: str = "accept", **more: Any) -> str:
    """Has the agent propose, and answers; the id of its call."""
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, prompt)
    request = await reader.permission(turn)
    await answer(lab, request, option, **more)
    await done(reader, turn)
    assert request.tool_call_id is not None
    return request.tool_call_id


async def undo(lab: Bonded, call: str) -> Any:
    return await lab.server.call("POST", f"sessions/{lab.session.id}/changes/{call}/undo")


def cell(lab: Bonded, index: int = 0) -> Any:
    return lab.saved()["cells"][index]


async def test_an_edit_is_taken_back_once_and_with_it_its_mark(bind: Bind) -> None:
    lab = await bind("a = 41", "a + 1")
    await lab.fine("run_cell", cell_id="c0")
    call = await changed(lab, "edit c0: a = 42")
    assert source_of(cell(lab)) == "a = 42"
    assert set(cell(lab)["metadata"]["agent_lab"]) > {"hash", "outputs"}
    assert (await undo(lab, call)).status == 200
    assert source_of(cell(lab)) == "a = 41"
    # Who made the outputs is still so; who wrote the source is not.
    assert set(cell(lab)["metadata"]["agent_lab"]) == {"outputs"}
    again = await undo(lab, call)
    assert (again.status, again.json["reason"]) == (409, "cell_changed")
    assert "left alone" in again.json["message"]
    assert source_of(cell(lab)) == "a = 41"


async def test_what_the_person_made_of_it_is_what_is_taken_back(bind: Bind) -> None:
    lab = await bind("a = 41")
    call = await changed(lab, "edit c0: a = 42", updated_input={"source": "a = 43"})
    assert source_of(cell(lab)) == "a = 43"
    assert (await undo(lab, call)).status == 200
    assert source_of(cell(lab)) == "a = 41"
    assert "agent_lab" not in cell(lab)["metadata"]


async def test_a_cell_of_a_notebook_that_was_renamed(bind: Bind) -> None:
    lab = await bind("a = 41")
    call = await changed(lab, "edit c0: a = 42")
    url = f"{lab.server.url}api/contents/eda.ipynb"
    assert (await lab.server.fetch("PATCH", url, {"path": "later.ipynb"})).status == 200
    await lab.fine("kernel_status")
    assert (await undo(lab, call)).status == 200
    assert source_of(lab.saved("later.ipynb")["cells"][0]) == "a = 41"


async def test_a_notebook_that_is_gone(bind: Bind) -> None:
    lab = await bind("a = 41")
    call = await changed(lab, "edit c0: a = 42")
    (lab.root / "eda.ipynb").unlink()
    refused = await undo(lab, call)
    assert refused.status == 404
    assert refused.json["message"] == "The notebook eda.ipynb is not there any more."
    assert not (lab.root / "eda.ipynb").exists()


async def test_what_was_not_done_cannot_be_taken_back(bind: Bind) -> None:
    lab = await bind("a = 41")
    call = await changed(lab, "edit c0: a = 42", "reject_once")
    for one in (call, "unknown"):
        refused = await undo(lab, one)
        assert refused.status == 404, refused
    assert source_of(cell(lab)) == "a = 41"


def sources(lab: Bonded) -> list[str]:
    return [source_of(one) for one in lab.saved()["cells"]]


async def test_a_deleted_cell_is_put_back_where_it_stood(bind: Bind) -> None:
    lab = await bind("a = 1", "b = 2", "c = 3")
    call = await changed(lab, "delete c1")
    assert sources(lab) == ["a = 1", "c = 3"]
    assert (await undo(lab, call)).status == 200
    assert sources(lab) == ["a = 1", "b = 2", "c = 3"]
    assert cell(lab, 1)["id"] == "c1"
    assert (await undo(lab, call)).status == 409


async def test_a_moved_cell_goes_back_unless_it_was_moved_again(bind: Bind) -> None:
    lab = await bind("a = 1", "b = 2", "c = 3")
    call = await changed(lab, "move c0 behind c2")
    assert sources(lab) == ["b = 2", "c = 3", "a = 1"]
    assert (await undo(lab, call)).status == 200
    assert sources(lab) == ["a = 1", "b = 2", "c = 3"]
    await changed(lab, "move c0 behind c1")
    refused = await undo(lab, call)
    assert (refused.status, refused.json["reason"]) == (409, "cell_changed")
    assert sources(lab) == ["b = 2", "a = 1", "c = 3"]

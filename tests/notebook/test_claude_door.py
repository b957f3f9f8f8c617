"""The real claude uses our tools on a real kernel, over its own control channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_lab.agents import registry
from agent_lab.demo.model import ScriptedModel
from agent_lab.demo.sample import claude_environment
from agent_lab.demo.script import Reply, Script, answer, load_script
from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import ImageBlock, ToolCall, ToolCallUpdate
from tests.notebook.conftest import Bind
from tests.notebook.lab import Bonded, write
from tests.sessions.living import Reader, send


@pytest.fixture
def model(jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[ScriptedModel]:
    async def begin() -> tuple[AsyncIterator[ScriptedModel], ScriptedModel]:
        return models, await anext(models)

    async def run() -> AsyncIterator[ScriptedModel]:
        async with ScriptedModel(load_script(Path(__file__).with_name("model.toml"))) as running:
            yield running

    models = run()
    _, running = jp_asyncio_loop.run_until_complete(begin())
    yield running
    jp_asyncio_loop.run_until_complete(anext(models, None))


@pytest.fixture
def lab_config(lab_config: dict[str, Any], model: ScriptedModel, tmp_path: Path) -> dict[str, Any]:
    command = registry.claude_command(())
    assert command is not None
    home = tmp_path / "home"
    home.mkdir()
    environment = claude_environment(model.url, home)
    return {**lab_config, "claude_command": list(command), "agent_environment": environment}


async def done(reader: Reader, turn: str) -> str:
    end = await reader.ended(turn)
    assert end.stop_reason == "end_turn", end
    return reader.answer(turn)


def calls(reader: Reader) -> list[ToolCall | ToolCallUpdate]:
    return [e.body for e in reader.events if isinstance(e.body, ToolCall | ToolCallUpdate)]


async def test_run_code_is_asked_about_and_its_value_reaches_the_model(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: 6 * 7")
    request = await reader.permission(turn)
    assert (request.kind, request.title) == ("tool", "Run code in eda.ipynb's kernel")
    assert request.input == {"code": "6 * 7"}
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id="allow_once")
    )
    assert "42" in await done(reader, turn)
    assert calls(reader)[-1].status == "completed"


async def test_pictures_are_shown_in_the_chat(bind: Bind) -> None:
    png = (
        "from IPython.display import Image; import base64\n"
        "Image(base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
        "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='))"
    )
    lab = await bind(png)
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "cell: c0")
    request = await reader.permission(turn)
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id="allow_once")
    )
    await done(reader, turn)
    shown = [b for c in calls(reader) for b in (c.content or ()) if isinstance(b, ImageBlock)]
    assert [block.mime_type for block in shown] == ["image/png"]
    assert lab.saved()["cells"][0]["outputs"][0]["data"]["image/png"]


async def test_reading_is_not_asked_about(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "look: read_notebook")
    assert "cell c0 · code [not run]" in await done(reader, turn)


async def test_an_edit_waits_for_a_person_and_keeps_its_diff(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    request = await reader.permission(turn)
    assert request.kind == "cell_change"
    assert request.change is not None
    assert (request.change.old_source, request.change.new_source) == ("a = 41", "a = 1")
    await lab.session.answer(
        AnswerPermission(
            request_id=request.request_id, option_id="accept", updated_input={"source": "a = 2"}
        )
    )
    said = await done(reader, turn)
    assert "edited your version" in said
    assert "a = 2" in said
    cell = lab.saved()["cells"][0]
    assert cell["source"] in ("a = 2", ["a = 2"])
    mark = cell["metadata"]["agent_lab"]
    assert (mark["session"], mark["turn"], mark["agent"]) == (lab.session.id, turn, "claude")
    contents = [c.content for c in calls(reader) if c.content]
    assert contents[-1][0].change.new_source == "a = 2"  # type: ignore[union-attr]


async def test_a_change_tells_where_the_cell_stood_when_it_was_made(bind: Bind) -> None:
    lab = await bind("a", "b", "c")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "delete c2")
    request = await reader.permission(turn)
    assert request.change is not None
    assert request.change.old_after_cell_id == "c1"
    content = lab.saved()
    del content["cells"][1]
    write(lab.root / "eda.ipynb", content)
    answer = AnswerPermission(request_id=request.request_id, option_id="accept")
    await lab.session.answer(answer)
    assert "Deleted cell c2" in await done(reader, turn)
    contents = [c.content for c in calls(reader) if c.content]
    assert contents[-1][0].change.old_after_cell_id == "c0"  # type: ignore[union-attr]


async def test_a_rejection_reaches_the_model_and_the_call_is_cancelled(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    request = await reader.permission(turn)
    await lab.session.answer(
        AnswerPermission(
            request_id=request.request_id, option_id="reject_once", message="keep forty-one"
        )
    )
    assert "keep forty-one" in await done(reader, turn)
    assert calls(reader)[-1].status == "cancelled"
    assert "".join(lab.saved()["cells"][0]["source"]) == "a = 41"


async def test_accept_all_is_a_permission_mode(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    request = await reader.permission(turn)
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id="accept_all")
    )
    await done(reader, turn)
    assert lab.session.info.permission_mode == "acceptEdits"
    assert "Changed cell c1" in await done(reader, await send(lab.session, "edit c1: a + 2"))


async def test_an_endless_loop_ends_with_its_turn(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: print('begun')\nwhile True: pass")
    request = await reader.permission(turn)
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id="allow_once")
    )
    await reader.until(
        lambda e: isinstance(e.body, ToolCallUpdate) and "begun" in str(e.body.content)
    )
    await lab.session.cancel()
    assert (await reader.ended(turn)).stop_reason == "cancelled"
    await lab.kernel_runs("b = 1")  # it is free again


async def test_a_pending_proposal_dies_visibly_with_its_turn(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    await reader.permission(turn)
    await lab.session.cancel()
    assert (await reader.ended(turn)).stop_reason == "cancelled"
    assert lab.session.info.pending_permissions == ()
    assert "".join(lab.saved()["cells"][0]["source"]) == "a = 41"


async def test_the_model_is_told_what_it_sits_beside(
    lab: Bonded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def listen(script: Script, request: dict[str, Any], *more: Any) -> Reply:
        if request.get("tools"):
            asked.append(json.dumps(request))
        return answer(script, request, *more)

    monkeypatch.setattr("agent_lab.demo.model.answer", listen)
    reader = await Reader(lab.session).start()
    await done(reader, await send(lab.session, "hello"))
    await lab.session.sleep()
    await done(reader, await send(lab.session, "hello again"))  # resumed
    for request in (asked[0], asked[-1]):
        assert "live Jupyter notebook, eda.ipynb" in request
        assert "mcp__agent_lab__run_code" in request

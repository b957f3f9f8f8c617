"""The server goes while a tool of ours is at work: nothing runs twice, a proposal waits on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import ToolCallUpdate
from agent_lab.sessions.manager import Manager
from tests.notebook.lab import Bonded, manager_of
from tests.notebook.test_claude_door import done, lab_config, model
from tests.sessions.living import Reader, send

__all__ = ["lab_config", "model"]


@pytest.fixture
def jp_server_config(lab_config: dict[str, Any]) -> dict[str, Any]:
    enabled = {"agent_lab": True, "jupyter_server_terminals": True}
    return {
        "ServerApp": {"jpserver_extensions": enabled},
        "AgentLab": {**lab_config, "keep_running_turns": True},
    }


@asynccontextmanager
async def restarted(lab: Bonded) -> AsyncIterator[Reader]:
    """Another Manager takes the session up; kernels live on here."""
    old = await manager_of(lab.app)
    await old.stop()
    (extension,) = lab.app.extension_manager.extension_apps["agent_lab"]
    new = Manager(old.settings, extension._bond)
    await new.start()
    try:
        lab.session = await new.get(lab.session.id)
        yield await Reader(lab.session).start()
    finally:
        await new.delete(lab.session.id)
        await new.stop()


async def test_a_proposal_waits_through_a_restart(lab: Bonded) -> None:
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    request = await reader.permission(turn)
    async with restarted(lab) as reader:
        assert [p.request_id for p in lab.session.info.pending_permissions] == [request.request_id]
        await asyncio.sleep(0.5)
        await lab.session.answer(
            AnswerPermission(request_id=request.request_id, option_id="accept")
        )
        assert "Changed cell c0" in await done(reader, turn)
        asked = [e for e in reader.events if e.body == request]
        assert len(asked) == 1
    assert "".join(lab.saved()["cells"][0]["source"]) == "a = 1"


async def test_code_is_never_run_twice(lab: Bonded) -> None:
    await lab.fine("run_code", code="times = 0")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: times += 1\nprint('begun')\nimport time; time.sleep(60)")
    request = await reader.permission(turn)
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id="allow_once")
    )
    await reader.until(
        lambda e: isinstance(e.body, ToolCallUpdate) and "begun" in str(e.body.content)
    )
    async with restarted(lab) as reader:
        assert "look first" in await done(reader, turn)
        assert "\n1" in (await lab.fine("run_code", code="times")).text

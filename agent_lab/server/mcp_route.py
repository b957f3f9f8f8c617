"""The HTTP door to the tools: MCP's streamable HTTP, without protocol sessions.

It takes a bearer secret that is made per session and given to that session's agent only; it is not
Jupyter's token, opens nothing else, and no page of a browser may use it. There is no session id, so
a restart of the server is invisible to an agent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from agent_lab.notebook import mcp
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Json, encode
from agent_lab.server.bearer import BearerHandler, by_secret
from agent_lab.server.routes import (
    EVENT_STREAM,
    KEEP_ALIVE_SECONDS,
    Answer,
    Sent,
    Table,
)

if TYPE_CHECKING:
    from agent_lab.sessions.tools import ToolCalls

EARLY_SECONDS = 1.0
"""A call that takes longer is answered as a stream: clients give up on silence after a minute."""


class McpHandler(BearerHandler):
    callers = "agents"
    refusal = "The secret is not this session's. Start its agent again: it gets the new one."
    calls: ToolCalls | None = None

    async def secret(self) -> str:
        try:
            manager = await self.lab.manager()
            self.calls = (await manager.get(self.path_kwargs["session_id"])).tool_calls
        except AgentLabError:
            return ""
        return "" if self.calls is None else self.calls.secret


MCP = Table("agent-lab/mcp", McpHandler, by_secret)


@MCP.route("POST", "{session_id}", "execute", returns="JsonRpc", also={202: None})
async def message(request: McpHandler, session_id: str) -> object:
    """A JSON-RPC message of an agent to our MCP server (Model Context Protocol)."""
    try:
        said = request.body_as_json()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Answer(mcp.parse_error(), 400)
    calls = request.calls
    assert calls is not None, "`prepare` has found it"
    if not isinstance(said, dict) or "id" not in said or "method" not in said:
        answer = await calls.answer("http", said)
        if answer is not None:
            return Answer(answer, 400)
        request.set_status(202)
        request.finish()
        return Sent()
    return await _answered(request, calls, said)


async def _answered(request: McpHandler, calls: ToolCalls, said: dict[str, Json]) -> object:
    """As JSON, or, where it takes long and the agent can read one, as a stream with progress."""
    told: asyncio.Queue[bytes] = asyncio.Queue()
    params = said.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    token = meta.get("progressToken") if isinstance(meta, dict) else None

    def progress(seconds: float, words: str) -> None:
        if isinstance(token, str | int):
            report = {"progressToken": token, "progress": round(seconds, 1), "message": words}
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": report}
            told.put_nowait(_event(note))

    working = asyncio.ensure_future(calls.answer("http", said, progress=progress))
    if not request.wants_stream or (await asyncio.wait([working], timeout=EARLY_SECONDS))[0]:
        return Answer(await asyncio.shield(working) or _called_off(said))
    request.set_header("Content-Type", EVENT_STREAM)
    request.set_header("Cache-Control", "no-cache")
    request.set_header("X-Accel-Buffering", "no")
    await request.flush()
    while not working.done():
        note = asyncio.ensure_future(told.get())
        await asyncio.wait(
            [working, note], timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if note.done():
            request.write(note.result())
        else:
            note.cancel()
            request.write(b":\n\n")
        await request.flush()
    request.write(_event(working.result() or _called_off(said)))
    await request.flush()
    request.finish(set_content_type=EVENT_STREAM)
    return Sent()


def _called_off(said: dict[str, Json]) -> Json:
    """The specification wants no answer to a request that was cancelled; HTTP wants one."""
    error = {"code": -32800, "message": "The call was cancelled."}
    return {"jsonrpc": "2.0", "id": said.get("id"), "error": error}


def _event(value: Json) -> bytes:
    return b"event: message\ndata: %b\n\n" % encode(value)

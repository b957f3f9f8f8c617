"""The tools that we offer an agent, as its session sees them: calls come in, answers go out.

What a tool does is not known here: the server gives each session a `Tools`. Here is who may call,
what is asked of a person, and that a call ends: by itself, with its turn, or with the agent.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import (
    CellChange,
    ContextDial,
    Effect,
    Json,
    Notebook,
    Session,
    ToolContent,
    Trial,
)
from agent_lab.sessions.proposals import Decision

_log = logging.getLogger(__name__)

SERVER = "agent_lab"
"""The name of our MCP server: claude calls a tool of it mcp__agent_lab__run_code."""
OURS = f"mcp__{SERVER}__"


class Host(Protocol):
    """What a tool may ask of the session that it works for."""

    @property
    def info(self) -> Session: ...
    @property
    def outputs(self) -> Path:
        """The folder for what is too long to be told."""
        ...

    def turn(self) -> str | None: ...
    async def dial(self) -> ContextDial:
        """What may leave the kernels of the session's folder now; the log says that it held."""
        ...

    async def propose(self, change: CellChange, tool_call_id: str, name: str) -> Decision:
        """Ask a person about a change. Raises Conflict where this session's mode refuses it."""
        ...

    async def asked_before(self, tool_call_id: str) -> Decision | None:
        """What becomes of the proposal that an earlier server made for this call; None: there was
        none."""
        ...

    @property
    def accepts(self) -> bool:
        """Are cell changes accepted here without asking?"""
        ...

    def show(self, tool_call_id: str, content: tuple[ToolContent, ...]) -> None: ...
    async def rebind(self, notebook: Notebook) -> None: ...


class Call(Struct, frozen=True):
    """One message of an agent to our tools. `again`: it came before the server was restarted, and
    what it did is not known. `progress` takes (seconds, text)."""

    host: Host
    message: Json
    again: bool = False
    progress: Callable[[float, str], None] | None = None


class Asked(Struct, frozen=True):
    """What waits for a permission: a change of a cell, or the use of a tool of ours."""

    change: CellChange | None
    tool: str = ""
    input: Json = None


class Tools(Protocol):
    """What the server gives the sessions. `unasked`: names of tools that need no permission."""

    unasked: tuple[str, ...]

    def instructions(self, session: Session) -> str:
        """What is added to the agent's system prompt."""
        ...

    async def answer(self, call: Call) -> Json | None:
        """A JSON-RPC message's answer, None for a notification. Never raises AgentLabError."""
        ...

    def runs_code(self, asked: Asked) -> bool:
        """Is it about code for a kernel? Only then what follows is asked."""
        ...

    async def effects(self, host: Host, asked: Asked) -> tuple[Effect, ...]:
        """What it would do, as far as that can be told within a second."""
        ...

    async def try_out(self, host: Host, asked: Asked) -> Trial:
        """Run it in a copy of the kernel. Cancelled, it ends the copy. Raises AgentLabError."""
        ...

    async def trial_words(self, host: Host, trial: Trial) -> str:
        """A trial's outcome for the agent, as the dial lets it out."""
        ...

    async def take_back(self, host: Host, change: CellChange) -> None:
        """Put a cell back as it was before a change that can be undone. Raises Conflict
        `cell_changed`, NotFound."""
        ...

    def forget(self, session_id: str) -> None:
        """The session is gone."""
        ...


def call_id(message: Json) -> Json:
    """The id of a JSON-RPC request, None for a notification and for what is none."""
    return message.get("id") if isinstance(message, dict) else None


def cancelled(message: Json) -> Json:
    """The id of the request that this message calls off, None where it is another message."""
    match message:
        case {"method": "notifications/cancelled", "params": {"requestId": int() | str() as id}}:
            return id
    return None


StartTask = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class ToolCalls:
    """The calls of one session that run, by the door they came through and their id."""

    def __init__(self, tools: Tools, host: Host) -> None:
        self._tools = tools
        self._host = host
        self._running: dict[tuple[str, str], asyncio.Task[Json | None]] = {}
        self.secret = secrets.token_urlsafe(32)
        """Opens the session's MCP route. Kept in memory only, given to its agent only."""

    async def answer(
        self,
        door: str,
        message: Json,
        again: bool = False,
        progress: Callable[[float, str], None] | None = None,
    ) -> Json | None:
        """The answer to one message; None for a notification and for a call that was called off."""
        if (id := cancelled(message)) is not None:
            running = self._running.get((door, repr(id)))
            if running is not None:
                running.cancel()
            return None
        call = Call(self._host, message, again, progress)
        task = asyncio.ensure_future(self._tools.answer(call))
        id = call_id(message)
        key = (door, repr(id))
        if id is not None:
            self._running[key] = task
        try:
            await asyncio.wait({task})
            if task.cancelled():
                return None
            return task.result()
        except AgentLabError as error:  # a defect: they are the tool's result
            _log.exception("agent_lab: a tool raised")
            return {"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": str(error)}}
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            if self._running.get(key) is task:
                del self._running[key]

    async def take_back(self, change: CellChange) -> None:
        await self._tools.take_back(self._host, change)

    def cancel_all(self) -> None:
        """The turn, or the agent, is over: what it started in the kernel is interrupted."""
        for task in self._running.values():
            task.cancel()

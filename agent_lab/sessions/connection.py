"""The live agent of a session: its process, its dialect, and how far its output was applied.

Output is applied exactly once: what a read produced and the offset after it are stored together,
and another server goes on from there. The path of a token leads through `received`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from agent_lab.agents.adapters.base import (
    Adapter,
    Charge,
    ContextSeen,
    Decoded,
    Fact,
    Reply,
    Send,
    ToolMessage,
)
from agent_lab.agents.framing import LineFramer, Oversize, Torn
from agent_lab.agents.process import (
    AgentError,
    AgentGone,
    AgentNotFound,
    AgentProcess,
    Exit,
    Launch,
    read_run,
    sweep,
)
from agent_lab.protocol.errors import AgentUnavailable, Unavailable
from agent_lab.protocol.events import AgentMessageChunk, AgentThoughtChunk, Json
from agent_lab.sessions.journal import Journal
from agent_lab.store.event_log import Stream

_log = logging.getLogger(__name__)

CONTROL_SECONDS = 10.0
"""How long the agent may take to answer a control request; it answers in milliseconds."""

StartTask = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Host(Protocol):
    """What a connection tells its session."""

    def heard(self, one: Fact | Charge | ContextSeen, /) -> None: ...
    def unreadable(self, line: Oversize | Torn, /) -> None: ...
    def has_read(self) -> None: ...
    def called(self, message: ToolMessage, /) -> None: ...
    async def gone(self, end: Exit, expected: bool, /) -> None: ...


class Connection:
    """One agent process at a time, over the life of a session; a Sink of that process."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        adapter: Adapter,
        max_line_bytes: int,
        host: Host,
        start_task: StartTask,
    ) -> None:
        self.adapter = adapter
        self._folder = folder
        self._journal = journal
        self._max_line_bytes = max_line_bytes
        self._host = host
        self._start_task = start_task
        self._process: AgentProcess | None = None
        self._framer = LineFramer(max_line_bytes)
        self._base = 0
        self._marker = ""
        self._saved = b""
        self._replies: dict[str, asyncio.Future[Reply]] = {}
        self._called: list[ToolMessage] = []
        self._closing = False
        self._exited = False
        self._leaving: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._process is not None

    # ------------------------------------------------------------ begin

    async def start(self, adapter: Adapter, launch: Launch) -> None:
        """Start the process. Raises AgentUnavailable (agent_not_installed, agent_start_failed)."""
        self.adapter = adapter
        self._framer, self._base = LineFramer(self._max_line_bytes), 0
        self._marker = launch.marker
        # Stored before there is a process: no output can be applied twice, or not at all.
        self._journal.stream_begins(Stream(launch.marker, 0, self._save()))
        await self._journal.stored()
        self._exited = False
        try:
            process = await AgentProcess.start(launch, self._folder, self)
        except AgentNotFound as error:
            raise AgentUnavailable(str(error), "agent_not_installed") from None
        except AgentError as error:
            raise AgentUnavailable(str(error), "agent_start_failed") from None
        if not self._exited:  # some refuse their flags and are gone before we are back here
            self._process = process

    async def adopt(self, stream: Stream | None, prepare: Callable[[], None]) -> bool:
        """Take up the folder's process where an earlier server left it. False: there is none.

        `prepare` is called between loading the adapter's state and the first byte.
        """
        run = await asyncio.to_thread(read_run, self._folder)
        if run is None:
            return False
        if stream is None or stream.marker != run.marker:
            if not run.ended:
                await sweep(run.marker)  # it was never given anything to do
            return False
        self.adapter.load(stream.adapter)
        prepare()
        self._marker, self._base = stream.marker, stream.position
        self._save()
        self._process = await AgentProcess.adopt(self._folder, self._base, self)
        return self._process is not None

    # ------------------------------------------------------------ to the agent

    async def send(self, message: bytes) -> None:
        """Hand over one message. Raises AgentNotReading, AgentGone."""
        process = self._process
        if process is None:
            raise AgentGone("The agent has exited.")
        self.state_changed()
        await process.write(message)

    async def ask(self, encode: Callable[[str], bytes], seconds: float = CONTROL_SECONDS) -> Reply:
        """Ask the agent something and await its reply.

        Raises Unavailable when it does not answer in time, or exits.
        """
        request_id = new_request_id()
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = reply
        try:
            async with asyncio.timeout(seconds):
                await self.send(encode(request_id))
                return await reply
        except TimeoutError:
            text = f"The agent did not answer within {seconds:.0f} s."
            raise Unavailable(text, "agent_silent") from None
        except AgentError as error:
            raise Unavailable(str(error), "agent_silent") from None
        finally:
            del self._replies[request_id]
            if reply.done() and not reply.cancelled():
                reply.exception()  # seen: the process may have gone before the reply was awaited

    def has_room(self, size: int) -> bool:
        """Is there disk space for the agent's output? A full disk makes it lose lines silently."""
        process = self._process
        return process is None or not process.durable or process.free_bytes() >= size

    async def forget_applied(self) -> None:
        """Give back the disk space of output that is stored."""
        process, applied = self._process, self._base + self._framer.consumed
        if await self._journal.stored() and process is not None and process is self._process:
            process.applied(applied)

    # ------------------------------------------------------------ from the agent (Sink)

    def received(self, data: bytes) -> None:
        """Bytes of the agent's stdout."""
        only_chunks = True
        for line in self._framer.push(data):
            if isinstance(line, bytes):
                for one in (decoded := self.adapter.decode(line)):
                    self._hear(one)
                only_chunks = only_chunks and _is_chunk(decoded)
            else:
                self._host.unreadable(line)
        self._apply(self._saved if only_chunks else self._save())
        called, self._called = self._called, []
        for message in called:
            self._host.called(message)
        self._host.has_read()

    def _hear(self, one: Decoded) -> None:
        match one:
            case Reply():
                waiting = self._replies.get(one.request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(one)
            case Send():
                self._start_task(self._send_quietly(one.message), f"{self._marker}: answer")
            case ToolMessage():
                self._called.append(one)
            case _:
                self._host.heard(one)

    def _apply(self, adapter: bytes) -> None:
        position = self._base + self._framer.consumed
        self._journal.applied(Stream(self._marker, position, adapter))

    def _save(self) -> bytes:
        self._saved = self.adapter.save()
        return self._saved

    async def keep(self) -> None:
        """Store how far the output was applied, though nothing else is to be stored."""
        self._journal.stream_begins(
            Stream(self._marker, self._base + self._framer.consumed, self._save())
        )
        await self._journal.stored()

    async def reply_to_tool(self, request_id: str, answer: Json | None) -> None:
        """Raises AgentNotReading, AgentGone. Until it has gone out it counts as unanswered."""
        await self.send(self.adapter.tool_reply(request_id, answer))
        self.adapter.tool_replied(request_id)
        self.state_changed()

    def state_changed(self) -> None:
        """The adapter was told something: its state is stored with the next events."""
        self._apply(self._save())

    async def _send_quietly(self, message: bytes) -> None:
        try:
            await self.send(message)
        except AgentError as error:
            _log.info("agent_lab: an answer did not reach the agent: %s", error)

    def exited(self, end: Exit) -> None:
        """The process is gone and all it wrote was received."""
        for line in self._framer.finish():
            if not isinstance(line, bytes):
                self._host.unreadable(line)
        self._process = None
        self._exited = True
        for one in self.adapter.ended():
            self._hear(one)
        for waiting in self._replies.values():
            if not waiting.done():
                waiting.set_exception(AgentGone("The agent has exited."))
        work = self._host.gone(end, self._closing)
        self._leaving = self._start_task(work, f"{self._marker}: exit")

    # ------------------------------------------------------------ end

    async def close(self) -> None:
        """End the process and everything it started; returns when its exit is in the log."""
        process = self._process
        if process is None:
            return
        self._closing = True
        try:
            await process.close(self.adapter.farewell(new_request_id()))
            await self.left()
        finally:
            self._closing = False

    async def left(self) -> None:
        """Return when the exit of the last process is in the log."""
        if self._leaving is not None:
            await asyncio.wait([self._leaving])

    def detach(self) -> None:
        """Leave the process running, for another server to take up."""
        process, self._process = self._process, None
        if process is not None:
            process.detach()


def _is_chunk(decoded: object) -> bool:
    """Deltas leave the adapter's state as it is, so it need not be stored again for them."""
    match decoded:
        case [Fact(body=AgentMessageChunk() | AgentThoughtChunk())]:
            return True
    return False


def new_request_id() -> str:
    return f"al-{uuid.uuid4()}"

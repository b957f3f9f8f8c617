"""A panel's connection to the engine, over whatever carries messages between the two: a widget's.

From the panel, each a JSON object with a `kind`:
    open {socket, query}         a conversation: `session_id`, and `after` or `tail`
    frame {socket, data}         one command in it, as on the WebSocket
    close {socket}
    request {id, method, path, body}
To the panel:
    frames {socket, data}        a list of frames as on the WebSocket: hello, events, ack, reject
    closed {socket, code}        with the WebSocket's codes
    response {id, status, body}
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from agent_lab.engine.routes import Variables, respond
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Json, encode
from agent_lab.protocol.frames import PROTOCOL, Hello, Reject, id_of
from agent_lab.sessions.commanding import Commands

if TYPE_CHECKING:
    from agent_lab.engine.engine import Engine
    from agent_lab.protocol.commands import AnyCommand
    from agent_lab.sessions.session import Session
    from agent_lab.sessions.subscribers import Subscriber

_log = logging.getLogger(__name__)

Send = Callable[[Json], None]
NOT_OPEN = "The session is not open yet. Try again in a moment."
BAD_QUERY, NOT_FOUND, ENDED, TOO_SLOW, GOING_AWAY, BROKEN = 4400, 4404, 4410, 4429, 1001, 1011


class Open(Struct, frozen=True, tag="open", tag_field="kind"):
    socket: int
    session_id: str
    after: int | None = None
    tail: int | None = None


class Frame(Struct, frozen=True, tag="frame", tag_field="kind"):
    socket: int
    data: str


class Close(Struct, frozen=True, tag="close", tag_field="kind"):
    socket: int


class Request(Struct, frozen=True, tag="request", tag_field="kind"):
    id: int
    method: str
    path: str
    body: str = ""


class Panel:
    """One panel. `received` and `close` from any thread; `send` is called on the engine's."""

    def __init__(self, engine: Engine, send: Send, variables: Variables | None) -> None:
        self._engine = engine
        self._send = send
        self._variables = variables
        self._sockets: dict[int, _Conversation] = {}

    def received(self, content: Json) -> None:
        """A message of the panel; what cannot be understood is left unanswered, and logged."""
        try:
            message = msgspec.convert(content, Open | Frame | Close | Request)
        except msgspec.ValidationError as error:
            _log.warning("agent_lab: a panel's message could not be understood: %s", error)
            return
        self._engine.soon(lambda: self._take(message))

    def close(self) -> None:
        """The panel is gone; turns go on."""
        self._engine.soon(self._leave)

    # ------------------------------------------------------------ on the engine's loop

    def _take(self, message: Open | Frame | Close | Request) -> None:
        match message:
            case Request():
                self._task(self._respond(message), f"panel: {message.method} {message.path}")
            case Open():
                self._end(message.socket)
                one = self._sockets[message.socket] = _Conversation(self._engine, self._send)
                self._task(one.run(message), f"{message.session_id}: panel")
            case Frame():
                conversation = self._sockets.get(message.socket)
                if conversation is None:
                    self._send({"kind": "closed", "socket": message.socket, "code": GOING_AWAY})
                elif (command := conversation.take(message)) is not None:
                    self._task(conversation.obey(command), f"panel: {type(command).__name__}")
            case Close():
                self._end(message.socket)

    def _task(self, work: object, name: str) -> None:
        self._engine.manager.start_task(work, name)  # type: ignore[arg-type]  # a coroutine

    def _end(self, socket: int) -> None:
        conversation = self._sockets.pop(socket, None)
        if conversation is not None:
            conversation.leave()

    def _leave(self) -> None:
        for socket in list(self._sockets):
            self._end(socket)

    async def _respond(self, request: Request) -> None:
        body = request.body
        answered = await respond(
            self._engine.manager, request.method, request.path, body, self._variables
        )
        told: Json = {
            "kind": "response",
            "id": request.id,
            "status": answered.status,
            "body": answered.body.decode(),
        }
        self._send(told)


class _Conversation:
    """What is one WebSocket where there is a server."""

    def __init__(self, engine: Engine, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._session: Session | None = None
        self._commands: Commands | None = None
        self._subscriber: Subscriber | None = None
        self._socket = 0
        self._left = False

    async def run(self, asked: Open) -> None:
        """Greet, then tell what happens until there is no more or the panel leaves."""
        self._socket = asked.socket
        try:
            await self._run(asked)
        except AgentLabError as error:
            self._closed({400: BAD_QUERY, 404: NOT_FOUND}.get(error.http_status, BROKEN))
        except asyncio.CancelledError:
            self._closed(GOING_AWAY)
            raise

    async def _run(self, asked: Open) -> None:
        session = await self._engine.manager.get(asked.session_id)
        info = session.info
        if asked.after is not None and asked.after > info.last_seq:
            self._closed(BAD_QUERY)
            return
        subscriber = await session.subscribe(asked.after, asked.tail)
        self._session, self._subscriber = session, subscriber
        self._commands = Commands(session, self)
        if self._left:  # while it was looked for
            self.leave()
            return
        self._frames([encode(Hello(PROTOCOL, info, subscriber.after + 1, info.last_seq))])
        await session.open()
        async for events in subscriber:
            self._frames([event.json for event in events])
        if subscriber.dropped:
            self._closed(TOO_SLOW)
        else:
            self._closed(ENDED if session.info.status == "ended" else GOING_AWAY)

    def take(self, frame: Frame) -> AnyCommand | None:
        """The command in it, which `obey` is then owed; what is none is answered at once."""
        if self._commands is None:
            self._frames([encode(Reject(id_of(frame.data), "connection_lost", NOT_OPEN))])
            return None
        command = self._commands.take(frame.data)
        if isinstance(command, Reject):
            self._frames([encode(command)])
            return None
        return command

    async def obey(self, command: AnyCommand) -> None:
        assert self._commands is not None
        self._frames([encode(await self._commands.obey(command))])

    def leave(self) -> None:
        self._left = True
        if self._session is not None and self._subscriber is not None:
            self._session.unsubscribe(self._subscriber)
            self._session.looks_away(self)
            self._subscriber.finish()

    def _frames(self, frames: list[bytes]) -> None:
        if self._left:
            return
        data: Json = [frame.decode() for frame in frames]
        self._send({"kind": "frames", "socket": self._socket, "data": data})

    def _closed(self, code: int) -> None:
        if not self._left:
            self.leave()
            self._send({"kind": "closed", "socket": self._socket, "code": code})

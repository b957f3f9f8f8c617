"""The WebSocket of a session: events out in the order of the log, commands in.

Nothing here is ever waited for by a session: `_pump` takes from a Subscriber as fast as the client
reads; a client that is too slow is dropped by the Subscriber and comes back with `?after=`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from tornado.websocket import WebSocketClosedError

from agent_lab.protocol.commands import AnyCommand, parse_command
from agent_lab.protocol.errors import AgentLabError, TooMany
from agent_lab.protocol.events import encode
from agent_lab.server.routes import MOST_TURNS, pattern
from agent_lab.server.sockets import ENDED, GOING_AWAY, TOO_SLOW, Socket
from agent_lab.sessions.commanding import PROTOCOL, Ack, Commands, Hello, Reject

if TYPE_CHECKING:
    from agent_lab.sessions.session import Session
    from agent_lab.sessions.subscribers import Subscriber

PATH = "agent-lab/api/sessions/{session_id}/chat"
MOST_COMMANDS = 100
"""Commands of one client that may wait for their answer."""

_log = logging.getLogger(__name__)


class _Named(Struct):
    id: str = ""


class ChatSocket(Socket):
    action = "execute"
    _session: Session
    _commands: Commands
    _subscriber: Subscriber | None = None
    _reading: asyncio.Task[None] | None = None

    def initialize(self) -> None:
        self._waiting = 0

    # ------------------------------------------------------------ open

    async def attach(self, session_id: str = "") -> None:
        after, tail = self.whole("after"), self.whole("tail", 1, MOST_TURNS)
        manager = await self.lab.manager()
        self._start_task = manager.start_task
        self._session = session = await manager.get(session_id)
        subscriber = await self.subscribe(session, after, tail)
        info = session.info
        try:
            greeted = self.write_message(
                encode(Hello(PROTOCOL, info, subscriber.after + 1, info.last_seq))
            )
        except WebSocketClosedError:  # the client left meanwhile
            session.unsubscribe(subscriber)
            return
        self._commands = Commands(session, self)
        self._subscriber = subscriber
        work = self._pump(greeted, subscriber)
        self._reading = self._start_task(work, f"{session.id}: socket")
        await session.open()

    # ------------------------------------------------------------ out

    async def _pump(self, greeted: Awaitable[None], subscriber: Subscriber) -> None:
        try:
            await greeted
            async for events in subscriber:
                for event in events:
                    await self.write_message(event.json)
        except WebSocketClosedError:
            return
        except asyncio.CancelledError:
            self.close(GOING_AWAY)
            raise
        if subscriber.dropped:
            self.close(TOO_SLOW)
        else:
            self.close(ENDED if self._session.info.status == "ended" else GOING_AWAY)

    async def _say(self, message: Ack | Reject) -> None:
        """Returns when the client has taken it, or has left."""
        try:
            await self.write_message(encode(message))
        except WebSocketClosedError:
            return

    def on_close(self) -> None:
        """A closed tab ends no turn."""
        if self._subscriber is not None:
            self._session.unsubscribe(self._subscriber)
            self._session.looks_away(self)
        if self._reading is not None:
            self._reading.cancel()

    # ------------------------------------------------------------ in

    async def on_message(self, message: str | bytes) -> None:
        """tornado reads on when this returns: who reads no answers is asked no more questions."""
        if self._subscriber is None:
            return
        try:
            command = parse_command(message)
            if self._waiting >= MOST_COMMANDS:
                raise TooMany("Too many commands wait for their answer. Try again in a moment.")
        except AgentLabError as error:
            await self._say(Reject(_id_of(message), error.reason, error.message))
            return
        except RecursionError:
            await self._say(Reject("", "invalid", "This message is nested too deeply."))
            return
        self._waiting += 1
        # A task of its own: a command that waits for the agent must not hold up Stop.
        self._start_task(self._obey(command), f"{self._session.id}: {type(command).__name__}")

    async def _obey(self, command: AnyCommand) -> None:
        try:
            await self._say(await self._commands.run(command))
        except AgentLabError as error:
            await self._say(Reject(command.id, error.reason, error.message))
        except Exception:
            _log.exception("agent_lab: a command failed")
            text = "Something went wrong in Agent Lab. Try again; the server's log has the details."
            await self._say(Reject(command.id, "internal", text))
        finally:
            self._waiting -= 1


def handlers() -> list[tuple[str, type[ChatSocket]]]:
    return [(pattern(PATH), ChatSocket)]


def _id_of(message: str | bytes) -> str:
    """The id of something that is no command, for its sender to learn of it; "" without one."""
    try:
        return msgspec.json.decode(message, type=_Named).id
    except (msgspec.DecodeError, UnicodeError):
        return ""

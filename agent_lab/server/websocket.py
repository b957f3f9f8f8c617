"""The WebSocket of a session: events out in the order of the log, commands in.

Nothing here is ever waited for by a session: `_pump` takes from a Subscriber as fast as the client
reads; a client that is too slow is dropped by the Subscriber and comes back with `?after=`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from tornado.websocket import WebSocketClosedError

from agent_lab.protocol.events import encode
from agent_lab.protocol.frames import PROTOCOL, Ack, Hello, Reject
from agent_lab.server.routes import MOST_TURNS, pattern
from agent_lab.server.sockets import ENDED, GOING_AWAY, TOO_SLOW, Socket
from agent_lab.sessions.commanding import Commands

if TYPE_CHECKING:
    from agent_lab.protocol.commands import AnyCommand
    from agent_lab.sessions.session import Session
    from agent_lab.sessions.subscribers import Subscriber

PATH = "agent-lab/api/sessions/{session_id}/chat"


class ChatSocket(Socket):
    action = "execute"
    _session: Session
    _commands: Commands
    _subscriber: Subscriber | None = None
    _reading: asyncio.Task[None] | None = None

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
        command = self._commands.take(message)
        if isinstance(command, Reject):
            await self._say(command)
        else:
            self._start_task(self._obey(command), f"{self._session.id}: {type(command).__name__}")

    async def _obey(self, command: AnyCommand) -> None:
        await self._say(await self._commands.obey(command))


def handlers() -> list[tuple[str, type[ChatSocket]]]:
    return [(pattern(PATH), ChatSocket)]

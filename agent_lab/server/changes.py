"""The WebSocket of all sessions: the newest state of each that changed, for lists and
notifications."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from tornado.websocket import WebSocketClosedError

from agent_lab.protocol.brief import Brief, Deleted
from agent_lab.protocol.events import encode
from agent_lab.protocol.frames import PROTOCOL
from agent_lab.server.routes import pattern
from agent_lab.server.sockets import GOING_AWAY, Socket

if TYPE_CHECKING:
    from agent_lab.sessions.changes import Watcher
    from agent_lab.sessions.manager import Manager

PATH = "agent-lab/api/changes"


class ChangesHello(Struct, frozen=True, tag="hello", tag_field="type"):
    protocol: int


class SessionChanged(Struct, frozen=True, tag="session", tag_field="type"):
    session: Brief


class SessionDeleted(Struct, frozen=True, tag="deleted", tag_field="type"):
    id: str


class ChangesSocket(Socket):
    action = "read"
    _manager: Manager
    _watcher: Watcher | None = None
    _telling: asyncio.Task[None] | None = None

    async def attach(self, session_id: str = "") -> None:
        self._manager = manager = await self.lab.manager()
        self._watcher = watcher = manager.changes.watch()
        self._telling = manager.start_task(self._tell(watcher), "changes")

    async def _tell(self, watcher: Watcher) -> None:
        root = self._manager.settings.root_dir.resolve()
        try:
            await self.write_message(encode(ChangesHello(PROTOCOL)))
            async for changes in watcher:
                for change in changes:
                    if isinstance(change, Deleted):
                        await self.write_message(encode(SessionDeleted(change.id)))
                    elif Path(change.cwd).is_relative_to(root):
                        # Others are of another server, whose log this is too.
                        await self.write_message(encode(SessionChanged(change)))
        except WebSocketClosedError:
            return
        except asyncio.CancelledError:
            self.close(GOING_AWAY)
            raise

    async def on_message(self, message: str | bytes) -> None:
        """Nothing is asked here; what comes keeps the connection alive."""

    def on_close(self) -> None:
        if self._watcher is not None:
            self._manager.changes.unwatch(self._watcher)
        if self._telling is not None:
            self._telling.cancel()


def handlers() -> list[tuple[str, type[ChangesSocket]]]:
    return [(pattern(PATH), ChangesSocket)]

"""What changed among all sessions, for lists and notifications: the newest state of each, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from agent_lab.protocol.brief import Brief, Change, Deleted, brief
from agent_lab.protocol.events import Session


class Watcher:
    """One reader. Between two reads each session counts once: memory is bounded by their number."""

    def __init__(self) -> None:
        self._waiting: dict[str, Change] = {}
        self._wake = asyncio.Event()

    def offer(self, change: Change) -> None:
        self._waiting.pop(change.id, None)
        self._waiting[change.id] = change
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[list[Change]]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            yield list(waiting.values())


class Changes:
    """Tells watchers of sessions whose brief is not what it was; that of a token is."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._known: dict[str, Brief] = {}

    def watch(self) -> Watcher:
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        if not self._watchers:
            self._known.clear()

    def changed(self, session: Session) -> None:
        if not self._watchers:
            return
        now, before = brief(session), self._known.get(session.id)
        if before is None or msgspec.structs.replace(before, updated_at=now.updated_at) != now:
            self._known[session.id] = now
            self._tell(now)

    def deleted(self, session_id: str) -> None:
        self._known.pop(session_id, None)
        self._tell(Deleted(session_id))

    def _tell(self, change: Change) -> None:
        for watcher in self._watchers:
            watcher.offer(change)

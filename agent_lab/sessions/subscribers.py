"""Live readers of a session's events. A slow one is dropped, never waited for, and resumes by
seq."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from agent_lab.store.event_log import Stored

MAX_WAITING_BYTES = 8 << 20
PAGE = 500

ReadPage = Callable[[int, int], Awaitable[list[Stored]]]
"""(after, limit) -> the next events of the log."""


class Subscriber:
    """One reader: first what the log holds after `after`, then what is published, without gap or
    repeat.

    Iterating gives lists of events. It ends when the reader was dropped (`dropped`), or when the
    session has no more to say (`finished`).
    """

    def __init__(self, after: int, upto: int, read: ReadPage) -> None:
        self.dropped = False
        self.finished = False
        self.after = after
        self._upto = upto
        self._read = read
        self._waiting: deque[Stored] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def offer(self, events: list[Stored]) -> bool:
        """Hand over published events. False: too many wait unread, the reader is dropped."""
        if self.dropped:
            return False
        self._waiting.extend(events)
        self._bytes += sum(len(event.json) for event in events)
        # One huge event is no sign of a slow reader; many that wait are.
        if self._bytes > MAX_WAITING_BYTES and len(self._waiting) > len(events):
            self.dropped = True
            self._waiting.clear()
        self._wake.set()
        return not self.dropped

    def finish(self) -> None:
        """No more will be published; what waits is still read."""
        self.finished = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[list[Stored]]:
        while self.after < self._upto and not self.dropped:
            page = await self._read(self.after, PAGE)
            page = [event for event in page if event.seq <= self._upto]
            if not page:
                break
            self.after = page[-1].seq
            yield page
        while not self.dropped:
            if self._waiting:
                # All of them came after `_upto`: the session registered us when that was the last.
                events = list(self._waiting)
                self._waiting.clear()
                self._bytes = 0
                self.after = events[-1].seq
                yield events
            elif self.finished:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

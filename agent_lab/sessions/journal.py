"""Facts in, events out: number them, fold them, store them, then publish them. The only caller of
append.

The path of a token lies here: `emit` joins deltas of one message, `flush` hands what waits to the
log at most once a frame (the first of a burst at once), `_appended` gives it to the subscribers.
What the disk does not take is shown all the same, with a warning; until the log has it, it is read
from here.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable

import msgspec

from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    AgentThought,
    AgentThoughtChunk,
    AnyBody,
    Event,
    Notice,
    Session,
    SessionUsage,
    Usage,
    encode,
    join_event,
    now,
)
from agent_lab.protocol.transcript import fold_session
from agent_lab.sessions.subscribers import Subscriber
from agent_lab.store.event_log import Batch, EventLog, Stored, Stream
from agent_lab.store.ledger import ChargeRow

FRAME = 0.016
"""Seconds: one animation frame, the longest a delta waits to be stored and shown."""


PAGE_BYTES = 4 << 20
"""How much of the log a reader holds in memory at once, but one event at least."""


class _Waiting:
    """An event that is numbered and not yet handed to the log; a chunk still grows."""

    __slots__ = ("body", "seq", "texts", "time", "turn_id")

    def __init__(self, seq: int, turn_id: str | None, body: AnyBody) -> None:
        self.seq = seq
        self.turn_id = turn_id
        self.time = now()
        self.body = body
        self.texts: list[str] | None = None

    def finished(self) -> AnyBody:
        if self.texts is not None and isinstance(self.body, AgentMessageChunk | AgentThoughtChunk):
            return msgspec.structs.replace(self.body, text="".join(self.texts))
        return self.body


class Journal:
    """The events of one session, on their way to the log and to its readers.

    `session` is the session object, always folded up to the last event emitted. `before_flush` is
    called before each batch is made and may emit more; `changed` with the session object after each
    that changed it.
    """

    def __init__(self, log: EventLog, number: int, session: Session) -> None:
        self.session = session
        self.number = number
        self.before_flush: Callable[[], None] = lambda: None
        self.changed: Callable[[Session], None] = lambda session: None
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._chunks: dict[str, _Waiting] = {}
        self._usage: _Waiting | None = None
        self._charges: list[ChargeRow] = []
        self._prompts: list[tuple[str, str | None]] = []
        self._stream: Stream | None = None
        self._stream_ended = False
        self._stream_moved = False
        self._changed = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._published = session.last_seq
        self._subscribers: set[Subscriber] = set()
        self._unsaved: deque[list[Stored]] = deque()
        self._disk_failed = False
        self._new_prompts: dict[str, str | None] = {}
        self._in_flight: asyncio.Future[None] | None = None

    # ------------------------------------------------------------ in

    def emit(self, turn_id: str | None, body: AnyBody) -> None:
        """Number an event and fold it. It is stored and shown with the next flush."""
        if isinstance(body, AgentMessageChunk | AgentThoughtChunk):
            growing = self._chunks.get(body.message_id)
            if growing is not None:
                if growing.texts is None:
                    growing.texts = [growing.finished().text]  # type: ignore[union-attr]  # a chunk
                growing.texts.append(body.text)
                return
            waiting = self._number(turn_id, body)
            self._chunks[body.message_id] = waiting
            return
        if isinstance(body, AgentMessage | AgentThought):
            # The finished message replaces its chunks: those not yet stored need not be.
            covered = self._chunks.pop(body.message_id, None)
            if covered is not None:
                self._waiting.remove(covered)
        if isinstance(body, Usage) and self._usage is not None:
            # Totals are absolute: of several in one frame only the last is worth telling. It stands
            # at its place in the order, so it moves neither `last_seq` nor `updated_at`.
            self._usage.body = body
            self.session.usage = SessionUsage(**msgspec.structs.asdict(body))
            self._changed = True
            return
        waiting = self._number(turn_id, body)
        if isinstance(body, Usage):
            self._usage = waiting
        event = Event(waiting.seq, self.session.id, turn_id, waiting.time, body)
        fold_session(self.session, event)
        self._changed = True

    def _number(self, turn_id: str | None, body: AnyBody) -> _Waiting:
        self.session.last_seq += 1
        waiting = _Waiting(self.session.last_seq, turn_id, body)
        self._waiting.append(waiting)
        return waiting

    def charge(self, row: ChargeRow) -> None:
        self._charges.append(row)

    def prompt(self, client_id: str, turn_id: str | None) -> None:
        """Remember which turn a client's prompt became (None: it waits)."""
        self._prompts.append((client_id, turn_id))
        self._new_prompts[client_id] = turn_id

    async def prompt_of(self, client_id: str) -> tuple[bool, str | None]:
        """Was this client id seen, and which turn it became (None: it waits in the queue)."""
        if client_id in self._new_prompts:
            return True, self._new_prompts[client_id]
        return await self._log.prompt(self.number, client_id)

    def applied(self, stream: Stream) -> None:
        """The agent's output up to here is in what was emitted; stored with it, in one
        transaction."""
        self._stream = stream

    def stream_begins(self, stream: Stream) -> None:
        """A new process; stored with the next flush even when nothing else is."""
        self._stream, self._stream_moved, self._stream_ended = stream, True, False

    def stream_ended(self) -> None:
        self._stream, self._stream_moved, self._stream_ended = None, True, True

    def reload(self, session: Session) -> None:
        """Go on from what the log holds: another server wrote to it meanwhile."""
        self.session = session
        self._published = session.last_seq

    # ------------------------------------------------------------ to the log

    def schedule(self) -> None:
        """Flush now if a frame has passed since the last time, else when it has."""
        if self._timer is not None or not self._waiting:
            return
        due = self._flushed_at + FRAME
        if self._loop.time() >= due:
            self.flush()
        else:
            self._timer = self._loop.call_at(due, self.flush)

    def flush(self) -> asyncio.Future[None] | None:
        """Hand everything that waits to the log. The future is done when it is published: stored,
        or kept because the disk does not take it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.before_flush()
        if not (self._waiting or self._charges or self._prompts or self._stream_moved):
            return self._in_flight
        if self._chunks:  # anything else does not make the first delta after it wait
            self._flushed_at = self._loop.time()
        events: list[tuple[Event, bytes]] = []
        stored: list[Stored] = []
        session_id = self.session.id
        for waiting in self._waiting:
            body = waiting.finished()
            data = encode(body)
            turn, time = waiting.turn_id, waiting.time
            events.append((Event(waiting.seq, session_id, turn, time, body), data))
            json = join_event(waiting.seq, session_id, turn, time, data)
            stored.append(Stored(waiting.seq, json))
        batch = Batch(
            number=self.number,
            events=events,
            session=msgspec.structs.replace(self.session) if self._changed else None,
            stream=self._stream,
            stream_ended=self._stream_ended,
            charges=self._charges,
            prompts=self._prompts,
        )
        self._waiting = []
        self._chunks.clear()
        self._usage = None
        self._charges, self._prompts = [], []
        self._stream, self._stream_ended = None, False
        self._stream_moved = self._changed = False
        done: asyncio.Future[None] = self._loop.create_future()
        self._in_flight = done
        self._log.append(batch, lambda error: self._appended(batch, stored, done, error))
        return done

    async def stored(self) -> bool:
        """Return when all that was emitted so far is stored and published.

        False: the disk does not take it. It is published and kept, and will be stored when it can
        be; nobody is made to wait for that.
        """
        done = self.flush()
        if done is not None:
            await done
        return not self._unsaved

    def _appended(
        self,
        batch: Batch,
        stored: list[Stored],
        done: asyncio.Future[None],
        error: Exception | None,
    ) -> None:
        if error is None and self._unsaved and self._unsaved[0] is stored:
            self._unsaved.popleft()  # it was published when it was kept
        else:
            self._publish(stored)
        if batch.session is not None:
            self.changed(batch.session)
        if error is None:
            for client_id, turn_id in batch.prompts:
                if self._new_prompts.get(client_id, "") == turn_id:
                    del self._new_prompts[client_id]
        else:
            self._unsaved.append(stored)
        if not done.done():
            done.set_result(None)
        self._tell_of_the_disk(error)

    def _tell_of_the_disk(self, error: Exception | None) -> None:
        if error is not None and not self._disk_failed:
            text = (
                f"The conversation cannot be stored now ({_reason(error)}). It goes on and is "
                "kept in memory; free some disk space before the server stops."
            )
            notice = Notice(level="error", code="storage", text=text, key="storage")
        elif error is None and self._disk_failed and not self._unsaved:
            text = "The conversation is stored again; nothing was lost."
            notice = Notice(level="info", code="storage", text=text, key="storage")
        else:
            return
        self._disk_failed = error is not None
        self.emit(None, notice)
        self.flush()

    # ------------------------------------------------------------ out

    def _publish(self, stored: list[Stored]) -> None:
        if not stored:
            return
        self._published = stored[-1].seq
        for subscriber in [s for s in self._subscribers if not s.offer(stored)]:
            self._subscribers.discard(subscriber)

    @property
    def watched(self) -> bool:
        return bool(self._subscribers)

    async def subscribe(self, after: int | None, tail: int | None) -> Subscriber:
        """A reader of everything later than `after`, or of the last `tail` turns, and then live."""
        await self.stored()
        if after is None:
            after = await self._log.seq_of_tail(self.number, tail or 20)
        subscriber = Subscriber(after, self._published, self._page)
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    def finish_subscribers(self) -> None:
        """Nothing more will come: readers are told when they have read to the end."""
        for subscriber in self._subscribers:
            subscriber.finish()

    async def events(
        self, after: int = 0, before: int | None = None, limit: int = 500
    ) -> list[Stored]:
        """What was published, as `EventLog.events`, and with it what the disk has not taken yet."""
        kept = [event for events in self._unsaved for event in events]
        events = await self._log.events(self.number, after, before, limit)
        if not kept:
            return events
        last = events[-1].seq if events else after
        events += [e for e in kept if e.seq > last and (before is None or e.seq < before)]
        return events[-limit:] if before is not None and after == 0 else events[:limit]

    async def _page(self, after: int, limit: int) -> list[Stored]:
        """A page for a reader: all that there is after it comes with later pages."""
        if self._unsaved:
            return await self.events(after=after, limit=limit)
        return await self._log.events(self.number, after, None, limit, PAGE_BYTES)


def _reason(error: Exception) -> str:
    if isinstance(error, sqlite3.Error):
        return str(error)
    return type(error).__name__

"""The log's one writing thread: everything that waits goes into one transaction, in order. SQLite.

What the disk does not take is held in memory and tried again, and everything later of the same
session is held behind it: the log never has a hole, and the offset of an agent's output never runs
ahead of the events that it produced.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    AgentThought,
    AgentThoughtChunk,
    Event,
    Session,
    TurnEnded,
    TurnStarted,
    UserMessage,
    encode,
    now,
)
from agent_lab.protocol.transcript import text_of
from agent_lab.store import ledger

_log = logging.getLogger(__name__)

SEQ_BITS = 32
"""An event's id is its session's number, then its seq in this many bits."""

RETRY_SECONDS = 2.0
"""Between attempts to store what the disk did not take."""


class Stream(Struct, frozen=True):
    """How far the output of the process with this marker has been applied.

    `position` is in bytes of its output file; `adapter` is the adapter's state there.
    """

    marker: str
    position: int
    adapter: bytes


class Batch(Struct):
    """What one append stores, in one transaction.

    `events` pairs each event with the JSON of its body. `session` None: the object did not change.
    """

    number: int
    events: list[tuple[Event, bytes]]
    session: Session | None = None
    stream: Stream | None = None
    stream_ended: bool = False
    charges: list[ledger.ChargeRow] = []
    prompts: list[tuple[str, str | None]] = []


Appended = Callable[[Exception | None], None]
"""None: the batch is stored. An error: it is not, but held, and this is called again once it is."""

Tell = Callable[[Sequence[tuple[Appended, Exception | None]]], None]
"""Called on the writing thread with what became of batches, in the order of their appends."""


class _Entry(Struct, frozen=True):
    batch: Batch
    appended: Appended


class Writer:
    """A queue in front of one connection on one thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], tell: Tell) -> None:
        self._connect = connect
        self._tell = tell
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="agent-lab-log", daemon=True)
        self._finished: deque[tuple[int, str, int]] = deque()
        self._held: dict[int, deque[_Entry]] = {}
        self._problem: Exception | None = None
        self._retry_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def append(self, batch: Batch, appended: Appended) -> None:
        self._queue.put(_Entry(batch, appended))

    def stop(self) -> None:
        """Store what waits, then return; what the disk does not take even now is lost, and named
        in the server's log."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        db = self._connect()
        going_on = True
        while going_on:
            if self._finished and self._queue.empty():
                self._compact(db, *self._finished.popleft())
                continue
            taken = self._take()
            going_on = None not in taken
            told: list[tuple[Appended, Exception | None]] = []
            if self._held and (not going_on or time.monotonic() >= self._retry_at):
                self._store_held(db, told)
            self._store(db, [entry for entry in taken if entry is not None], told)
            if told:
                self._tell(told)
        while self._finished:
            self._compact(db, *self._finished.popleft())
        for number, entries in self._held.items():
            events = sum(len(entry.batch.events) for entry in entries)
            _log.error(
                "agent_lab: %s events of session number %s could not be stored: %s",
                events,
                number,
                self._problem,
            )
        db.close()

    def _take(self) -> list[_Entry | None]:
        """Everything that waits, at least one; nothing when it is time to try again."""
        timeout = max(self._retry_at - time.monotonic(), 0.0) if self._held else None
        try:
            taken = [self._queue.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._queue.empty():
            taken.append(self._queue.get())
        return taken

    def _store(
        self,
        db: sqlite3.Connection,
        entries: list[_Entry],
        told: list[tuple[Appended, Exception | None]],
    ) -> None:
        ready = [entry for entry in entries if entry.batch.number not in self._held]
        if ready and self._stored(db, ready):
            told += [(entry.appended, None) for entry in ready]
            ready = []
        # The disk, or one batch that cannot be stored: it must not take the others down with it.
        alone = bool(ready) and not isinstance(self._problem, sqlite3.OperationalError)
        for entry in entries if ready else [e for e in entries if e.batch.number in self._held]:
            held = self._held.get(entry.batch.number)
            if held is None and alone and self._stored(db, [entry]):
                told.append((entry.appended, None))
                continue
            if held is None:
                _log.warning("agent_lab: the log could not be written: %s", self._problem)
                held = self._held[entry.batch.number] = deque()
                self._retry_at = time.monotonic() + RETRY_SECONDS
            held.append(entry)
            told.append((entry.appended, self._problem))

    def _store_held(
        self, db: sqlite3.Connection, told: list[tuple[Appended, Exception | None]]
    ) -> None:
        for number, entries in list(self._held.items()):
            while entries and self._stored(db, [entries[0]]):
                told.append((entries.popleft().appended, None))
            if not entries:
                del self._held[number]
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _stored(self, db: sqlite3.Connection, entries: list[_Entry]) -> bool:
        """Store these in one transaction. False: nothing of them is stored, `_problem` says why."""
        try:
            with transaction(db):
                for entry in entries:
                    _store(db, entry.batch)
        except (sqlite3.Error, OverflowError) as error:
            self._problem = error
            return False
        for entry in entries:
            self._finished.extend(_finished_messages(entry.batch))
        return True

    def _compact(self, db: sqlite3.Connection, number: int, message: str, seq: int) -> None:
        """Drop the chunks of a finished message. Only when nothing waits to be stored: a long
        message has hundreds, and the tokens of other sessions must not wait behind them."""
        base = number << SEQ_BITS
        try:
            with transaction(db):
                db.execute(
                    "DELETE FROM events WHERE message=? AND id BETWEEN ? AND ?",
                    (message, base, base + seq - 1),
                )
        except sqlite3.Error as error:
            _log.info("agent_lab: chunks could not be compacted: %s", error)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk may have rolled it back already
            db.execute("ROLLBACK")
        raise


# ---------------------------------------------------------------- one batch


def _store(db: sqlite3.Connection, batch: Batch) -> None:
    base = batch.number << SEQ_BITS
    for event, body in batch.events:
        said = event.body
        message = said.message_id if isinstance(said, _OF_A_MESSAGE) else None
        db.execute(
            "INSERT INTO events VALUES (?,?,?,?,?,?)",
            (base + event.seq, event.turn_id, event.time, event.type, message, body.decode()),
        )
        if not isinstance(said, AgentMessageChunk | AgentThoughtChunk):
            _derive(db, batch.number, event)
    for client_id, turn_id in batch.prompts:
        db.execute(
            "INSERT INTO prompts VALUES (?,?,?) ON CONFLICT DO UPDATE SET turn_id=excluded.turn_id",
            (batch.number, client_id, turn_id),
        )
    time = batch.events[-1][0].time if batch.events else now()
    for row in batch.charges:
        ledger.charge(db, batch.number, time, row)
    if batch.stream_ended:
        db.execute("DELETE FROM streams WHERE session=?", (batch.number,))
    elif batch.stream is not None:
        db.execute(
            "INSERT INTO streams VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET "
            "marker=excluded.marker, position=excluded.position, adapter=excluded.adapter",
            (
                batch.number,
                batch.stream.marker,
                batch.stream.position,
                batch.stream.adapter.decode(),
            ),
        )
    if batch.session is not None:
        _update_session(db, batch.number, batch.session)


_OF_A_MESSAGE = (AgentMessage, AgentMessageChunk, AgentThought, AgentThoughtChunk)


def _finished_messages(batch: Batch) -> list[tuple[int, str, int]]:
    """(session, message, seq) of the messages that end in this batch."""
    return [
        (batch.number, event.body.message_id, event.seq)
        for event, _ in batch.events
        if isinstance(event.body, AgentMessage | AgentThought)
    ]


def _derive(db: sqlite3.Connection, number: int, event: Event) -> None:
    """The tables that are read instead of the log: each row follows from one event."""
    match event.body:
        case AgentMessage() as body:
            _index(db, number, event.seq, text_of(body.content))
        case UserMessage() as body:
            _index(db, number, event.seq, text_of(body.content))
        case TurnStarted():
            db.execute(
                "INSERT OR IGNORE INTO turns VALUES (?,?,?,NULL,?,NULL)",
                (number, event.turn_id, event.seq, event.time),
            )
        case TurnEnded() as body:
            db.execute(
                "UPDATE turns SET last_seq=?, stop_reason=? WHERE session=? AND turn_id=?",
                (event.seq, body.stop_reason, number, event.turn_id),
            )


def _index(db: sqlite3.Connection, number: int, seq: int, text: str) -> None:
    if text:
        db.execute("INSERT INTO search VALUES (?,?,?)", (text, number, seq))


def _update_session(db: sqlite3.Connection, number: int, session: Session) -> None:
    db.execute(
        "UPDATE sessions SET state=?, title=?, kernel_id=?, status=?, updated_at=? WHERE number=?",
        (
            encode(session).decode(),
            session.title,
            session.notebook.kernel_id if session.notebook else None,
            session.status,
            session.updated_at,
            number,
        ),
    )

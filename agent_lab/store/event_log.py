"""The event log: append in batches on one writer thread, read by seq, search. SQLite.

`append` hands a batch to the writer thread, which commits everything that waits in one transaction
and then calls back on the event loop, in order: what a client sees is always already stored. A
batch also carries how far the agent's output was applied, so output is applied exactly once
whatever dies when.

Durability: WAL with synchronous=NORMAL. A crash of the process loses nothing that was called back;
a crash of the machine may lose the last moments, never the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
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
    join_event,
    now,
)
from agent_lab.protocol.transcript import text_of
from agent_lab.store import ledger
from agent_lab.store.migrations import migrate

_log = logging.getLogger(__name__)
_SEQ_BITS = 32
_SEQ_MASK = (1 << _SEQ_BITS) - 1
_T = TypeVar("_T")
_decode_session = msgspec.json.Decoder(Session).decode


class Stored(Struct, frozen=True):
    """An event as it lies in the log: its place and its JSON, ready for the wire."""

    seq: int
    json: bytes


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
"""Called on the event loop when a batch is stored (None), or with what the database said."""


class StoredSession(Struct, frozen=True):
    number: int
    session: Session


class EventLog:
    """One SQLite file. Writes: one thread, batched. Reads: a few threads, each its own
    connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[tuple[Batch, Appended] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="agent-lab-read")
        self._local = threading.local()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: deque[tuple[int, str, int]] = deque()
        self._connections: list[sqlite3.Connection] = []

    # ------------------------------------------------------------ life

    async def open(self) -> None:
        """Raises sqlite3.Error or NewerDatabase when the file cannot be used; it is left as it
        is."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._readers, self._prepare)
        self._thread = threading.Thread(target=self._write, name="agent-lab-log", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Store what waits, then close. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self._readers.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _prepare(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        with self._connect() as db:
            db.execute("PRAGMA journal_mode=WAL")
            migrate(db)
        db.close()

    def _connect(self) -> sqlite3.Connection:
        # Python 3.11 has no autocommit attribute; isolation_level None leaves transactions to us.
        db = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA temp_store=MEMORY")
        db.execute("PRAGMA cache_size=-2000")
        return db

    # ------------------------------------------------------------ append

    def append(self, batch: Batch, appended: Appended) -> None:
        """Store a batch; `appended` is called on the event loop, in the order of the appends."""
        self._queue.put((batch, appended))

    def _write(self) -> None:
        db = self._connect()
        waiting = True
        while waiting or self._finished:
            if self._finished and self._queue.empty():
                self._compact(db, *self._finished.popleft())
                continue
            taken = [self._queue.get()]
            while not self._queue.empty():
                taken.append(self._queue.get())
            waiting = None not in taken
            work = [one for one in taken if one is not None]
            if not work:
                continue
            results: list[tuple[Appended, Exception | None]]
            try:
                with transaction(db):
                    for batch, _ in work:
                        _store(db, batch)
                results = [(appended, None) for _, appended in work]
            except (sqlite3.Error, OverflowError) as error:
                _log.warning("agent_lab: the log could not be written: %s", error)
                results = [self._store_alone(db, batch, appended) for batch, appended in work]
            for batch, _ in work:
                self._finished.extend(_finished_messages(batch))
            assert self._loop is not None
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_call_all, results)
        db.close()

    def _compact(self, db: sqlite3.Connection, number: int, message: str, seq: int) -> None:
        """Drop the chunks of a finished message. Only when nothing waits to be stored: a long
        message has hundreds, and the tokens of other sessions must not wait behind them."""
        base = number << _SEQ_BITS
        try:
            with transaction(db):
                db.execute(
                    "DELETE FROM events WHERE message=? AND id BETWEEN ? AND ?",
                    (message, base, base + seq - 1),
                )
        except sqlite3.Error as error:
            _log.info("agent_lab: chunks could not be compacted: %s", error)

    def _store_alone(
        self, db: sqlite3.Connection, batch: Batch, appended: Appended
    ) -> tuple[Appended, Exception | None]:
        """One batch by itself, so that a bad one does not take the others down with it."""
        try:
            with transaction(db):
                _store(db, batch)
        except (sqlite3.Error, OverflowError) as error:
            return appended, error
        return appended, None

    # ------------------------------------------------------------ read

    async def read(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run a query on a reading connection in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(self._run, query))

    def _run(self, query: Callable[[sqlite3.Connection], _T]) -> _T:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._connect()
            self._connections.append(db)
        return query(db)

    async def create(self, session: Session) -> int:
        """Make room for a new session. Returns the number its batches carry."""
        return await self.read(partial(_create, session=session))

    async def load(self, session_id: str) -> StoredSession | None:
        """None: there is none, or it was deleted."""
        return await self.read(partial(_load, session_id=session_id))

    async def events(
        self, number: int, after: int = 0, before: int | None = None, limit: int = 500
    ) -> list[Stored]:
        """Events with after < seq < before, oldest first: the first `limit` of them, or with
        `before`
        and no `after` the last."""
        return await self.read(
            partial(_events, number=number, after=after, before=before, limit=limit)
        )

    async def seq_of_tail(self, number: int, turns: int) -> int:
        """The seq after which the last `turns` turns lie."""
        return await self.read(partial(_tail, number=number, turns=turns))

    async def seq_before_open_turns(self, number: int) -> int | None:
        """The seq after which the oldest turn that still owes an end lies; None when none does."""
        return await self.read(partial(_before_open_turns, number=number))

    async def stream(self, number: int) -> Stream | None:
        return await self.read(partial(_stream, number=number))

    async def prompt(self, number: int, client_id: str) -> tuple[bool, str | None]:
        """Was this client id seen, and which turn it became (None: it waits in the queue)."""
        return await self.read(partial(_prompt, number=number, client_id=client_id))

    async def open_chunks(self, number: int, after: int) -> list[tuple[str, str, str | None, str]]:
        """Messages that were streamed after a seq and never finished: (message id, type, turn id,
        text)."""
        return await self.read(partial(_open_chunks, number=number, after=after))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _call_all(results: Sequence[tuple[Appended, Exception | None]]) -> None:
    for appended, error in results:
        appended(error)


# ---------------------------------------------------------------- writing, on the writer's thread


def _store(db: sqlite3.Connection, batch: Batch) -> None:
    base = batch.number << _SEQ_BITS
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


def _create(db: sqlite3.Connection, session: Session) -> int:
    with transaction(db):
        row = db.execute(
            "INSERT INTO sessions (id, state, title, agent, cwd, kernel_id, status, parent_id, "
            "created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING number",
            (
                session.id,
                encode(session).decode(),
                session.title,
                session.agent,
                session.workspace.cwd,
                session.notebook.kernel_id if session.notebook else None,
                session.status,
                session.parent_id,
                session.created_at,
                session.updated_at,
            ),
        ).fetchone()
        return int(row[0])


def forget_events(db: sqlite3.Connection, number: int) -> None:
    base = number << _SEQ_BITS
    db.execute("DELETE FROM events WHERE id BETWEEN ? AND ?", (base, base + _SEQ_MASK))


# ---------------------------------------------------------------- reading, on a reader's thread


def _load(db: sqlite3.Connection, session_id: str) -> StoredSession | None:
    row = db.execute(
        "SELECT number, state FROM sessions WHERE id=? AND deleted_at IS NULL", (session_id,)
    ).fetchone()
    if row is None:
        return None
    number, state = row
    session = _decode_session(state)
    base = number << _SEQ_BITS
    (last,) = db.execute(
        "SELECT max(id) FROM events WHERE id BETWEEN ? AND ?", (base, base + _SEQ_MASK)
    ).fetchone()
    if last is not None:  # chunks move the log on without touching the session object
        session.last_seq = max(session.last_seq, last & _SEQ_MASK)
    return StoredSession(number, session)


def _events(
    db: sqlite3.Connection, number: int, after: int, before: int | None, limit: int
) -> list[Stored]:
    base = number << _SEQ_BITS
    first = base + min(after + 1, _SEQ_MASK)
    last = base + (_SEQ_MASK if before is None else min(max(before - 1, 0), _SEQ_MASK))
    backwards = before is not None and after == 0
    rows = db.execute(
        "SELECT e.id, e.turn_id, e.time, e.body FROM events e WHERE e.id BETWEEN ? AND ? "
        f"ORDER BY e.id {'DESC' if backwards else 'ASC'} LIMIT ?",
        (first, last, limit),
    ).fetchall()
    (session_id,) = db.execute("SELECT id FROM sessions WHERE number=?", (number,)).fetchone()
    if backwards:
        rows.reverse()
    return [
        Stored(
            id & _SEQ_MASK,
            join_event(id & _SEQ_MASK, session_id, turn_id, time, body.encode()),
        )
        for id, turn_id, time, body in rows
    ]


def _tail(db: sqlite3.Connection, number: int, turns: int) -> int:
    row = db.execute(
        "SELECT first_seq FROM turns WHERE session=? ORDER BY first_seq DESC LIMIT 1 OFFSET ?",
        (number, max(turns - 1, 0)),
    ).fetchone()
    if row is None:
        return 0
    # The prompt's own message lies just before its turn.
    base = number << _SEQ_BITS
    message = db.execute(
        "SELECT max(id) FROM events WHERE id BETWEEN ? AND ? AND type='turn_ended'",
        (base, base + int(row[0])),
    ).fetchone()[0]
    return 0 if message is None else int(message) & _SEQ_MASK


def _before_open_turns(db: sqlite3.Connection, number: int) -> int | None:
    row = db.execute(
        "SELECT min(first_seq) FROM turns WHERE session=? AND last_seq IS NULL", (number,)
    ).fetchone()
    # The prompt's own message lies just before its turn.
    return None if row[0] is None else max(int(row[0]) - 2, 0)


def _stream(db: sqlite3.Connection, number: int) -> Stream | None:
    row = db.execute(
        "SELECT marker, position, adapter FROM streams WHERE session=?", (number,)
    ).fetchone()
    return None if row is None else Stream(row[0], row[1], row[2].encode())


def _prompt(db: sqlite3.Connection, number: int, client_id: str) -> tuple[bool, str | None]:
    row = db.execute(
        "SELECT turn_id FROM prompts WHERE session=? AND client_id=?", (number, client_id)
    ).fetchone()
    return (False, None) if row is None else (True, row[0])


def _open_chunks(
    db: sqlite3.Connection, number: int, after: int
) -> list[tuple[str, str, str | None, str]]:
    base = number << _SEQ_BITS
    rows = db.execute(
        "SELECT message, min(type), turn_id, group_concat(json_extract(body, '$.text'), '') FROM "
        "(SELECT * FROM events WHERE message IS NOT NULL AND id BETWEEN ? AND ? ORDER BY id) "
        "GROUP BY message HAVING min(type LIKE '%_chunk')",
        (base + after, base + _SEQ_MASK),
    )
    return [(str(m), str(t), turn, str(text)) for m, t, turn, text in rows]

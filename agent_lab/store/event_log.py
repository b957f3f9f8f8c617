"""The event log: append through the writing thread, read by seq, search. SQLite.

`append` hands a batch to the writer, which commits everything that waits in one transaction; it is
then told on the event loop, in order: what a client sees is already stored, or the disk is full and
says so. A batch also carries how far the agent's output was applied, so output is applied exactly
once whatever dies when.

Durability: WAL with synchronous=NORMAL. A crash of the process loses nothing that was called back;
a crash of the machine may lose the last moments, never the database.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from agent_lab.protocol.events import Session, encode, join_event
from agent_lab.store.migrations import migrate
from agent_lab.store.writer import SEQ_BITS, Appended, Batch, Stream, Writer, transaction

__all__ = ["Batch", "EventLog", "Stored", "StoredSession", "Stream", "forget_events", "transaction"]

_SEQ_MASK = (1 << SEQ_BITS) - 1

WRITE_TIMEOUT = 2.0
"""Seconds the writer waits for another program's lock, until clients see what is not stored yet."""

_T = TypeVar("_T")
_decode_session = msgspec.json.Decoder(Session).decode


class Stored(Struct, frozen=True):
    """An event as it lies in the log: its place and its JSON, ready for the wire."""

    seq: int
    json: bytes


class StoredSession(Struct, frozen=True):
    number: int
    session: Session


class EventLog:
    """One SQLite file. Writes: one thread, batched. Reads: a few threads, each its own
    connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Writer | None = None
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="agent-lab-read")
        self._local = threading.local()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: list[sqlite3.Connection] = []

    # ------------------------------------------------------------ life

    async def open(self) -> None:
        """Raises sqlite3.Error or NewerDatabase when the file cannot be used; it is left as it
        is."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(self._readers, self._prepare)
        self._writer = Writer(partial(self._connect, WRITE_TIMEOUT), self._tell)
        self._writer.start()

    async def close(self) -> None:
        """Store what waits, then close. Safe to call twice."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        await asyncio.get_running_loop().run_in_executor(None, writer.stop)
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

    def _connect(self, timeout: float = 10.0) -> sqlite3.Connection:
        # Python 3.11 has no autocommit attribute; isolation_level None leaves transactions to us.
        db = sqlite3.connect(
            self._path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA temp_store=MEMORY")
        db.execute("PRAGMA cache_size=-2000")
        return db

    # ------------------------------------------------------------ append

    def append(self, batch: Batch, appended: Appended) -> None:
        """Store a batch; `appended` is called on the event loop, in the order of the appends.

        With an error it is told that the disk did not take the batch: it is held in memory, and
        `appended` is called again, with None, when it is stored after all.
        """
        if self._writer is not None:
            self._writer.append(batch, appended)
        else:
            self._tell([(appended, sqlite3.ProgrammingError("the log is closed"))])

    def _tell(self, results: Sequence[tuple[Appended, Exception | None]]) -> None:
        assert self._loop is not None, "not open"
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_call_all, results)

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
        self,
        number: int,
        after: int = 0,
        before: int | None = None,
        limit: int = 500,
        most_bytes: int | None = None,
    ) -> list[Stored]:
        """Events with after < seq < before, oldest first: the first `limit` of them, or with
        `before` and no `after` the last. With `most_bytes` fewer, at least one, when they are
        large."""
        return await self.read(
            partial(
                _events,
                number=number,
                after=after,
                before=before,
                limit=limit,
                most_bytes=most_bytes,
            )
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


def _call_all(results: Sequence[tuple[Appended, Exception | None]]) -> None:
    for appended, error in results:
        appended(error)


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
    base = number << SEQ_BITS
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
    base = number << SEQ_BITS
    (last,) = db.execute(
        "SELECT max(id) FROM events WHERE id BETWEEN ? AND ?", (base, base + _SEQ_MASK)
    ).fetchone()
    if last is not None:  # chunks move the log on without touching the session object
        session.last_seq = max(session.last_seq, last & _SEQ_MASK)
    return StoredSession(number, session)


def _events(
    db: sqlite3.Connection,
    number: int,
    after: int,
    before: int | None,
    limit: int,
    most_bytes: int | None,
) -> list[Stored]:
    base = number << SEQ_BITS
    first = base + min(after + 1, _SEQ_MASK)
    last = base + (_SEQ_MASK if before is None else min(max(before - 1, 0), _SEQ_MASK))
    backwards = before is not None and after == 0
    rows = []
    size = 0
    for row in db.execute(
        "SELECT e.id, e.turn_id, e.time, e.body FROM events e WHERE e.id BETWEEN ? AND ? "
        f"ORDER BY e.id {'DESC' if backwards else 'ASC'} LIMIT ?",
        (first, last, limit),
    ):
        rows.append(row)
        size += len(row[3])
        if most_bytes is not None and size >= most_bytes:
            break
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
    base = number << SEQ_BITS
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
    base = number << SEQ_BITS
    rows = db.execute(
        "SELECT message, min(type), turn_id, group_concat(json_extract(body, '$.text'), '') FROM "
        "(SELECT * FROM events WHERE message IS NOT NULL AND id BETWEEN ? AND ? ORDER BY id) "
        "GROUP BY message HAVING min(type LIKE '%_chunk')",
        (base + after, base + _SEQ_MASK),
    )
    return [(str(m), str(t), turn, str(text)) for m, t, turn, text in rows]

"""Which sessions there are: found by kernel, conversation or words, listed, deleted, trusted.

Plain functions over a connection, for `EventLog.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from agent_lab.protocol.events import now
from agent_lab.store.event_log import forget_events
from agent_lab.store.writer import SEQ_BITS, transaction


def first_seq(db: sqlite3.Connection, number: int, turn_id: str) -> int:
    row = db.execute(
        "SELECT first_seq FROM turns WHERE session=? AND turn_id=?", (number, turn_id)
    ).fetchone()
    return 0 if row is None else int(row[0])


def of_kernel(db: sqlite3.Connection, kernel_id: str | None, cwd: str) -> list[str]:
    rows = db.execute(
        "SELECT id FROM sessions "
        "WHERE deleted_at IS NULL AND status<>'ended' AND parent_id IS NULL "
        "AND (kernel_id=? OR cwd=?) ORDER BY kernel_id IS ? DESC, updated_at DESC",
        (kernel_id, cwd, kernel_id),
    )
    return [str(id) for (id,) in rows]


def of_notebook(db: sqlite3.Connection, path: str, kernel_id: str | None) -> list[str]:
    """Of a notebook, of those below a folder (its path with a slash at the end), or of a kernel."""
    prefix = path if path.endswith("/") else ""
    rows = db.execute(
        "SELECT id, json_extract(state, '$.notebook.path') AS notebook FROM sessions "
        "WHERE deleted_at IS NULL AND status<>'ended' AND (notebook=? OR kernel_id=? OR "
        "(?<>'' AND substr(notebook, 1, ?)=?)) ORDER BY updated_at DESC",
        (path, kernel_id, prefix, len(prefix), prefix),
    )
    return [str(id) for id, _ in rows]


def of_conversation(db: sqlite3.Connection, id: str) -> str | None:
    row = db.execute(
        "SELECT id FROM sessions WHERE deleted_at IS NULL AND "
        "(id=? OR json_extract(state, '$.agent_session_id')=?) ORDER BY updated_at DESC",
        (id, id),
    ).fetchone()
    return None if row is None else str(row[0])


def count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM sessions WHERE deleted_at IS NULL").fetchone()[0])


def purge(db: sqlite3.Connection, days: int) -> None:
    """Forget for good what was said in sessions deleted some days ago; what they cost stays."""
    old = db.execute(
        "SELECT number FROM sessions WHERE state <> '' AND "
        "deleted_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)",
        (f"-{days} days",),
    ).fetchall()
    for (number,) in old:
        with transaction(db):
            for table in ("turns", "prompts", "streams", "search"):
                db.execute(f"DELETE FROM {table} WHERE session=?", (number,))
            forget_events(db, number)
            db.execute("UPDATE sessions SET state='', title='' WHERE number=?", (number,))


def forgotten(db: sqlite3.Connection, ids: Sequence[str]) -> list[str]:
    """Those of the ids whose sessions were deleted for good."""
    marks = ",".join("?" * len(ids))
    rows = db.execute(
        f"SELECT id FROM sessions WHERE deleted_at IS NOT NULL AND state='' AND id IN ({marks})",
        tuple(ids),
    )
    return [str(id) for (id,) in rows]


def mark_deleted(db: sqlite3.Connection, session_id: str, time: str) -> None:
    with transaction(db):
        db.execute("UPDATE sessions SET deleted_at=? WHERE id=?", (time, session_id))


def restore(db: sqlite3.Connection, session_id: str) -> bool:
    """Take a deletion back. False: there is none to take back, or it is too long ago."""
    with transaction(db):
        done = db.execute(
            "UPDATE sessions SET deleted_at=NULL "
            "WHERE id=? AND deleted_at IS NOT NULL AND state<>''",
            (session_id,),
        )
    return done.rowcount == 1


class Wanted(Struct, frozen=True, kw_only=True):
    """Which sessions of the list. Paths are absolute; "" and None: any."""

    root: str
    q: str = ""
    status: str = ""
    cwd: str = ""
    agent: str = ""
    children: bool = False


def listed(db: sqlite3.Connection, wanted: Wanted, limit: int, offset: int) -> list[str]:
    """The session objects (JSON), active ones first, then the newest."""
    where, values = ["deleted_at IS NULL"], list[object]()
    where.append("(cwd = ? OR substr(cwd, 1, ?) = ?)")
    prefix = wanted.root.rstrip("/") + "/"
    values += [wanted.root, len(prefix), prefix]
    if not wanted.children:
        where.append("parent_id IS NULL")
    for column in ("status", "agent", "cwd"):
        if value := getattr(wanted, column):
            where.append(f"{column} = ?")
            values.append(value)
    match = _match(wanted.q)
    if match:
        where.append(
            "(title LIKE ? ESCAPE '\\' OR number IN "
            "(SELECT CAST(session AS INTEGER) FROM search WHERE search MATCH ?))"
        )
        like = wanted.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values += [f"%{like}%", match]
    rows = db.execute(
        f"SELECT state FROM sessions WHERE {' AND '.join(where)} ORDER BY "
        "status IN ('running','awaiting_permission','cancelling','starting') DESC, "
        "updated_at DESC, number DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [str(state) for (state,) in rows]


def _match(words: str) -> str:
    """A search as FTS5 wants it, "" when there is nothing to search for."""
    # Each word quoted: a search is words, never FTS syntax. The last may be half typed.
    quoted = ('"' + word.replace('"', '""') + '"' for word in words.split())
    match = " ".join(quoted)
    return match and match + "*"


class Hit(Struct, frozen=True):
    """Where a search was found. `text` is a line; U+0002 and U+0003 enclose what matched."""

    seq: int
    text: str


HITS_A_SESSION = 3


def hits(db: sqlite3.Connection, q: str, ids: Sequence[str]) -> dict[str, list[Hit]]:
    """The best places in the transcripts of these sessions."""
    found: dict[str, list[Hit]] = {}
    match = _match(q)
    if not match:
        return found
    for id in ids:
        rows = db.execute(
            "SELECT seq, snippet(search, 0, char(2), char(3), '…', 12) FROM search "
            "WHERE search MATCH ? AND session = (SELECT number FROM sessions WHERE id=?) "
            "ORDER BY rank LIMIT ?",
            (match, id, HITS_A_SESSION),
        ).fetchall()
        if rows:
            found[id] = [Hit(int(seq), " ".join(text.split())) for seq, text in rows]
    return found


# ---------------------------------------------------------------- forks


def last_of_turn(db: sqlite3.Connection, number: int, at_seq: int) -> int:
    """The seq of the end of the last finished turn that began at or before this one; 0: none."""
    row = db.execute(
        "SELECT max(last_seq) FROM turns WHERE session=? AND first_seq<=? AND last_seq IS NOT NULL",
        (number, at_seq + 1),  # its message lies just before a turn begins
    ).fetchone()
    return int(row[0] or 0)


def turns_after(db: sqlite3.Connection, number: int, seq: int) -> list[str]:
    rows = db.execute(
        "SELECT turn_id FROM turns WHERE session=? AND first_seq>? ORDER BY first_seq",
        (number, seq),
    )
    return [str(turn) for (turn,) in rows]


_NOT_COPIED = (
    "('session_updated','usage','queue_updated','agent_message_chunk',"
    "'agent_thought_chunk','review_started','review_ended')"
)


def copy_history(db: sqlite3.Connection, source: int, target: int, upto: int) -> None:
    """Give one session the conversation of another up to a seq, not what it cost or was set to."""
    shift = (target - source) << SEQ_BITS
    first = source << SEQ_BITS
    with transaction(db):
        db.execute(
            "INSERT INTO events SELECT id + ?, turn_id, time, type, message, body FROM events "
            f"WHERE id BETWEEN ? AND ? AND type NOT IN {_NOT_COPIED}",
            (shift, first, first + upto),
        )
        db.execute(
            "INSERT INTO turns SELECT ?, turn_id, first_seq, last_seq, started_at, stop_reason "
            "FROM turns WHERE session=? AND last_seq<=?",
            (target, source, upto),
        )
        db.execute(
            "INSERT INTO search SELECT text, ?, seq FROM search WHERE session=? AND seq<=?",
            (target, source, upto),
        )


# ---------------------------------------------------------------- trust


def trust_of(db: sqlite3.Connection, cwd: str) -> tuple[str, bool] | None:
    row = db.execute("SELECT digest, trusted FROM trust WHERE cwd=?", (cwd,)).fetchone()
    return None if row is None else (str(row[0]), bool(row[1]))


def trust(db: sqlite3.Connection, cwd: str, digest: str, trusted: bool) -> None:
    with transaction(db):
        db.execute(
            "INSERT INTO trust VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET "
            "digest=excluded.digest, trusted=excluded.trusted, time=excluded.time",
            (cwd, digest, trusted, now()),
        )


def grants(db: sqlite3.Connection, cwd: str) -> list[str]:
    """What a person always allows in this folder."""
    return [str(rule) for (rule,) in db.execute("SELECT rule FROM grants WHERE cwd=?", (cwd,))]


def grant(db: sqlite3.Connection, cwd: str, rules: Sequence[str], session_id: str) -> None:
    with transaction(db):
        db.executemany(
            "INSERT INTO grants VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
            [(cwd, rule, session_id, now()) for rule in rules],
        )


# ---------------------------------------------------------------- the context dial


def dial(db: sqlite3.Connection, folders: Sequence[str]) -> str | None:
    """The settings (JSON) of the first of these folders that has some."""
    for folder in folders:
        row = db.execute("SELECT settings FROM dials WHERE cwd=?", (folder,)).fetchone()
        if row is not None:
            return str(row[0])
    return None


def set_dial(db: sqlite3.Connection, cwd: str, settings: str) -> None:
    with transaction(db):
        db.execute(
            "INSERT INTO dials VALUES (?,?,?) ON CONFLICT DO UPDATE SET "
            "settings=excluded.settings, time=excluded.time",
            (cwd, settings, now()),
        )

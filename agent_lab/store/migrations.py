"""The database's schema, one migration a change, append only.

A migration that has been released is never edited: the test builds the oldest schema and walks up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

Migration = Callable[[sqlite3.Connection], None]
MIGRATIONS: list[Migration] = []


def migration(step: Migration) -> Migration:
    MIGRATIONS.append(step)
    return step


@migration
def m001_initial(db: sqlite3.Connection) -> None:
    db.executescript(
        """
        CREATE TABLE sessions (
            number INTEGER PRIMARY KEY,           -- small, for the clustered key of events
            id TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,                  -- the session object (JSON), a fold of its events
            title TEXT NOT NULL,
            agent TEXT NOT NULL,
            cwd TEXT NOT NULL,
            kernel_id TEXT,
            status TEXT NOT NULL,
            parent_id TEXT,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            deleted_at TEXT
        );
        CREATE INDEX sessions_by_kernel ON sessions (kernel_id) WHERE kernel_id IS NOT NULL;
        CREATE INDEX sessions_by_time ON sessions (updated_at);

        -- id = number * 2^32 + seq: one clustered index serves every read by seq.
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            turn_id TEXT,
            time TEXT NOT NULL,
            type TEXT NOT NULL,
            message TEXT,                         -- of a message and its chunks: its id
            body TEXT NOT NULL                    -- JSON, with its type
        );
        CREATE INDEX events_of_messages ON events (message, id) WHERE message IS NOT NULL;

        CREATE TABLE turns (
            session INTEGER NOT NULL,
            turn_id TEXT NOT NULL,
            first_seq INTEGER NOT NULL,
            last_seq INTEGER,                     -- NULL while it runs
            started_at TEXT NOT NULL,
            stop_reason TEXT,
            PRIMARY KEY (session, turn_id)
        ) WITHOUT ROWID;
        CREATE INDEX turns_by_seq ON turns (session, first_seq);

        CREATE TABLE prompts (                    -- the same client id twice is one turn
            session INTEGER NOT NULL,
            client_id TEXT NOT NULL,
            turn_id TEXT,                         -- NULL while it waits in the queue
            PRIMARY KEY (session, client_id)
        ) WITHOUT ROWID;

        CREATE TABLE streams (                    -- how far an agent's output has been applied
            session INTEGER PRIMARY KEY,
            marker TEXT NOT NULL,                 -- of the process the output is from
            position INTEGER NOT NULL,            -- bytes of its output file
            adapter TEXT NOT NULL                 -- the adapter's state at that position
        );

        CREATE TABLE charges (                    -- the ledger: increments, never totals
            session INTEGER NOT NULL,
            turn_id TEXT,
            time TEXT NOT NULL,
            agent TEXT NOT NULL,
            model TEXT NOT NULL,
            workspace TEXT NOT NULL,
            requests INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cache_read_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            cost_usd REAL,                        -- NULL when unknown
            cost_source TEXT
        );
        CREATE INDEX charges_by_session ON charges (session);
        CREATE INDEX charges_by_time ON charges (time);

        CREATE TABLE trust (                      -- what a person decided about a folder's settings
            cwd TEXT PRIMARY KEY,
            digest TEXT NOT NULL,                 -- of the files it was decided on
            trusted INTEGER NOT NULL,
            time TEXT NOT NULL
        ) WITHOUT ROWID;

        CREATE VIRTUAL TABLE search USING fts5 (
            text, session UNINDEXED, seq UNINDEXED, tokenize = 'unicode61 remove_diacritics 2'
        );
        """
    )


@migration
def m002_grants(db: sqlite3.Connection) -> None:
    db.executescript(
        """
        CREATE TABLE grants (                     -- what a person always allows in a folder
            cwd TEXT NOT NULL,
            rule TEXT NOT NULL,                   -- as it stands in the folder's settings
            session TEXT NOT NULL,                -- where it was asked for
            time TEXT NOT NULL,
            PRIMARY KEY (cwd, rule)
        ) WITHOUT ROWID;
        """
    )


@migration
def m003_dials(db: sqlite3.Connection) -> None:
    db.executescript(
        """
        CREATE TABLE dials (                      -- what may leave the kernels of a folder
            cwd TEXT PRIMARY KEY,
            settings TEXT NOT NULL,               -- JSON: levels, masks, columns
            time TEXT NOT NULL
        ) WITHOUT ROWID;
        """
    )


def migrate(db: sqlite3.Connection) -> None:
    """Bring the database to the newest schema. Raises NewerDatabase when it comes from a later
    version."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise NewerDatabase(version)
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(db)
        db.execute(f"PRAGMA user_version = {number}")
        db.commit()


class NewerDatabase(Exception):
    """The database was written by a newer version of Agent Lab; it is left untouched."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"The session database has schema {version}, made by a newer Agent Lab. "
            "Upgrade Agent Lab, or choose another folder with AgentLab.data_dir."
        )

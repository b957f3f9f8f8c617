"""Usage and cost: what was charged, and its sums. Plain functions over a connection."""

from __future__ import annotations

import sqlite3
from typing import Literal, TypeAlias

from msgspec import Struct

By: TypeAlias = Literal["day", "session", "agent", "model", "workspace", "turn"]

_KEYS: dict[By, str] = {
    "day": "substr(c.time, 1, 10)",
    "session": "s.id",
    "agent": "c.agent",
    "model": "c.model",
    "workspace": "c.workspace",
    "turn": "c.turn_id",
}


class ChargeRow(Struct, frozen=True, kw_only=True):
    """What one model took in one turn. Tokens are counts; `cost_usd` None: unknown."""

    turn_id: str | None
    agent: str
    model: str
    workspace: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    cost_source: str | None = None


class UsageRow(Struct, frozen=True):
    key: str | None
    turns: int
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float | None
    cost_source: str | None


def charge(db: sqlite3.Connection, session: int, time: str, row: ChargeRow) -> None:
    db.execute(
        "INSERT INTO charges VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            session,
            row.turn_id,
            time,
            row.agent,
            row.model,
            row.workspace,
            row.requests,
            row.input_tokens,
            row.output_tokens,
            row.cache_read_tokens,
            row.cache_write_tokens,
            row.cost_usd,
            row.cost_source,
        ),
    )


def sums(db: sqlite3.Connection, by: By, session_id: str | None = None) -> list[UsageRow]:
    """Totals per key, largest cost first. A cost is None when none of its charges is known."""
    where, values = ("WHERE s.id = ?", (session_id,)) if session_id else ("", ())
    rows = db.execute(
        f"""
        SELECT {_KEYS[by]}, count(DISTINCT c.turn_id), sum(c.requests), sum(c.input_tokens),
               sum(c.output_tokens), sum(c.cache_read_tokens), sum(c.cache_write_tokens),
               sum(c.cost_usd), max(c.cost_source)
        FROM charges c JOIN sessions s ON s.number = c.session {where}
        GROUP BY 1 ORDER BY 8 DESC NULLS LAST, 1
        """,
        values,
    )
    return [UsageRow(*row) for row in rows]

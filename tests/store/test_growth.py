"""Nothing costs more because the history is longer. Invariant 8."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    TextBlock,
    TurnEnded,
    TurnStarted,
    UserMessage,
)
from agent_lab.sessions.journal import Journal
from agent_lab.store.event_log import EventLog, Stream
from tests.store.test_event_log import a_session, opened, run


async def filled(log: EventLog, turns: int) -> Journal:
    """A session with so many turns, each with a prompt, a streamed answer and its end."""
    number = await log.create(a_session())
    journal = Journal(log, number, a_session())
    for turn in range(turns):
        id = f"t{turn}"
        journal.emit(id, UserMessage(message_id=f"p{turn}", content=(TextBlock("question"),)))
        journal.emit(id, TurnStarted())
        journal.emit(id, AgentMessageChunk(message_id=f"m{turn}", text="answer"))
        journal.flush()
        journal.emit(id, AgentMessage(message_id=f"m{turn}", content=(TextBlock("answer"),)))
        journal.emit(id, TurnEnded(stop_reason="end_turn"))
        journal.applied(Stream("marker", turn, b"{}"))
        journal.flush()
    await journal.stored()
    return journal


async def opening(log: EventLog, journal: Journal) -> tuple[int, int]:
    """What a client that opens the session is sent: (events, bytes)."""
    subscriber = await journal.subscribe(after=None, tail=20)
    subscriber.finish()
    events = [event async for page in subscriber for event in page]
    return len(events), sum(len(event.json) for event in events)


async def opening_after(path: Path, turns: int) -> tuple[int, int]:
    async with opened(path) as log:
        session = (await filled(log, turns)).session
    async with opened(path) as log:  # closing finished the compaction
        return await opening(log, Journal(log, 1, session))


def test_opening_a_session_sends_the_same_however_long_it_is(tmp_path: Path) -> None:
    async def story() -> None:
        short = await opening_after(tmp_path / "short", 20)
        long = await opening_after(tmp_path / "long", 2000)
        assert long[0] == short[0] == 20 * 4
        assert long[1] <= short[1] * 1.1  # the numbers have more digits

    run(story())


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of every statement that the log runs, by SQLite's own account."""
    found: list[str] = []
    connect = sqlite3.connect

    def watched(path: Path, **options: object) -> sqlite3.Connection:
        db = connect(path, **options)  # type: ignore[call-overload]
        assert isinstance(db, sqlite3.Connection)

        def explain(statement: str) -> None:
            ours = statement.startswith(("SELECT", "UPDATE", "DELETE"))
            if not ours or "'search_" in statement:  # FTS5 looks into its own small tables
                return
            with closing(connect(path)) as other:
                rows = other.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            found.extend(f"{row[3]}  <-  {statement}" for row in rows)

        db.set_trace_callback(explain)
        return db

    monkeypatch.setattr("agent_lab.store.event_log.sqlite3.connect", watched)
    return found


def test_no_statement_on_the_path_of_a_token_reads_a_whole_table(
    tmp_path: Path, plans: list[str]
) -> None:
    async def story() -> None:
        async with opened(tmp_path) as log:
            journal = await filled(log, 3)
            await opening(log, journal)
            await log.events(journal.number, before=10)
            await log.open_chunks(journal.number, 0)
            await log.seq_before_open_turns(journal.number)
            await log.prompt(journal.number, "p1")
            await log.stream(journal.number)
            await log.load("s")

    run(story())
    assert any("turns" in plan for plan in plans)
    scans = [plan for plan in plans if plan.startswith("SCAN") and "subquery" not in plan]
    assert scans == []


def test_a_long_message_costs_the_same_per_delta(tmp_path: Path) -> None:
    """Each delta is stored once, and all of them are one message in the end."""

    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            journal = Journal(log, number, a_session())
            sizes = []
            for part in range(300):
                journal.emit("t", AgentMessageChunk(message_id="m", text="x" * 100))
                await journal.stored()
                last = (await log.events(number, after=journal.session.last_seq - 1))[-1]
                sizes.append(len(last.json))
                await asyncio.sleep(0)
                assert last.seq == part + 1
            assert max(sizes) - min(sizes) <= 2  # the digits of seq

    run(story())

"""The event log on real SQLite files: order, batches, compaction, damage, migrations."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    AnyBody,
    Event,
    Notice,
    Session,
    TextBlock,
    TurnEnded,
    TurnStarted,
    UserMessage,
    Workspace,
    decode_event,
    encode,
    now,
)
from agent_lab.sessions.journal import Journal
from agent_lab.store import migrations
from agent_lab.store.event_log import Batch, EventLog, Stored, Stream


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def a_session(id: str = "s") -> Session:
    time = now()
    return Session(
        id=id,
        title="t",
        agent="claude",
        agent_session_id=None,
        workspace=Workspace("", "/w"),
        created_at=time,
        updated_at=time,
    )


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[EventLog]:
    log = EventLog(path / "log.sqlite")
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def store(log: EventLog, batch: Batch) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def appended(error: Exception | None) -> None:
        done.set_exception(error) if error else done.set_result(None)

    log.append(batch, appended)
    await done


def batch(number: int, first: int, *bodies: AnyBody, turn: str = "t1", **more: Any) -> Batch:
    events = [Event(first + i, "s", turn, now(), body) for i, body in enumerate(bodies)]
    return Batch(number=number, events=[(e, encode(e.body)) for e in events], **more)


def chunk(text: str, message: str = "m") -> AgentMessageChunk:
    return AgentMessageChunk(message_id=message, text=text)


def seqs(stored: list[Stored]) -> list[int]:
    return [one.seq for one in stored]


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            notices = [Notice(level="info", code="c", text=f"{i} 🧪") for i in range(20)]
            batches = [batch(number, i + 1, notice) for i, notice in enumerate(notices)]
            await asyncio.gather(*(store(log, one) for one in batches))
            read = await log.events(number)
            assert [decode_event(one.json).body for one in read] == notices
            assert seqs(await log.events(number, after=5, limit=3)) == [6, 7, 8]
            assert seqs(await log.events(number, before=5, limit=3)) == [2, 3, 4]
            assert seqs(await log.events(number, after=2, before=5)) == [3, 4]

    run(story())


def test_sessions_do_not_see_each_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as log:
            one, two = await log.create(a_session("a")), await log.create(a_session("b"))
            await store(log, batch(one, 1, chunk("one")))
            await store(log, batch(two, 1, chunk("two")))
            done = AgentMessage(message_id="m", content=(TextBlock("whole"),))
            await store(log, batch(two, 2, done))
            assert seqs(await log.events(one)) == [1]  # the same message id, another session
            assert seqs(await log.events(two)) == [2]

    run(story())


def test_the_tail_begins_with_the_prompt_of_its_first_turn(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            assert await log.seq_of_tail(number, 5) == 0
            seq = 1
            for turn in range(4):
                message = UserMessage(message_id=f"p{turn}", content=(TextBlock("x"),))
                end = TurnEnded(stop_reason="end_turn")
                await store(log, batch(number, seq, message, TurnStarted(), end, turn=f"t{turn}"))
                seq += 3
            after = await log.seq_of_tail(number, 2)
            first = decode_event((await log.events(number, after=after))[0].json)
            assert first.body == UserMessage(message_id="p2", content=(TextBlock("x"),))
            assert await log.seq_before_open_turns(number) is None

    run(story())


def test_output_offset_and_events_are_one_transaction(tmp_path: Path) -> None:
    """A batch that cannot be stored leaves the offset where it was and holds back what comes after
    it in its session; it harms no other session."""

    async def story() -> None:
        async with opened(tmp_path) as log:
            number, other = await log.create(a_session()), await log.create(a_session("other"))
            await store(log, batch(number, 1, chunk("a"), stream=Stream("m", 10, b"{}")))
            bad = batch(number, 1, chunk("same seq"), stream=Stream("m", 20, b"{}"))
            later = batch(number, 2, chunk("b"), stream=Stream("m", 30, b"{}"))
            good = batch(other, 1, chunk("c"), stream=Stream("n", 5, b"{}"))
            all_three = (store(log, one) for one in (bad, later, good))
            results = await asyncio.gather(*all_three, return_exceptions=True)
            assert isinstance(results[0], sqlite3.IntegrityError)
            assert isinstance(results[1], sqlite3.IntegrityError)
            assert results[2] is None
            assert await log.stream(number) == Stream("m", 10, b"{}")
            assert await log.stream(other) == Stream("n", 5, b"{}")
            assert seqs(await log.events(number)) == [1]

    run(story())


def test_what_could_not_be_stored_is_stored_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_lab.store.writer.RETRY_SECONDS", 0.001)

    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            with closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other:
                other.execute("ALTER TABLE turns RENAME TO elsewhere")
                told: list[tuple[int, bool]] = []
                wake = asyncio.Event()

                def appended(first: int, error: Exception | None) -> None:
                    told.append((first, error is None))
                    wake.set()

                async def until(count: int) -> None:
                    while len(told) < count:
                        wake.clear()
                        await wake.wait()

                log.append(batch(number, 1, TurnStarted()), partial(appended, 1))
                await until(1)
                for first in (2, 3):  # these could be stored, were it not for the first
                    log.append(batch(number, first, chunk("x")), partial(appended, first))
                await until(3)
                another = await log.create(a_session("another"))
                for seq in range(1, 100):  # meanwhile it is tried again and again
                    await store(log, batch(another, seq, chunk("y")))
                other.execute("ALTER TABLE elsewhere RENAME TO turns")
                await until(6)
            assert told == [(1, False), (2, False), (3, False), (1, True), (2, True), (3, True)]
            assert seqs(await log.events(number)) == [1, 2, 3]

    run(story())


def test_a_locked_database_is_waited_for_and_told(tmp_path: Path) -> None:
    """Fault 16: nothing is dropped; the person is told; it is stored once it can be."""

    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            journal = Journal(log, number, a_session())
            subscriber = await journal.subscribe(after=0, tail=None)
            pages = aiter(subscriber)
            with closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                journal.emit("t1", TurnStarted())
                assert not await journal.stored()
                said: list[str] = []
                while len(said) < 2:
                    said += [decode_event(one.json).type for one in await anext(pages)]
                assert said == ["turn_started", "notice"]
                assert seqs(await log.events(number)) == []
                assert seqs(await journal.events()) == [1, 2]
                other.execute("ROLLBACK")
            told = decode_event((await anext(pages))[0].json).body
            assert isinstance(told, Notice)
            assert told.level == "info"
            assert await journal.stored()
            assert seqs(await log.events(number)) == [1, 2, 3]
            await pages.aclose()  # type: ignore[attr-defined]

    run(story())


def test_nobody_sees_what_is_not_stored(tmp_path: Path) -> None:
    """Append, then publish: while the database cannot take an event, no reader has it."""

    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            journal = Journal(log, number, a_session())
            pages = aiter(await journal.subscribe(after=0, tail=None))
            with closing(sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                journal.emit("t1", chunk("text"))
                journal.flush()
                waiting = asyncio.ensure_future(anext(pages))
                done, _ = await asyncio.wait([waiting], timeout=0.3)
                assert not done
                other.execute("ROLLBACK")
            assert seqs(await waiting) == [1]
            await pages.aclose()  # type: ignore[attr-defined]

    run(story())


@pytest.mark.parametrize("damage", [b"not a database", b""])
def test_an_unreadable_file_is_left_as_it_is(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "log.sqlite"
    file.write_bytes(damage)

    async def story() -> None:
        log = EventLog(file)
        if damage:
            with pytest.raises(sqlite3.DatabaseError):
                await log.open()
            assert file.read_bytes() == damage
        else:  # an empty file is a new database
            await log.open()
        await log.close()

    run(story())


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 999")

    async def story() -> None:
        log = EventLog(file)
        with pytest.raises(migrations.NewerDatabase, match="Upgrade"):
            await log.open()
        await log.close()

    run(story())


def test_the_oldest_schema_walks_up_to_the_newest(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as old:
        migrations.MIGRATIONS[0](old)
        old.execute("PRAGMA user_version = 1")
        migrations.migrate(old)
        assert old.execute("PRAGMA user_version").fetchone()[0] == len(migrations.MIGRATIONS)
        tables = {name for (name,) in old.execute("SELECT name FROM sqlite_master")}
    assert {"sessions", "events", "turns", "prompts", "streams", "charges", "trust"} <= tables


def test_a_file_can_only_be_read_by_its_owner(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path):
            assert (tmp_path / "log.sqlite").stat().st_mode & 0o077 == 0

    run(story())


def test_deltas_are_joined_and_a_slow_reader_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 10: dropped, never waited for; it comes back by seq and misses nothing."""
    monkeypatch.setattr("agent_lab.sessions.subscribers.MAX_WAITING_BYTES", 20_000)

    async def story() -> None:
        async with opened(tmp_path) as log:
            number = await log.create(a_session())
            journal = Journal(log, number, a_session())
            slow = await journal.subscribe(after=0, tail=None)
            for burst in range(100):
                for _ in range(10):
                    journal.emit("t1", chunk(f"{burst} " * 20))
                await journal.stored()
            assert slow.dropped
            assert not journal.watched
            back = await journal.subscribe(after=slow.after, tail=None)
            text = ""
            async for events in back:
                bodies = [decode_event(one.json).body for one in events]
                assert all(isinstance(body, AgentMessageChunk) for body in bodies)
                text += "".join(b.text for b in bodies if isinstance(b, AgentMessageChunk))
                if back.after == journal.session.last_seq:
                    break
            assert text == "".join(f"{burst} " * 200 for burst in range(100))
            assert journal.session.last_seq == 100

    run(story())

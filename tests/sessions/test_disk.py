"""A file system that is really full. Fault 16: the turn goes on, the person is told, nothing is
lost."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_lab.protocol.commands import Prompt, Set
from agent_lab.protocol.events import Event, Notice, TextBlock, decode_event
from agent_lab.sessions.session import Session
from tests.sessions.living import (
    Reader,
    allow,
    ask,
    ask_a_b_c,
    managing,
    new_session,
    run,
    send,
    settings_for,
)

SIZE = 96  # MB; a prompt is refused when less than 64 are left


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system where the sessions are stored, and its only content."""
    place = tmp_path / "data"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=700", "tmpfs", str(place)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("only root can mount the small file system that this test fills")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take the last free byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


async def all_events(session: Session) -> list[Event]:
    """What a client is sent that comes now."""
    subscriber = await session.subscribe(after=0)
    subscriber.finish()
    found = [decode_event(one.json) async for page in subscriber for one in page]
    session.unsubscribe(subscriber)
    return found


async def until_told(reader: Reader, level: str) -> None:
    def is_it(event: Event) -> bool:
        body = event.body
        return isinstance(body, Notice) and body.code == "storage" and body.level == level

    await reader.until(is_it)


def test_a_full_disk_stops_nobody_and_loses_nothing(tmp_path: Path, disk: Path) -> None:
    settings = settings_for(tmp_path)

    async def story() -> None:
        async with managing(settings) as manager:
            session, reader = await new_session(manager)
            assert await ask(session, reader, "A") == "Answer to: A"
            turn = await send(session, "!permission")
            request = await reader.permission(turn)

            ballast = fill(disk)
            async with asyncio.timeout(15):  # each of these would wait for the disk otherwise
                await session.set(Set(title="a title that no disk took"))
                await until_told(reader, "error")
                queued = Prompt(id="while-full", content=(TextBlock("B"),))
                assert (await session.prompt(queued)).queued == "while-full"
                assert (await session.prompt(queued)).queued == "while-full"
            assert len(session.info.queue) == 1
            seen = await all_events(session)
            assert seen[-1].seq == session.info.last_seq
            # Chunks of a finished message may be gone, nothing else.
            missing = {e.seq for e in reader.events} - {e.seq for e in seen}
            assert all(e.type.endswith("_chunk") for e in reader.events if e.seq in missing)
            seqs = [e.seq for e in seen]
            page = await manager.events(session, seqs[-6], None, 3)
            assert [one.seq for one in page] == seqs[-5:-2]
            newest = await manager.events(session, 0, seqs[-1] + 1, 8)
            assert [one.seq for one in newest] == seqs[-8:]

            ballast.unlink()
            await until_told(reader, "info")
            await session.answer(allow(request))
            assert (await reader.ended(turn)).stop_reason == "end_turn"
            # The queue goes on in a moment: the same prompt is a turn then.
            async with asyncio.timeout(20):
                while (await session.prompt(queued)).queued is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await reader.status("idle")
            await ask_a_b_c(session, reader)
            last = session.info.last_seq
            shown = {e.seq: e for e in reader.events}
        async with managing(settings) as manager:
            stored = await all_events(await manager.get(session.id))
            assert len([e for e in stored if e.seq <= last]) > 20
            assert [e for e in stored if e.seq <= last] == [
                shown[e.seq] for e in stored if e.seq <= last
            ]
            missing = set(shown) - {e.seq for e in stored}
            assert all(shown[seq].type.endswith("_chunk") for seq in missing)
            assert (await manager.get(session.id)).info.title == "a title that no disk took"

    run(story())


def test_a_prompt_is_refused_in_time_and_the_server_stops(tmp_path: Path, disk: Path) -> None:
    """The agent's own output would be lost on a full disk, so the prompt ends with the next
    step."""

    async def story() -> None:
        async with asyncio.timeout(40), managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            assert await ask(session, reader, "A") == "Answer to: A"
            fill(disk)
            ended = await reader.ended(await send(session, "B"))
            assert ended.error is not None
            assert ended.error.reason == "disk_full"
            assert session.info.status == "idle"

    run(story())

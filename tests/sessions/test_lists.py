"""What lists and completion are made of: files of a folder, changes of sessions, claude's own
conversations."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from agent_lab.protocol.brief import Brief, Deleted
from agent_lab.protocol.commands import NewSession, Set
from agent_lab.sessions.changes import Watcher
from agent_lab.sessions.files import FileIndex
from tests.sessions.living import Reader, managing, new_session, run, send, settings_for
from tests.sessions.test_conversations import answered, ask, with_claude


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    for path in ("data/orders.csv", "report.py", "notes/re/port.md", "junk/x.log", "é ü.txt"):
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    return place


def found(folder: Path, q: str) -> list[str]:
    return [file.path for file in FileIndex().search(folder, q, 10)]


def test_files_are_found_by_name_then_by_letters(folder: Path) -> None:
    assert found(folder, "report") == ["report.py", "notes/re/port.md"]
    assert found(folder, "OCSV") == ["data/orders.csv"]
    assert found(folder, "dat") == ["data/", "data/orders.csv"]
    assert found(folder, "é") == ["é ü.txt"]
    assert found(folder, "nothing") == []
    assert {"report.py", "data/", "notes/"} <= set(found(folder, ""))


def test_a_file_made_a_moment_ago_is_found(folder: Path) -> None:
    index = FileIndex()
    assert index.search(folder, "fresh", 10) == []
    (folder / "fresh.txt").write_text("x")
    assert [file.path for file in index.search(folder, "fresh", 10)] == ["fresh.txt"]


def test_what_git_ignores_is_not_offered_and_nothing_of_the_repository_runs(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".gitignore").write_text("junk/\n")
    trap = folder / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {folder / 'sprung'}\n")
    trap.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(trap)], cwd=folder, check=True)
    assert found(folder, "x.log") == []
    assert found(folder, "orders") == ["data/orders.csv"]
    assert not (folder / "sprung").exists()
    subprocess.run(["git", "status"], cwd=folder, check=False, capture_output=True)
    assert (folder / "sprung").exists()  # the trap works


async def until(watcher: Watcher, status: str, id: str) -> list[str]:
    """The statuses told of a session, up to this one."""
    told: list[str] = []
    async with asyncio.timeout(20):
        async for changes in watcher:
            told += [c.status for c in changes if isinstance(c, Brief) and c.id == id]
            if status in told:
                return told
    raise AssertionError


def test_changes_of_all_sessions_are_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            watcher = manager.changes.watch()
            session, reader = await new_session(manager)
            turn = await send(session, "!permission")
            await reader.permission(turn)
            told = await until(watcher, "awaiting_permission", session.id)
            assert told[-1] == "awaiting_permission"
            await session.cancel()
            await reader.ended(turn)
            await until(watcher, "idle", session.id)
            turn = await send(session, "!tokens 200 rate 0")
            await reader.ended(turn)
            told = await until(watcher, "idle", session.id)
            assert len(told) < 10  # not one for each token
            await session.set(Set(title="renamed"))
            titles = [c.title for c in await anext(aiter(watcher)) if isinstance(c, Brief)]
            assert titles == ["renamed"]
            await manager.delete(session.id)
            async for changes in watcher:
                if Deleted(session.id) in changes:
                    break

    run(story())


def test_conversations_of_the_cli_are_listed_and_taken_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "echo: made elsewhere")
            conversation = session.info.agent_session_id or session.id
            assert (await manager.cli_conversations("")).found == ()  # held by a session
            await manager.delete(session.id)
            (one,) = (await manager.cli_conversations("")).found
            assert (one.agent_session_id, one.title) == (conversation, "echo: made elsewhere")
            assert one.path == ""
            taken, is_new = await manager.create(NewSession(path="", resume=conversation))
            assert is_new
            again = await Reader(taken).start()
            await ask(taken, again, "echo: here")
            assert answered(again) == ["here"]

    run(story())

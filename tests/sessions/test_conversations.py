"""What a person does with whole conversations, with the real claude: fork, rules, undo, search."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent_lab.demo.model import ScriptedModel
from agent_lab.demo.sample import claude_environment
from agent_lab.demo.script import load_script
from agent_lab.protocol.commands import AnswerPermission, NewSession, Prompt, Set
from agent_lab.protocol.errors import Conflict, Invalid, NotFound, TooLarge
from agent_lab.protocol.events import (
    ImageBlock,
    SessionUpdated,
    TextBlock,
    ToolCallUpdate,
)
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.session import Session
from agent_lab.store import catalogue
from tests.demo.real_claude import PROGRAM
from tests.sessions.living import Reader, managing, new_session, run, send, settings_for

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@asynccontextmanager
async def with_claude(folder: Path, **changes: Any) -> AsyncIterator[Manager]:
    """A Manager whose agent is the real program, talking to the scripted model."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    async with ScriptedModel(replace(load_script("tests"), rate=0)) as model:
        settings = settings_for(
            folder,
            claude_command=(str(PROGRAM),),
            agent_environment={**claude_environment(model.url, home), "IS_SANDBOX": "1"},
            **changes,
        )
        async with managing(settings) as manager:
            yield manager


async def ask(session: Session, reader: Reader, text: str) -> str:
    turn = await send(session, text)
    ended = await reader.ended(turn)
    assert ended.stop_reason == "end_turn", ended.error
    return turn


def answered(reader: Reader) -> list[str]:
    """The words of every answer, in order."""
    turns = dict.fromkeys(event.turn_id for event in reader.events if event.turn_id)
    return [text for turn in turns if (text := reader.answer(turn))]


async def conversation_of(session: Session) -> list[str]:
    """What claude itself holds of it, prompts and answers."""
    file = await session.conversation()
    assert file is not None
    found = []
    for line in file.read_text().splitlines():
        entry = json.loads(line)
        if entry["type"] in ("user", "assistant"):
            content = entry["message"]["content"]
            found.append(content if isinstance(content, str) else content[0]["text"])
    return found


def test_a_fork_goes_on_from_a_message_and_the_first_stays(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            turns = [await ask(session, reader, f"echo: {word}") for word in ("one", "two", "six")]
            second = next(e for e in reader.events if e.turn_id == turns[1]).seq
            fork = await manager.fork(session.id, second)
            cut = next(e for e in reader.events if e.turn_id == turns[2]).seq
            assert fork.info.forked_from is not None
            assert fork.info.forked_from.session_id == session.id
            assert second < fork.info.forked_from.seq < cut
            assert fork.info.title == "echo: one (fork)"
            assert fork.info.usage.turns == 0  # what was paid was paid in the first
            beside = await Reader(fork).start()
            await ask(fork, beside, "echo: three")
            assert answered(beside) == ["one", "two", "three"]
            assert await conversation_of(fork) == [
                "echo: one", "one", "echo: two", "two", "echo: three", "three",
            ]  # fmt: skip
            await fork.sleep()  # and it comes back as itself
            await ask(fork, beside, "echo: four")
            assert (await conversation_of(fork))[-4:] == [
                "echo: three", "three", "echo: four", "four",
            ]  # fmt: skip
            await ask(session, reader, "echo: seven")
            assert answered(reader) == ["one", "two", "six", "seven"]
            assert [e.seq for e in beside.events] == sorted({e.seq for e in beside.events})
            again = await manager.fork(fork.id)  # a fork of a fork, whole
            third = await Reader(again).start()
            await ask(again, third, "echo: five")
            assert answered(third) == ["one", "two", "three", "four", "five"]
            assert (await conversation_of(again))[:4] == ["echo: one", "one", "echo: two", "two"]
            empty = await manager.fork(session.id, 0)
            fourth = await Reader(empty).start()
            await ask(empty, fourth, "echo: new")
            assert answered(fourth) == ["new"]
            assert await conversation_of(empty) == ["echo: new", "new"]

    run(story())


def test_what_is_always_allowed_stays_allowed_and_can_be_revoked(tmp_path: Path) -> None:
    """The rule that claude writes into the folder's settings is a person's own, no reason to
    distrust the folder."""

    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "bash: touch first")
            request = await reader.permission(turn)
            always = next(
                o for o in request.options if o.kind == "allow_always" and "folder" in o.scope
            )
            await session.answer(
                AnswerPermission(request_id=request.request_id, option_id=always.option_id)
            )
            assert (await reader.ended(turn)).stop_reason == "end_turn"
            settings = tmp_path / "root" / ".claude" / "settings.local.json"
            written = json.loads(settings.read_text())["permissions"]["allow"]
            await session.end()

            other, also = await new_session(manager)  # no question about the folder
            assert other.info.workspace.trusted
            await ask(other, also, "bash: touch first")  # no question about the command
            found = {rule.rule: rule for rule in await other.rules()}
            assert [found[rule].scope for rule in written] == ["folder"] * len(written)
            assert all(found[rule].file == str(settings) for rule in written)
            settings.write_text(
                json.dumps({"env": {"KEPT": "1"}, **json.loads(settings.read_text())})
            )
            for rule in written:
                await other.revoke(found[rule].id)
            left = json.loads(settings.read_text())
            assert left == {"env": {"KEPT": "1"}, "permissions": {"allow": []}}
            with pytest.raises(NotFound, match="in force"):
                await other.revoke(found[written[0]].id)
            turn = await send(other, "bash: touch first")
            await also.permission(turn)
            await other.cancel()
            await also.ended(turn)
            with pytest.raises(Conflict, match="settings"):  # `env` was not ours
                await manager.create(NewSession(path=""))

    run(story())


def test_rules_of_a_stranger_are_asked_about(tmp_path: Path) -> None:
    """Fault 28: claude obeys what it finds in settings.local.json, so a person is asked first."""

    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            folder = tmp_path / "root" / ".claude"
            folder.mkdir()
            rules = {"permissions": {"allow": ["Bash(touch *)"]}}
            (folder / "settings.local.json").write_text(json.dumps(rules))
            with pytest.raises(Conflict) as refused:
                await manager.create(NewSession(path=""))
            assert refused.value.reason == "workspace_untrusted"
            session, _ = await manager.create(NewSession(path="", trust=False))
            reader = await Reader(session).start()
            turn = await send(session, "bash: touch it")
            await reader.permission(turn)
            await session.cancel()
            await reader.ended(turn)

    run(story())


def test_bypass_is_never_remembered(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path, allow_bypass_permissions=True) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "echo: hi")
            await session.set(Set(permission_mode="bypassPermissions"))
            await ask(session, reader, "bash: touch unasked")
            assert (tmp_path / "root" / "unasked").exists()
            await session.sleep()
            turn = await send(session, "bash: touch asked")
            await reader.permission(turn)
            assert session.info.permission_mode == "default"
            await session.cancel()
            await reader.ended(turn)

    run(story())


def test_the_context_is_accounted_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            (tmp_path / "root" / "CLAUDE.md").write_text("Be brief.\n" * 20)
            session, reader = await new_session(manager)
            await ask(session, reader, "echo: hi")
            report = await session.context()
            assert 0 < report.used < report.size
            parts = {part.name: part for part in report.categories}
            assert parts["System prompt"].kind == "used"
            assert parts["System prompt"].tokens > 0
            assert parts["Free space"].kind == "free"
            assert any(one.group == "Memory files" for one in report.detail)

    run(story())


def test_a_deletion_can_be_undone(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "echo: kept")
            await manager.delete(session.id)
            assert not (await manager.listed()).sessions
            with pytest.raises(NotFound):
                await manager.get(session.id)
            back = await manager.restore(session.id)
            assert back.info.status == "stopped"
            again = await Reader(back).start()
            await ask(back, again, "echo: on")
            assert answered(again) == ["kept", "on"]
            with pytest.raises(NotFound):
                await manager.restore(session.id)

    run(story())


def test_a_session_deleted_for_good_is_known_as_that(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, _ = await new_session(manager)
            asked = [session.id, "never-heard-of"]
            await manager.delete(session.id)
            assert await manager.forgotten(asked) == []
            await manager.log.read(partial(catalogue.purge, days=0))
            assert await manager.forgotten(asked) == [session.id]
            assert await manager.forgotten([]) == []

    run(story())


def test_a_search_shows_where_it_was_found(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "echo: the groupby of regions fails")
            other, beside = await new_session(manager)
            await ask(other, beside, "echo: nothing of the kind")
            found = await manager.listed(q="regio fail")
            assert found.sessions == ()
            found = await manager.listed(q="groupby regi")
            assert [info.id for info in found.sessions] == [session.id]
            hits = found.hits[session.id]
            assert {hit.text for hit in hits} >= {"the \x02groupby\x03 of \x02regions\x03 fails"}
            seqs = {event.seq for event in reader.events}
            assert all(hit.seq in seqs for hit in hits)
            assert (await manager.listed()).hits == {}

    run(story())


def test_what_ends_while_nobody_looks_is_marked(tmp_path: Path) -> None:
    async def story() -> None:
        async with with_claude(tmp_path) as manager:
            session, reader = await new_session(manager)
            await session.look("tab", True)
            await ask(session, reader, "echo: seen")
            assert not session.info.unseen
            await session.look("tab", False)
            await ask(session, reader, "echo: unseen")
            await session.look("phone", True)
            marks = [
                e.body.unseen
                for e in reader.events
                if isinstance(e.body, SessionUpdated) and isinstance(e.body.unseen, bool)
            ]
            assert marks == [True, False]

    run(story())


@pytest.mark.parametrize(
    ("mime_type", "data", "error"),
    [
        ("image/svg+xml", PNG, Invalid),
        ("image/jpeg", PNG, Invalid),
        ("image/webp", PNG, Invalid),
        ("image/png", "not base64!", Invalid),
        ("image/png", PNG + "A" * (7 << 20), TooLarge),
    ],
)
def test_an_image_is_what_it_says(
    tmp_path: Path, mime_type: str, data: str, error: type[Exception]
) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            bad = (TextBlock("look"), ImageBlock(mime_type, data))
            with pytest.raises(error):
                await session.prompt(Prompt(id="bad", content=bad))
            good = (TextBlock("look"), ImageBlock("image/png", PNG))
            accepted = await session.prompt(Prompt(id="good", content=good))
            assert accepted.turn_id is not None
            assert (await reader.ended(accepted.turn_id)).stop_reason == "end_turn"
            assert not [e for e in reader.events if isinstance(e.body, ToolCallUpdate)]
            await asyncio.sleep(0)

    run(story())

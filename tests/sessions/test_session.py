"""A session with a real agent process: turns, queue, permissions, cancel, crash. Invariants 1 to
5."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from agent_lab.agents.adapters.base import Fact
from agent_lab.protocol.commands import AnswerPermission, NewSession, Set
from agent_lab.protocol.errors import AgentLabError, Conflict, Invalid, NotFound
from agent_lab.protocol.events import (
    AgentExited,
    AgentMessage,
    AgentMessageChunk,
    AgentOutputInvalid,
    Event,
    Notice,
    PermissionResolved,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    TurnEnded,
    Unknown,
    decode_event,
    encode,
)
from agent_lab.protocol.events import Session as SessionObject
from agent_lab.protocol.transcript import Item, fold, text_of
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.session import Session
from tests.sessions.living import (
    Reader,
    allow,
    ask,
    ask_a_b_c,
    carrying,
    managing,
    new_session,
    prompt,
    run,
    send,
    settings_for,
)


def test_a_turn_is_logged_in_order_and_ends_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "hello")
            assert (await reader.ended(turn)).stop_reason == "end_turn"
            kinds = [event.type for event in reader.events if event.turn_id == turn]
            assert kinds[:2] == ["user_message", "turn_started"]
            assert kinds[-1] == "turn_ended"
            assert reader.answer(turn) == "Answer to: hello"
            assert session.info.title == "hello"
            assert session.info.usage.turns == 1
            seqs = [event.seq for event in reader.events]
            assert seqs == sorted(set(seqs))

    run(story())


def test_a_client_that_joins_at_any_point_sees_the_fold_of_the_log(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!tokens 60 rate 400")
            await reader.until(lambda e: isinstance(e.body, AgentMessageChunk))
            late = await Reader(session).start()
            await reader.ended(turn)
            await ask(session, reader, "!bash 'echo hi'")
            await session.end()
            last = session.info.last_seq
            await asyncio.gather(*(r.until(lambda e: e.seq == last) for r in (reader, late)))
            stored = await manager.log.load(session.id)
            assert stored is not None
            assert encode(stored.session) == encode(session.info)
            log = await manager.events(session, 0, None, 10_000)
            views = [
                fold(as_created(session), events)
                for events in ([decode_event(one.json) for one in log], reader.events, late.events)
            ]
            shown = [[without_place(item) for item in view.items] for view in views]
            assert shown[0] == shown[1] == shown[2]
            assert encode(views[0].session) == encode(views[1].session)
            assert encode(views[1].session) == encode(session.info)

    run(story())


def as_created(session: Session) -> SessionObject:
    info = session.info
    return SessionObject(
        id=info.id,
        title="New session",
        agent="claude",
        agent_session_id=None,
        workspace=info.workspace,
        created_at=info.created_at,
        updated_at=info.created_at,
    )


def without_place(item: Item) -> bytes:
    """A finished message stands where its first chunk stood, which compaction may have removed."""
    return encode(msgspec.structs.replace(item, seq=0, time=""))


def test_prompts_queue_while_a_turn_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            first = await send(session, "!tokens 40 rate 100")
            second = await session.prompt(prompt("second", "q2"))
            third = await session.prompt(prompt("third", "q3"))
            await session.prompt(prompt("never", "q4"))
            assert (second.queued, third.queued) == ("q2", "q3")
            await session.queue_edit("q2", (TextBlock("second, edited"),))
            await session.queue_remove("q4")
            assert [item.id for item in session.info.queue] == ["q2", "q3"]
            await reader.ended(first)
            await reader.until(lambda e: "Answer to: third" in reader.answer(e.turn_id or ""))
            answers = [
                text_of(e.body.content) for e in reader.events if isinstance(e.body, AgentMessage)
            ]
            assert answers[1:] == ["Answer to: second, edited", "Answer to: third"]
            assert session.info.queue == ()
            with pytest.raises(Conflict):
                await session.queue_remove("q2")

    run(story())


def test_an_end_that_is_said_twice_is_one_end(tmp_path: Path) -> None:
    """Invariant 2, whatever the agent says."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!hang")
            await reader.status("running")
            for _ in range(2):
                session.heard(Fact(turn, TurnEnded(stop_reason="end_turn")))
            session.heard(Fact("no-such-turn", TurnEnded(stop_reason="end_turn")))
            session.has_read()
            await session.end()
            assert reader.ends() == {turn: 1}
            assert session.info.usage.turns == 1

    run(story())


def test_send_now_cancels_the_turn_and_goes_first(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            first = await send(session, "!hang")
            await session.prompt(prompt("later", "later"))
            await session.prompt(prompt("urgent", "urgent"))
            await session.queue_send_now("urgent")
            assert (await reader.ended(first)).stop_reason == "cancelled"
            await reader.until(lambda e: "Answer to: later" in reader.answer(e.turn_id or ""))
            answers = [
                text_of(e.body.content) for e in reader.events if isinstance(e.body, AgentMessage)
            ]
            assert answers == ["Answer to: urgent", "Answer to: later"]

    run(story())


def test_the_same_prompt_twice_is_one_turn(tmp_path: Path) -> None:
    """Fault 18."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            both = await asyncio.gather(
                session.prompt(prompt("once", "same")), session.prompt(prompt("once", "same"))
            )
            assert both[0] == both[1]
            assert both[0].turn_id is not None
            await reader.ended(both[0].turn_id)
            again = await session.prompt(prompt("once", "same"))
            assert again == both[0]
            await ask_a_b_c(session, reader)
            assert list(reader.ends().values()) == [1, 1, 1, 1]

    run(story())


@pytest.mark.parametrize(
    ("option", "status"), [("allow_once", "completed"), ("reject_once", "cancelled")]
)
def test_a_permission_is_answered_once(tmp_path: Path, option: str, status: str) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!permission")
            request = await reader.permission(turn)
            await reader.status("awaiting_permission")
            answer = AnswerPermission(request_id=request.request_id, option_id=option)
            with pytest.raises(Invalid):
                await session.answer(
                    AnswerPermission(request_id=request.request_id, option_id="no such")
                )
            results = await asyncio.gather(
                session.answer(answer), session.answer(answer), return_exceptions=True
            )
            assert [r for r in results if r is None] == [None]
            late = next(r for r in results if r is not None)
            assert isinstance(late, Conflict)
            assert late.reason == "already_resolved"
            assert (await reader.ended(turn)).stop_reason == "end_turn"
            settled = [
                e.body.status
                for e in reader.events
                if isinstance(e.body, ToolCallUpdate)
                and e.body.tool_call_id == request.tool_call_id
            ]
            assert settled[-1] == status
            resolved = [e.body for e in reader.events if isinstance(e.body, PermissionResolved)]
            assert [r.option_id for r in resolved] == [option]
            assert session.info.pending_permissions == ()

    run(story())


def test_cancel_settles_a_pending_permission(tmp_path: Path) -> None:
    """Fault 13."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!permission")
            request = await reader.permission(turn)
            await session.cancel()
            assert (await reader.ended(turn)).stop_reason == "cancelled"
            resolved = [e.body for e in reader.events if isinstance(e.body, PermissionResolved)]
            assert [r.outcome for r in resolved] == ["cancelled"]
            with pytest.raises(Conflict):
                await session.answer(allow(request))
            await ask_a_b_c(session, reader)

    run(story())


def test_cancel_keeps_the_partial_answer(tmp_path: Path) -> None:
    """Fault 19: cancelled idle, twice, and racing the end."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await session.cancel()
            turn = await send(session, "!tokens 1000 rate 100")
            await reader.until(lambda e: isinstance(e.body, AgentMessageChunk))
            await asyncio.gather(session.cancel(), session.cancel())
            assert (await reader.ended(turn)).stop_reason == "cancelled"
            assert reader.answer(turn)
            partial = next(e.body for e in reader.events if isinstance(e.body, AgentMessage))
            assert partial.partial is True
            await ask_a_b_c(session, reader)
            for tokens in (1, 2, 3, 5, 8):
                racing = await send(session, f"!tokens {tokens} rate 1000")
                await reader.until(said_in(racing))
                await session.cancel()
                await reader.ended(racing)
            assert set(reader.ends().values()) == {1}
            await ask_a_b_c(session, reader)

    run(story())


def said_in(turn: str) -> Callable[[Event], bool]:
    return lambda e: e.turn_id == turn and isinstance(e.body, AgentMessageChunk | AgentMessage)


def test_an_agent_that_ignores_cancel_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_lab.sessions.session.CANCEL_SECONDS", 0.5)

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!ignore-interrupt hang")
            await reader.status("running")
            await session.cancel()
            assert (await reader.ended(turn)).stop_reason == "cancelled"
            await ask_a_b_c(session, reader)
            assert reader.ends()[turn] == 1

    run(story())


def test_silence_of_a_running_turn_is_told_and_waiting_for_a_person_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: an agent that never ends its turn."""
    monkeypatch.setattr("agent_lab.sessions.session.SILENCE_SECONDS", 0.5)

    def told(event: Event) -> bool:
        return isinstance(event.body, Notice) and event.body.code == "silent"

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            waiting = await send(session, "!permission")
            request = await reader.permission(waiting)
            other, also = await new_session(manager)
            hanging = await send(other, "!hang")
            assert (await also.until(told)).turn_id == hanging  # as long as the first one waited
            assert not any(told(event) for event in reader.events)
            await other.cancel()
            assert (await also.ended(hanging)).stop_reason == "cancelled"
            await session.answer(allow(request))
            assert (await reader.ended(waiting)).stop_reason == "end_turn"
            await ask_a_b_c(other, also)

    run(story())


def test_a_killed_agent_leaves_the_partial_answer_and_comes_back(tmp_path: Path) -> None:
    """Fault 1, and the crash with a permission pending of fault 12."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "before")
            turn = await send(session, "!crash-after 5 tokens 50 rate 200")
            ended = await reader.ended(turn)
            assert ended.stop_reason == "error"
            assert ended.error is not None
            assert ended.error.reason == "agent_exited"
            assert reader.answer(turn)
            await reader.status("failed")
            assert session.info.status_reason
            exits = [e.body for e in reader.events if isinstance(e.body, AgentExited)]
            assert [(x.signal, x.expected) for x in exits] == [(9, False)]
            await ask_a_b_c(session, reader)
            assert "before" in await ask(session, reader, "recall")

            turn = await send(session, "!permission")
            request = await reader.permission(turn)
            for process in carrying("AGENT_LAB_SESSION", session.id):
                os.kill(process.pid, signal.SIGKILL)
            assert (await reader.ended(turn)).stop_reason == "error"
            resolved = [
                e.body
                for e in reader.events
                if isinstance(e.body, PermissionResolved)
                and e.body.request_id == request.request_id
            ]
            assert [r.outcome for r in resolved] == ["cancelled"]
            await ask_a_b_c(session, reader)
            assert set(reader.ends().values()) == {1}

    run(story())


@pytest.mark.parametrize(
    ("faults", "reason"),
    [("half-line", "torn"), ("huge-line 40", "oversize")],
)
def test_output_that_cannot_be_read_is_shown(tmp_path: Path, faults: str, reason: str) -> None:
    """Faults 4 and 6."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, f"!{faults}")
            await reader.ended(turn)
            bad = [e.body for e in reader.events if isinstance(e.body, AgentOutputInvalid)]
            assert [one.reason for one in bad] == [reason]
            assert all(len(one.excerpt) <= 2000 for one in bad)
            await ask_a_b_c(session, reader)

    run(story())


@pytest.mark.parametrize("faults", ["crlf", "split-bytes 1", "merge", "flood-stderr 4"])
def test_the_same_events_however_the_bytes_come(tmp_path: Path, faults: str) -> None:
    """Faults 5, 7 and 8."""

    async def story() -> None:
        async with managing(settings_for(tmp_path, f"--{faults}")) as manager:
            session, reader = await new_session(manager)
            await ask_a_b_c(session, reader)
            assert not [e for e in reader.events if isinstance(e.body, AgentOutputInvalid)]

    run(story())


def test_noise_and_unknown_types_are_kept(tmp_path: Path) -> None:
    """Fault 5."""

    async def story() -> None:
        async with managing(settings_for(tmp_path, "--noise")) as manager:
            session, reader = await new_session(manager)
            await ask_a_b_c(session, reader)
            assert [e for e in reader.events if isinstance(e.body, AgentOutputInvalid)]
            assert [e for e in reader.events if isinstance(e.body, Unknown)]

    run(story())


def test_odd_characters_are_kept_or_shown(tmp_path: Path) -> None:
    """Fault 21: emoji, right-to-left, zero-width, NUL, lone surrogates."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!surrogates")
            assert (await reader.ended(turn)).stop_reason == "end_turn"
            said = reader.answer(turn)
            for kept in ("\u202e", "\u200b", "\x00", "\U0001f9ea", "e\u0301"):
                assert kept in said
            assert "lone \ufffd high" in said
            await ask_a_b_c(session, reader)

    run(story())


def test_one_process_whatever_asks_for_it(tmp_path: Path) -> None:
    """Invariant 1."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await asyncio.gather(
                session.open(),
                session.open(),
                session.prompt(prompt("one")),
                session.prompt(prompt("two")),
                session.resume(),
            )
            await reader.until(lambda e: "Answer to: two" in reader.answer(e.turn_id or ""))
            assert len(carrying("AGENT_LAB_SESSION", session.id)) == 1
            other = Manager(manager.settings)
            await other.log.open()
            twin = await other.get(session.id)
            with pytest.raises(Conflict, match="Another Jupyter server"):
                await twin.prompt(prompt("from elsewhere"))
            assert len(carrying("AGENT_LAB_SESSION", session.id)) == 1
            await other.stop()

    run(story())


@pytest.mark.parametrize("how", ["end", "delete", "stop"])
def test_nothing_is_left_running(tmp_path: Path, how: str) -> None:
    """Invariant 1, faults 3 and 33: also children in process groups of their own."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "!daemonise")
            turn = await send(session, "!bash-child")
            await reader.until(lambda e: isinstance(e.body, ToolCall) and e.turn_id == turn)
            async with asyncio.timeout(10):
                while len(carrying("AGENT_LAB_SESSION", session.id)) < 3:
                    await asyncio.to_thread(psutil_pause)
            async with asyncio.timeout(10):
                if how == "end":
                    await session.end()
                elif how == "delete":
                    await manager.delete(session.id)
                else:
                    await manager.stop()
            assert carrying("AGENT_LAB_SESSION", session.id) == []
            if how != "stop":
                await reader.until(lambda e: isinstance(e.body, TurnEnded) and e.turn_id == turn)
            if how == "delete":
                with pytest.raises(NotFound):
                    await manager.get(session.id)

    run(story())


def test_an_orderly_stop_with_five_busy_agents_leaves_nothing(tmp_path: Path) -> None:
    """Fault 3."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            busy = [await new_session(manager) for _ in range(5)]
            for session, reader in busy:
                await send(session, "!bash-child")
                await reader.until(lambda e: isinstance(e.body, ToolCall))
            async with asyncio.timeout(10):
                await manager.stop()
            for session, _ in busy:
                assert carrying("AGENT_LAB_SESSION", session.id) == []
        async with managing(settings_for(tmp_path)) as manager:
            for session, _ in busy:
                again = await manager.get(session.id)
                assert again.info.status == "stopped"
                reader = await Reader(again).start()
                await reader.until(lambda e: isinstance(e.body, TurnEnded))
                assert set(reader.ends().values()) == {1}

    run(story())


def test_a_huge_line_costs_bounded_memory_and_slows_nobody(tmp_path: Path) -> None:
    """Fault 6: 100 MB in one line, where 4 MB are allowed."""

    async def story() -> None:
        settings = settings_for(tmp_path, max_line_bytes=4 << 20)
        async with managing(settings) as manager:
            session, reader = await new_session(manager)
            other, quiet = await new_session(manager)
            await asyncio.gather(ask(session, reader, "warm"), ask(other, quiet, "warm"))
            process = psutil.Process()
            before = most = process.memory_info().rss
            turn = await send(session, "!huge-line 100")
            while not reader.ends().get(turn):
                assert await ask(other, quiet, "still there?") == "Answer to: still there?"
                most = max(most, process.memory_info().rss)
            bad = [e.body for e in reader.events if isinstance(e.body, AgentOutputInvalid)]
            assert [(one.reason, one.length > 100_000_000) for one in bad] == [("oversize", True)]
            assert most - before < 40 << 20
            await ask_a_b_c(session, reader)

    run(story())


def psutil_pause() -> None:
    """Let a process come up; there is no event to wait for."""
    import threading

    threading.Event().wait(0.02)


def test_an_ended_session_is_read_only_until_resumed(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "remember")
            await session.end()
            assert session.info.status == "ended"
            with pytest.raises(Conflict) as refused:
                await session.prompt(prompt("no"))
            assert refused.value.reason == "session_ended"
            await session.resume()
            reader = await Reader(session).start()
            assert "remember" in await ask(session, reader, "recall")

    run(story())


def test_resume_of_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    """Fault 14."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            for id in ("00000000-0000-4000-8000-000000000000", "--help", "nonsense", "../../x"):
                with pytest.raises(Conflict) as refused:
                    async with asyncio.timeout(5):
                        await manager.create(NewSession(path="", resume=id))
                assert refused.value.reason == "resume_not_found"
            assert (await manager.listed()).sessions == ()

    run(story())


def test_a_conversation_that_a_session_holds_is_resumed_there(tmp_path: Path) -> None:
    """Fault 14, an id in use: never two sessions, so never two processes, on one conversation."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await ask(session, reader, "A")
            conversation = session.info.agent_session_id or session.id
            asking = (manager.create(NewSession(path="", resume=conversation)) for _ in range(2))
            for again, is_new in await asyncio.gather(*asking):
                assert (again.id, is_new) == (session.id, False)
            await session.end()
            again, _ = await manager.create(NewSession(path="", resume=conversation))
            assert again.info.status in ("starting", "idle")
            await ask_a_b_c(again, await Reader(again).start())
            assert len((await manager.listed()).sessions) == 1

    run(story())


def test_an_agent_that_is_missing_is_named_with_the_next_step(tmp_path: Path) -> None:
    """Fault 32."""

    async def story() -> None:
        settings = settings_for(tmp_path, claude_command=("no-such-claude",))
        async with managing(settings) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "hello")
            ended = await reader.ended(turn)
            assert ended.error is not None
            assert ended.error.reason == "agent_not_installed"
            assert "pip install" in ended.error.message
            await reader.status("failed")

    run(story())


@pytest.mark.parametrize(
    ("faults", "reason"),
    [("--exit-at-start 3", "agent_start_failed"), ("--hang-start", "agent_start_failed")],
)
def test_an_agent_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: str, reason: str
) -> None:
    monkeypatch.setattr("agent_lab.sessions.session.READY_SECONDS", 1.0)

    async def story() -> None:
        async with managing(settings_for(tmp_path, faults)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "hello")
            ended = await reader.ended(turn)
            assert ended.error is not None
            assert ended.error.reason == reason
            assert carrying("AGENT_LAB_SESSION", session.id) == []

    run(story())


@pytest.mark.parametrize(
    ("code", "reason"), [(401, "agent_not_signed_in"), (429, "rate_limited"), (529, "overloaded")]
)
def test_failures_of_the_api_end_the_turn_with_a_next_step(
    tmp_path: Path, code: int, reason: str
) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, f"!bad-api {code}")
            ended = await reader.ended(turn)
            assert ended.error is not None
            assert ended.error.reason == reason
            retries = [
                e.body
                for e in reader.events
                if isinstance(e.body, Notice) and e.body.code == "api_retry"
            ]
            assert retries
            await ask_a_b_c(session, reader)

    run(story())


def test_a_turn_nobody_asked_for_is_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!unasked")
            await reader.ended(turn)
            unasked = await reader.until(lambda e: e.type == "turn_started" and e.turn_id != turn)
            assert unasked.turn_id is not None
            assert (await reader.ended(unasked.turn_id)).stop_reason == "end_turn"
            await ask_a_b_c(session, reader)

    run(story())


def test_values_that_look_like_flags_are_refused(tmp_path: Path) -> None:
    """Fault 25."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            for bad in ("--dangerously-skip-permissions", "-p", "a\nb", "", "x" * 300):
                with pytest.raises(AgentLabError):
                    await session.set(Set(model=bad))
                with pytest.raises(AgentLabError):
                    await session.set(Set(permission_mode=bad))
            with pytest.raises(Invalid):
                await session.set(Set(permission_mode="bypassPermissions"))
            await ask_a_b_c(session, reader)
            await session.set(Set(title='--x\n"quoted"', model="opus", permission_mode="plan"))
            assert session.info.title == '--x "quoted"'
            assert (session.info.model, session.info.permission_mode) == ("opus", "plan")

    run(story())


def test_usage_is_exact_and_never_falls(tmp_path: Path) -> None:
    """Invariant 5: also when the agent crashed and its own running total restarted."""

    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            await ask_a_b_c(session, reader)
            turn = await send(session, "!crash-after 0")
            await reader.ended(turn)
            await ask_a_b_c(session, reader)
            totals = [e.body for e in reader.events if e.type == "usage"]
            costs = [t.cost_usd or 0 for t in totals]  # type: ignore[union-attr]
            assert costs == sorted(costs)
            ledger = await manager.charges("session", session.id)
            by_turn = await manager.charges("turn", session.id)
            ended = [e.body for e in reader.events if isinstance(e.body, TurnEnded)]
            assert session.info.usage.input_tokens == sum(t.usage.input_tokens for t in ended)
            # Six turns of one call each; what the crashed turn took was never said.
            assert session.info.usage.input_tokens == 6 * 25
            assert session.info.usage.output_tokens == 6 * 12
            assert ledger[0].input_tokens == session.info.usage.input_tokens
            assert ledger[0].cost_usd == pytest.approx(session.info.usage.cost_usd)
            assert len(by_turn) == 6

    run(story())


def test_chunks_are_compacted_into_finished_messages(tmp_path: Path) -> None:
    async def story() -> None:
        async with managing(settings_for(tmp_path)) as manager:
            session, reader = await new_session(manager)
            turn = await send(session, "!tokens 50 rate 100")
            await reader.ended(turn)
            assert len([e for e in reader.events if isinstance(e.body, AgentMessageChunk)]) > 5
        with sqlite3.connect(tmp_path / "data" / "sessions.sqlite") as db:
            left = db.execute("SELECT count(*) FROM events WHERE type LIKE '%chunk'").fetchone()
            found = db.execute("SELECT count(*) FROM search WHERE search MATCH 'tokens'").fetchone()
        db.close()
        assert left == (0,)
        assert found[0] >= 1

    run(story())

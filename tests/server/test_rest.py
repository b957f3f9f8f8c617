"""The REST routes against a real server with the fake agent."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent_lab.server import rest, routes
from tests.server.lab import DEADLINE, Server, answer_of, ends, text


async def test_a_session_is_made_found_changed_ended_resumed_and_deleted(server: Server) -> None:
    session = await server.create(title="First")
    assert session["status"] == "stopped"
    assert session["workspace"]["path"] == ""
    path = f"sessions/{session['id']}"

    listed = (await server.call("GET", "sessions")).json
    assert [s["id"] for s in listed["sessions"]] == [session["id"]]
    assert listed["cursor"] is None

    changed = await server.call("PATCH", path, {"title": "Second", "effort": "high"})
    assert (changed.status, changed.json["title"], changed.json["effort"]) == (
        200,
        "Second",
        "high",
    )

    assert answer_of(await server.ask(session["id"], "hello")) == "Answer to: hello"
    full = await server.session(session["id"])
    assert full["usage"]["turns"] == 1
    assert full["cost"]["by_turn"][0]["cost_usd"] == full["usage"]["cost_usd"] > 0
    assert full["cost"]["by_model"][0]["key"] == "claude-opus-5-5"

    ended = await server.call("POST", f"{path}/end")
    assert (ended.status, ended.json["status"]) == (200, "ended")
    refused = await server.call("POST", f"{path}/prompt", {"content": text("more")})
    assert (refused.status, refused.json["reason"]) == (409, "session_ended")

    resumed = await server.call("POST", f"{path}/resume")
    assert (resumed.status, resumed.json["status"]) == (200, "idle")
    assert json.loads(answer_of(await server.ask(session["id"], "!recall"))) == ["hello"]

    assert (await server.call("DELETE", path)).status == 204
    assert (await server.call("GET", path)).status == 404
    assert (await server.call("GET", "sessions")).json["sessions"] == []


@pytest.fixture
def jp_base_url(request: pytest.FixtureRequest) -> str:
    base: str = getattr(request, "param", "/")
    return base


@pytest.mark.parametrize("jp_base_url", ["/user/ada/", "/a%40b/"], indirect=True)
async def test_under_any_base_url(server: Server, jp_base_url: str) -> None:
    assert server.url.endswith(jp_base_url)
    session = await server.create()
    assert answer_of(await server.ask(session["id"], "here?")) == "Answer to: here?"
    chat = await server.chat(session["id"], tail=1)
    assert (await chat.next())["type"] == "hello"
    chat.close()


async def test_one_live_session_for_each_notebook_kernel(server: Server) -> None:
    new = {"notebook": "eda.ipynb", "kernel_id": "k1"}
    first = await server.call("POST", "sessions", new)
    second = await server.call("POST", "sessions", new)
    assert (first.status, second.status) == (201, 200)
    assert first.json["id"] == second.json["id"]
    moved = await server.call("POST", "sessions", {**new, "notebook": "renamed.ipynb"})
    assert moved.status == 200
    assert moved.json["notebook"] == {"path": "renamed.ipynb", "kernel_id": "k1"}


async def test_the_agents_known_here(server: Server) -> None:
    (agent,) = (await server.call("GET", "agents")).json["agents"]
    assert (agent["id"], agent["installed"], agent["version"]) == ("claude", True, "2.1.327")


async def test_health(server: Server) -> None:
    health = (await server.call("GET", "health")).json
    assert (health["status"], health["durable_turns"], health["log"]) == ("ok", True, "ok")
    assert health["version"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "sessions/unknown", None, 404, "not_found"),
        ("GET", "sessions/%00", None, 404, "not_found"),
        ("GET", "sessions/..%2F..%2Fetc", None, 404, "not_found"),
        ("DELETE", "sessions/unknown", None, 404, "not_found"),
        ("DELETE", "sessions/unknown?worktree=burn", None, 400, "invalid"),
        ("POST", "sessions/unknown/prompt", {"content": text("x")}, 404, "not_found"),
        ("POST", "sessions", b"{", 400, "invalid"),
        ("POST", "sessions", b"[]", 400, "invalid"),
        ("POST", "sessions", b'{"path": "\xff"}', 400, "invalid"),
        ("POST", "sessions", {"colour": "red"}, 400, "invalid"),
        ("POST", "sessions", {"mode": "terminal"}, 400, "wrong_mode"),
        ("POST", "sessions", {"agent": "other"}, 400, "unknown_agent"),
        ("POST", "sessions", {"fork": True}, 400, "invalid"),
        ("POST", "sessions", {"resume": "no-uuid"}, 409, "resume_not_found"),
        ("POST", "sessions", {"permission_mode": "bypassPermissions"}, 400, "invalid"),
        ("GET", "sessions?limit=x", None, 400, "invalid"),
        ("GET", "sessions?cursor=x", None, 400, "invalid"),
        ("GET", "sessions?cursor=-50", None, 400, "invalid"),
        ("GET", "sessions?cursor=1_0", None, 400, "invalid"),
        ("GET", f"sessions?cursor={10**22}", None, 400, "invalid"),
        ("GET", "sessions?q=%ff", None, 400, "invalid"),
        ("GET", f"sessions?q={'x' * 60_000}", None, 400, "invalid"),
        ("GET", "sessions?include=all", None, 400, "invalid"),
        ("PUT", "sessions", {}, 405, "method_not_allowed"),
        ("GET", "usage", None, 404, "not_found"),
        ("POST", "reviews", {}, 404, "not_found"),
        ("GET", "", None, 404, "not_found"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_shape(
    server: Server, method: str, path: str, body: object, status: int, reason: str
) -> None:
    answer = await server.call(method, path, body)
    assert (answer.status, answer.json["reason"]) == (status, reason)
    assert answer.json["message"].endswith(".")
    assert answer.headers["Content-Type"] == "application/json"


async def test_later_parts_of_the_contract_are_not_there_yet(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}"
    assert (await server.call("POST", f"{path}/mode")).status == 404
    assert (await server.call("GET", "workspace")).status == 404
    assert (await server.call("GET", f"{path}/export", format="html")).status == 400


async def test_resume_of_an_unknown_conversation_leaves_no_session(server: Server) -> None:
    async with asyncio.timeout(5):
        answer = await server.call("POST", "sessions", {"resume": str(uuid.uuid4())})
    assert (answer.status, answer.json["reason"]) == (409, "resume_not_found")
    assert (await server.call("GET", "sessions")).json["sessions"] == []


# ---------------------------------------------------------------- size


@pytest.fixture
def small_messages(lab_config: dict[str, Any]) -> None:
    lab_config["max_message_bytes"] = 2048


@pytest.mark.usefixtures("small_messages")
async def test_too_large_is_refused(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}/prompt"
    message = await server.call("POST", path, {"content": text("x" * 4096)})
    assert (message.status, message.json["reason"]) == (413, "too_large")
    body = await server.call("POST", path, b"[" + b" " * (2 << 20))
    assert (body.status, body.json["reason"]) == (413, "too_large")
    assert await server.events(session["id"]) == []


@pytest.mark.usefixtures("small_messages")
async def test_an_endless_body_is_refused_before_it_is_read(server: Server) -> None:
    """A gigabyte is announced, and refused without a byte of it."""
    where = urlsplit(f"{server.api}/sessions")
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: {server.headers['Authorization']}\r\nContent-Length: {400 << 20}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
    writer.write(head.encode())
    async with asyncio.timeout(DEADLINE):
        assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.usefixtures("small_messages")
async def test_a_body_that_tells_no_length_is_counted(server: Server) -> None:
    async def pieces(write: Any) -> None:
        for _ in range(40):
            await write(b" " * (64 << 10))

    answer = await server.fetch("POST", f"{server.api}/sessions", body_producer=pieces)
    assert (answer.status, answer.json["reason"]) == (413, "too_large")


async def test_deep_nesting_is_refused(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}/permissions/r"
    body = b'{"option_id":"x","updated_input":' + b"[" * 100_000
    answer = await server.call("POST", path, body)
    assert (answer.status, answer.json["reason"]) == (400, "invalid")


# ---------------------------------------------------------------- prompts


async def test_a_prompt_without_a_stream_is_202_and_the_same_id_is_one_turn(
    server: Server,
) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}/prompt"
    body = {"id": "once", "content": text("hello")}
    answers = await asyncio.gather(*(server.call("POST", path, body) for _ in range(3)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["turn_id"] for answer in answers}) == 1
    again = await server.ask(session["id"], "hello", id="once")
    assert [e["type"] for e in again][:2] == ["user_message", "turn_started"]
    assert answer_of(again) == "Answer to: hello"
    log = await server.events(session["id"])
    assert ends(log) == ["end_turn"]
    assert [e["origin"] for e in log if e["type"] == "user_message"] == ["api"]


async def test_streams_of_queued_prompts_hold_their_own_turns(server: Server) -> None:
    session = await server.create()
    streams = await asyncio.gather(
        *(server.ask(session["id"], words, id=words) for words in ("A", "B", "C"))
    )
    for words, events in zip(("A", "B", "C"), streams, strict=True):
        assert answer_of(events) == f"Answer to: {words}"
        assert len({e["turn_id"] for e in events}) == 1
        assert ends(events) == ["end_turn"]


async def test_the_stream_of_a_withdrawn_prompt_ends(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", content=text("!hang"))
    await chat.until("turn_started")
    stream = server.stream(
        "POST", f"sessions/{session['id']}/prompt", {"id": "later", "content": text("later")}
    )
    await chat.until(lambda f: f["type"] == "queue_updated" and bool(f["items"]))
    assert (await chat.answered(await chat.send("queue_remove", item_id="later")))["type"] == "ack"
    assert await stream.end() == []
    await chat.send("cancel")
    await chat.until("turn_ended")
    chat.close()


async def test_a_withdrawn_prompt_sent_again_is_refused_and_not_waited_for(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}"
    for name, words in (("first", "!hang"), ("second", "later")):
        await server.call("POST", f"{path}/prompt", {"id": name, "content": text(words)})
    chat = await server.chat(session["id"], tail=1)
    await chat.answered(await chat.send("queue_remove", item_id="second"))
    again = server.stream("POST", f"{path}/prompt", {"id": "second", "content": text("later")})
    await again.end()
    assert json.loads(again.data)["reason"] == "not_queued"
    await chat.send("cancel")
    await chat.until("turn_ended")
    chat.close()


async def test_a_client_that_leaves_its_stream_stops_no_turn(server: Server) -> None:
    session = await server.create()
    stream = server.stream(
        "POST",
        f"sessions/{session['id']}/prompt",
        {"content": text("!tokens 60 rate 100"), "id": "long"},
    )
    await stream.until(lambda e: e["type"] == "agent_message_chunk")
    stream.leave()
    assert ends(await server.ask(session["id"], "", id="long", content=text("x"))) == ["end_turn"]


# ---------------------------------------------------------------- cancel


async def test_cancel_idle_twice_and_racing_the_end(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}"
    assert (await server.call("POST", f"{path}/cancel")).status == 200
    assert await server.events(session["id"]) == []

    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", content=text("!hang"))
    await chat.until("turn_started")
    twice = await asyncio.gather(*(server.call("POST", f"{path}/cancel") for _ in range(2)))
    assert {answer.status for answer in twice} == {200}
    assert (await chat.until("turn_ended"))["stop_reason"] == "cancelled"

    for number in range(10):
        turn = asyncio.ensure_future(server.ask(session["id"], f"race {number}"))
        await chat.until("agent_message")
        assert (await server.call("POST", f"{path}/cancel")).status == 200
        assert len(ends(await turn)) == 1
    chat.close()
    log = await server.events(session["id"])
    started = [e["turn_id"] for e in log if e["type"] == "turn_started"]
    assert sorted(started) == sorted(e["turn_id"] for e in log if e["type"] == "turn_ended")


# ---------------------------------------------------------------- permissions


async def test_a_permission_is_answered_once(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", content=text("!permission"))
    asked = await chat.until("permission_request")
    path = f"sessions/{session['id']}/permissions/{asked['request_id']}"

    strange = await server.call("POST", path, {"option_id": "--yes"})
    assert (strange.status, strange.json["reason"]) == (400, "invalid")
    allow = next(o["option_id"] for o in asked["options"] if o["kind"] == "allow_once")
    assert (await server.call("POST", path, {"option_id": allow})).status == 200
    late = await server.call("POST", path, {"option_id": allow})
    assert (late.status, late.json["reason"]) == (409, "already_resolved")
    assert (await chat.until("turn_ended"))["stop_reason"] == "end_turn"
    chat.close()


# ---------------------------------------------------------------- the log


async def test_the_log_in_pages(server: Server) -> None:
    session = await server.create()
    for words in ("A", "B"):
        await server.ask(session["id"], words)
    # A live session may have more to say: what fills its context is asked for between turns.
    assert (await server.call("POST", f"sessions/{session['id']}/end", {})).status == 200
    path = f"sessions/{session['id']}/events"
    whole = (await server.call("GET", path)).json
    seqs = [event["seq"] for event in whole["events"]]
    assert seqs == sorted(set(seqs))
    assert whole["more"] is False

    forward: list[int] = []
    more = True
    while more:
        page = (await server.call("GET", path, limit=3, after=(forward or [0])[-1])).json
        forward += [event["seq"] for event in page["events"]]
        more = page["more"]
    assert forward == seqs

    backward: list[int] = []
    more = True
    while more:
        before = (backward or [seqs[-1] + 1])[0]
        page = (await server.call("GET", path, limit=3, before=before)).json
        backward = [event["seq"] for event in page["events"]] + backward
        more = page["more"]
    assert backward == seqs

    between = (await server.call("GET", path, after=seqs[1], before=seqs[4])).json
    assert [event["seq"] for event in between["events"]] == seqs[2:4]


async def test_no_page_reaches_into_another_session(server: Server) -> None:
    first, second = await server.create(), await server.create()
    await server.ask(second["id"], "secret")
    path = f"sessions/{first['id']}/events"
    for query in ({"before": 1 << 32}, {"before": 1 << 33}, {"after": 1 << 32}, {"after": -1}):
        assert (await server.call("GET", path, **query)).status == 400
    assert await server.events(first["id"], before=(1 << 32) - 1) == []


async def test_follow_goes_on_live_and_from_the_last_event(server: Server) -> None:
    session = await server.create()
    await server.ask(session["id"], "A")
    last = (await server.session(session["id"]))["last_seq"]
    path = f"sessions/{session['id']}/events?follow=1"
    stream = server.stream("GET", path)
    await stream.until(lambda e: e["type"] == "turn_ended")
    await server.ask(session["id"], "B")
    await stream.until(lambda e: e["type"] == "turn_ended" and e["seq"] > last)
    again = server.stream("GET", path, headers={**server.headers, "Last-Event-ID": str(last)})
    first = await again.until(lambda _: True)
    assert first["seq"] == last + 1
    await server.call("POST", f"sessions/{session['id']}/end")
    for one in (stream, again):
        assert (await one.end())[-1]["seq"] == (await server.session(session["id"]))["last_seq"]


async def test_a_page_is_bounded_by_its_bytes_too(server: Server) -> None:
    session = await server.create()
    for _ in range(3):
        await server.ask(session["id"], "x" * (3 << 20))
    path = f"sessions/{session['id']}/events"
    end = (await server.session(session["id"]))["last_seq"] + 1

    forward: list[int] = []
    backward: list[int] = []
    for pages, forwards in ((forward, True), (backward, False)):
        more = True
        while more:
            after, before = (pages[-1], pages[0]) if pages else (0, end)
            where = {"after": after} if forwards else {"before": before}
            answer = await server.call("GET", path, **where)
            seqs = [event["seq"] for event in answer.json["events"]]
            assert len(answer.body) < 8 << 20 or len(seqs) == 1
            more = answer.json["more"]
            assert seqs
            pages[:] = [*pages, *seqs] if forwards else [*seqs, *pages]
    assert forward == sorted(set(forward))
    assert backward == [seq for seq in forward if seq <= backward[-1]]
    assert backward[0] == 1


async def test_a_page_holds_one_event_however_large_it_is(server: Server) -> None:
    session = await server.create()
    await server.ask(session["id"], "x" * (9 << 20))
    path = f"sessions/{session['id']}/events"
    first = (await server.call("GET", path)).json
    assert ([event["type"] for event in first["events"]], first["more"]) == (["user_message"], True)


async def test_a_stream_from_beyond_the_log_is_refused(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}/events?follow=1"
    headers = {**server.headers, "Accept": "text/event-stream"}
    for query, cut in (("&after=1", {}), ("", {"Last-Event-ID": "1"})):
        answer = await server.call("GET", path + query, None, {**headers, **cut})
        assert (answer.status, answer.json["reason"]) == (400, "beyond_the_log")


async def test_a_silent_stream_passes_proxies_and_ends_with_its_client(
    server: Server, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "KEEP_ALIVE_SECONDS", 0.05)
    info = await server.create()
    manager = await jp_serverapp.web_app.settings["agent_lab"].manager()
    session = await manager.get(info["id"])
    where = urlsplit(f"{server.api}/sessions/{info['id']}/events?follow=1")
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
    writer.write(
        f"GET {where.path}?{where.query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream"
        f"\r\nAuthorization: {server.headers['Authorization']}\r\n\r\n".encode()
    )
    async with asyncio.timeout(DEADLINE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readuntil(b":\n\n")
        monkeypatch.setattr(routes, "KEEP_ALIVE_SECONDS", 3600)
        await reader.readuntil(b":\n\n")  # from now on it says nothing more
        assert session.journal.watched
        writer.close()
        while session.journal.watched:
            await server.call("GET", "health")
    assert "content-type: text/event-stream\r\n" in head
    assert "x-accel-buffering: no\r\n" in head
    assert "cache-control: no-cache\r\n" in head


async def test_streams_end_when_the_server_stops(server: Server, jp_serverapp: Any) -> None:
    session = await server.create()
    following = server.stream("GET", f"sessions/{session['id']}/events?follow=1")
    turn = server.stream("POST", f"sessions/{session['id']}/prompt", {"content": text("!hang")})
    for stream in (following, turn):
        await stream.until(lambda e: e["type"] == "turn_started")
    await jp_serverapp.web_app.settings["agent_lab"].stop_extension()
    for stream in (following, turn):
        assert ends(await stream.end()) == ["cancelled"]


async def test_export_is_the_log_line_by_line(server: Server) -> None:
    session = await server.create(title='a/b \u2028 …; x="1"\r\nX-Evil: 1')
    for _ in range(2 + rest.EVENTS_READ // 4):  # more than are read at once
        await server.ask(session["id"], "hello")
    await server.call("POST", f"sessions/{session['id']}/end")
    answer = await server.call("GET", f"sessions/{session['id']}/export", format="jsonl")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert "X-Evil" not in answer.headers
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert len(lines) > rest.EVENTS_READ
    assert lines == await server.events(session["id"])


async def test_a_session_is_forked_deleted_and_restored(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}"
    forked = await server.call("POST", f"{path}/fork", {"at_seq": 0})
    assert (forked.status, forked.json["forked_from"]["session_id"]) == (201, session["id"])
    assert (await server.call("POST", f"{path}/fork", {"at_seq": "x"})).status == 400
    assert (await server.call("DELETE", path)).status == 204
    assert (await server.call("GET", path)).status == 404
    back = await server.call("POST", f"{path}/restore")
    assert (back.status, back.json["title"]) == (200, session["title"])
    gone = await server.call("GET", "forgotten", ids=f"{session['id']},nobody")
    assert (gone.status, gone.json) == (200, {"ids": []})
    assert (await server.call("POST", f"{path}/restore")).status == 404
    assert (await server.call("GET", path)).status == 200


async def test_files_beside_a_session_are_found(server: Server, jp_root_dir: Path) -> None:
    (jp_root_dir / "orders.csv").write_text("x")
    session = await server.create()
    path = f"sessions/{session['id']}/files"
    found = (await server.call("GET", path, q="ord")).json["files"]
    assert found == [{"path": "orders.csv", "kind": "file"}]
    assert (await server.call("GET", path, limit="0")).status == 400


async def test_a_notebook_is_a_file_below_the_root(server: Server, jp_root_dir: Path) -> None:
    """Fault 24: a notebook that is the root itself would put the session above the root."""
    (jp_root_dir / "here").symlink_to(jp_root_dir)
    (jp_root_dir / "loop").symlink_to("loop")
    for notebook in ("", ".", "/", "a/..", "here", "loop/x.ipynb", f"{'x' * 300}.ipynb"):
        answer = await server.call("POST", "sessions", {"notebook": notebook})
        assert (answer.status, answer.json["reason"]) == (400, "invalid"), notebook
    assert (await server.call("GET", "sessions", workspace="loop")).status == 400
    assert (await server.call("GET", "sessions")).json["sessions"] == []


async def test_a_change_is_done_whole_or_not_at_all(server: Server) -> None:
    session = await server.create()
    path = f"sessions/{session['id']}"
    answer = await server.call("PATCH", path, {"title": "new", "model": "--bad"})
    assert answer.status == 400
    assert (await server.call("GET", path)).json["title"] == session["title"]


async def test_a_session_deleted_twice_at_once_is_deleted(server: Server) -> None:
    session = await server.create()
    both = (server.call("DELETE", f"sessions/{session['id']}") for _ in range(2))
    assert {answer.status for answer in await asyncio.gather(*both)} <= {204, 404}

"""The WebSocket of a session against a real server with the fake agent."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from agent_lab.server import sockets
from agent_lab.sessions import commanding
from tests.server.lab import DEADLINE, Server, answer_of, ends, text


async def test_hello_then_events_in_order_then_live(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], after=0)
    hello = await chat.next()
    assert (hello["type"], hello["protocol"], hello["first_seq"]) == ("hello", 1, 1)
    assert hello["session"]["id"] == session["id"]
    assert answer_of(await chat.ask("hello")) == "Answer to: hello"
    seqs = [event["seq"] for event in chat.events]
    assert seqs == sorted(set(seqs))
    finished = [event for event in chat.events if not event["type"].endswith("_chunk")]
    assert finished == (await server.events(session["id"]))[: len(finished)]
    chat.close()


async def test_opening_starts_the_agent(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.until(lambda f: f["type"] == "session_updated" and f.get("status") == "idle")
    assert (await server.session(session["id"]))["models"]
    chat.close()


async def test_tail_and_after_leave_no_gap_and_no_repeat(server: Server) -> None:
    session = await server.create()
    for words in ("A", "B", "C"):
        await server.ask(session["id"], words)
    log = await server.events(session["id"])
    tail = await server.chat(session["id"], tail=1)
    hello = await tail.next()
    await tail.until("turn_ended")
    assert answer_of(tail.events) == "Answer to: C"
    assert tail.events[0]["seq"] >= hello["first_seq"]
    tail.close()
    for after in (0, log[3]["seq"], log[-2]["seq"]):
        chat = await server.chat(session["id"], after=after)
        wanted = [event["seq"] for event in log if event["seq"] > after]
        await chat.until(lambda f, last=wanted[-1]: f.get("seq") == last)  # type: ignore[misc]
        assert [event["seq"] for event in chat.events] == wanted
        chat.close()


async def test_after_cancel_reload_and_a_second_tab_the_answers_are_a_b_c(server: Server) -> None:
    session = await server.create()
    one = await server.chat(session["id"], tail=20)
    await one.send("prompt", content=text("!tokens 1000 rate 100"))
    await one.until("agent_message_chunk")
    await one.send("cancel")
    assert (await one.until("turn_ended"))["stop_reason"] == "cancelled"
    assert answer_of(await one.ask("A")) == "Answer to: A"
    one.close()
    two = await server.chat(session["id"], after=one.events[-1]["seq"])
    assert answer_of(await two.ask("B")) == "Answer to: B"
    three = await server.chat(session["id"], tail=20)
    assert answer_of(await three.ask("C")) == "Answer to: C"
    await two.until(lambda f: f["type"] == "turn_ended" and f["seq"] == three.events[-1]["seq"])
    assert answer_of(two.events) == "Answer to: BAnswer to: C"
    for chat in (two, three):
        chat.close()


async def test_commands_are_answered_by_their_id(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    assert (await chat.answered(await chat.send("ping")))["type"] == "ack"
    assert (await chat.answered(await chat.send("set", title="New name", effort="low")))[
        "type"
    ] == "ack"
    name = await chat.send("prompt", content=text("!hang"))
    assert (await chat.answered(name)).get("turn_id")
    await chat.send("prompt", id="q", content=text("queued"))
    assert (await chat.answered("q"))["queued"] == "q"
    edited = await chat.send("queue_edit", item_id="q", content=text("edited"))
    assert (await chat.answered(edited))["type"] == "ack"
    assert (await chat.answered(await chat.send("queue_send_now", item_id="q")))["type"] == "ack"
    await chat.until(lambda f: f["type"] == "agent_message")
    assert answer_of(chat.events) == "Answer to: edited"
    gone = await chat.answered(await chat.send("queue_remove", item_id="q"))
    assert (gone["type"], gone["reason"]) == ("reject", "not_queued")
    chat.close()


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"type":"erase","id":"x1"}', "x1"),
        ('{"type":"prompt","id":"x2"}', "x2"),
        ('{"type":"prompt","id":"x3","content":[],"colour":1}', "x3"),
        ('{"type":"prompt","id":"x4","content":[{"type":"text","text":" "}]}', "x4"),
        (
            '{"type":"prompt","id":"x5","content":[{"type":"text","text":"a"}],"origin":"agent"}',
            "x5",
        ),
        ('{"type":"set","id":"x6","model":"--dangerously-skip-permissions"}', "x6"),
        ('{"type":"set","id":"x7","permission_mode":"bypassPermissions"}', "x7"),
        ('{"type":"answer_permission","id":"x8","request_id":"r","option_id":"o"}', "x8"),
        ('{"type":"answer_permission","id":"x","updated_input":' + "[" * 100_000, ""),
        ("\x00", ""),
    ],
)
async def test_what_is_no_command_is_rejected_and_nothing_else(
    server: Server, frame: str, name: str
) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.until(lambda f: f["type"] == "session_updated" and f.get("status") == "idle")
    last = (await server.session(session["id"]))["last_seq"]
    await chat.socket.write_message(frame)
    rejected = await chat.until("reject")
    assert (rejected["id"], bool(rejected["message"])) == (name, True)
    assert (await chat.answered(await chat.send("ping")))["type"] == "ack"
    assert (await server.session(session["id"]))["last_seq"] == last
    chat.close()


@pytest.fixture
def silent_agent(agent_environment: dict[str, str]) -> None:
    agent_environment["FAKE_AGENT"] = "--hang-start"


@pytest.mark.usefixtures("silent_agent")
async def test_stop_does_not_wait_behind_a_slow_command(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", content=text("never"))
    await chat.until("turn_started")
    slow = await chat.send("set", model="opus")  # waits for the agent to start
    async with asyncio.timeout(5):
        await chat.send("cancel")
        assert (await chat.until("turn_ended"))["stop_reason"] == "cancelled"
    assert slow not in [frame.get("id") for frame in chat.frames]
    chat.close()


@pytest.mark.usefixtures("silent_agent")
async def test_of_too_many_commands_that_wait_one_is_rejected(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.answered(await chat.send("prompt", content=text("never")))
    names = [
        await chat.send("set", model="opus")  # waits for the agent to start
        for _ in range(commanding.MOST_WAITING + 1)
    ]
    rejected = await chat.until("reject")
    assert (rejected["id"], rejected["reason"]) == (names[-1], "too_many")
    chat.close()


async def test_commands_are_obeyed_in_their_order(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.answered(await chat.send("prompt", content=text("!hang")))
    names = [
        await chat.send("prompt", id="q", content=text("queued")),
        await chat.send("queue_edit", item_id="q", content=text("edited")),
        await chat.send("queue_remove", item_id="q"),
    ]
    answers = [await chat.until(lambda f: f["type"] in ("ack", "reject")) for _ in names]
    assert [(answer["type"], answer["id"]) for answer in answers] == [("ack", n) for n in names]
    await chat.send("cancel")
    await chat.until("turn_ended")
    chat.close()


# ---------------------------------------------------------------- several tabs


async def test_two_tabs_answer_and_one_wins(server: Server) -> None:
    session = await server.create()
    tabs = [await server.chat(session["id"], tail=1) for _ in range(2)]
    await tabs[0].send("prompt", content=text("!permission"))
    asked = [await tab.until("permission_request") for tab in tabs]
    assert asked[0] == asked[1]
    options = {option["kind"]: option["option_id"] for option in asked[0]["options"]}
    names = [
        await tab.send(
            "answer_permission", request_id=asked[0]["request_id"], option_id=options[kind]
        )
        for tab, kind in zip(tabs, ("allow_once", "reject_once"), strict=True)
    ]
    answers = [await tab.answered(name) for tab, name in zip(tabs, names, strict=True)]
    assert sorted(answer["type"] for answer in answers) == ["ack", "reject"]
    assert [a["reason"] for a in answers if a["type"] == "reject"] == ["already_resolved"]
    for tab in tabs:
        if not ends(tab.events):
            await tab.until("turn_ended")
    resolved = [[e for e in tab.events if e["type"] == "permission_resolved"] for tab in tabs]
    assert resolved[0] == resolved[1]
    assert len(resolved[0]) == 1
    assert [e for e in tabs[0].events if e["turn_id"]] == [
        e for e in tabs[1].events if e["turn_id"]
    ]
    for tab in tabs:
        tab.close()


async def test_a_reload_finds_the_pending_permission_once(server: Server) -> None:
    session = await server.create()
    before = await server.chat(session["id"], tail=1)
    await before.send("prompt", content=text("!permission"))
    asked = await before.until("permission_request")
    before.close()
    after = await server.chat(session["id"], tail=20)
    hello = await after.next()
    pending = [p["request_id"] for p in hello["session"]["pending_permissions"]]
    assert pending == [asked["request_id"]]
    await after.until("permission_request")
    allow = next(o["option_id"] for o in asked["options"] if o["kind"] == "allow_once")
    await after.send("answer_permission", request_id=asked["request_id"], option_id=allow)
    assert (await after.until("turn_ended"))["stop_reason"] == "end_turn"
    assert [e["type"] for e in after.events].count("permission_request") == 1
    after.close()


async def test_a_crash_closes_the_pending_permission(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", content=text("!permission --ignore-interrupt"))
    asked = await chat.until("permission_request")
    await server.call("POST", f"sessions/{session['id']}/end")
    resolved = await chat.until("permission_resolved")
    assert (resolved["request_id"], resolved["outcome"]) == (asked["request_id"], "cancelled")
    assert (await chat.until("turn_ended"))["stop_reason"] == "cancelled"
    assert await chat.closed() == 4410


async def test_the_same_prompt_from_two_tabs_is_one_turn(server: Server) -> None:
    session = await server.create()
    tabs = [await server.chat(session["id"], tail=1) for _ in range(2)]
    for tab in tabs:
        await tab.send("prompt", id="same", content=text("hello"))
    for tab in tabs:
        assert (await tab.answered("same"))["type"] == "ack"
    log = await server.ask(session["id"], "hello", id="same")
    assert answer_of(log) == "Answer to: hello"
    assert ends(await server.events(session["id"])) == ["end_turn"]
    for tab in tabs:
        tab.close()


async def test_a_closed_tab_stops_no_turn(server: Server) -> None:
    session = await server.create()
    chat = await server.chat(session["id"], tail=1)
    await chat.send("prompt", id="p", content=text("!tokens 60 rate 100"))
    await chat.until("agent_message_chunk")
    chat.close()
    assert ends(await server.ask(session["id"], "", id="p", content=text("x"))) == ["end_turn"]


# ---------------------------------------------------------------- the end


async def test_an_ended_session_is_read_to_the_end_then_4410(server: Server) -> None:
    session = await server.create()
    watching = await server.chat(session["id"], tail=1)
    await watching.ask("hello")
    await server.call("POST", f"sessions/{session['id']}/end")
    assert await watching.closed() == 4410
    log = await server.events(session["id"])
    assert watching.events[-1] == log[-1]
    later = await server.chat(session["id"], after=0)
    assert await later.closed() == 4410
    assert later.events == log


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"after": "x"}, 4400),
        ({"after": -1}, 4400),
        ({"after": 1 << 40}, 4400),
        ({"after": 1000}, 4400),
        ({"tail": 0}, 4400),
        ({"tail": "1;--"}, 4400),
        ({"after": b"\xff"}, 4400),
    ],
)
async def test_a_bad_query_is_closed_with_4400(
    server: Server, query: dict[str, Any], code: int
) -> None:
    session = await server.create()
    assert await (await server.chat(session["id"], **query)).closed() == code


async def test_an_unknown_session_is_closed_with_4404(server: Server) -> None:
    chat = await server.chat("nowhere", tail=1)
    assert await chat.closed() == 4404
    assert chat.frames == []


# ---------------------------------------------------------------- slow and many


class Raw:
    """A WebSocket over a bare socket that reads only when told: no library reads ahead."""

    def __init__(self, server: Server, session_id: str, query: str, receive_buffer: int) -> None:
        where = urlsplit(server.url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        assert where.hostname is not None
        self.socket.connect((where.hostname, where.port))
        self.socket.setblocking(False)
        path = urlsplit(f"{server.api}/sessions/{session_id}/chat?{query}")
        self.request = (
            f"GET {path.path}?{path.query} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"Authorization: {server.headers['Authorization']}\r\n\r\n"
        )
        self.data = b""

    async def _more(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE):
            chunk = await loop.sock_recv(self.socket, 1 << 20)
        if not chunk:
            raise ConnectionResetError
        self.data += chunk

    async def open(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, self.request.encode())
        while b"\r\n\r\n" not in self.data:
            await self._more()
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        assert b" 101 " in head

    async def frame(self) -> tuple[int, bytes]:
        """(opcode, payload) of the next frame."""
        while True:
            if len(self.data) >= 2:
                length, start = self.data[1] & 0x7F, 2
                for mark, size, kind in ((126, 2, ">H"), (127, 8, ">Q")):
                    if length == mark and len(self.data) >= 2 + size:
                        (length,), start = struct.unpack(kind, self.data[2 : 2 + size]), 2 + size
                        break
                if not (length in (126, 127) and start == 2) and len(self.data) >= start + length:
                    opcode, payload = self.data[0] & 0xF, self.data[start : start + length]
                    self.data = self.data[start + length :]
                    return opcode, payload
            await self._more()

    async def opcodes(self) -> list[int]:
        """Read until the server ends it. Returns what came."""
        found = []
        try:
            while True:
                found.append((await self.frame())[0])
        except ConnectionResetError:
            return found

    async def push(self, frame: bytes, size: int) -> None:
        """Send a frame again and again. Raises TimeoutError when the server does not take it."""
        for _ in range(size // len(frame)):
            async with asyncio.timeout(2):
                await asyncio.get_running_loop().sock_sendall(self.socket, frame)


async def test_a_slow_reader_is_dropped_with_4429_and_comes_back(server: Server) -> None:
    session = await server.create()
    slow = Raw(server, session["id"], "after=0", 1 << 12)
    await slow.open()
    quick = await server.chat(session["id"], after=0)
    # More than the sockets' buffers and the subscriber's allowance together.
    for _ in range(4):
        await quick.ask("x" * (3 << 20))
    last = quick.events[-1]["seq"]

    seen: list[int] = []
    code = 0
    while not code:
        opcode, payload = await slow.frame()
        if opcode == 1:
            seen += [event["seq"] for event in [json.loads(payload)] if "seq" in event]
        elif opcode == 8:
            code = struct.unpack(">H", payload[:2])[0]
    slow.socket.close()
    assert code == 4429
    assert 0 < seen[-1] < last

    back = await server.chat(session["id"], after=seen[-1])
    await back.until(lambda f: f.get("seq") == last)
    missed = [event["seq"] for event in back.events]
    stored = [e["seq"] for e in await server.events(session["id"], after=seen[-1])]
    assert missed == stored[: len(missed)]
    assert ends(quick.events) == ["end_turn"] * 4
    for chat in (quick, back):
        chat.close()


async def test_who_answers_no_ping_is_let_go_of(
    server: Server, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PING_SECONDS", 0.2)
    info = await server.create()
    session = await (await jp_serverapp.web_app.settings["agent_lab"].manager()).get(info["id"])
    tab = Raw(server, info["id"], "after=0", 1 << 16)
    await tab.open()
    with tab.socket:
        await tab.frame()
        assert session.journal.watched
        assert 9 in await tab.opcodes()
    async with asyncio.timeout(DEADLINE):
        while session.journal.watched:
            await server.call("GET", "health")


async def test_who_reads_no_answers_is_asked_no_more_questions(server: Server) -> None:
    """Else the answers of one client would fill the server's memory."""
    session = await server.create()
    tab = Raw(server, session["id"], "after=0", 1 << 12)
    await tab.open()
    payload = json.dumps({"type": "erase", "id": "x" * 60_000}).encode()
    frame = b"\x81\xfe" + struct.pack(">H", len(payload)) + bytes(4) + payload  # masked by zeros
    with tab.socket, pytest.raises(TimeoutError):
        await tab.push(frame, 64 << 20)
    assert (await server.call("GET", "sessions")).status == 200


async def test_two_thousand_frames_are_few_bytes(server: Server) -> None:
    """A streamed answer of 2,000 tokens, 40 kB, to a browser: at most a quarter of a megabyte."""
    session = await server.create()
    tab = Raw(server, session["id"], "after=0", 1 << 20)
    offer = "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    tab.request = tab.request.replace("\r\n\r\n", offer)
    await tab.open()
    sent = await server.call(
        "POST", f"sessions/{session['id']}/prompt", {"content": text("!tokens 2000 rate 400")}
    )
    assert sent.status == 202
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    frames: list[bytes] = []
    while b'"type":"turn_ended"' not in b"".join(frames[-1:]):
        _, payload = await tab.frame()
        size += len(payload) + 4
        frames.append(inflate.decompress(payload + b"\x00\x00\xff\xff"))
    tab.socket.close()
    chunks = [f for f in frames if b'"type":"agent_message_chunk"' in f]
    assert b"w1900" in b"".join(chunks)
    assert size < 250_000

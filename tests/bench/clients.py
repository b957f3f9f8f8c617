"""Those who look from outside: a WebSocket client, a counting relay, an agent on a plain pipe."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from agent_lab.agents.adapters.base import LaunchOptions
from agent_lab.agents.adapters.claude import ClaudeAdapter
from agent_lab.agents.environment import child_environment
from agent_lab.protocol.events import TextBlock

from .servers import TOKEN

TURN_SECONDS = 240.0
END_SECONDS = 10.0
API = "agent-lab/api"
STAMP = re.compile(r"w(\d+)«t=(\d+)»")

Json = dict[str, Any]  # what the server and the agent say, only looked at here


Token = tuple[int, float]
"""Its number in the answer, and its age in milliseconds when it came."""


def stamps(text: str, arrived: int) -> list[Token]:
    """The stamped tokens of a text that arrived then (CLOCK_MONOTONIC, ns)."""
    return [(int(n), (arrived - int(made)) / 1e6) for n, made in STAMP.findall(text)]


class Answering(Protocol):
    """Either end of a token's way; `ask` gives the ages of the answer's tokens, in order."""

    async def ask(self, text: str) -> list[Token]: ...


async def call(server_url: str, method: str, route: str, body: Json | None = None) -> Json:
    """One REST call. Raises tornado's HTTPClientError for an answer that is no success."""
    answer = await AsyncHTTPClient().fetch(
        HTTPRequest(
            f"{server_url}{route}",
            method=method,
            headers={"Authorization": f"token {TOKEN}"},
            body=None if body is None else json.dumps(body),
        )
    )
    found: Json = json.loads(answer.body)
    return found


async def new_session(server_url: str) -> str:
    session = await call(server_url, "POST", f"{API}/sessions", {"path": ""})
    return str(session["id"])


class Chat:
    """A WebSocket client of one session; it keeps every frame with the time it came (ns).

    `acks`: how many ms after each prompt its ack came.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[int, str]] = []
        self.acks: list[float] = []
        self.closed: int | None = None
        self._connection: WebSocketClientConnection | None = None
        self._news = asyncio.Event()

    async def connect(self, server_url: str, session_id: str, query: str = "tail=20") -> Chat:
        url = f"{server_url}{API}/sessions/{session_id}/chat?{query}".replace("http", "ws", 1)
        self._connection = await websocket_connect(
            HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"}),
            on_message_callback=self._arrived,
            # As browsers do: permessage-deflate with the client's window left to the server.
            compression_options={},
            max_message_size=256 << 20,
        )
        return self

    def _arrived(self, message: str | bytes | None) -> None:
        now = time.monotonic_ns()
        if isinstance(message, str):
            self.frames.append((now, message))
        else:
            assert self._connection is not None
            self.closed = self._connection.close_code or 0
        self._news.set()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def until(self, wanted: Callable[[str], bool], start: int = 0) -> int:
        """The index of the first frame from `start` on that is wanted; waits for it."""
        async with asyncio.timeout(TURN_SECONDS):
            while True:
                while start < len(self.frames):
                    if wanted(self.frames[start][1]):
                        return start
                    start += 1
                if self.closed is not None:
                    raise ConnectionError(f"the server closed the socket with {self.closed}")
                self._news.clear()
                await self._news.wait()

    async def ready(self) -> None:
        """Return when the session's agent waits for a prompt."""
        await self.until(lambda frame: '"status":"idle"' in frame)

    async def turn(self, text: str) -> list[tuple[int, str]]:
        """Send a prompt; the frames from then to the end of its turn."""
        start = len(self.frames)
        assert self._connection is not None
        block = {"type": "text", "text": text}
        prompt = {"type": "prompt", "id": uuid.uuid4().hex, "content": [block], "context": []}
        sent = time.monotonic_ns()
        await self._connection.write_message(json.dumps(prompt))
        end = await self.until(lambda frame: '"type":"turn_ended"' in frame, start)
        ended = json.loads(self.frames[end][1])
        if ended["stop_reason"] != "end_turn":
            raise AssertionError(f"the turn ended so: {ended}")
        acked = await self.until(lambda frame: '"type":"ack"' in frame, start)
        self.acks.append((self.frames[acked][0] - sent) / 1e6)
        return self.frames[start : end + 1]

    async def ask(self, text: str) -> list[Token]:
        return ages(await self.turn(text))


def ages(frames: Sequence[tuple[int, str]]) -> list[Token]:
    """The tokens in the order they came: as live text, the last ones with the finished message.

    Raises AssertionError when the finished message is not what was streamed.
    """
    tokens: list[Token] = []
    for arrived, frame in frames:
        if '"type":"agent_message_chunk"' in frame:
            tokens += stamps(frame, arrived)
        elif '"type":"agent_message"' in frame:
            finished = stamps(frame, arrived)
            seen = [number for number, _ in tokens]
            assert seen == [number for number, _ in finished[: len(seen)]], "not what was streamed"
            tokens += finished[len(seen) :]
    return tokens


def lost_or_misplaced(tokens: Sequence[Token], count: int) -> int:
    """How many of `count` tokens did not come exactly once and in their place."""
    numbers = [number for number, _ in tokens]
    if numbers == list(range(count)):
        return 0
    missing = count - len(set(numbers) & set(range(count)))
    disorder = sum(b <= a for a, b in pairwise(numbers))
    return max(missing + disorder, 1)


# ---------------------------------------------------------------- bytes on the socket


class Relay:
    """Passes TCP connections on to a server and counts what the server sends."""

    def __init__(self, port: int) -> None:
        self.received = 0
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        for work in (self._pass(reader, back, False), self._pass(there, writer, True)):
            task = asyncio.create_task(work, name="relay")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, counts: bool
    ) -> None:
        try:
            while data := await source.read(1 << 16):
                if counts:
                    self.received += len(data)
                target.write(data)
                await target.drain()
        except ConnectionError:
            return
        finally:
            target.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Gives the address of the server as seen through the relay."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


# ---------------------------------------------------------------- the agent without us


class Pipe(asyncio.SubprocessProtocol):
    """The baseline: the same agent program with the same flags, read from a plain pipe."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, bytes]] = []
        self.bytes = 0
        self._rest = b""
        self._news = asyncio.Event()
        self.gone = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None
        self._adapter = ClaudeAdapter("")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        now = time.monotonic_ns()
        self.bytes += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += [(now, line) for line in lines]
        self._news.set()

    def process_exited(self) -> None:
        self.gone.set()
        self._news.set()

    def send(self, message: bytes) -> None:
        assert self._transport is not None
        stdin = self._transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        stdin.write(message)

    async def until(self, wanted: Callable[[bytes], bool], start: int) -> int:
        """The index of the first line from `start` on that is wanted; waits for it."""
        assert self._transport is not None
        async with asyncio.timeout(TURN_SECONDS):
            while True:
                while start < len(self.lines):
                    if wanted(self.lines[start][1]):
                        return start
                    start += 1
                if self._transport.get_returncode() is not None:
                    raise ConnectionError(f"the agent exited: {self.lines[-3:]}")
                self._news.clear()
                await self._news.wait()

    async def greet(self) -> None:
        self.send(self._adapter.initialize("hello"))
        await self.until(lambda line: b'"control_response"' in line, 0)

    async def turn(self, text: str, turn_id: str = "") -> list[tuple[int, bytes]]:
        """Send a prompt; the lines from then to the end of its turn."""
        start = len(self.lines)
        self.send(self._adapter.prompt(turn_id or str(uuid.uuid4()), (TextBlock(text),), ()))
        end = await self.until(lambda line: b'"type":"result"' in line, start)
        return self.lines[start : end + 1]

    async def ask(self, text: str) -> list[Token]:
        return [
            token
            for arrived, line in await self.turn(text)
            if b'"text_delta"' in line
            for token in stamps(line.decode(), arrived)
        ]


@asynccontextmanager
async def piped(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> AsyncIterator[Pipe]:
    """An agent started as a session starts it, but on plain pipes of this process."""
    session_id = str(uuid.uuid4())
    adapter = ClaudeAdapter(str(cwd))
    argv = adapter.argv(LaunchOptions(command=tuple(command), session_id=session_id))
    env = child_environment(
        environment, marker=session_id, session_id=session_id, extra=adapter.environment()
    )
    transport, pipe = await asyncio.get_running_loop().subprocess_exec(
        Pipe, *argv, cwd=cwd, env=env, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await pipe.greet()
        yield pipe
    finally:
        if transport.get_returncode() is None:
            transport.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await pipe.gone.wait()
        finally:
            transport.close()

"""The client side of the tests: REST, event streams and WebSockets, as others use them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

DEADLINE = 20.0

Json = dict[str, Any]
"""An object on the wire: its shape is the test's subject."""


def text(words: str) -> list[Json]:
    return [{"type": "text", "text": words}]


@dataclass
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server under test. `headers` sign the client in; with others it is somebody else."""

    url: str
    headers: dict[str, str]

    @property
    def api(self) -> str:
        return f"{self.url}agent-lab/api"

    async def fetch(
        self,
        method: str,
        url: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is None and method in ("POST", "PATCH", "PUT") and not options:
            data = b""
        request = HTTPRequest(
            url,
            method=method,
            headers=dict(self.headers if headers is None else headers),
            body=data,
            request_timeout=DEADLINE,
            follow_redirects=False,
            allow_nonstandard_methods=True,
            **options,
        )
        response: HTTPResponse = await AsyncHTTPClient().fetch(request, raise_error=False)
        return Answer(response.code, response.body or b"", response.headers)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        /,
        **query: object,
    ) -> Answer:
        """A route below the API; None of the query's values is left out."""
        url = f"{self.api}/{path}"
        if query:
            url += "?" + urlencode(query)
        return await self.fetch(method, url, body, headers)

    async def create(self, **new: object) -> Json:
        answer = await self.call("POST", "sessions", new)
        assert answer.status in (200, 201), answer.body
        session: Json = answer.json
        return session

    async def session(self, session_id: str) -> Json:
        answer = await self.call("GET", f"sessions/{session_id}")
        assert answer.status == 200, answer.body
        session: Json = answer.json
        return session

    async def events(self, session_id: str, **query: object) -> list[Json]:
        """The log; without a limit or an end all of it, page by page."""
        events: list[Json] = []
        while True:
            answer = await self.call("GET", f"sessions/{session_id}/events", **query)
            assert answer.status == 200, answer.body
            events += answer.json["events"]
            if not answer.json["more"] or "limit" in query or "before" in query:
                return events
            query["after"] = events[-1]["seq"]

    async def ask(self, session_id: str, words: str, **body: object) -> list[Json]:
        """Send a prompt and return the events of its turn."""
        answer = await self.call(
            "POST",
            f"sessions/{session_id}/prompt",
            {"content": text(words), **body},
            {**self.headers, "Accept": "text/event-stream"},
        )
        assert answer.status == 200, answer.body
        return stream_events(answer.body)

    def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        stream = Stream()
        request = HTTPRequest(
            f"{self.api}/{path}" if not path.startswith("http") else path,
            method=method,
            headers={**(headers or self.headers), "Accept": "text/event-stream"},
            body=None if body is None else json.dumps(body).encode(),
            request_timeout=60,
            streaming_callback=stream.received,
        )
        client = AsyncHTTPClient(force_instance=True)
        stream.client = client
        stream.done = asyncio.ensure_future(client.fetch(request, raise_error=False))
        return stream

    async def chat(
        self, session_id: str, headers: Mapping[str, str] | None = None, **query: object
    ) -> Chat:
        path = f"sessions/{session_id}/chat"
        return await self.socket(path + "?" + urlencode(query) if query else path, headers)

    async def socket(self, path: str, headers: Mapping[str, str] | None = None) -> Chat:
        url = f"{self.api.replace('http', 'ws', 1)}/{path}"
        request = HTTPRequest(url, headers=dict(self.headers if headers is None else headers))
        return Chat(await websocket_connect(request, max_message_size=1 << 28))


def stream_events(data: bytes) -> list[Json]:
    """The events of a server-sent event stream; each id is its event's seq."""
    events = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            event = json.loads(lines["data"])
            assert lines["id"] == str(event["seq"])
            events.append(event)
    return events


@dataclass
class Stream:
    """An event stream that is read while it goes on."""

    data: bytes = b""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    client: AsyncHTTPClient | None = None
    done: asyncio.Future[HTTPResponse] | None = None

    def received(self, chunk: bytes) -> None:
        self.data += chunk
        self.changed.set()

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        async with asyncio.timeout(DEADLINE):
            while True:
                for event in stream_events(self.data[: self.data.rfind(b"\n\n") + 2]):
                    if wanted(event):
                        return event
                self.changed.clear()
                await self.changed.wait()

    async def end(self) -> list[Json]:
        """Wait for the server to end it."""
        assert self.done is not None
        async with asyncio.timeout(DEADLINE):
            await self.done
        return stream_events(self.data)

    def leave(self) -> None:
        assert self.client is not None
        self.client.close()


class Closed(Exception):
    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Chat:
    """One tab: what it was sent, in order, and what it asks."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.frames: list[Json] = []

    async def next(self) -> Json:
        """The next frame. Raises Closed with the server's code."""
        async with asyncio.timeout(DEADLINE):
            message = await self.socket.read_message()
        if message is None:
            raise Closed(self.socket.close_code)
        assert isinstance(message, str)
        frame: Json = json.loads(message)
        self.frames.append(frame)
        return frame

    async def until(self, wanted: Callable[[Json], bool] | str) -> Json:
        """Read on until a frame of this type, or one that fits."""
        while True:
            frame = await self.next()
            if frame["type"] == wanted if isinstance(wanted, str) else wanted(frame):
                return frame

    async def closed(self) -> int | None:
        """Read to the end. Returns the code it was closed with."""
        try:
            while True:
                await self.next()
        except Closed as closed:
            self.socket.close()
            return closed.code

    async def send(self, type: str, **fields: object) -> str:
        name = str(fields.pop("id", uuid.uuid4()))
        await self.socket.write_message(json.dumps({"type": type, "id": name, **fields}))
        return name

    async def answered(self, name: str) -> Json:
        """The ack or reject of a command."""
        return await self.until(lambda f: f["type"] in ("ack", "reject") and f["id"] == name)

    async def ask(self, words: str) -> list[Json]:
        """Send a prompt and return the events up to the end of its turn."""
        start = len(self.frames)
        name = await self.send("prompt", content=text(words))
        turn: list[str] = []

        def ended(frame: Json) -> bool:
            if frame["type"] == "user_message" and frame["message_id"] == name:
                turn.append(frame["turn_id"])
            return frame["type"] == "turn_ended" and frame["turn_id"] in turn

        await self.until(ended)
        return [frame for frame in self.frames[start:] if frame.get("turn_id") in turn]

    @property
    def events(self) -> list[Json]:
        return [frame for frame in self.frames if "seq" in frame]

    def close(self) -> None:
        self.socket.close()


def processes_of(*sessions: str) -> list[psutil.Process]:
    """The processes that carry the mark of one of these sessions."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AGENT_LAB_SESSION") in sessions:
                found.append(process)
        except psutil.Error:  # it has ended, or is not ours to look at
            continue
    return found


def answer_of(events: list[Json]) -> str:
    """What the agent said in these events."""
    return "".join(
        block["text"]
        for event in events
        if event["type"] == "agent_message"
        for block in event["content"]
    )


def ends(events: list[Json]) -> list[str]:
    """The stop reasons of the turns that ended in these events."""
    return [event["stop_reason"] for event in events if event["type"] == "turn_ended"]

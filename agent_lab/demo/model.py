"""Serve the scripted answers to a claude program as an Anthropic Messages API on loopback.

Tornado, because the demo runs inside the Jupyter server, whose event loop it shares.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from .script import Fault, Json, Reply, Script, answer, estimate_tokens, load_script

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 529: "overloaded_error",
}  # fmt: skip
MAX_REQUEST = 256 * 1024 * 1024  # a conversation with images and an 8 MB paste passes


class ScriptedModel:
    """A model that answers from a script. No key is asked for, and none is kept or logged."""

    def __init__(self, script: Script, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Raises ValueError for an address that others could reach."""
        if host not in LOOPBACK:
            raise ValueError(f"the scripted model listens on loopback only, not on {host}")
        self.script = script
        self.counts: Counter[str] = Counter()
        self.calls = 0  # answers asked for so far, for tests
        self.answering: set[Messages] = set()
        self._host, self._port = host, port
        self._server: HTTPServer | None = None

    async def start(self) -> ScriptedModel:
        """Listen, on the running loop. Raises OSError when the port is taken."""
        application = Application(
            [
                (r"/v1/messages", Messages, {"model": self}),
                (r"/v1/messages/count_tokens", CountTokens),
                (r"/v1/models(?:/(.+))?", Models),
                (r"/api/hello|/", Hello),
            ],
            default_handler_class=Unknown,
            log_function=lambda handler: None,  # claude asks often, and its keys are in there
        )
        sockets = bind_sockets(self._port, self._host)
        self._port = sockets[0].getsockname()[1]
        self._server = HTTPServer(
            application, max_body_size=MAX_REQUEST, max_buffer_size=MAX_REQUEST
        )
        self._server.add_sockets(sockets)
        return self

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def close(self) -> None:
        for handler in list(self.answering):
            handler.left.set()
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None

    async def __aenter__(self) -> ScriptedModel:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def due(self, fault: Fault | None, place: str) -> Fault | None:
        """The fault if it still has to happen here; counts the times it did."""
        if fault is None or fault.times is None:
            return fault
        if self.counts[place] >= fault.times:
            return None
        self.counts[place] += 1
        return fault


class JsonHandler(RequestHandler):
    def prepare(self) -> None:
        if "Origin" in self.request.headers:  # a page in a browser; claude sends none
            self.fail(403, "the scripted model talks to programs, not to pages")

    def fail(self, status: int, message: str, retry_after: str | None = None) -> None:
        kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        self.set_status(status, "Overloaded" if status == 529 else None)
        if retry_after is not None:
            self.set_header("retry-after", retry_after)
        self.finish({"type": "error", "error": {"type": kind, "message": message}})

    def body(self) -> Mapping[str, Json] | None:
        """The request's JSON object; answers 400 and gives None when there is none."""
        try:
            request = json.loads(self.request.body)
        except ValueError:
            request = None
        if isinstance(request, dict):
            return request
        self.fail(400, "the body is not a JSON object")
        return None

    def check_xsrf_cookie(self) -> None:
        """Programs call this endpoint, no browser with cookies."""


class Unknown(JsonHandler):
    def prepare(self) -> None:
        self.fail(404, "the scripted model has no such page")


class Hello(JsonHandler):
    """claude opens a connection early with a HEAD request."""

    def get(self) -> None:
        self.finish({"hello": "scripted model"})

    head = get


class Models(JsonHandler):
    def get(self, name: str | None = None) -> None:
        described = [
            {"type": "model", "id": model, "display_name": f"{model} (scripted)",
             "created_at": "2026-01-01T00:00:00Z"}
            for model in ([name] if name else MODELS)
        ]  # fmt: skip
        if name:
            self.finish(described[0])
        else:
            self.finish({"data": described, "has_more": False, "first_id": MODELS[0],
                         "last_id": MODELS[-1]})  # fmt: skip


class CountTokens(JsonHandler):
    def post(self) -> None:
        request = self.body()
        if request is not None:
            parts = [request.get(name) for name in ("system", "tools", "messages")]
            self.finish({"input_tokens": estimate_tokens(parts)})


class AnswerCut(Exception):
    """The connection is to be dropped in the middle of an answer."""


class Messages(JsonHandler):
    def initialize(self, model: ScriptedModel) -> None:
        self.model = model
        self.left = asyncio.Event()
        self.message_id = f"msg_{uuid.uuid4().hex[:20]}"
        self.sent = 0
        self.begun = 0.0

    def on_connection_close(self) -> None:
        self.left.set()

    async def post(self) -> None:
        request = self.body()
        if request is None:
            return
        self.model.calls += 1
        self.model.answering.add(self)
        try:
            await self.play(request)
        except (StreamClosedError, AnswerCut):
            stream = getattr(self.request.connection, "stream", None)
            if isinstance(stream, IOStream):
                stream.close()
        finally:
            self.model.answering.discard(self)

    async def play(self, request: Mapping[str, Json]) -> None:
        session = self.request.headers.get("X-Claude-Code-Session-Id", "")
        reply = answer(self.model.script, request, session)
        fault = self.model.due(reply.fault, reply.place)
        if reply.delay:
            await self.pause(reply.delay)
        if fault is not None and fault.kind == "status":
            self.fail(fault.status, f"scripted fault {fault.status}", fault.retry_after)
            return
        name = str(request.get("model", MODELS[0]))
        if request.get("stream"):
            await self.stream(reply, fault, name)
        else:
            self.finish(self.message(reply, name))

    async def pause(self, seconds: float | None) -> None:
        """Wait (None: for ever); raises AnswerCut when the client leaves or the model closes."""
        try:
            async with asyncio.timeout(seconds):
                await self.left.wait()
        except TimeoutError:
            return
        raise AnswerCut

    # -- streaming ------------------------------------------------------------------------------

    async def stream(self, reply: Reply, fault: Fault | None, model: str) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.put("message_start", message=self.message(reply, model, empty=True))
        self.put("ping")
        await self.flush()
        self.begun = time.monotonic()
        index = 0
        for kind, deltas in (("thinking", reply.thinking), ("text", reply.text)):
            if deltas or (kind == "text" and not (reply.thinking or reply.tools)):
                await self.block(index, kind, deltas, reply, fault)
                index += 1
        for tool in reply.tools:
            await self.trip(fault)
            tool_id = f"toolu_{uuid.uuid4().hex[:20]}"
            self.put("content_block_start", index=index,
                     content_block={"type": "tool_use", "id": tool_id, "name": tool.name,
                                    "input": {}})  # fmt: skip
            encoded = json.dumps(tool.input, ensure_ascii=False)
            for start in range(0, len(encoded), 64):
                piece = encoded[start : start + 64]
                self.put("content_block_delta", index=index,
                         delta={"type": "input_json_delta", "partial_json": piece})  # fmt: skip
            self.put("content_block_stop", index=index)
            await self.flush()
            index += 1
        if fault is not None:  # the answer was shorter than `after`
            self.sent = max(self.sent, fault.after)
            await self.trip(fault)
        self.put("message_delta",
                 delta={"stop_reason": reply.stop_reason, "stop_sequence": None},
                 usage=usage_of(reply))  # fmt: skip
        self.put("message_stop")
        await self.finish()

    async def block(
        self, index: int, kind: str, deltas: tuple[str, ...], reply: Reply, fault: Fault | None
    ) -> None:
        start = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
        self.put("content_block_start", index=index, content_block=start)
        for number, delta in enumerate(deltas):
            await self.trip(fault)
            if reply.rate:
                wait = self.begun + self.sent / reply.rate - time.monotonic()
                if wait > 0:
                    await self.pause(wait)
            if reply.stamped and kind == "text":
                # CLOCK_MONOTONIC is one clock for all processes of a machine
                delta = f"w{number}«t={time.monotonic_ns()}» "
            self.put("content_block_delta", index=index,
                     delta={"type": f"{kind}_delta", kind: delta})  # fmt: skip
            self.sent += 1
            if reply.rate or self.sent % 32 == 0:
                await self.flush()
        if kind == "thinking":
            self.put("content_block_delta", index=index,
                     delta={"type": "signature_delta", "signature": "c2NyaXB0ZWQ="})  # fmt: skip
        self.put("content_block_stop", index=index)
        await self.flush()

    async def trip(self, fault: Fault | None) -> None:
        """Let a fault happen when its place in the stream has come, by raising AnswerCut."""
        if fault is None or self.sent != fault.after:
            return
        await self.flush()
        match fault.kind:
            case "stall":
                await self.pause(None)
            case "end":
                await self.finish()
            case "error":
                self.put("error", error={"type": "overloaded_error", "message": "Overloaded"})
                await self.finish()
            case "malformed":
                self.write('event: content_block_delta\ndata: {"type":"content_block_del\n\n')
                await self.finish()
            case _:
                pass
        raise AnswerCut

    def put(self, kind: str, **fields: Any) -> None:
        data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
        self.write(f"event: {kind}\ndata: {data}\n\n".encode())

    def message(self, reply: Reply, model: str, *, empty: bool = False) -> dict[str, Json]:
        content: list[Json] = []
        if reply.thinking:
            content.append({"type": "thinking", "thinking": "".join(reply.thinking),
                            "signature": "c2NyaXB0ZWQ="})  # fmt: skip
        if reply.text:
            content.append({"type": "text", "text": "".join(reply.text)})
        for tool in reply.tools:
            content.append({"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}",
                            "name": tool.name, "input": tool.input})  # fmt: skip
        return {
            "id": self.message_id, "type": "message", "role": "assistant", "model": model,
            "content": [] if empty else content,
            "stop_reason": None if empty else reply.stop_reason, "stop_sequence": None,
            "usage": usage_of(reply) | ({"output_tokens": 1} if empty else {}),
        }  # fmt: skip


def usage_of(reply: Reply) -> dict[str, int]:
    usage = reply.usage
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }


async def serve(script: Script, port: int) -> None:
    async with ScriptedModel(script, port=port) as model:
        sys.stdout.write(f"{model.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m agent_lab.demo.model",
        description="A loopback model that answers from a script; prints its address first.",
    )
    parser.add_argument("--script", default="demo", help="a file, or: demo, tests")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(load_script(options.script), options.port))


if __name__ == "__main__":
    main()

"""What the HTTP routes share: one table, sign-in and permission, bodies, errors and event streams.

A route is a function and its entry in a `Table`. The table makes the handlers and the OpenAPI
document, so the two cannot differ. The function parses, calls, and returns what to send.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from msgspec import Struct
from tornado import web
from tornado.iostream import StreamClosedError

from agent_lab.protocol.commands import parse
from agent_lab.protocol.errors import AgentLabError, Invalid, TooLarge
from agent_lab.protocol.events import Json, encode

if TYPE_CHECKING:
    from types import TracebackType

    from agent_lab.server.app import AgentLab
    from agent_lab.sessions.session import Session
    from agent_lab.sessions.subscribers import Subscriber
    from agent_lab.store.event_log import Stored

MAX_SEQ = (1 << 32) - 1
MOST_TURNS = 1000
BODY_SLACK = 1 << 20
"""Bytes that a request may have beyond the message in it: escapes, context, the envelope."""
KEEP_ALIVE_SECONDS = 15.0
"""A silent stream says something this often: proxies keep it, and a dead client is noticed."""
EVENT_STREAM = "text/event-stream"
MOST_UNSENT_BYTES = 1 << 20
"""Bytes of events that are put together before the client must have taken them."""

_S = TypeVar("_S", bound=Struct)
Action: TypeAlias = Literal["read", "write", "execute"]
Pick: TypeAlias = Callable[["list[Stored]"], Awaitable["tuple[list[Stored], bool]"]]
"""Of a batch of events those to send, and whether the stream is over after them."""

_SENTENCES: Mapping[int, tuple[str, str]] = {
    400: ("The request could not be understood.", "invalid"),
    401: ("You are not signed in. Open Jupyter again to sign in.", "unauthenticated"),
    403: (
        "You are not signed in here, or may not do this. Open Jupyter again to sign in.",
        "forbidden",
    ),
    404: ("There is nothing at this address.", "not_found"),
    405: ("This address does not take that method.", "method_not_allowed"),
    413: ("The request is too large.", "too_large"),
}
_INTERNAL = (
    "Something went wrong in Agent Lab. Try again; the server's log has the details.",
    "internal",
)


class Answer(Struct, frozen=True):
    """What to send. `value` is any of our types, or bytes that are JSON already; None: nothing."""

    value: object = None
    status: int = 200


class Sent(Struct, frozen=True):
    """The function has written its answer itself."""


class LabHandler(JupyterHandler):
    """What the REST routes and the WebSocket have in common."""

    auth_resource = "agent_lab"

    @property
    def lab(self) -> AgentLab:
        lab: AgentLab = self.settings["agent_lab"]
        return lab

    def text(self, name: str) -> str:
        """An argument of the query, "" when it is absent."""
        return self.get_query_argument(name, "")

    def whole(self, name: str, low: int = 0, high: int = MAX_SEQ) -> int | None:
        return whole(self.text(name), name, low, high)

    async def subscribe(self, session: Session, after: int | None, tail: int | None) -> Subscriber:
        """A reader of the log from there on. Raises Invalid where the log does not go that far."""
        if after is not None and after > session.info.last_seq:
            raise Invalid("This log does not go that far; read it anew.", "beyond_the_log")
        return await session.subscribe(after, tail)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Say what failed without the query of the address, which may hold Jupyter's token."""
        asked = f"{self.request.method} {self.request.path}"
        if not isinstance(value, web.HTTPError):
            self.log.error("agent_lab: %s failed", asked, exc_info=value)
        elif value.log_message:
            self.log.warning("agent_lab: %s: %s", asked, value)


@web.stream_request_body
class RouteHandler(LabHandler, APIHandler):
    """A request. It reads its body itself: tornado would take half a gigabyte before asking us."""

    def initialize(self) -> None:
        self._body = bytearray()
        self._too_large = False
        self._subscriber: Subscriber | None = None

    # ------------------------------------------------------------ in

    async def prepare(self) -> None:  # type: ignore[override]  # as in jupyter_server
        await super().prepare()
        self.check_length()

    def check_length(self) -> None:
        length = self.request.headers.get("Content-Length", "")
        if not self._finished and length.isdecimal() and int(length) > self._most:
            self.refuse(self._larger())

    def data_received(self, chunk: bytes) -> None:
        """Called by tornado; a body that tells no length is counted."""
        self._too_large = self._too_large or len(self._body) + len(chunk) > self._most
        if not self._too_large:
            self._body += chunk

    @property
    def _most(self) -> int:
        return self.lab.max_message_bytes + BODY_SLACK

    def _larger(self) -> TooLarge:
        limit = self._most >> 20
        return TooLarge(f"The request is larger than {limit} MB. Send a part of it, or a file.")

    def body(self, kind: type[_S]) -> _S:
        """The request's body. Raises Invalid with a sentence, TooLarge."""
        if self._too_large:
            raise self._larger()
        try:
            return parse(bytes(self._body), kind)
        except RecursionError:
            raise Invalid("The request's body is nested too deeply.") from None

    def body_as_json(self) -> Json:
        """The request's body as it is. Raises TooLarge, msgspec.DecodeError, RecursionError."""
        if self._too_large:
            raise self._larger()
        return msgspec.json.decode(bytes(self._body))

    def flag(self, name: str) -> bool:
        return self.text(name) not in ("", "0", "false")

    @property
    def wants_stream(self) -> bool:
        return EVENT_STREAM in self.request.headers.get("Accept", "")

    # ------------------------------------------------------------ out

    async def respond(self, run: Callable[..., Awaitable[object]], ids: dict[str, str]) -> None:
        """Run a route's function and send what it returns, or why it could not."""
        try:
            result = await run(self, **ids)
        except AgentLabError as error:
            self.refuse(error)
            return
        except StreamClosedError:
            return
        if isinstance(result, Sent):
            return
        answer = result if isinstance(result, Answer) else Answer(result)
        if answer.value is None:
            self.set_status(204)
            self.finish()
            return
        self.set_status(answer.status)
        value = answer.value
        self.finish(value if isinstance(value, bytes) else encode(value))

    def refuse(self, error: AgentLabError) -> None:
        if self._headers_written:
            self.finish()
            return
        self.set_status(error.http_status)
        said = {**error.detail, "message": error.message, "reason": error.reason}
        self.finish(encode(said))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What jupyter_server and tornado refuse, and what nobody foresaw, in the same shape."""
        message, reason = _SENTENCES.get(status_code, _INTERNAL)
        self.finish(encode({"message": message, "reason": reason}))

    # ------------------------------------------------------------ event streams

    async def follow(self, session: Session, otherwise: int | None = None) -> Sent:
        """Stream the log from where the query says, else from `otherwise` (None: its last turns).

        A browser's EventSource that was cut says itself from where on.
        """
        last = whole(self.request.headers.get("Last-Event-ID", ""), "Last-Event-ID")
        after = self.whole("after") if last is None else last
        tail = self.whole("tail", 1, MOST_TURNS)
        if after is None and tail is None:
            after = otherwise
        return await self.stream(session, after, tail)

    async def stream(
        self,
        session: Session,
        after: int | None,
        tail: int | None = None,
        pick: Pick | None = None,
    ) -> Sent:
        """Send events as server-sent events until `pick` says so or there are no more.

        A client that goes away ends the stream and nothing else.
        """
        self._subscriber = subscriber = await self.subscribe(session, after, tail)
        try:
            await self._send_events(subscriber, pick)
        finally:
            session.unsubscribe(subscriber)
        return Sent()

    async def _send_events(self, subscriber: Subscriber, pick: Pick | None) -> None:
        self.set_header("Content-Type", EVENT_STREAM)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")  # nginx would collect the events
        await self.flush()
        batches = aiter(subscriber)
        over = False
        while not over:
            following = asyncio.ensure_future(anext(batches, None))
            while not (await asyncio.wait([following], timeout=KEEP_ALIVE_SECONDS))[0]:
                self.write(b":\n\n")
                await self.flush()
            events = following.result()
            if events is None:
                break
            if pick is not None:
                events, over = await pick(events)
            size = 0
            for event in events:
                self.write(b"id: %d\ndata: %b\n\n" % (event.seq, event.json))
                size += len(event.json)
                if size > MOST_UNSENT_BYTES:
                    await self.flush()
                    size = 0
            await self.flush()
        self.finish(set_content_type=EVENT_STREAM)

    def on_connection_close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.finish()
        super().on_connection_close()


class Missing(RouteHandler):
    """Any other address below the API: a 404 in our shape, for those who are signed in."""

    @web.authenticated
    async def get(self, *_: str) -> None:
        self.send_error(404)

    post = put = patch = delete = get


# ---------------------------------------------------------------- the table


class Route(Struct, frozen=True):
    """`path` is below the table's; `query` names each argument and says what it does.

    `body` and `returns` name types of the OpenAPI document; `also` are further answers.
    """

    method: str
    path: str
    action: Action
    run: Callable[..., Awaitable[object]]
    summary: str
    query: Mapping[str, str]
    body: type | None
    returns: str | None
    status: int
    also: Mapping[int, str | None]


class Table:
    """The routes below one path, all guarded in the same way."""

    def __init__(
        self,
        path: str,
        base: type[RouteHandler],
        guard: Callable[[Route], Callable[..., Awaitable[None]]],
    ) -> None:
        self.path = path
        self.routes: list[Route] = []
        self._base = base
        self._guard = guard

    def route(
        self,
        method: str,
        path: str,
        action: Action,
        *,
        query: Mapping[str, str] | None = None,
        body: type | None = None,
        returns: str | None = None,
        status: int = 200,
        also: Mapping[int, str | None] | None = None,
    ) -> Callable[[_F], _F]:
        """Enter a function into the table; its docstring's first line says what the route does."""

        def enter(run: _F) -> _F:
            summary = (run.__doc__ or "").strip().splitlines()[0]
            self.routes.append(
                Route(
                    method, path, action, run, summary, query or {}, body, returns, status,
                    also or {},
                )
            )  # fmt: skip
            return run

        return enter

    def handlers(self) -> list[tuple[str, type[RouteHandler]]]:
        """(pattern below the base URL, handler) for each path."""
        paths: dict[str, dict[str, Any]] = {}
        for route in self.routes:
            paths.setdefault(route.path, {})[route.method.lower()] = self._guard(route)
        return [
            (pattern(f"{self.path}/{path}"), type("Handler", (self._base,), methods))
            for path, methods in paths.items()
        ]


_F = TypeVar("_F", bound=Callable[..., Awaitable[object]])


def pattern(path: str) -> str:
    """`a/{id}` as the regular expression that tornado wants."""
    return "/" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)


def signed_in(route: Route) -> Callable[..., Awaitable[None]]:
    """For those who are signed in and whom Jupyter's authorizer lets do this."""

    @web.authenticated
    @authorized(route.action)  # type: ignore[untyped-decorator]  # it tells no types
    async def method(self: RouteHandler, **ids: str) -> None:
        await self.respond(route.run, ids)

    return method  # type: ignore[return-value]  # always awaitable


def whole(text: str, name: str, low: int = 0, high: int = MAX_SEQ) -> int | None:
    """A whole number of a query, None when it is absent. Raises Invalid."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
        raise Invalid(f"{name!r} must be a whole number from {low} to {high}.")
    return int(text)

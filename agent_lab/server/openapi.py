"""The OpenAPI document of every route, built from the tables that register them.

`python -m agent_lab.server.openapi` prints it; `openapi.json` beside this file is what it prints.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from agent_lab.agents.conversations import Conversation
from agent_lab.agents.registry import Agent
from agent_lab.notebook.sent import TurnSent
from agent_lab.protocol import frames
from agent_lab.protocol import tabs as tab_messages
from agent_lab.protocol.brief import Brief
from agent_lab.protocol.commands import AnyCommand
from agent_lab.protocol.events import AnyBody, ContextDial, ContextItem, Json
from agent_lab.protocol.events import Session as SessionObject
from agent_lab.protocol.reports import ContextReport, Variable
from agent_lab.server import changes, pages, sockets, tabs, websocket
from agent_lab.server.conversation_routes import CONVERSATIONS, Forgotten, Rules
from agent_lab.server.kernel_routes import KERNEL
from agent_lab.server.mcp_route import MCP
from agent_lab.server.notebook_routes import NOTEBOOK
from agent_lab.server.readiness import READINESS
from agent_lab.server.rest import API
from agent_lab.server.routes import Route, Table
from agent_lab.sessions.files import File
from agent_lab.sessions.readiness import Check
from agent_lab.store.catalogue import Hit

_EVENT_STREAM = "Server-sent events: each `data` is an event of the log, each `id` its seq."

TABLES = (API, CONVERSATIONS, NOTEBOOK, READINESS, KERNEL, MCP)
Node = dict[str, Any]
"""A node of a JSON document: its shape is the OpenAPI specification's."""


class Failure(Struct):
    """`message`: a sentence with the next step. `reason`: stable. Some have further fields."""

    message: str
    reason: str


class Agents(Struct):
    agents: list[Agent]


class Sessions(Struct):
    """`cursor` asks for the next page; null: there is none. `hits`: of a search, by session."""

    sessions: list[SessionObject]
    cursor: str | None
    hits: dict[str, list[Hit]]
    cli: list[Conversation] | None = None
    cli_complete: bool | None = None


class Variables(Struct):
    variables: list[Variable]


class SinceLast(Struct):
    """`item` null: nothing happened. `on`: the folder's prompts are told at all."""

    item: ContextItem | None
    on: bool


class TurnsSent(Struct):
    turns: list[TurnSent]


class Files(Struct):
    files: list[File]


class Readiness(Struct):
    checks: list[Check]


class Costs(Struct):
    by_turn: list[Json]
    by_model: list[Json]


class Accepted(Struct, omit_defaults=True):
    """Either the turn that it is, or the id under which it waits in the queue."""

    turn_id: str | None = None
    queued: str | None = None


class AcceptedByKernel(Accepted, kw_only=True, omit_defaults=True):
    """`after`: the seq after which the turn lies, or will. `notebook`: whose session it is."""

    session_id: str
    after: int
    notebook: str | None


class KernelSessions(Struct):
    """`current`: the one that a question from this kernel goes to."""

    sessions: list[Brief]
    current: str | None


class Health(Struct):
    """`durable_turns`: a turn outlives the server. `log`: "ok", or what is wrong with it."""

    status: str
    version: str
    durable_turns: bool
    log: str


def document() -> Node:
    """The OpenAPI 3.1 document; addresses are below the server's base URL."""
    from agent_lab.store.ledger import UsageRow

    named = (
        Agents, Sessions, Accepted, AcceptedByKernel, KernelSessions, Health, Failure,
        UsageRow, Files, Variables, ContextReport, Rules, Forgotten, Readiness, SinceLast,
        TurnsSent, ContextDial,
    )  # fmt: skip
    bodies = {route.body for table in TABLES for route in table.routes if route.body}
    sent = (
        frames.Hello, frames.Ack, frames.Reject, changes.ChangesHello,
        changes.SessionChanged, changes.SessionDeleted,
        tab_messages.TabsHello, tab_messages.TabRequest, tab_messages.TabGo,
        tab_messages.OpenNotebooks, tab_messages.TabReady, tab_messages.TabReply,
    )  # fmt: skip
    types = (
        *named,
        *sorted(bodies, key=lambda body: body.__name__),
        *sent,
        AnyBody,
        AnyCommand,
    )
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    body, asked = schemas[-2], schemas[-1]
    components["Event"] = {
        "description": "An event of the log: this envelope around a body, in one flat object.",
        "allOf": [
            {
                "type": "object",
                "properties": {
                    "seq": {"type": "integer"},
                    "session_id": {"type": "string"},
                    "turn_id": {"type": ["string", "null"]},
                    "time": {"type": "string", "format": "date-time"},
                },
                "required": ["seq", "session_id", "turn_id", "time"],
            },
            body,
        ],
    }
    components["Command"] = asked
    components["Events"] = _object(
        events={"type": "array", "items": _ref("Event")}, more={"type": "boolean"}
    )
    usage = {"type": "array", "items": _ref("UsageRow")}
    components["SessionWithCost"] = {
        "allOf": [_ref("Session"), _object(cost=_object(by_turn=usage, by_model=usage))]
    }
    components["JsonRpc"] = {
        "type": "object",
        "description": "A message of the Model Context Protocol, or a stream of them.",
    }
    components["OpenAPI"] = {"type": "object"}
    paths: Node = {}
    for table in TABLES:
        for route in table.routes:
            place = paths.setdefault(_address(table, route), {})
            place[route.method.lower()] = _operation(table, route)
    chat = _socket(
        websocket.PATH,
        "chat",
        "The WebSocket of a session: `Hello`, then events. A `Command` is answered by an `Ack` or "
        "a `Reject`.",
        {
            "after": "everything later than this seq, then live",
            "tail": "or: the last so many turns, then live",
        },
        "Hello", "Event", "Ack", "Reject",
    )  # fmt: skip
    all_sessions = _socket(
        changes.PATH,
        "changes",
        "The WebSocket of all sessions: the newest state of each that changed.",
        {},
        "ChangesHello", "SessionChanged", "SessionDeleted",
    )  # fmt: skip
    paths[f"/{websocket.PATH}"] = {"get": chat}
    paths[f"/{changes.PATH}"] = {"get": all_sessions}
    notebooks = _socket(
        tabs.PATH,
        "notebooks",
        "The WebSocket of a page's open notebooks: `TabsHello`, then each `TabRequest`, and "
        "`TabGo` for one that is announced. The page says `OpenNotebooks` at each change, "
        "`TabReady` to what is announced, and one `TabReply` to each request.",
        {},
        "TabsHello", "TabRequest", "TabGo", "OpenNotebooks", "TabReady", "TabReply",
    )  # fmt: skip
    paths[f"/{tabs.PATH}"] = {"get": notebooks}
    for name, path, said, kind in (
        ("page_sessions", pages.SESSIONS, "The list of sessions as a page.", "text/html"),
        ("page_session", pages.SESSION, "A session as a page.", "text/html"),
        ("manifest", pages.MANIFEST, "The page as a web app.", "application/manifest+json"),
        ("answers", pages.ANSWERS, "The page's service worker.", "text/javascript"),
    ):
        paths[f"/{path}"] = {"get": _page(name, f"/{path}", said, kind)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agent Lab",
            "version": "1",
            "description": "Coding agents beside live notebooks. Errors are `Failure` objects.",
        },
        "servers": [{"url": "../..", "description": "the Jupyter server's base URL"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "jupyter": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token <Jupyter's token>`, or a page's cookie with `_xsrf`",
                },
                "kernel": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "AGENT_LAB_KERNEL_SECRET of the kernel's environment",
                },
                "mcp": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "made per session, given to that session's agent only",
                },
            },
        },
    }


def _address(table: Table, route: Route) -> str:
    return f"/{table.path}/{route.path}"


def _operation(table: Table, route: Route) -> Node:
    of_kernel, of_agent = table is KERNEL, table is MCP
    address, name = _address(table, route), route.run.__name__
    answers: Node = {str(route.status): _answer(route.returns)}
    for status, returns in route.also.items():
        said = _answer(returns)
        known = answers.setdefault(str(status), said)
        if known is not said:
            known["content"] |= said["content"]
    answers["default"] = _answer("Failure")
    operation: Node = {
        "operationId": f"kernel_{name}" if of_kernel else f"mcp_{name}" if of_agent else name,
        "summary": route.summary,
        "description": "For code inside a kernel of this server."
        if of_kernel
        else "For the agent of that session."
        if of_agent
        else f"Jupyter's authorizer is asked for `{route.action}` on `agent_lab`.",
        "security": [{"kernel" if of_kernel else "mcp" if of_agent else "jupyter": []}],
        "parameters": [*_in_path(address), *_in_query(route.query.items())],
        "responses": dict(sorted(answers.items())),
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.body.__name__)}},
        }
    return operation


def _socket(path: str, name: str, said: str, query: dict[str, str], *frames: str) -> Node:
    codes = (
        f"{sockets.BAD_QUERY} a bad query or one beyond the log, "
        f"{sockets.SIGNED_OUT} not signed in, {sockets.NOT_ALLOWED} not allowed, "
        f"{sockets.NOT_FOUND} no such session, {sockets.ENDED} ended and read to the end, "
        f"{sockets.TOO_SLOW} too slow: come back with `after`"
    )
    schema = {"oneOf": [_ref(frame) for frame in frames]}
    return {
        "operationId": name,
        "summary": said,
        "description": f"Each text frame is one JSON object. Close codes: {codes}.",
        "security": [{"jupyter": []}],
        "parameters": [*_in_path(f"/{path}"), *_in_query(query.items())],
        "responses": {
            "101": {
                "description": "The WebSocket is open.",
                "content": {"application/json": {"schema": schema}},
            }
        },
    }


def _page(name: str, path: str, said: str, kind: str) -> Node:
    return {
        "operationId": name,
        "summary": said,
        "description": "For a browser; one that is not signed in is sent to the login page.",
        "security": [{"jupyter": []}],
        "parameters": _in_path(path),
        "responses": {"200": {"description": said, "content": {kind: {}}}},
    }


def _answer(returns: str | None) -> Node:
    match returns:
        case None:
            return {"description": "Done."}
        case "EventStream":
            schema = {"type": "string"}
            return {
                "description": _EVENT_STREAM,
                "content": {"text/event-stream": {"schema": schema}},
            }
        case "Lines":
            return {
                "description": "One event a line.",
                "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            }
        case _:
            return {
                "description": returns,
                "content": {"application/json": {"schema": _ref(returns)}},
            }


def _in_path(address: str) -> list[Node]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", address)
    ]


def _in_query(query: Iterable[tuple[str, str]]) -> list[Node]:
    return [
        {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
        for name, what in query
    ]


def _object(**properties: Node) -> Node:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def text() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

"""The REST routes of sessions: parse, call the Manager or the Session, serialise."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from agent_lab.protocol.commands import AnswerPermission, NewSession, Prompt, Set
from agent_lab.protocol.errors import AgentLabError, Conflict, Invalid
from agent_lab.protocol.events import ContentBlock, ContextItem, Json, encode
from agent_lab.server.routes import Answer, RouteHandler, Sent, Table, signed_in
from agent_lab.server.version import version

if TYPE_CHECKING:
    from agent_lab.sessions.manager import Manager
    from agent_lab.sessions.session import Session
    from agent_lab.store.event_log import Stored

API = Table("agent-lab/api", RouteHandler, signed_in)
DEFAULT_PAGE = 500
LARGEST_PAGE = 2000
LARGEST_PAGE_BYTES = 8 << 20
"""A page that would be larger ends earlier, but holds one event at least."""
EVENTS_READ = 50
"""Events that are in memory at once, beside those of the page."""
LONGEST_SEARCH = 1000

_WHERE = {
    "after": "only events later than this seq",
    "before": "only events earlier than this seq; without `after` the last ones before it",
    "limit": f"how many, {DEFAULT_PAGE} unless told, at most {LARGEST_PAGE}",
}


class PromptBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is the client's own: the same id twice is one turn. Without one, each call is a turn."""

    content: tuple[ContentBlock, ...] = ()
    context: tuple[ContextItem, ...] = ()
    id: str = ""
    origin: Literal["api", "cli", "notebook", "terminal", "review"] = "api"
    without: tuple[Literal["since"], ...] = ()


class PermissionBody(Struct, frozen=True, forbid_unknown_fields=True):
    option_id: str
    message: str | None = None
    updated_input: Json = None
    answers: dict[str, str] | None = None
    trial: bool = False


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    title: str | None = None
    model: str | None = None
    permission_mode: str | None = None
    effort: str | None = None


# ---------------------------------------------------------------- agents and lists


@API.route("GET", "agents", "read", returns="Agents")
async def agents(request: RouteHandler) -> object:
    """The agents known here: installed, version, signed in, and how to install them."""
    manager = await request.lab.manager()
    return {"agents": await manager.agents()}


@API.route(
    "GET",
    "sessions",
    "read",
    query={
        "q": "words in titles and transcripts",
        "status": "only sessions with this status",
        "workspace": "only sessions that work in this folder",
        "agent": "only sessions of this agent",
        "children": "1: reviews too",
        "include": "cli: also what the agent's own program made in `workspace`, else in any folder",
        "limit": "how many, 50 unless told, at most 200",
        "cursor": "where the last page ended",
    },
    returns="Sessions",
)
async def list_sessions(request: RouteHandler) -> object:
    """The sessions of this server's folder: active first, then the newest."""
    include, path = request.text("include"), request.get_query_argument("workspace", None)
    if include not in ("", "cli"):
        raise Invalid("`include` is either cli, for those of the agent's own program, or absent.")
    words = request.text("q")
    if len(words) > LONGEST_SEARCH:
        raise Invalid(f"Search for fewer words: at most {LONGEST_SEARCH} characters.")
    offset = request.whole("cursor")
    manager = await request.lab.manager()
    listed = await manager.listed(
        q=words,
        status=request.text("status"),
        path=path,
        agent=request.text("agent"),
        children=request.flag("children"),
        limit=request.whole("limit", 1, 200) or 50,
        cursor=str(offset or ""),
    )
    if not include:
        return listed
    made = await manager.cli_conversations(path)
    cli = encode(made.found), encode(made.complete)
    return b'%b,"cli":%b,"cli_complete":%b}' % (encode(listed)[:-1], *cli)


@API.route(
    "POST",
    "sessions",
    "write",
    body=NewSession,
    returns="Session",
    status=201,
    also={200: "Session"},
)
async def create_session(request: RouteHandler) -> object:
    """Make a session, or get the live one of this notebook's kernel (200)."""
    new = request.body(NewSession)
    if new.fork or new.worktree:
        raise Invalid("A session can be neither forked nor given a worktree here. Leave both out.")
    manager = await request.lab.manager()
    session, is_new = await manager.create(new)
    return Answer(session.info, 201 if is_new else 200)


# ---------------------------------------------------------------- one session


@API.route("GET", "sessions/{session_id}", "read", returns="SessionWithCost")
async def read_session(request: RouteHandler, session_id: str) -> object:
    """The session object, with what it cost by turn and by model."""
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    cost = {
        "by_turn": await manager.charges("turn", session_id),
        "by_model": await manager.charges("model", session_id),
    }
    return b'%b,"cost":%b}' % (encode(session.info)[:-1], encode(cost))


@API.route("PATCH", "sessions/{session_id}", "write", body=ChangeBody, returns="Session")
async def change_session(request: RouteHandler, session_id: str) -> object:
    """Change the title, the model, the permission mode or the effort."""
    change = request.body(ChangeBody)
    session = await find_session(request, session_id)
    await session.set(Set(**msgspec.structs.asdict(change)))
    return session.info


@API.route(
    "DELETE",
    "sessions/{session_id}",
    "write",
    query={"worktree": "keep or remove", "force": "1: even where that loses changes"},
    status=204,
)
async def delete_session(request: RouteHandler, session_id: str) -> object:
    """End the session and take it off the lists."""
    if request.text("worktree") not in ("", "keep", "remove"):
        raise Invalid("`worktree` is either keep or remove.")
    manager = await request.lab.manager()
    await manager.delete(session_id)
    return None


@API.route("POST", "sessions/{session_id}/end", "write", returns="Session")
async def end_session(request: RouteHandler, session_id: str) -> object:
    """Stop the agent and everything it started; the transcript stays, read-only."""
    session = await find_session(request, session_id)
    await session.end()
    return session.info


@API.route("POST", "sessions/{session_id}/resume", "execute", returns="Session")
async def resume_session(request: RouteHandler, session_id: str) -> object:
    """Make an ended, stopped or failed session live again."""
    session = await find_session(request, session_id)
    await session.resume()
    return session.info


# ---------------------------------------------------------------- turns


@API.route(
    "POST",
    "sessions/{session_id}/prompt",
    "execute",
    body=PromptBody,
    returns="Accepted",
    status=202,
    also={200: "EventStream"},
)
async def prompt(request: RouteHandler, session_id: str) -> object:
    """Send a prompt: 202, or the turn's events until it ended (Accept: text/event-stream)."""
    body = request.body(PromptBody)
    message = Prompt(
        id=body.id or str(uuid.uuid4()),
        content=body.content,
        context=body.context,
        origin=body.origin,
        without=body.without,
    )
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    if request.wants_stream:
        return await _stream_turn(request, manager, session, message)
    return Answer((await session.prompt(message)).fields(), 202)


class _Head(Struct):
    type: str
    turn_id: str | None = None
    message_id: str | None = None


_read_head = msgspec.json.Decoder(_Head).decode


async def _stream_turn(
    request: RouteHandler, manager: Manager, session: Session, message: Prompt
) -> Sent:
    """Send the events of one prompt's turn, now or when its time in the queue has come."""
    after = session.info.last_seq
    accepted = await session.prompt(message)
    turn = accepted.turn_id
    if turn is not None:
        after = await manager.seq_before_turn(session, turn)
    elif await manager.was_withdrawn(session, message.id):
        text = "This message was taken out of the queue before. To send it, give it a new id."
        raise Conflict(text, "not_queued")

    async def of_turn(events: list[Stored]) -> tuple[list[Stored], bool]:
        nonlocal turn
        chosen: list[Stored] = []
        queue_changed = False
        for event in events:
            head = _read_head(event.json)
            queue_changed = queue_changed or head.type == "queue_updated"
            if turn is None and head.type == "user_message" and head.message_id == message.id:
                turn = head.turn_id
            if turn is not None and head.turn_id == turn:
                chosen.append(event)
                if head.type == "turn_ended":
                    return chosen, True
        if turn is None and queue_changed:
            return chosen, await manager.was_withdrawn(session, message.id)
        return chosen, False

    return await request.stream(session, after, pick=of_turn)


@API.route("POST", "sessions/{session_id}/cancel", "execute", returns="Session")
async def cancel(request: RouteHandler, session_id: str) -> object:
    """Cancel the running turn; when none runs, nothing happens."""
    session = await find_session(request, session_id)
    await session.cancel()
    return session.info


@API.route(
    "POST",
    "sessions/{session_id}/permissions/{request_id}",
    "execute",
    body=PermissionBody,
    returns="Session",
)
async def answer_permission(request: RouteHandler, session_id: str, request_id: str) -> object:
    """Answer a pending permission; the first answer wins."""
    body = request.body(PermissionBody)
    session = await find_session(request, session_id)
    await session.answer(AnswerPermission(request_id=request_id, **msgspec.structs.asdict(body)))
    return session.info


# ---------------------------------------------------------------- the log


@API.route(
    "GET",
    "sessions/{session_id}/events",
    "read",
    query={
        **_WHERE,
        "follow": "1 with Accept: text/event-stream: go on live",
        "tail": "with follow, in place of after: the last so many turns",
    },
    returns="Events",
    also={200: "EventStream"},
)
async def read_events(request: RouteHandler, session_id: str) -> object:
    """The log of a session, a page at a time or live."""
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    if request.flag("follow") and request.wants_stream:
        return await request.follow(session, otherwise=0)
    limit = request.whole("limit", 1, LARGEST_PAGE) or DEFAULT_PAGE
    after, before = request.whole("after") or 0, request.whole("before")
    events, more = await _page(manager, session, after, before, limit)
    found = b",".join(event.json for event in events)
    return b'{"events":[%b],"more":%b}' % (found, b"true" if more else b"false")


async def _page(
    manager: Manager, session: Session, after: int, before: int | None, limit: int
) -> tuple[list[Stored], bool]:
    """At most `limit` events and LARGEST_PAGE_BYTES, oldest first; and whether there are more."""
    backwards = before is not None and not after
    found: list[Stored] = []
    size = 0
    while True:
        wanted = min(EVENTS_READ, limit + 1 - len(found))
        read = await manager.events(session, after, before, wanted)
        for event in reversed(read) if backwards else read:
            size += len(event.json)
            if len(found) == limit or (found and size > LARGEST_PAGE_BYTES):
                return found[::-1] if backwards else found, True
            found.append(event)
        if len(read) < wanted:
            return found[::-1] if backwards else found, False
        if backwards:
            before = read[0].seq
        else:
            after = read[-1].seq


@API.route(
    "GET",
    "sessions/{session_id}/export",
    "read",
    query={"format": "jsonl: one event a line"},
    returns="Lines",
)
async def export(request: RouteHandler, session_id: str) -> object:
    """The transcript as a document to keep."""
    if request.text("format") != "jsonl":
        raise Invalid("The transcript can be exported as `format=jsonl`.")
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    kind = "application/x-ndjson"
    request.set_header("Content-Type", kind)
    request.set_attachment_header(f"{session.info.title}.jsonl")
    after, last = 0, session.info.last_seq  # a turn that runs may say more for ever
    while after < last and (events := await manager.events(session, after, None, EVENTS_READ)):
        after = events[-1].seq
        request.write(b"".join(event.json + b"\n" for event in events))
        await request.flush()
    request.finish(set_content_type=kind)
    return Sent()


# ---------------------------------------------------------------- about the server


@API.route("GET", "health", "read", returns="Health")
async def health(request: RouteHandler) -> object:
    """Whether the server can do its work, and what about it is not as it should be."""
    durable, log = False, "ok"
    try:
        manager = await request.lab.manager()
        durable = await manager.durable_turns()
        log = await manager.log_problem() or "ok"
    except AgentLabError as error:
        log = error.message
    return {"status": "ok", "version": version(), "durable_turns": durable, "log": log}


@API.route("GET", "openapi.json", "read", returns="OpenAPI")
async def openapi(request: RouteHandler) -> object:
    """This interface as an OpenAPI document."""
    from agent_lab.server.openapi import document

    return document()


async def find_session(request: RouteHandler, session_id: str) -> Session:
    manager = await request.lab.manager()
    return await manager.get(session_id)

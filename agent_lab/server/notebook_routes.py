"""The REST routes about a session's notebook and its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agent_lab.protocol.errors import Conflict, Invalid, NotFound
from agent_lab.protocol.events import DialLevel, Event, decode_event
from agent_lab.server.rest import EVENTS_READ, find_session
from agent_lab.server.routes import Answer, RouteHandler, Sent, Table, signed_in

if TYPE_CHECKING:
    from agent_lab.sessions.manager import Manager
    from agent_lab.sessions.session import Session

NOTEBOOK = Table("agent-lab/api", RouteHandler, signed_in)


@NOTEBOOK.route("GET", "sessions/{session_id}/variables", "read", returns="Variables")
async def read_variables(request: RouteHandler, session_id: str) -> object:
    """What is in the memory of the session's kernel, newest last; also while a cell runs."""
    from agent_lab.notebook.variables import variables

    info = (await find_session(request, session_id)).info
    kernel_id = info.notebook.kernel_id if info.notebook else None
    kernels = request.kernel_manager
    if kernel_id is None or kernel_id not in kernels:
        text = "This session has no running kernel. Start its notebook's kernel, then try again."
        raise Conflict(text, "no_kernel")
    return {"variables": await variables(kernels.get_kernel(kernel_id))}


class TrialBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`source`: the person's version of the proposed cell; null: the proposed one."""

    source: str | None = None


@NOTEBOOK.route(
    "POST",
    "sessions/{session_id}/permissions/{request_id}/trial",
    "execute",
    body=TrialBody,
    returns="Session",
    status=202,
)
async def try_out(request: RouteHandler, session_id: str, request_id: str) -> object:
    """Try what a pending request would run, in a copy of the kernel; the outcome is in the log.

    An edit's old source is tried first, then the new one. One trial at a time.
    """
    body = request.body(TrialBody)
    session = await find_session(request, session_id)
    await session.try_out(request_id, body.source)
    return Answer(session.info, 202)


@NOTEBOOK.route(
    "POST", "sessions/{session_id}/changes/{tool_call_id}/undo", "execute", returns="Session"
)
async def undo_change(request: RouteHandler, session_id: str, tool_call_id: str) -> object:
    """Put a cell back as it was before a tool call changed or added it, in the open tab or in the
    file; only while it still is what the change made of it."""
    from agent_lab.sessions.proposals import done_by

    manager = await request.lab.manager()
    session = await manager.get(session_id)
    events: list[Event] = []

    def push(event: Event) -> None:
        if getattr(event.body, "tool_call_id", None) == tool_call_id:
            events.append(event)

    await _read_all(manager, session, push)
    change = done_by(tool_call_id, events)
    if change is None:
        raise NotFound("This session has made no such change of a cell.")
    await session.take_back(change)
    return session.info


class DialBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a folder's dial. `level` sets both sides of it."""

    level: DialLevel | None = None
    sent: DialLevel | None = None
    read: DialLevel | None = None
    masks: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    since: bool | None = None


@NOTEBOOK.route("GET", "sessions/{session_id}/since", "read", returns="SinceLast")
async def read_since(request: RouteHandler, session_id: str) -> object:
    """What the next prompt will say of what happened beside the conversation; null: nothing."""
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    watching = request.lab.watching
    dial = await manager.dial_of(session.info.workspace.cwd)
    item = None if watching is None else await watching.account.preview(session.info, dial)
    return {"item": item, "on": dial.since}


@NOTEBOOK.route("GET", "sessions/{session_id}/dial", "read", returns="ContextDial")
async def read_dial(request: RouteHandler, session_id: str) -> object:
    """What may leave the kernels of the session's folder."""
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    return await manager.dial_of(session.info.workspace.cwd)


@NOTEBOOK.route(
    "PATCH", "sessions/{session_id}/dial", "write", body=DialBody, returns="ContextDial"
)
async def change_dial(request: RouteHandler, session_id: str) -> object:
    """Turn the dial of the session's folder; it holds at once for all sessions below it."""
    from agent_lab.notebook.masks import check_patterns
    from agent_lab.protocol.secrets import check_columns

    body = request.body(DialBody)
    check_patterns(body.masks or ())
    check_columns(body.columns or ())
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    dial = await manager.dial_of(session.info.workspace.cwd)
    dial = replace(
        dial,
        sent=body.sent or body.level or dial.sent,
        read=body.read or body.level or dial.read,
        masks=dial.masks if body.masks is None else body.masks,
        columns=dial.columns if body.columns is None else body.columns,
        since=dial.since if body.since is None else body.since,
    )
    await manager.set_dial(session, dial)
    return dial


_FORMATS = {"": "json", "json": "json", "csv": "csv", "md": "md"}


@NOTEBOOK.route(
    "GET",
    "sessions/{session_id}/sent",
    "read",
    query={"turn": "only this turn", "format": "json, csv or md; json unless told"},
    returns="TurnsSent",
)
async def read_sent(request: RouteHandler, session_id: str) -> object:
    """What left with each turn: sizes, places, the dial's level, what was masked or held back."""
    from agent_lab.notebook.sent import Fold, to_csv, to_markdown

    kind = _FORMATS.get(request.text("format"))
    if kind is None:
        raise Invalid("`format` is json, csv or md.")
    manager = await request.lab.manager()
    session = await manager.get(session_id)
    fold = Fold()
    await _read_all(manager, session, fold.push)
    wanted = request.text("turn")
    turns = [turn for turn in fold.turns() if wanted in ("", turn.turn_id)]
    if wanted and not turns:
        raise NotFound("There is no such turn in this session, or nothing was sent in it.")
    if kind == "json":
        return {"turns": turns}
    title = session.info.title
    text = to_csv(turns) if kind == "csv" else to_markdown(turns, title)
    mime = "text/csv; charset=utf-8" if kind == "csv" else "text/markdown; charset=utf-8"
    request.set_header("Content-Type", mime)
    request.set_attachment_header(f"{title} - sent.{kind}")
    request.write(text.encode("utf-8", "replace"))
    request.finish(set_content_type=mime)
    return Sent()


async def _read_all(manager: Manager, session: Session, push: Callable[[Event], None]) -> None:
    after, last = 0, session.info.last_seq
    while after < last and (events := await manager.events(session, after, None, EVENTS_READ)):
        after = events[-1].seq
        for event in events:
            push(decode_event(event.json))

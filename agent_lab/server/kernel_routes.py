"""The routes for code inside a kernel: the session of its own notebook, else of its folder.

They take a bearer secret that the server put into its kernels' environment. It is not Jupyter's
token, opens nothing but these routes, and no page of a browser may use it.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from tornado import web

from agent_lab.protocol.asking import Question
from agent_lab.protocol.brief import brief
from agent_lab.protocol.commands import Prompt
from agent_lab.protocol.errors import Forbidden, Invalid, NotFound
from agent_lab.protocol.events import ContentBlock
from agent_lab.server.bearer import BearerHandler, by_secret
from agent_lab.server.routes import Answer, RouteHandler, Table
from agent_lab.sessions import asking
from agent_lab.sessions.asking import LISTED, Place, change, named

if TYPE_CHECKING:
    from agent_lab.sessions.session import Session

FOLDER = {
    "folder": "where the kernel works, absolute: for one that runs no notebook of this server"
}
OF_SESSION = {**FOLDER, "session_id": "another session of the same folder, or the start of its id"}


class KernelSession(Struct, frozen=True, forbid_unknown_fields=True):
    """What session it shall be. `session_id`: that one from now on; `new`: one of its own."""

    session_id: str = ""
    new: bool = False
    agent: str | None = None
    model: str | None = None


class KernelPrompt(Question, frozen=True, forbid_unknown_fields=True):
    """`id` is the kernel's own: the same id twice is one turn. `session_id`: not this kernel's
    session but that one, this once. `plan`: the agent plans first. It cannot grant more."""

    id: str = ""
    content: tuple[ContentBlock, ...] = ()


class KernelCancel(Struct, frozen=True, forbid_unknown_fields=True):
    """`prompt_id`: only that prompt, running or queued. Without it whatever runs."""

    session_id: str = ""
    prompt_id: str = ""


class KernelHandler(BearerHandler):
    callers = "kernels"
    refusal = "The secret is not this server's. Restart the kernel: then it gets the new one."

    async def secret(self) -> str:
        return self.lab.kernel_secret


KERNEL = Table("agent-lab/kernel/{kernel_id}", KernelHandler, by_secret)


@KERNEL.route("GET", "session", "read", query=OF_SESSION, returns="Session")
async def read_session(request: RouteHandler, kernel_id: str) -> object:
    """The session of this kernel's notebook; 404 when there is none yet."""
    return (await _session(request, kernel_id, request.text("session_id"))).info


@KERNEL.route(
    "POST",
    "session",
    "write",
    query=FOLDER,
    body=KernelSession,
    returns="Session",
    status=201,
    also={200: "Session"},
)
async def create_session(request: RouteHandler, kernel_id: str) -> object:
    """Make the session of this kernel's notebook, or get the one that is there (200)."""
    body = request.body(KernelSession)
    place = await _place(request, kernel_id)
    if body.session_id:
        if body.new:
            raise Invalid("Either that session or a new one, not both.")
        return Answer((await _take_up(request, place, body.session_id)).info, 200)
    manager = await request.lab.manager()
    session, is_new = await manager.for_kernel(place.new(body.agent, body.model), body.new)
    if not is_new:
        await change(session, body.agent, body.model, False)
    return Answer(session.info, 201 if is_new else 200)


@KERNEL.route("GET", "sessions", "read", query=FOLDER, returns="KernelSessions")
async def list_sessions(request: RouteHandler, kernel_id: str) -> object:
    """The sessions of this kernel's folder, active first, then the newest; and which is its own."""
    place = await _place(request, kernel_id)
    manager = await request.lab.manager()
    listed = await manager.listed(path=place.folder, limit=LISTED)
    own = await asking.own(manager, place)
    return {
        "sessions": [brief(session) for session in listed.sessions],
        "current": own.id if own is not None else None,
    }


@KERNEL.route(
    "POST", "prompt", "execute", query=FOLDER, body=KernelPrompt, returns="AcceptedByKernel",
    status=202,
)  # fmt: skip
async def prompt(request: RouteHandler, kernel_id: str) -> object:
    """Send a prompt to the session of this kernel's notebook, which is made when there is none."""
    body = request.body(KernelPrompt)
    place = await _place(request, kernel_id)
    manager = await request.lab.manager()
    is_new = False
    if body.session_id:
        session = await named(manager, place, body.session_id)
    else:
        wanted = place.new(body.agent, body.model, body.plan)
        session, is_new = await manager.for_kernel(wanted, body.new)
    if not is_new:
        await change(session, body.agent, body.model, body.plan)
    # A kernel does not know the path of its notebook once that was renamed; the server does.
    context = tuple(
        item if item.notebook or place.notebook is None else replace(item, notebook=place.notebook)
        for item in body.context
    )
    message = Prompt(
        id=body.id or str(uuid.uuid4()),
        content=body.content,
        context=context,
        origin="magic",
        without=body.without,
    )
    accepted, after = await asking.ask(manager, session, message)
    bound = session.info.notebook
    told = {
        "session_id": session.id,
        "after": after,
        "notebook": bound.path if bound is not None else None,
    }
    return Answer({**told, **accepted.fields()}, 202)


@KERNEL.route("POST", "cancel", "execute", query=FOLDER, body=KernelCancel, returns="Session")
async def cancel(request: RouteHandler, kernel_id: str) -> object:
    """Cancel the running turn, or one prompt; when it does not run, nothing happens."""
    body = request.body(KernelCancel)
    session = await _session(request, kernel_id, body.session_id)
    if body.prompt_id:
        await session.withdraw(body.prompt_id)
    else:
        await session.cancel()
    return session.info


@KERNEL.route(
    "GET",
    "events",
    "read",
    query={
        "after": "only events later than this seq",
        "tail": "or: the last so many turns",
        **OF_SESSION,
    },
    returns="EventStream",
)
async def events(request: RouteHandler, kernel_id: str) -> object:
    """The log of the session as server-sent events, then live."""
    return await request.follow(await _session(request, kernel_id, request.text("session_id")))


async def _place(request: RouteHandler, kernel_id: str) -> Place:
    """The notebook that this kernel runs now, which may have been renamed; else its folder."""
    folder = request.text("folder")
    if kernel_id not in request.kernel_manager:
        if folder:
            return _folder(request, folder)
        raise NotFound("This kernel is not one of this server's.", "kernel_not_found")
    try:
        sessions: Any = request.session_manager  # its methods tell no types
        model = await sessions.get_session(kernel_id=kernel_id)
    except web.HTTPError:
        if folder:
            return _folder(request, folder)
        text = "No notebook uses this kernel. Open it from a notebook, then try again."
        raise NotFound(text, "notebook_not_found") from None
    path = str(model["path"])
    return Place(path, path.rpartition("/")[0], kernel_id)


def _folder(request: RouteHandler, folder: str) -> Place:
    """Raises Forbidden for a folder that this server does not serve."""
    assert request.lab.serverapp is not None
    root, path = Path(request.lab.serverapp.root_dir).resolve(), Path(folder)
    try:
        relative = path.resolve().relative_to(root)
    except (ValueError, OSError, RuntimeError):
        text = (
            f"{folder[:200]} lies outside of {root}, which this Jupyter server serves. Change to a "
            "folder inside (%cd), or start `jupyter lab` there."
        )
        raise Forbidden(text, "outside") from None
    return Place(None, "" if relative == Path() else relative.as_posix())


async def _session(request: RouteHandler, kernel_id: str, session_id: str = "") -> Session:
    place = await _place(request, kernel_id)
    manager = await request.lab.manager()
    if session_id:
        return await named(manager, place, session_id)
    session = await asking.own(manager, place)
    if session is None:
        what = "notebook" if place.notebook is not None else "folder"
        text = f"This {what} has no agent yet. `%agent` with a question starts one."
        raise NotFound(text, "session_not_found")
    return session


async def _take_up(request: RouteHandler, place: Place, start: str) -> Session:
    """Make a session this notebook's own, live again when it had ended."""
    manager = await request.lab.manager()
    session = await named(manager, place, start)
    await session.resume()
    if place.notebook is not None:
        await manager.bind(session, place.notebook, place.kernel_id)
    return session

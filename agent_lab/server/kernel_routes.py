"""The routes for code inside a kernel of this server: the session of its own notebook.

They take a bearer secret that the server put into its kernels' environment. It is not Jupyter's
token, opens nothing but these routes, and no page of a browser may use it.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated
from msgspec.structs import replace
from tornado import web

from agent_lab.protocol.commands import NewSession, Prompt
from agent_lab.protocol.errors import Forbidden, NotFound
from agent_lab.server.rest import PromptBody, accepted_fields
from agent_lab.server.routes import Answer, Route, RouteHandler, Table

if TYPE_CHECKING:
    from agent_lab.sessions.session import Session


class KernelHandler(RouteHandler):
    """A request from a kernel; nothing of Jupyter's sign-in is asked."""

    # Jupyter's own `prepare` would hand our secret to the hub as if it were one of its tokens.
    async def prepare(self) -> None:  # type: ignore[override]  # as in jupyter_server
        self.current_user = None
        if not self.check_host():
            raise web.HTTPError(403)
        if "Origin" in self.request.headers:
            self.refuse(Forbidden("These routes are for kernels, not for pages."))
            return
        kind, _, given = self.request.headers.get("Authorization", "").partition(" ")
        secret = self.lab.kernel_secret.encode()
        known = hmac.compare_digest(given.strip().encode(), secret)
        if kind.lower() != "bearer" or not known:
            text = "The secret is not this server's. Restart the kernel: then it gets the new one."
            self.refuse(Forbidden(text, "wrong_secret"))
            return
        self.check_length()

    def check_xsrf_cookie(self) -> None:
        """No cookie opens these routes, so there is nothing to forge."""


def _by_secret(route: Route) -> Callable[..., Awaitable[None]]:
    @allow_unauthenticated  # `prepare` has checked the secret
    async def method(self: RouteHandler, **ids: str) -> None:
        await self.respond(route.run, ids)

    return method


KERNEL = Table("agent-lab/kernel/{kernel_id}", KernelHandler, _by_secret)


@KERNEL.route("GET", "session", "read", returns="Session")
async def read_session(request: RouteHandler, kernel_id: str) -> object:
    """The session of this kernel's notebook; 404 when there is none yet."""
    return (await _session(request, kernel_id)).info


@KERNEL.route("POST", "session", "write", returns="Session", status=201, also={200: "Session"})
async def create_session(request: RouteHandler, kernel_id: str) -> object:
    """Make the session of this kernel's notebook, or get the one that is there (200)."""
    session, is_new = await _create(request, kernel_id)
    return Answer(session.info, 201 if is_new else 200)


@KERNEL.route(
    "POST", "prompt", "execute", body=PromptBody, returns="AcceptedByKernel", status=202
)  # fmt: skip
async def prompt(request: RouteHandler, kernel_id: str) -> object:
    """Send a prompt to the session of this kernel's notebook, which is made when there is none."""
    body = request.body(PromptBody)
    session, _ = await _create(request, kernel_id)
    # A kernel does not know the path of its notebook once that was renamed; the server does.
    bound = session.info.notebook
    context = tuple(
        item if item.notebook or bound is None else replace(item, notebook=bound.path)
        for item in body.context
    )
    message = Prompt(
        id=body.id or str(uuid.uuid4()),
        content=body.content,
        context=context,
        origin="magic",
        without=body.without,
    )
    accepted = await session.prompt(message)
    return Answer({"session_id": session.id, **accepted_fields(accepted)}, 202)


@KERNEL.route("POST", "cancel", "execute", returns="Session")
async def cancel(request: RouteHandler, kernel_id: str) -> object:
    """Cancel the running turn; when none runs, nothing happens."""
    session = await _session(request, kernel_id)
    await session.cancel()
    return session.info


@KERNEL.route(
    "GET",
    "events",
    "read",
    query={"after": "only events later than this seq", "tail": "or: the last so many turns"},
    returns="EventStream",
)
async def events(request: RouteHandler, kernel_id: str) -> object:
    """The log of the session as server-sent events, then live."""
    return await request.follow(await _session(request, kernel_id))


async def _notebook(request: RouteHandler, kernel_id: str) -> str:
    """The path of the notebook that this kernel runs now; it may have been renamed."""
    if kernel_id not in request.kernel_manager:
        raise NotFound("This kernel is not one of this server's.", "kernel_not_found")
    try:
        sessions: Any = request.session_manager  # its methods tell no types
        model = await sessions.get_session(kernel_id=kernel_id)
    except web.HTTPError:
        text = "No notebook uses this kernel. Open it from a notebook, then try again."
        raise NotFound(text, "notebook_not_found") from None
    return str(model["path"])


async def _session(request: RouteHandler, kernel_id: str) -> Session:
    notebook = await _notebook(request, kernel_id)
    manager = await request.lab.manager()
    session = await manager.of_notebook(notebook, kernel_id)
    if session is None:
        text = "This notebook has no agent yet. `%agent` with a question starts one."
        raise NotFound(text, "session_not_found")
    return session


async def _create(request: RouteHandler, kernel_id: str) -> tuple[Session, bool]:
    notebook = await _notebook(request, kernel_id)
    manager = await request.lab.manager()
    return await manager.create(NewSession(notebook=notebook, kernel_id=kernel_id))

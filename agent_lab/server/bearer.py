"""Requests of programs that hold a secret of ours: no sign-in of Jupyter's, and no page's."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web

from agent_lab.protocol.errors import Forbidden
from agent_lab.server.routes import Route, RouteHandler


class BearerHandler(RouteHandler):
    """`callers`: for whom these routes are; `refusal`: what others are told."""

    callers = "programs"
    refusal = ""

    async def secret(self) -> str:
        """The secret that opens this address; "" opens it to nobody."""
        raise NotImplementedError

    # Jupyter's own `prepare` would hand our secret to the hub as if it were one of its tokens.
    async def prepare(self) -> None:  # type: ignore[override]  # as in jupyter_server
        self.current_user = None
        if not self.check_host():
            raise web.HTTPError(403)
        if "Origin" in self.request.headers:
            self.refuse(Forbidden(f"This is for {self.callers}, not for pages."))
            return
        kind, _, given = self.request.headers.get("Authorization", "").partition(" ")
        secret = await self.secret()
        # Compared also where nothing opens it: a stranger learns nothing of what there is.
        known = hmac.compare_digest(given.strip().encode(), secret.encode())
        if kind.lower() != "bearer" or not secret or not known:
            self.refuse(Forbidden(self.refusal, "wrong_secret"))
            return
        self.check_length()

    def check_xsrf_cookie(self) -> None:
        """No cookie opens these routes, so there is nothing to forge."""


def by_secret(route: Route) -> Callable[..., Awaitable[None]]:
    @allow_unauthenticated  # `prepare` has checked the secret
    async def method(self: RouteHandler, **ids: str) -> None:
        await self.respond(route.run, ids)

    return method

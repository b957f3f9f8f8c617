"""What our WebSockets share: who may enter, compression, pings, the codes they close with."""

from __future__ import annotations

from typing import Any, Literal

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketHandler

from agent_lab.protocol.errors import AgentLabError
from agent_lab.server.routes import BODY_SLACK, LabHandler

PING_SECONDS = 30.0

BAD_QUERY = 4400
SIGNED_OUT = 4401
NOT_ALLOWED = 4403
NOT_FOUND = 4404
ENDED = 4410
TOO_SLOW = 4429
GOING_AWAY = 1001
SERVER_ERROR = 1011
_CODES = {400: BAD_QUERY, 403: NOT_ALLOWED, 404: NOT_FOUND}


class Socket(WebSocketMixin, WebSocketHandler, LabHandler):
    """`attach` begins what the socket is for; `action` is what the authorizer is asked about."""

    action: Literal["read", "execute"]

    async def attach(self, session_id: str = "") -> None:
        """Raises AgentLabError: the socket is closed with the code of that error."""
        raise NotImplementedError

    def set_default_headers(self) -> None:
        """None of a page's headers make sense here."""

    def get_compression_options(self) -> dict[str, Any]:
        # Of 476 kB in 2,000 chunks, level 1 makes 53 kB at 3.4 us a frame, level 9 46 kB at 10 us.
        # Frames this alike need no more than 2**(5+9) bytes of memory beside the window.
        return {"compression_level": 1, "mem_level": 5}

    # jupyter_server counts in milliseconds what tornado takes for seconds. tornado's own pings also
    # find the client that reads nothing at all, which is then let go of.
    @property
    def ping_interval(self) -> float:
        return float(self.settings.get("websocket_ping_interval") or PING_SECONDS)

    @property
    def ping_timeout(self) -> float:
        return self.ping_interval

    @property
    def max_message_size(self) -> int:
        return self.lab.max_message_bytes + BODY_SLACK

    # A page learns nothing of a refused handshake, so a stranger is let through it and turned away
    # with a code that the page can tell from a broken connection. Nothing is looked up before.
    @allow_unauthenticated
    async def get(self, session_id: str = "") -> None:
        self._refused = await self._may_not_enter()
        await super().get(session_id)  # checks the origin

    async def _may_not_enter(self) -> int | None:
        user = self.current_user
        if not user:
            return SIGNED_OUT
        may = await ensure_async(
            self.authorizer.is_authorized(self, user, self.action, self.auth_resource)
        )
        return None if may else NOT_ALLOWED

    async def open(self, session_id: str = "") -> None:
        if self._refused is not None:
            self.close(self._refused)
            return
        self.set_nodelay(True)  # else a frame waits up to 40 ms for the client's delayed ACK
        try:
            await self.attach(session_id)
        except AgentLabError as error:
            self.close(_CODES.get(error.http_status, SERVER_ERROR), error.reason)
        except web.HTTPError:  # a query that is not UTF-8
            self.close(BAD_QUERY)

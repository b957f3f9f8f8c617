"""The WebSocket of the notebooks open in a page of JupyterLab: what it holds, what is asked of
it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from tornado.websocket import WebSocketClosedError

from agent_lab.protocol import tabs
from agent_lab.protocol.events import encode
from agent_lab.protocol.frames import PROTOCOL
from agent_lab.server.routes import pattern
from agent_lab.server.sockets import BAD_QUERY, Socket

if TYPE_CHECKING:
    from agent_lab.notebook.tabs import Page

PATH = "agent-lab/api/notebooks"

_decoder = msgspec.json.Decoder(tabs.Said)


class TabsSocket(Socket):
    # A page that answers here says what a notebook holds, and is given what an agent writes.
    action = "execute"
    _page: Page | None = None

    async def attach(self, session_id: str = "") -> None:
        await self.write_message(encode(tabs.TabsHello(PROTOCOL, self.max_message_size)))
        self._page = self.lab.tabs.connect(self._send)

    async def _send(self, message: bytes) -> None:
        try:
            await self.write_message(message)
        except WebSocketClosedError:
            raise ConnectionResetError from None

    async def on_message(self, message: str | bytes) -> None:
        if self._page is None:
            return
        try:
            said = _decoder.decode(message)
        except (msgspec.DecodeError, UnicodeError):
            # It speaks another version: better no tab than one that is misunderstood.
            self.close(BAD_QUERY, "message not understood")
            return
        self._page.said(said)

    def on_close(self) -> None:
        if self._page is not None:
            self._page.close()


def handlers() -> list[tuple[str, type[TabsSocket]]]:
    return [(pattern(PATH), TabsSocket)]

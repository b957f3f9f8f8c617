"""Show the Agent panel of this kernel's session in a cell, as an anywidget over the one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anywidget
from traitlets import Bool, Unicode

from agent_lab.kernel import own
from agent_lab.kernel.client import connect, server_door

BUNDLE = Path(__file__).parent.parent / "static" / "chat.js"


class AgentChat(anywidget.AnyWidget):
    """The chat with this notebook's agent: `AgentChat()` as the last line of a cell.

    Raises AgentLabError with the next step.
    """

    _esm = BUNDLE
    session_id = Unicode(help="The session that is shown.").tag(sync=True)
    kernel_id = Unicode(help="The kernel it belongs to.").tag(sync=True)
    notebook = Unicode(help="The notebook's path under the root, or empty.").tag(sync=True)
    base_url = Unicode("/", help="Where the server lives, as a path: /user/ada/.").tag(sync=True)
    over_widget = Bool(
        False, help="Whether the sessions are in this kernel and no server is to be asked."
    ).tag(sync=True)
    _connection: own.Panel | None = None

    def __init__(self, **traits: Any) -> None:
        door = connect()
        session = door.open_session()
        server = server_door()
        path = urlsplit(server.url).path if server is not None else "/"
        super().__init__(
            session_id=session.id,
            kernel_id=server.kernel_id if server is not None else "",
            notebook=session.notebook.path if session.notebook else "",
            base_url=path if path.endswith("/") else f"{path}/",
            over_widget=door.is_own,
            **traits,
        )
        mine = own.door() if door.is_own else None
        if mine is not None:
            self._connection = mine.panel(self.send)
            self.on_msg(self._received)

    def _received(self, widget: object, content: object, buffers: object) -> None:
        if self._connection is not None:
            self._connection.received(content)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        super().close()

"""Show the Agent panel of this kernel's session in a cell, as an anywidget over the one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anywidget
from traitlets import Unicode

from agent_lab.kernel.client import connect

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

    def __init__(self, **traits: Any) -> None:
        client = connect()
        session = client.open_session()
        path = urlsplit(client.url).path
        super().__init__(
            session_id=session.id,
            kernel_id=client.kernel_id,
            notebook=session.notebook.path if session.notebook else "",
            base_url=path if path.endswith("/") else f"{path}/",
            **traits,
        )

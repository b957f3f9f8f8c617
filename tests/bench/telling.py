"""A server extension of the bench alone: tells it the secret of a session's door to the tools.

In the product only that session's agent is given it.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

NAME = "tests.bench.telling"


class Secret(JupyterHandler):
    @web.authenticated
    async def get(self, session_id: str) -> None:
        manager = await self.settings["agent_lab"].manager()
        calls = (await manager.get(session_id)).tool_calls
        self.finish({"secret": calls.secret})


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(r"/bench/secret/([^/]+)", Secret)])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": NAME}]

"""A server extension of the tests: asks the open tabs what a test wants of them, as tools do."""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from agent_lab.protocol.errors import AgentLabError, NotFound


class Ask(APIHandler):
    @web.authenticated
    async def post(self) -> None:
        asked = self.get_json_body() or {}
        try:
            tab = self.settings["agent_lab"].tabs.holder(asked["notebook"])
            if tab is None:
                raise NotFound("Nobody has it open.", "not_open")
            answer = {"result": await tab.ask(asked["op"], **asked["fields"]), "key": tab.key}
        except AgentLabError as error:
            answer = {"reason": error.reason, "message": error.message}
        self.finish(answer)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "asking"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.web_app.settings["base_url"], "ask"), Ask)])

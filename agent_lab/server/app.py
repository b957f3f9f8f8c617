"""The server extension: configuration, wiring, start and stop; nothing heavy before use."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Dict, Float, Int, List, Unicode, Union, default

from agent_lab.protocol.errors import Unavailable
from agent_lab.server import changes, pages, tabs, websocket
from agent_lab.server.conversation_routes import CONVERSATIONS
from agent_lab.server.kernel_routes import KERNEL
from agent_lab.server.mcp_route import MCP
from agent_lab.server.notebook_routes import NOTEBOOK
from agent_lab.server.readiness import READINESS
from agent_lab.server.rest import API
from agent_lab.server.routes import Missing
from agent_lab.server.version import version

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from agent_lab.notebook.bond import Bond
    from agent_lab.notebook.tabs import Tabs
    from agent_lab.server.watching import Watching
    from agent_lab.sessions.manager import Manager
    from agent_lab.sessions.settings import Settings

STOP_SECONDS = 10.0
URL_VARIABLE = "AGENT_LAB_URL"
SECRET_VARIABLE = "AGENT_LAB_KERNEL_SECRET"  # noqa: S105 - a variable's name


class AgentLab(ExtensionApp):
    """A coding agent beside live notebooks and a terminal."""

    name = "agent_lab"
    extension_url = "/lab"
    load_other_extensions = True
    static_paths = [str(Path(__file__).parents[1] / "static")]  # noqa: RUF012 - a trait's value

    default_agent = Unicode("claude", help="The agent of a new session.").tag(config=True)
    default_model = Unicode("", help="The model of a new session; empty: the agent's own.").tag(
        config=True
    )
    default_permission_mode = Unicode(
        "default", help="The permission mode of a new session: default, acceptEdits or plan."
    ).tag(config=True)
    claude_command = Union(
        [List(Unicode()), Unicode()],
        default_value=[],
        help="How to start claude, as a list or as one line; empty: `claude` on PATH, else the "
        "one inside the package claude-agent-sdk.",
    ).tag(config=True)
    agents = List(Dict(), help="More agents that speak the Agent Client Protocol.").tag(config=True)
    data_dir = Unicode(help="Where sessions are stored.").tag(config=True)
    max_sessions = Int(1000, min=1, help="How many sessions are kept.").tag(config=True)
    max_message_bytes = Int(32 << 20, min=1024, help="The largest message to an agent.").tag(
        config=True
    )
    max_line_bytes = Int(32 << 20, min=1024, help="The longest line read from an agent.").tag(
        config=True
    )
    idle_timeout = Float(
        1800.0, min=1.0, help="Seconds after which an agent that nobody looks at is ended."
    ).tag(config=True)
    allow_bypass_permissions = Bool(
        False, help="Whether a session may run tools without asking anybody."
    ).tag(config=True)
    budget_usd = Float(None, allow_none=True, help="The most a session may cost.").tag(config=True)
    keep_running_turns = Bool(
        False, help="Let running turns go on while the server is stopped, to be taken up again."
    ).tag(config=True)
    agent_environment = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="Variables added to what agents see.",
    ).tag(config=True)
    demo = Bool(False, help="Whether the agent's model is the scripted one of the demo.").tag(
        config=True
    )

    kernel_secret = ""
    tabs: Tabs
    """The notebooks open in pages of a browser."""
    _starting: asyncio.Task[Manager] | None = None
    _bond: Bond | None = None
    _stopped = False
    watching: Watching | None = None

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "agent_lab")

    @property
    def _folder(self) -> Path:
        return Path(self.data_dir).expanduser().absolute()

    # ------------------------------------------------------------ wiring

    def initialize_settings(self) -> None:
        from agent_lab.notebook.tabs import Tabs

        self.tabs = Tabs()
        self.kernel_secret = secrets.token_urlsafe(32)
        self._export()

    def initialize_handlers(self) -> None:
        self.handlers.extend(
            [*API.handlers(), *CONVERSATIONS.handlers(), *NOTEBOOK.handlers(), *KERNEL.handlers()],
        )
        self.handlers.extend(MCP.handlers())
        self.handlers.extend([*READINESS.handlers(), *pages.handlers()])
        self.handlers.extend([*websocket.handlers(), *changes.handlers(), *tabs.handlers()])
        self.handlers.append((rf"/{API.path}(?:/.*)?", Missing))

    def _export(self) -> None:
        """Tell the kernels that this server will start where it is and what opens their routes."""
        assert self.serverapp is not None
        os.environ[URL_VARIABLE] = self.serverapp.connection_url
        os.environ[SECRET_VARIABLE] = self.kernel_secret

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        self._export()  # the port may have changed since
        if (self._folder / "run").is_dir():
            self._start()

    # ------------------------------------------------------------ the Manager

    async def manager(self) -> Manager:
        """The Manager, started on first use. Raises Unavailable when the log cannot be opened."""
        if self._stopped:
            raise Unavailable("The server is stopping. Try again when it is back.", "stopping")
        return await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[Manager]:
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(
                self._start_manager(), name="agent_lab: start"
            )
            self._starting.add_done_callback(self._started)
        return self._starting

    async def _start_manager(self) -> Manager:
        import sqlite3

        # A tenth of a second of imports, in a thread so that no other request waits for it.
        names = ("sessions.manager", "server.jupyter", "server.watching")
        for name in names:
            await asyncio.to_thread(importlib.import_module, f"agent_lab.{name}")
        from agent_lab.notebook.bond import Bond
        from agent_lab.server.jupyter import JupyterServer
        from agent_lab.sessions.manager import Manager
        from agent_lab.store.migrations import NewerDatabase

        settings = self._settings()
        assert self.serverapp is not None
        watching = self._watching()
        jupyter = JupyterServer(self.serverapp)
        watch = watching.account.watch
        self._bond = Bond(jupyter, settings.root_dir, version(), self.tabs, watch)
        manager = Manager(settings, self._bond, watching.account)
        watching.start(manager)
        try:
            await manager.start()
        except NewerDatabase as error:
            raise Unavailable(str(error), "storage") from None
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(
                f"The sessions in {self.data_dir} cannot be opened ({error}). Make room or mend "
                "the folder, or name another one in AgentLab.data_dir.",
                "storage",
            ) from None
        return manager

    def _watching(self) -> Watching:
        from agent_lab.server.watching import Watching

        assert self.serverapp is not None
        self.watching = Watching(self.serverapp, self.tabs)
        return self.watching

    def _started(self, task: asyncio.Task[Manager]) -> None:
        """What failed is tried again at the next request."""
        if task.cancelled() or task.exception() is not None:
            self._starting = None
            if not task.cancelled():
                self.log.warning("agent_lab: %s", task.exception())

    def _settings(self) -> Settings:
        from agent_lab.sessions.settings import Settings

        assert self.serverapp is not None
        return Settings(
            data_dir=self._folder,
            root_dir=Path(self.serverapp.root_dir),
            claude_command=self._command(),
            default_agent=self.default_agent,
            default_model=self.default_model or None,
            default_permission_mode=self.default_permission_mode,
            max_sessions=self.max_sessions,
            max_message_bytes=self.max_message_bytes,
            max_line_bytes=self.max_line_bytes,
            idle_timeout=self.idle_timeout,
            allow_bypass_permissions=self.allow_bypass_permissions,
            keep_running_turns=self.keep_running_turns,
            agent_environment=dict(self.agent_environment),
            demo=self.demo,
        )

    def _command(self) -> tuple[str, ...]:
        try:
            return command(self.claude_command)
        except (ValueError, SyntaxError) as error:
            raise Unavailable(
                f"AgentLab.claude_command, {self.claude_command!r}, cannot be read ({error}). Mend "
                "it in the server's configuration; best it is a list: a program, then arguments.",
                "configuration",
            ) from None

    # ------------------------------------------------------------ stop

    def current_activity(self) -> dict[str, Any] | None:
        """A turn that runs keeps the server from being shut down for idleness."""
        task = self._starting
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        running = task.result().running()
        return {"running_turns": running} if running else None

    async def stop_extension(self) -> None:
        """End every agent. Safe to call twice; takes at most STOP_SECONDS."""
        self._stopped = True
        if os.environ.get(SECRET_VARIABLE) == self.kernel_secret:
            del os.environ[SECRET_VARIABLE]
            os.environ.pop(URL_VARIABLE, None)
        task, self._starting = self._starting, None
        if task is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                manager = await task
                if self.watching is not None:
                    await self.watching.stop()
                await manager.stop()
                if self._bond is not None:
                    self._bond.close()
        except TimeoutError:
            self.log.warning("agent_lab: not everything had ended after %s s", STOP_SECONDS)
        except Unavailable:
            return


def command(setting: str | list[str]) -> tuple[str, ...]:
    """The setting as an argument list; the path of a program may contain spaces."""
    if not isinstance(setting, str):
        return tuple(setting)
    if setting.startswith("["):  # a list on a command line: traitlets' Union leaves it as text
        return tuple(str(word) for word in ast.literal_eval(setting))
    return (setting,) if Path(setting).is_file() else tuple(shlex.split(setting))

"""Hear from Jupyter what happens to kernels and notebooks, and hand it to the sessions bound to
them.

Fault 31: whatever becomes of a kernel or a notebook, its session has a defined state, and the
person and the agent are told.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_lab.notebook.account import KernelAccount
from agent_lab.notebook.folder import code_cells
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Notebook, Notice

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jupyter_server.serverapp import ServerApp

    from agent_lab.notebook.since import CellNow
    from agent_lab.notebook.tabs import Tabs
    from agent_lab.notebook.watch import Watchable
    from agent_lab.sessions.manager import Manager
    from agent_lab.sessions.session import Session

_log = logging.getLogger(__name__)

KERNELS = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
CONTENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"
LATER_SECONDS = (0.1, 1.0)
"""When to look which kernel a notebook has: Jupyter writes it down after it has told the event."""


class Watching:
    """What this server's kernels and notebooks do. `start` with the Manager, `stop` at the end."""

    def __init__(self, serverapp: ServerApp, tabs: Tabs) -> None:
        self._app = serverapp
        self._tabs = tabs
        self._kernels: Any = serverapp.kernel_manager  # its methods tell no types
        self._events: Any = serverapp.event_logger
        self._manager: Manager | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: list[Any] = []
        self.account = KernelAccount(self, self._task, self._tell)

    # ------------------------------------------------------------ life

    def start(self, manager: Manager) -> None:
        self._manager = manager
        for schema, listener in ((KERNELS, self._kernel_acted), (CONTENTS, self._contents_acted)):
            if schema not in self._events.schemas:  # a Jupyter whose events are others
                _log.warning("agent_lab: this Jupyter does not tell of %s", schema)
                continue
            self._events.add_listener(schema_id=schema, listener=listener)
            self._listening.append(listener)

    async def stop(self) -> None:
        self._manager = None
        for listener in self._listening:
            self._events.remove_listener(listener=listener)
        self._listening.clear()
        self.account.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AgentLabError):
            _log.error("agent_lab: %s failed", task.get_name(), exc_info=error)

    # ------------------------------------------------------------ places

    def kernel(self, kernel_id: str, /) -> Watchable | None:
        if kernel_id not in self._kernels:
            return None
        manager: Watchable = self._kernels.get_kernel(kernel_id)
        return manager

    def file(self, notebook: str, /) -> Path | None:
        """Where the notebook lies, when notebooks are files here."""
        root = getattr(self._app.contents_manager, "root_dir", None)
        return Path(root) / notebook if root else None

    async def open_cells(self, notebook: str, /) -> list[CellNow] | None:
        tab = self._tabs.holder(notebook)
        if tab is None:
            return None
        try:
            content = await tab.ask("read", outputs=False)
        except AgentLabError as error:
            return None if error.reason == "tab_gone" else []
        cells = content.get("cells") if isinstance(content, dict) else None
        return code_cells(cells if isinstance(cells, list) else [])

    # ------------------------------------------------------------ kernels

    async def _kernel_acted(self, logger: object, schema_id: str, data: dict[str, Any]) -> None:
        kernel_id, action = data.get("kernel_id"), data.get("action", "")
        if data.get("status") == "error" or not isinstance(kernel_id, str):
            return
        self.account.watch.acted(kernel_id, action)
        if action in ("start", "shutdown"):
            self._task(self._reconcile(kernel_id), f"kernel {kernel_id[:8]}: {action}")

    async def _reconcile(self, kernel_id: str) -> None:
        """Bind the sessions of a kernel that came or went to what their notebooks have now."""
        for seconds in LATER_SECONDS:
            await asyncio.sleep(seconds)
            manager = self._manager
            if manager is None:
                return
            sessions: Any = self._app.session_manager
            running = await sessions.list_sessions()
            kernel_of = {one["path"]: one["kernel"]["id"] for one in running if one["kernel"]}
            for session in await manager.bound_to("", kernel_id):
                if kernel_id not in self._kernels:
                    await self._rebind(session, kernel_of)
            for path, now in kernel_of.items():
                if now == kernel_id:
                    for session in await manager.bound_to(path, None):
                        if self._is_here(session, path):
                            await self._rebind(session, kernel_of)

    async def _rebind(self, session: Session, kernel_of: dict[str, str]) -> None:
        bound = session.info.notebook
        if bound is None:
            return
        try:
            await session.rebind(Notebook(bound.path, kernel_of.get(bound.path)))
        except AgentLabError as error:  # another server drives it
            _log.info("agent_lab: session %s: %s", session.id, error)

    def _is_here(self, session: Session, path: str) -> bool:
        """Is it this server's notebook, and not one of the same name below another root?"""
        place, bound = self.file(path), session.info.notebook
        if place is not None and str(place.parent.resolve()) == session.info.workspace.cwd:
            return True
        return bound is not None and bound.kernel_id in self._kernels

    # ------------------------------------------------------------ notebooks

    async def _contents_acted(self, logger: object, schema_id: str, data: dict[str, Any]) -> None:
        action, path = data.get("action"), str(data.get("path", "")).strip("/")
        if action == "rename":
            source = str(data.get("source_path", "")).strip("/")
            self._task(self._renamed(source, path), f"renamed {source}")
        elif action == "delete":
            self._task(self._deleted(path), f"deleted {path}")

    async def _sessions_at(self, path: str) -> list[Session]:
        """Of a notebook, or of those in a folder."""
        manager = self._manager
        if manager is None or not path:
            return []
        found = [
            *await manager.bound_to(path, None),
            *await manager.bound_to(f"{path}/", None),
        ]
        return [
            session
            for session in found
            if session.info.notebook and self._is_here(session, session.info.notebook.path)
        ]

    async def _renamed(self, source: str, path: str) -> None:
        for session in await self._sessions_at(source):
            bound = session.info.notebook
            if bound is None:
                continue
            now = f"{path}{bound.path[len(source) :]}"
            await session.rebind(Notebook(now, bound.kernel_id))
            text = f"The notebook {bound.path} is now {now}. The agent is told."
            await self._show(session, Notice(level="info", code="notebook_renamed", text=text))

    async def _deleted(self, path: str) -> None:
        for session in await self._sessions_at(path):
            bound = session.info.notebook
            if bound is None:
                continue
            self.account.note(session.id, f"The notebook {bound.path} was deleted.")
            text = (
                f"The notebook {bound.path} was deleted. The conversation stays; the agent can no "
                "longer read or change its cells."
            )
            await session.tell(Notice(level="warning", code="notebook_deleted", text=text))

    # ------------------------------------------------------------ a person is told

    def _tell(self, session_id: str, what: str, notice: Notice) -> None:
        self._task(self._tell_session(session_id, what, notice), f"{session_id}: {what}")

    async def _tell_session(self, session_id: str, what: str, notice: Notice) -> None:
        if self._manager is None:
            return
        session = await self._manager.get(session_id)
        if what == "died":
            await session.tell(notice)
        else:
            await self._show(session, notice)

    async def _show(self, session: Session, notice: Notice) -> None:
        """What a person does themself need not be said, but while the agent relies on it."""
        if session.is_running:
            await session.tell(notice)

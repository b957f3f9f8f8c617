"""Run a Manager on an event loop of its own, in a daemon thread of this process."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from agent_lab.agents import registry
from agent_lab.notebook.account import KernelAccount
from agent_lab.protocol.errors import Unavailable
from agent_lab.protocol.events import Notice
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.settings import Settings
from agent_lab.store.migrations import NewerDatabase

START_SECONDS = 30.0
STOP_SECONDS = 10.0
"""How long everything may take to end; agents that are idle take well under a second."""

INSTRUCTIONS = """\
You sit beside a Python process of the person: IPython, or the kernel of a notebook that no \
Jupyter server of Agent Lab runs. You cannot reach its memory, run code in it, or change cells of \
a notebook that is open. What the person shows you of it comes with their questions. Say what to \
run there rather than running a copy of it elsewhere, and say so when you did not see something \
run."""

_log = logging.getLogger("agent_lab")
_T = TypeVar("_T")


def is_possible() -> bool:
    """Is there an agent that could be started here?"""
    return registry.claude_command((), os.environ.get("PATH")) is not None


class Engine:
    """Safe to use from any thread. `start` before use; `stop` ends every agent."""

    def __init__(self, data_dir: Path, root: Path) -> None:
        self.root = root
        self.loop = asyncio.new_event_loop()
        self._settings = Settings(
            data_dir=data_dir, root_dir=root, durable=False, instructions=INSTRUCTIONS
        )
        self._manager: Manager | None = None
        self._account: KernelAccount | None = None
        self._thread = threading.Thread(target=self._run, name="agent_lab: engine", daemon=True)
        self._pid = os.getpid()

    @property
    def manager(self) -> Manager:
        assert self._manager is not None, "it was started"
        return self._manager

    @property
    def is_here(self) -> bool:
        """False in a copy of the process that started it: threads are not copied."""
        return self._pid == os.getpid() and self._thread.is_alive()

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Raises Unavailable when the sessions cannot be opened."""
        if not _log.handlers:
            # Else Python would print warnings into whatever cell runs. Who listens hears them.
            _log.addHandler(logging.NullHandler())
        self._thread.start()
        try:
            self.call(self._begin(), START_SECONDS)
        except NewerDatabase as error:
            self.stop()
            raise Unavailable(str(error), "storage") from None
        except (sqlite3.Error, OSError) as error:
            self.stop()
            text = (
                f"The sessions in {self._settings.data_dir} cannot be opened ({error}). Make room "
                "or mend the folder."
            )
            raise Unavailable(text, "storage") from None

    async def _begin(self) -> None:
        # No kernel is watched: of the account there is only what the folder's dial lets out.
        self._account = KernelAccount(_Nowhere(), self._task, _tell)
        manager = Manager(self._settings, account=self._account)
        await manager.start()
        self._manager = manager

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self.manager.start_task(work, name)

    def stop(self) -> None:
        """End every agent with everything it started. Safe to call twice."""
        if not self.is_here:
            return
        try:
            self.call(self._end(), STOP_SECONDS)
        except Unavailable as error:
            _log.warning("agent_lab: %s", error)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(STOP_SECONDS)

    async def _end(self) -> None:
        if self._account is not None:
            self._account.close()
        if self._manager is not None:
            await self._manager.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    # ------------------------------------------------------------ from other threads

    def call(self, work: Coroutine[Any, Any, _T], seconds: float | None = None) -> _T:
        """Do this on the loop and wait for it. Raises what it raises; Unavailable when the engine
        has stopped or this takes too long. An interrupt ends the waiting, not the work."""
        if not self.is_here:
            work.close()
            raise Unavailable("Agent Lab has stopped in this process.", "stopping")
        future: Future[_T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            text = f"Agent Lab did not answer within {seconds:.0f} s. Try again."
            raise Unavailable(text, "timeout") from None

    def soon(self, act: Callable[[], object]) -> None:
        """Do this on the loop, and do not wait."""
        if self.is_here:
            self.loop.call_soon_threadsafe(act)


class _Nowhere:
    """No kernels and no notebooks (see `notebook.account.Places`)."""

    def kernel(self, kernel_id: str, /) -> None:
        return None

    def file(self, notebook: str, /) -> None:
        return None

    async def open_cells(self, notebook: str, /) -> None:
        return None


def _tell(session_id: str, what: str, notice: Notice) -> None:
    """What happens to a kernel that is watched; none is."""

"""Follow what kernels run, at no cost while they print.

A kernel publishes what it runs under topics that begin with `kernel.`, and what a cell prints
under others: a subscription to that prefix alone keeps floods of output in the kernel. A kernel
that uses other topics is listened to in full, until it floods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import zmq

from agent_lab.notebook.facts import Happened, Name, Record, What
from agent_lab.notebook.kernel import HARMLESS, KernelManager, ask, own_session
from agent_lab.notebook.variables import name_changes
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Json
from agent_lab.protocol.reports import Variable

_log = logging.getLogger(__name__)

PREFIX = b"kernel."
NAMES_SECONDS = 2.0
QUIET_SECONDS = 0.03
"""How long after a cell the next one may begin before the kernel is asked what it bound."""
TOPIC_SECONDS = 1.0
"""How long a kernel that answered may take to be heard under the topics that we know."""
MOST_TRIES = 8
MOST_MESSAGES = 1000
"""A second, of a kernel that is listened to in full; above that it is not listened to for a while.
"""
DEAF_SECONDS = 2.0
_TOLD = (b"execute_input", b"error", b"status")


class Stream(Protocol):
    """What we use of zmq's ZMQStream."""

    socket: Any

    def on_recv(self, callback: Callable[[list[bytes]], object] | None) -> None: ...
    def close(self) -> None: ...


class Watchable(KernelManager, Protocol):
    """A kernel's manager whose sockets are streams, as those of a server's are."""

    def connect_iopub(self) -> Any: ...
    def add_restart_callback(self, callback: Callable[[], None], event: str = ...) -> None: ...
    def remove_restart_callback(self, callback: Callable[[], None], event: str = ...) -> None: ...


StartTask = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
Tell = Callable[[str, Happened], None]
"""Told of each thing that happened to a kernel: its id, and what."""


class Watch:
    """The kernels that sessions are bound to."""

    def __init__(
        self, kernel_of: Callable[[str], Watchable | None], start_task: StartTask, tell: Tell
    ) -> None:
        self._kernel_of = kernel_of
        self._start_task = start_task
        self._tell = tell
        self._watched: dict[str, _Watched] = {}

    def follow(self, kernel_id: str) -> Record | None:
        """Begin to follow a kernel, or go on. None: there is no such kernel."""
        watched = self._watched.get(kernel_id)
        if watched is not None:
            return watched.record
        manager = self._kernel_of(kernel_id)
        if manager is None:
            return None
        try:
            watched = _Watched(
                manager, self._start_task, lambda fact: self._tell(kernel_id, fact), kernel_id[:8]
            )
        except (zmq.ZMQError, OSError, ValueError) as error:
            # It starts just now, or runs behind a gateway that has no sockets for us.
            _log.info("agent_lab: kernel %s cannot be followed now: %s", kernel_id, error)
            return None
        self._watched[kernel_id] = watched
        return watched.record

    def record(self, kernel_id: str) -> Record | None:
        watched = self._watched.get(kernel_id)
        return None if watched is None else watched.record

    def acted(self, kernel_id: str, action: str) -> None:
        """The server did this to a kernel: restart, interrupt or shutdown."""
        watched = self._watched.get(kernel_id)
        if watched is None:
            return
        if action == "restart":
            watched.restarted()
        elif action == "interrupt":
            watched.happened("interrupted")
        elif action == "shutdown":
            watched.happened("stopped")
            self.forget(kernel_id)

    def belongs(
        self, kernel_id: str, message: str, *, session_id: str = "", cell_id: str = ""
    ) -> None:
        """A request (its message id) was that of a session's agent, or ran this cell."""
        watched = self._watched.get(kernel_id)
        if watched is not None:
            watched.record.belongs(message, session_id=session_id, cell_id=cell_id)

    async def settled(self, kernel_id: str) -> None:
        """Return when the kernel has told what the last cell bound."""
        watched = self._watched.get(kernel_id)
        if watched is not None:
            await watched.settled()

    def forget(self, kernel_id: str) -> None:
        watched = self._watched.pop(kernel_id, None)
        if watched is not None:
            watched.close()

    def close(self) -> None:
        for kernel_id in list(self._watched):
            self.forget(kernel_id)


class _Watched:
    """One kernel: its socket, and what is asked of it between cells."""

    def __init__(
        self,
        manager: Watchable,
        start_task: StartTask,
        tell: Callable[[Happened], None],
        name: str,
    ) -> None:
        self.record = Record()
        self._manager = manager
        self._start_task = start_task
        self._tell = tell
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._own = own_session(manager)
        self._ident: bytes | None = None
        self._heard = asyncio.Event()
        self._in_full = False
        self._second, self._messages = 0.0, 0
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._token = ""
        self._tells_names = True
        self._closed = False
        stream: Stream = manager.connect_iopub()
        self._stream = stream
        stream.socket.setsockopt(zmq.SUBSCRIBE, PREFIX)
        stream.socket.setsockopt(zmq.UNSUBSCRIBE, b"")
        stream.on_recv(self._received)
        manager.add_restart_callback(self._died, "restart")
        manager.add_restart_callback(self._dead, "dead")
        start_task(self._begin(), f"kernel {name}: watch")

    # ------------------------------------------------------------ begin

    async def _begin(self) -> None:
        """See that the kernel is heard, and where its memory stands."""
        unheard = 0
        for _ in range(MOST_TRIES):
            try:
                await ask(self._manager, HARMLESS, {}, NAMES_SECONDS)
            except AgentLabError:  # it starts, or does not know the control channel
                await asyncio.sleep(TOPIC_SECONDS)
                continue
            try:
                async with asyncio.timeout(TOPIC_SECONDS):
                    await self._heard.wait()
                break
            except TimeoutError:
                unheard += 1
            if unheard == 2 or self._closed:
                break
        if not self._heard.is_set() and not self._closed:
            self._in_full = True
            self._stream.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._ask_soon()

    # ------------------------------------------------------------ messages

    def _received(self, frames: list[bytes]) -> None:
        self.record.messages += 1
        if self._in_full and not self._bearable():
            return
        topic = frames[0]
        if topic.startswith(PREFIX):
            ident, _, kind = topic[len(PREFIX) :].rpartition(b".")
            if kind not in _TOLD:  # the welcome to a new subscription too
                return
            self._heard.set()
            if self._in_full:
                self._in_full = False
                self._stream.socket.setsockopt(zmq.UNSUBSCRIBE, b"")
            if self._ident is not None and ident != self._ident:
                # Another process answers under this id, and nobody said so: it had died.
                self.happened("died")
            self._ident = ident
        try:
            _, rest = self._own.feed_identities(frames)
            message = self._own.deserialize(rest, content=True)
        except (ValueError, TypeError, KeyError) as error:
            _log.info("agent_lab: a message of kernel %s is unreadable: %s", self._name, error)
            return
        self._hear(message)

    def _hear(self, message: Mapping[str, Json]) -> None:
        kind, content, parent = message["msg_type"], message["content"], message["parent_header"]
        asked = str(parent.get("msg_id", ""))
        at = _time(message["header"].get("date"))
        if kind == "execute_input":
            count = content.get("execution_count")
            self.record.began(
                asked,
                str(content.get("code", "")),
                count if isinstance(count, int) else None,
                at,
                str(parent.get("session", "")),
                str(parent.get("username", "")),
            )
        elif kind == "error":
            self.record.failed(asked, str(content.get("ename", "")), str(content.get("evalue", "")))
        elif kind == "status" and content.get("execution_state") == "idle":
            self._idle(asked, at)

    def _idle(self, asked: str, at: datetime | None) -> None:
        run = self.record.ended(asked, at)
        if run is not None:
            # A cell may have loaded our part, which then tells names.
            self._tells_names = self._tells_names or "agent_lab" in run.code
            self._ask_soon()

    def _bearable(self) -> bool:
        """Is there time for this message? Else the kernel is not listened to for a while."""
        now = self._loop.time()
        if now - self._second > 1.0:
            self._second, self._messages = now, 0
        self._messages += 1
        if self._messages == MOST_MESSAGES:
            self.record.deaf()
            self._stream.socket.setsockopt(zmq.UNSUBSCRIBE, b"")
            self._loop.call_later(DEAF_SECONDS, self._listen_again)
        return self._messages < MOST_MESSAGES

    def _listen_again(self) -> None:
        if not self._closed and self._in_full:
            self._stream.socket.setsockopt(zmq.SUBSCRIBE, b"")

    # ------------------------------------------------------------ what happens to it

    def happened(self, what: What) -> None:
        self._token = ""
        self._tells_names = True
        self._tell(self.record.happened(what, datetime.now(UTC)))
        self._ask_soon()

    def restarted(self) -> None:
        self._ident = None
        self.happened("restarted")

    def _died(self) -> None:
        self._ident = None
        self.happened("died")

    def _dead(self) -> None:
        self.happened("died")

    # ------------------------------------------------------------ names

    def _ask_soon(self) -> None:
        if self._closed or not self._tells_names:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(QUIET_SECONDS, self._ask_now)

    def _ask_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:  # its answer may be from before the last cell
            self._asking.add_done_callback(lambda _: self._ask_soon())
            return
        self._asking = self._start_task(self._ask_names(), f"kernel {self._name}: names")
        self._asking.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None

    async def _ask_names(self) -> None:
        token, life = self._token, self.record.life
        try:
            changes = await name_changes(self._manager, token, NAMES_SECONDS)
        except AgentLabError as error:
            _log.info("agent_lab: kernel %s tells no names: %s", self._name, error)
            self._tells_names = False  # until it is restarted, or loads our part
            return
        if life != self.record.life:
            return
        self._token = changes.token
        if not token or changes.forgotten:
            self.record.named((), (), ())
            return
        rebound = (*changes.rebound, *changes.changed)
        self.record.named(_names(changes.bound), _names(rebound), _names(changes.deleted))

    async def settled(self) -> None:
        if self._timer is not None:
            self._ask_now()
        while self._asking is not None:
            await asyncio.wait([self._asking])
            await asyncio.sleep(0)

    # ------------------------------------------------------------ end

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._manager.remove_restart_callback(self._died, "restart")
        self._manager.remove_restart_callback(self._dead, "dead")
        self._stream.on_recv(None)
        self._stream.close()


def _names(variables: Iterable[Variable]) -> tuple[Name, ...]:
    return tuple(Name(each.name, each.type, each.shape) for each in variables)


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)

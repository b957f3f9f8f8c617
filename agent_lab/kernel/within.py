"""Run an agent's code within a cell that waits for that agent on the kernel's main thread.

The code is in the kernel's queue, behind the cell; without this each would wait for the other. Its
sender hands it over on the control channel, the cell runs it as the kernel would have, and when the
queue comes to it, it is passed over. What it puts out belongs to its own request.
"""

from __future__ import annotations

import _thread
import inspect
import os
import signal
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from agent_lab.kernel.context import Message

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

REQUEST = "execute_request"
REFUSED = "agent_lab_refused"
"""The `ename` of a reply that tells why code was not run; `evalue` is for the agent."""
AWAITS = (
    "Not run: a cell in this kernel waits for your answer (`%agent --wait`), and until it has "
    "ended, only code without a top-level `await` can run there. Do it without `await`, or ask the "
    "person to run it after your answer."
)
KEPT = 1000

CancelState = Literal["interrupted", "over", "waits", "unknown"]


class Within:
    """Of one kernel; its `shell` runs on the main thread."""

    def __init__(self, shell: InteractiveShell, kernel: Any) -> None:
        # `kernel` is ipykernel's, which tells few types.
        self._shell: Any = shell
        self._kernel = kernel
        self._by_queue: Callable[..., Awaitable[None] | None] = kernel.shell_handlers[REQUEST]
        self._lock = threading.Lock()
        self._attended = False
        self._handed: deque[Message] = deque()
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._count = 0
        # Of the one that runs. The flags are changed without the lock: a signal's handler does.
        self._running = ""
        self._interruptible = False
        self._cancelled = False
        self._stopped = False

    def start(self) -> None:
        self._kernel.shell_handlers[REQUEST] = self._comes_to

    def stop(self) -> None:
        self._kernel.shell_handlers[REQUEST] = self._by_queue

    async def _comes_to(self, stream: Any, ident: Any, parent: Message) -> None:
        """The queue comes to a request."""
        with self._lock:
            taken = _id(parent) in self._taken
            self._taken.pop(_id(parent), None)
        if taken:
            return
        self._shell.execution_count = max(self._shell.execution_count, self._count)
        running = self._by_queue(stream, ident, parent)
        if inspect.isawaitable(running):
            await running

    # ------------------------------------------------------------ asked for, from another thread

    @property
    def runs(self) -> bool:
        """Does handed-over code run just now?"""
        return bool(self._running)

    def hand_over(self, request: Message) -> bool:
        """To be run by the cell that waits. False: none does, the queue will come to it."""
        with self._lock:
            if _id(request) in self._taken:
                return True
            if not self._attended:
                return False
            if all(_id(one) != _id(request) for one in self._handed):
                self._handed.append(request)
        return True

    def cancel(self, request: str) -> CancelState:
        """Interrupt it ("": whatever runs here) and nothing else. `waits`: nothing runs within the
        cell that waits. `unknown`: it was not taken out of the queue, or no cell waits."""
        with self._lock:
            if not self._running or request not in ("", self._running):
                if request:
                    return "over" if request in self._taken else "unknown"
                return "waits" if self._attended else "unknown"
            self._cancelled = True
            # Still with the lock: until it is free the code has not ended, and the signal is its.
            _interrupt()
        return "interrupted"

    # ------------------------------------------------------------ the cell that waits

    @contextmanager
    def attended(self) -> Iterator[Callable[[], None]]:
        """While a cell waits; it calls what this gives, often. What was handed over and has not
        begun when it ends stays in the queue."""
        if self._attended or threading.current_thread() is not threading.main_thread():
            yield _nothing
            return
        self._attended = True
        try:
            yield self._run_handed
        finally:
            with self._lock:
                self._attended = False
                self._handed.clear()

    def _run_handed(self) -> None:
        """Raises KeyboardInterrupt when a person interrupted the code: that means the wait too."""
        while (request := self._next()) is not None:
            before = signal.signal(signal.SIGINT, self._signalled)
            try:
                self._run(request)
            finally:
                with self._lock:
                    self._running = ""
                signal.signal(signal.SIGINT, before)
            if self._stopped:
                raise KeyboardInterrupt

    def _next(self) -> Message | None:
        with self._lock:
            if not self._handed:
                return None
            request = self._handed.popleft()
            self._running = _id(request)
            self._taken[self._running] = None
            while len(self._taken) > KEPT:
                self._taken.popitem(last=False)
            self._cancelled = self._stopped = False
        return request

    def _signalled(self, number: int, frame: object) -> None:
        if self._cancelled:
            self._cancelled = False
        else:
            self._stopped = True
        if self._interruptible:
            raise KeyboardInterrupt

    # ------------------------------------------------------------ as the kernel runs a request

    def _run(self, request: Message) -> None:
        kernel = self._kernel
        # The address of its sender on this channel: jupyter_client's is its session's id.
        ident = [str(request["header"]["session"]).encode()]
        channel = self._channel()
        with self._as_if_idle():
            kernel.set_parent(ident, request)
            kernel._publish_status("busy", "shell")
            if self._awaits(request):
                reply = {"status": "error", "ename": REFUSED, "evalue": AWAITS, "traceback": []}
                kernel.session.send(channel, "execute_reply", reply, request, ident=ident)
            else:
                with suppress(KeyboardInterrupt):  # after the code itself had ended
                    self._to_its_end(kernel.execute_request(channel, ident, request))
                self._interruptible = False
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            kernel._publish_status("idle", "shell")
        kernel._publish_status("busy", "shell")  # as it still is, with the cell that waits
        if channel is kernel.shell_stream:
            import zmq

            channel.flush(zmq.POLLOUT)  # ipykernel 6 would send it when the cell has ended

    def _channel(self) -> Any:
        """Where a reply goes out from the main thread."""
        thread = getattr(self._kernel, "shell_channel_thread", None)
        if thread is None:
            return self._kernel.shell_stream
        return thread.manager.get_subshell_to_shell_channel_socket(None)

    def _awaits(self, request: Message) -> bool:
        code = str(request["content"].get("code", ""))
        try:
            transformed = self._shell.transform_cell(code)
        except Exception:  # whatever a transformer of the person's raises is shown by the run
            return False
        return bool(self._shell.should_run_async(code, transformed_cell=transformed))

    def _to_its_end(self, running: Coroutine[Any, Any, None]) -> None:
        """Without the event loop, which the cell that waits holds."""
        try:
            self._interruptible = True
            running.send(None)
        except StopIteration:
            return
        except Exception:  # as where the kernel handles a request: it is the kernel's own
            self._kernel.log.exception("agent_lab: a request that was handed over")
        finally:
            self._interruptible = False
            running.close()

    @contextmanager
    def _as_if_idle(self) -> Iterator[None]:
        """The state of the cell that waits is put aside, and back. So is its number: it keeps its
        own, and the next cell's is the next."""
        kernel, shell = self._kernel, self._shell
        parent, ident = kernel.get_parent("shell"), kernel._parent_ident["shell"]
        kept = [
            (holder, name, getattr(holder, name))
            for holder, names in (
                (kernel, ("_allow_stdin", "_sys_raw_input", "_save_getpass")),
                (shell, ("execution_count", "_last_traceback")),
                (shell.displayhook, ("exec_result",)),
            )
            for name in names
            if hasattr(holder, name)
        ]
        known = len(shell.history_manager.input_hist_raw) if shell.history_manager else 0
        shell.execution_count = max(shell.execution_count, known, self._count)
        try:
            yield
        finally:
            self._count = shell.execution_count
            for holder, name, value in kept:
                setattr(holder, name, value)
            kernel.set_parent(ident, parent)


def _id(request: Message) -> str:
    return str(request["header"]["msg_id"])


def _interrupt() -> None:
    """This process and what the code started in it, as the server does."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    elif os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)


def _nothing() -> None:
    """Another cell attends."""

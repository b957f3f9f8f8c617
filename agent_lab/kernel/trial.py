"""Try a cell on the live data without touching it: in a forked copy of the kernel. Linux only.

The kernel is held for one fork, 2 to 22 ms; everything else happens in the copies and in a thread
that waits for their report. Where a fork is not safe the trial is refused, with the reason.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent_lab.protocol.events import Json

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SECONDS, MEMORY = 30.0, 1 << 30
LONGEST_SECONDS, MOST_MEMORY = 600.0, 1 << 36
KEPT = 8
"""Reports kept until they are fetched."""
LARGEST_REPORT = 32_000_000
LATE_SECONDS = 10.0
"""A supervisor that has not reported so long after the time is over is killed."""
FREE_MEMORY = 1 << 30
BUSY = "a cell is running"

# Their threads, devices or connections are broken in a copy, or are harmed by one.
_BROKEN_BY_FORK = (
    "jax", "tensorflow", "cupy", "polars", "pyspark", "ray", "distributed", "mpi4py", "numba.cuda",
    "PyQt5", "PyQt6", "PySide2", "PySide6", "gi", "grpc",
)  # fmt: skip
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")


class Asked(Struct, frozen=True):
    """`id` is the asker's choice, so that it can cancel what has not begun."""

    id: str
    code: str
    seconds: float = SECONDS
    memory: int = MEMORY


class Trials:
    """Of one kernel; made on its main thread, before the person's own threads."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._threads = frozenset(thread.ident for thread in threading.enumerate())
        self._lock = threading.Lock()
        self._running: tuple[str, int] | None = None
        self._done: OrderedDict[str, Json] = OrderedDict()
        self._attended = False
        self._handed: list[Asked] = []
        self._cancelled: deque[str] = deque(maxlen=64)

    # ------------------------------------------------------------ asked for

    def start(self, trial_id: str, code: str, seconds: float, memory: int) -> Json:
        """On the main thread, between two cells."""
        seconds = min(max(seconds, 0.1), LONGEST_SECONDS)
        memory = min(max(memory, 1 << 20), MOST_MEMORY)
        with self._lock:
            if trial_id in self._cancelled:
                return {"status": "refused", "reason": "it was cancelled before it began"}
            if self._running is not None:
                return {"status": "refused", "reason": "another trial is running"}
        reason = self._refusal(memory)
        if reason:
            return {"status": "refused", "reason": reason}
        return self._fork(trial_id, code, seconds, memory)

    @contextmanager
    def attended(self) -> Iterator[Callable[[], None]]:
        """While a cell of ours waits on the main thread: there it calls what this gives, often, and
        what was handed over meanwhile begins. The data are those of the cells before it."""
        with self._lock:
            self._attended = True
        try:
            yield self._begin_handed
        finally:
            with self._lock:
                self._attended = False
                for asked in self._handed:
                    self._keep(asked.id, {"failed": BUSY})
                self._handed.clear()

    def hand_over(self, asked: Asked) -> Json:
        """From another thread: to be begun by the cell that waits, if one does."""
        with self._lock:
            if not self._attended:
                return {"status": "refused", "reason": BUSY}
            self._handed.append(asked)
        return {"status": "started", "id": asked.id}

    def _begin_handed(self) -> None:
        while self._handed:
            asked = self._handed[0]
            began = self.start(asked.id, asked.code, asked.seconds, asked.memory)
            with self._lock:
                del self._handed[0]
                if began["status"] != "started":
                    self._keep(asked.id, {"failed": began["reason"]})

    def _keep(self, trial_id: str, found: Json) -> None:
        """With the lock held."""
        self._done[trial_id] = found
        while len(self._done) > KEPT:
            self._done.popitem(last=False)

    def result(self, trial_id: str) -> Json:
        with self._lock:
            if self._running is not None and self._running[0] == trial_id:
                return {"state": "running"}
            if any(asked.id == trial_id for asked in self._handed):
                return {"state": "running"}
            if trial_id in self._done:
                return {"state": "done", **self._done[trial_id]}
        return {"state": "unknown"}

    def cancel(self, trial_id: str) -> None:
        """Also before it began."""
        with self._lock:
            self._cancelled.append(trial_id)
            if self._running is not None and self._running[0] == trial_id:
                _kill(self._running[1], signal.SIGTERM)

    # ------------------------------------------------------------ the fork

    def _fork(self, trial_id: str, code: str, seconds: float, memory: int) -> Json:
        # Imported here: the copies must not import under locks that another thread may hold.
        from agent_lab.kernel.trial_child import fork
        from agent_lab.kernel.trial_supervisor import supervise

        scratch = Path(tempfile.mkdtemp(prefix="agent-lab-trial-"))
        read, write = os.pipe()
        randomness = random.getstate()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = fork()
        if pid == 0:
            os.close(read)
            supervise(self._shell, code, write, scratch, seconds, memory, randomness)
        os.close(write)
        with self._lock:
            self._running = (trial_id, pid)
        threading.Thread(
            target=self._wait,
            args=(trial_id, pid, read, scratch, time.monotonic() + seconds + LATE_SECONDS),
            name="agent_lab: trial",
            daemon=True,
        ).start()
        return {"status": "started", "id": trial_id}

    def _wait(self, trial_id: str, pid: int, read: int, scratch: Path, until: float) -> None:
        found = _report(read, pid, until)
        # The process stays a zombie, its number ours, until nobody can signal it any more.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            os.waitpid(pid, 0)
            self._running = None
            self._keep(trial_id, found)
        shutil.rmtree(scratch, ignore_errors=True)

    # ------------------------------------------------------------ refusals

    def _refusal(self, memory: int) -> str:
        """Why a copy of this process now would not be safe; "" when it would."""
        if sys.platform != "linux":
            return "trials need Linux"
        from agent_lab.kernel.confinement import LANDLOCK_NEEDED, landlock_version

        if landlock_version() < LANDLOCK_NEEDED:
            return "this system cannot keep a copy from writing (Landlock of Linux 6.2 is needed)"
        if threading.current_thread() is not threading.main_thread():
            return "a copy can be made on the main thread only"
        return (
            self._code_that_runs() or self._loaded() or self._mapped() or _too_little_memory(memory)
        )

    def _code_that_runs(self) -> str:
        """Threads that are not there in a copy may hold its locks."""
        kernel = getattr(self._shell, "kernel", None)
        if getattr(kernel, "eventloop", None) is not None:
            return "a window system's event loop runs in this kernel"
        names = [
            thread.name
            for thread in threading.enumerate()
            if thread.ident not in self._threads
            and not _harmless(thread)
            and thread is not threading.main_thread()
        ]
        if names:
            return f"threads run in this kernel: {', '.join(sorted(names)[:5])}"
        return ""

    def _loaded(self) -> str:
        for name in _BROKEN_BY_FORK:
            if name in sys.modules:
                return f"{name} is loaded, which does not work in a copy of a process"
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is not None and cuda.is_initialized():
            return "torch uses the GPU, which cannot be used in a copy of a process"
        return ""

    def _mapped(self) -> str:
        from agent_lab.kernel.confinement import SMALL_MAPPING, mappings, shared

        for one in mappings():
            if one.name.startswith(_DEVICES):
                return f"{one.name} is in use, which a copy would share"
            if shared(one) and one.end - one.begin > SMALL_MAPPING:
                return f"memory is shared with a file that would be written: {one.name}"
        return ""


_KERNELS_OWN = ("IOPub", "Heartbeat", "Control", "Shell channel", "IPythonHistorySaving")


def _harmless(thread: threading.Thread) -> bool:
    """Ours, the kernel's own that started later, the debugger's; and one that only waits."""
    if type(thread).__name__ == "SubshellThread":
        return False  # it may run a cell; which, only ipykernel knows
    return (
        thread.name.startswith(("agent_lab", *_KERNELS_OWN))
        or type(thread).__module__.partition(".")[0] in ("ipykernel", "IPython", "zmq")
        or getattr(thread, "is_pydev_daemon_thread", False)
        or type(thread).__module__ == "tqdm._monitor"
        or not thread.is_alive()
    )


def _too_little_memory(memory: int) -> str:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
            break
    else:
        return ""
    most = _number("/sys/fs/cgroup/memory.max")
    used = _number("/sys/fs/cgroup/memory.current")
    if most is not None and used is not None:
        free = min(free, most - used)
    if free < max(FREE_MEMORY, memory):
        return f"only {free >> 20} MiB of memory are free"
    return ""


def _number(file: str) -> int | None:
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):
        return None


def _kill(pid: int, how: int) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return


def _report(read: int, pid: int, until: float) -> Json:
    """What the supervisor wrote; it is ended when it is late."""
    waited = select.poll()
    waited.register(read, select.POLLIN)
    parts: list[bytes] = []
    size = 0
    while size < LARGEST_REPORT:
        left = until - time.monotonic()
        if left <= 0:
            _kill(pid, signal.SIGKILL)
            until = time.monotonic() + LATE_SECONDS
            continue
        if waited.poll(left * 1000):
            part = os.read(read, 1 << 20)
            if not part:
                break
            parts.append(part)
            size += len(part)
    os.close(read)
    try:
        found: dict[str, Any] = json.loads(b"".join(parts))
    except ValueError:
        return {"failed": "the trial ended without a report"}
    return {"failed": found["failed"]} if "failed" in found else {"report": found}

"""Start, adopt, feed, follow and end one agent program; the only file that knows pipes and pids.

A run lives in a folder of its own, so that it outlives the server that started it:

    lease      locked by the one server that drives the session
    in.fifo    stdin: the agent holds both ends, so it never sees an end of file
    out.jsonl  stdout: appended by the agent, followed by us; an offset in it is a resume point
    err.log    stderr: cut when it grows
    meta.json  who the process is (Run)

Rules: a process is ours only if pid, start time, boot and marker all match; anything else is never
signalled. A marker names one launch. What was started is found by the marker in its environment,
because an agent's commands run in sessions of their own. Nothing here blocks the event loop.
"""

import asyncio
import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, Protocol

import msgspec
import psutil

from agent_lab.agents.environment import MARKER_VARIABLE

if sys.platform != "win32":
    import fcntl
    import termios
if sys.platform == "linux":
    from inotify_simple import INotify, flags, parse_events  # type: ignore[import-untyped]

LINUX = sys.platform == "linux"
READ_BYTES = 256 * 1024  # per turn of the loop: a flood of one agent must not starve the others
POLL_SECONDS = 0.025  # where the system cannot tell of a change
PIPE_BYTES = 1024 * 1024  # one os.write of at most this size enters an empty pipe whole
PIPE_DEFAULT_BYTES = 64 * 1024
HOLE_BYTES = 1024 * 1024
PAGE_BYTES = 4096
STDERR_DISK_BYTES = 1024 * 1024
STDERR_TAIL_BYTES = 8 * 1024
STDERR_CHECK_SECONDS = 0.05
SWEEP_ROUNDS = 5
TERM_SECONDS = 1.0
KILLED_SECONDS = 5.0  # a killed process that is still there then is stuck inside the kernel
TERM = signal.SIGTERM
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process

NOT_READING = "The agent does not read what it is sent."
# Of our own, because what a cancelled start leaves must be undone even while the loop is ending.
_OPENERS = ThreadPoolExecutor(2, thread_name_prefix="agent open")


class AgentError(Exception):
    """Its text is one sentence for the person at the screen."""


class AgentNotFound(AgentError):
    """The program does not exist."""


class AgentStartFailed(AgentError):
    """The program exists and could not be started."""


class AgentNotReading(AgentError):
    """The message was not read in time.

    `withdrawn`: it was taken back whole, so it will never be read; else it may be, later.
    """

    def __init__(self, sentence: str, *, withdrawn: bool) -> None:
        super().__init__(sentence)
        self.withdrawn = withdrawn


class AgentGone(AgentError):
    """The process has exited, or was detached from."""


class AgentNotEnding(AgentError):
    """The process did not go even when killed."""


class LeaseHeld(AgentError):
    """Another server, or another part of this one, drives the session."""


@dataclass(frozen=True, slots=True)
class Launch:
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    marker: str


@dataclass(frozen=True, slots=True)
class Exit:
    """`code` and `signal` are both None when nobody could learn them (an adopted process)."""

    code: int | None
    signal: int | None
    stderr: str


class Sink(Protocol):
    """Called in the event loop's thread; what it raises goes to the loop's exception handler."""

    def received(self, data: bytes, /) -> None:
        """Bytes of stdout, in order, from the offset asked for."""

    def exited(self, end: Exit, /) -> None:
        """Called once, after the last received()."""


class Run(msgspec.Struct, frozen=True):
    """meta.json. `pid` 0: written just before the start, so that no start goes unrecorded."""

    marker: str
    argv0: str
    started_at: float
    boot_id: str
    pid: int = 0
    start_time: str = ""
    durable: bool = True
    ended: bool = False
    code: int | None = None
    signal: int | None = None


def read_run(folder: Path) -> Run | None:
    """What the folder says of its last run; an offset belongs to the run with the same marker."""
    try:
        return msgspec.json.decode((folder / "meta.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None


class Lease:
    """The right to drive the session of one folder; the kernel takes it back if we are killed."""

    _without_locks: ClassVar[set[Path]] = (
        set()
    )  # where the file system has none: this server at least

    def __init__(self, fd: int, alone: Path | None) -> None:
        self._fd = fd
        self._alone = alone

    @classmethod
    def take(cls, folder: Path) -> "Lease":
        """Raises LeaseHeld."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _lock(fd):
                return cls(fd, None)
            alone = folder.resolve()
            if alone in cls._without_locks:
                raise BlockingIOError
        except BlockingIOError:
            os.close(fd)
            raise LeaseHeld("Another Jupyter server is using this session.") from None
        cls._without_locks.add(alone)
        return cls(fd, alone)

    def release(self) -> None:
        if self._fd < 0:
            return
        if self._alone is not None:
            self._without_locks.discard(self._alone)
        else:
            # A child between fork and exec shares the lock: closing alone would not give it back.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1


def _lock(fd: int) -> bool:
    """False where there are no locks; raises BlockingIOError when another holds it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


class AgentProcess:
    """One agent program, from its start or adoption to the end of everything it started."""

    write_timeout = 10.0
    first_write_timeout = 60.0  # a cold start from a slow disk is not a refusal to read

    def __init__(self, folder: Path, opened: "_Opened", sink: Sink) -> None:
        """For start() and adopt()."""
        self.pid = opened.run.pid
        self.marker = opened.run.marker
        self.durable = opened.run.durable
        self.adopted = opened.child is None
        self._folder = folder
        self._run = opened.run
        self._link = opened.link
        self._pidfd = opened.pidfd
        self._child = opened.child
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[Exit] = self._loop.create_future()
        self._writing = asyncio.Lock()
        self._has_read = self.adopted
        self._errors = _ErrorFile(folder / "err.log")
        self._poll: asyncio.TimerHandle | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[Exit] | None = None
        if opened.link is not None and opened.alive:
            self._follow(opened.link)
        else:
            self._ended(opened.run.code, opened.run.signal)

    @classmethod
    async def start(cls, launch: Launch, folder: Path, sink: Sink) -> "AgentProcess":
        """Start a new run in the folder, in place of an earlier one, which must be over.

        Raises AgentNotFound, AgentStartFailed.
        """
        earlier = await asyncio.to_thread(read_run, folder)
        if earlier is not None and earlier.boot_id == _boot_id():
            await sweep(earlier.marker)
        opened = await _in_thread(functools.partial(_spawn, launch, folder))
        return cls(folder, opened, sink)

    @classmethod
    async def adopt(cls, folder: Path, offset: int, sink: Sink) -> "AgentProcess | None":
        """Take up the folder's run: stdout from `offset` on, then exited() if it is over.

        None: no run is recorded here.
        """
        run = await asyncio.to_thread(read_run, folder)
        if run is None:
            return None
        opened = await _in_thread(functools.partial(_reopen, run, folder, offset))
        return cls(folder, opened, sink)

    async def write(self, message: bytes) -> None:
        """Hand over one message with its newline; returns when the agent has read it.

        Messages arrive in the order of the calls. Raises AgentNotReading, AgentGone.
        """
        async with self._writing:
            if self._link is None or self._exited.done() or self._finishing is not None:
                raise AgentGone("The agent has exited.")
            patience = self.write_timeout if self._has_read else self.first_write_timeout
            await self._link.put(message, patience, self._is_over)
            self._has_read = True

    def applied(self, offset: int) -> None:
        """All before `offset` is stored safely: its disk space may go."""
        if self._link is not None:
            self._link.applied(offset)

    def stderr_tail(self) -> str:
        """The last 8 kB, escape sequences left in."""
        return self._errors.tail()

    def free_bytes(self) -> int:
        """Room for stdout. An agent whose disk is full says nothing: ask before a turn."""
        return psutil.disk_usage(str(self._folder)).free

    async def wait(self) -> Exit:
        """Raises AgentGone if detached from meanwhile."""
        return await asyncio.shield(self._exited)

    async def close(self, farewell: bytes | None, *, grace: float = 5.0) -> Exit:
        """End the process and everything it started; callers at the same time share one ladder.

        `farewell` is the protocol's own request to end. Raises AgentNotEnding.
        """
        if self._closing is None:
            self._closing = self._loop.create_task(
                self._descend(farewell, grace), name=f"agent {self.pid}: close"
            )
        return await asyncio.shield(self._closing)

    def detach(self) -> None:
        """Let go of the process without touching it: a later server may adopt it if `durable`."""
        if self._finishing is not None:
            self._finishing.cancel()
        self._release()
        if self._child is not None and self._child.returncode is None:
            self._child.returncode = 0  # else Popen warns that it runs on, as it should
        if not self._exited.done():
            self._exited.set_exception(AgentGone("The server has let go of the agent."))
            self._exited.exception()  # marks it as seen: nobody need be waiting

    def _follow(self, link: "_Link") -> None:
        link.follow(self._sink.received)
        self._errors.follow()
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._check_exit)
        else:
            self._poll = self._loop.call_later(POLL_SECONDS, self._check_exit)

    def _check_exit(self) -> None:
        """The pidfd became readable, or it is time to look."""
        running, code = _reap(self.pid, self._child)
        if self._pidfd < 0 and code is None and (running or _matches(self._run)):
            self._poll = self._loop.call_later(POLL_SECONDS, self._check_exit)
        elif code is not None and code < 0:
            self._ended(None, -code)
        else:
            self._ended(code, None)

    def _ended(self, code: int | None, signal_number: int | None) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        self._finishing = self._loop.create_task(
            self._finish(code, signal_number), name=f"agent {self.pid}: finish"
        )

    async def _finish(self, code: int | None, signal_number: int | None) -> None:
        """Deliver the rest and tell the sink first; then end what the agent left running."""
        if self._link is not None:
            with contextlib.suppress(OSError):  # an unreadable rest must not hide the exit
                await self._link.drain(self._sink.received)
        if not self._run.ended:
            ended = msgspec.structs.replace(self._run, ended=True, code=code, signal=signal_number)
            with contextlib.suppress(OSError):  # a full disk: the next server learns no exit code
                await asyncio.to_thread(_write_run, self._folder, ended)
        end = Exit(code, signal_number, self._errors.tail())
        self._release()
        self._loop.call_soon(self._sink.exited, end)  # its failure must not stop the sweep
        self._exited.set_result(end)
        if self._run.boot_id == _boot_id():
            await sweep(self.marker)

    async def _descend(self, farewell: bytes | None, grace: float) -> Exit:
        if farewell is not None and not self._is_over():
            # First by its own protocol: it saves its session and ends its commands.
            with contextlib.suppress(AgentError, TimeoutError):
                async with asyncio.timeout(grace / 2):
                    await self.write(farewell)
                    await self.wait()
        if not self._is_over():
            # Then by request, for one that is busy or does not know the farewell. A suspended
            # process cannot obey before it is continued.
            self._signal(TERM)
            if sys.platform != "win32":
                self._signal(signal.SIGCONT)
            await asyncio.wait({self._exited}, timeout=grace / 2)
        if not self._is_over():
            self._signal(KILL)
            await asyncio.wait({self._exited}, timeout=KILLED_SECONDS)
        if not self._is_over():
            raise AgentNotEnding(f"The agent (process {self.pid}) could not be ended.")
        end = await self.wait()
        # Its commands may be in sessions of their own, out of reach of every signal above.
        if self._finishing is not None:
            await asyncio.shield(self._finishing)
        return end

    def _is_over(self) -> bool:
        return self._finishing is not None or self._exited.done()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            elif not self.adopted or _matches(self._run):
                os.kill(self.pid, number)

    def _release(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._link is not None:
            self._link.close()
            self._link = None
        self._errors.close()


async def sweep(marker: str) -> list[int]:
    """End every process started under the marker, and their descendants; returns their pids."""
    ended: dict[int, None] = {}
    for _ in range(SWEEP_ROUNDS):  # one may fork between our look and our signal
        found = await asyncio.to_thread(_carriers, marker)
        if not found:
            break
        ended |= dict.fromkeys(process.pid for process in found)
        for number, patience in ((TERM, TERM_SECONDS), (KILL, KILLED_SECONDS)):
            for process in found:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            found = await _survivors(found, patience)
    return list(ended)


async def _survivors(found: list[psutil.Process], patience: float) -> list[psutil.Process]:
    pause = 0.002
    deadline = time.monotonic() + patience
    while (found := [p for p in found if _is_alive(p)]) and time.monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
    return found


def _carriers(marker: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in psutil.pids() if marker else ():
        if pid == os.getpid() or not _carries(pid, marker):
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if _carries(pid, marker):  # still, now that psutil would notice a reused pid
                # Descendants too: test runners give their children a clean environment.
                for each in (process, *process.children(recursive=True)):
                    found[each.pid] = each
    return [p for p in found.values() if p.pid != os.getpid() and _is_alive(p)]


def _carries(pid: int, marker: str) -> bool:
    try:
        if LINUX:  # ten times as fast as psutil's dictionary
            block = Path(f"/proc/{pid}/environ").read_bytes()
            return f"\0{MARKER_VARIABLE}={marker}\0".encode() in b"\0" + block
        return psutil.Process(pid).environ().get(MARKER_VARIABLE) == marker
    except (OSError, psutil.Error):
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _matches(run: Run) -> bool:
    """Whether the process that the run names is still that process."""
    if run.pid <= 0 or run.boot_id != _boot_id():
        return False
    try:
        return (
            _start_time(run.pid) == run.start_time
            and _carries(run.pid, run.marker)
            and psutil.Process(run.pid).status() != psutil.STATUS_ZOMBIE
        )
    except (OSError, psutil.Error):
        return False


def _start_time(pid: int) -> str:
    if LINUX:
        # Field 22, counted from the end of the name, which may hold spaces. In ticks since boot:
        # psutil's seconds would move with the clock.
        line = Path(f"/proc/{pid}/stat").read_bytes()
        return line.rpartition(b")")[2].split()[19].decode()
    return repr(psutil.Process(pid).create_time())


@functools.cache
def _boot_id() -> str:
    """Empty where there is none; start times are dates there and need none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A run with our ends of it. `link` is None if nothing of its output is left."""

    run: Run
    link: "_Link | None"
    pidfd: int = -1
    child: "subprocess.Popen[bytes] | None" = None
    alive: bool = True

    def undo(self) -> None:
        if self.child is not None:
            _end_child(self.child)
        if self.link is not None:
            self.link.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)


async def _in_thread(work: Callable[[], _Opened]) -> _Opened:
    """Run it beside the loop; undone if we are cancelled, because nobody will own the result."""

    def undo(done: "Future[_Opened]") -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().undo()

    future = _OPENERS.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(undo)
        raise


def _spawn(launch: Launch, folder: Path) -> _Opened:
    program = launch.argv[0]
    if not Path(launch.cwd).is_dir():
        raise AgentStartFailed(f"The folder {launch.cwd} does not exist.")
    try:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            spawned = _launch(launch, folder, theirs, ours)
            ours.pop_all()
            return spawned
    except FileNotFoundError as error:
        if error.filename == program and not Path(program).exists():
            raise AgentNotFound(f"The agent program {program} was not found.") from error
        raise AgentStartFailed(_why(program, error)) from error
    except (OSError, ValueError) as error:
        raise AgentStartFailed(_why(program, error)) from error


def _why(program: str, error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"The agent program {program} could not be started: {reason}."


def _launch(
    launch: Launch, folder: Path, theirs: contextlib.ExitStack, ours: contextlib.ExitStack
) -> _Opened:
    """`theirs`: what we close in any case; `ours`: what is undone only if a later step fails."""

    def opened(stack: contextlib.ExitStack, name: str, how: int) -> int:
        fd = os.open(folder / name, how, 0o600)
        stack.callback(os.close, fd)
        return fd

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("in.fifo", "out.jsonl", "err.log"):
        (folder / name).unlink(missing_ok=True)
    stderr = opened(theirs, "err.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    stdin = stdout = subprocess.PIPE
    durable = _make_fifo(folder)
    if durable:
        stdin = opened(theirs, "in.fifo", os.O_RDWR)
        stdout = opened(theirs, "out.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        link: _Link = _Files(
            folder / "out.jsonl",
            opened(ours, "in.fifo", os.O_RDWR | os.O_NONBLOCK),
            opened(ours, "out.jsonl", os.O_RDWR),
            0,
        )
    run = Run(launch.marker, launch.argv[0], time.time(), _boot_id(), durable=durable)
    _write_run(folder, run)
    child = subprocess.Popen(
        launch.argv,
        bufsize=0,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=launch.cwd,
        env={**launch.env, MARKER_VARIABLE: launch.marker},
        start_new_session=True,
    )
    ours.callback(_end_child, child)
    if child.stdin is not None and child.stdout is not None:
        link = _Pipes(child.stdin, child.stdout)
    run = msgspec.structs.replace(run, pid=child.pid, start_time=_start_time(child.pid))
    _write_run(folder, run)
    return _Opened(run, link, _open_pidfd(child.pid), child)


def _make_fifo(folder: Path) -> bool:
    """False where the file system has no FIFO or no locks: then a run cannot be taken up."""
    lease = os.open(folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.mkfifo(folder / "in.fifo", 0o600)
        return _lock(lease)
    except BlockingIOError:
        return True  # locked by the caller's lease
    except (AttributeError, OSError):
        return False
    finally:
        os.close(lease)


def _end_child(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()


def _reopen(run: Run, folder: Path, offset: int) -> _Opened:
    pidfd = _open_pidfd(run.pid)  # before the check: the pid cannot change hands after it
    stdin = out = -1
    alive = run.durable and not run.ended and _matches(run)
    try:
        out = os.open(folder / "out.jsonl", os.O_RDWR)
        if alive:
            stdin = os.open(folder / "in.fifo", os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        alive = False  # nobody can speak to it any more: it is ended like what it started
    if not alive and pidfd >= 0:
        os.close(pidfd)
    link = _Files(folder / "out.jsonl", stdin, out, offset) if out >= 0 else None
    return _Opened(run, link, pidfd if alive else -1, alive=alive)


def _open_pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _reap(pid: int, child: "subprocess.Popen[bytes] | None") -> tuple[bool, int | None]:
    """Whether `pid` is a running child of ours, and its code if it has just ended."""
    if sys.platform == "win32":
        code = child.poll() if child is not None else None
        return child is not None and code is None, code
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False, None  # not ours, or somebody else took its code
    if child is not None and ended:
        child.returncode = os.waitstatus_to_exitcode(status)
    return not ended, os.waitstatus_to_exitcode(status) if ended else None


def _write_run(folder: Path, run: Run) -> None:
    draft = folder / "meta.json.new"
    draft.touch(0o600)
    draft.write_bytes(msgspec.json.encode(run))
    draft.replace(folder / "meta.json")


class _Link(Protocol):
    """The two ways to speak with an agent. `received` is called in the loop's own thread."""

    def follow(self, received: Callable[[bytes], None]) -> None: ...
    async def drain(self, received: Callable[[bytes], None]) -> None: ...
    async def put(self, message: bytes, patience: float, is_over: Callable[[], bool]) -> None: ...
    def applied(self, offset: int) -> None: ...
    def close(self) -> None: ...


class _Files:
    """stdin through a FIFO, stdout through a file: both outlive us."""

    def __init__(self, path: Path, stdin: int, out: int, offset: int) -> None:
        self._path = path
        self._stdin = stdin
        self._out = out
        self._offset = offset
        self._hole = 0
        self._scheduled = False
        self._rest = memoryview(b"")  # of a message whose sender was cancelled while it went in
        self._unwatch: Callable[[], None] | None = None

    def follow(self, received: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._unwatch = _watch(self._path, self._wake)
        self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._scheduled = False
        if self._out >= 0 and (data := os.pread(self._out, READ_BYTES, self._offset)):
            self._offset += len(data)
            if len(data) == READ_BYTES:
                self._wake()
            self._received(data)

    async def drain(self, received: Callable[[bytes], None]) -> None:
        """Up to the present end: a command that the agent left behind may still write."""
        end = os.fstat(self._out).st_size
        while self._offset < end and self._out >= 0:
            data = os.pread(self._out, min(READ_BYTES, end - self._offset), self._offset)
            self._offset += len(data)
            asyncio.get_running_loop().call_soon(received, data)
            await asyncio.sleep(0)

    async def put(self, message: bytes, patience: float, is_over: Callable[[], bool]) -> None:
        """One message in the pipe at a time.

        So it enters by one os.write (half a line, left by a server killed in between, kills
        claude), and one that is never read can be taken back.
        """
        if not await self._push(patience, is_over):
            raise AgentNotReading(NOT_READING, withdrawn=True)
        self._rest = memoryview(message)
        if not await self._push(patience, is_over):
            raise AgentNotReading(NOT_READING, withdrawn=self._take_back(len(message)))

    async def _push(self, patience: float, is_over: Callable[[], bool]) -> bool:
        """Write the rest and see it read; False after `patience` seconds without progress."""
        pause = 0.0005
        unread_before = -1
        deadline = time.monotonic() + patience
        large = len(self._rest) > PIPE_DEFAULT_BYTES
        while True:
            if self._stdin < 0 or is_over():
                raise AgentGone("The agent exited before it read the message.")
            unread = _unread(self._stdin)
            if unread != unread_before:
                unread_before = unread
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                return False
            if unread == 0:
                if not self._rest:
                    break
                if large:
                    _resize(self._stdin, PIPE_BYTES)
                self._rest = self._rest[os.write(self._stdin, self._rest) :]
                pause = 0.0005
            await asyncio.sleep(pause)
            pause = min(pause * 2, POLL_SECONDS)
        if large:  # all pipes of a user share a limit: keep none large for long
            _resize(self._stdin, PIPE_DEFAULT_BYTES)
        return True

    def _take_back(self, length: int) -> bool:
        try:
            unread = os.read(self._stdin, PIPE_BYTES)
        except BlockingIOError:
            unread = b""  # read at the last moment
        if len(unread) + len(self._rest) == length:
            self._rest = memoryview(b"")
            return True
        if unread:
            os.write(self._stdin, unread)  # the agent has begun to read it, and must get it all
        return False

    def applied(self, offset: int) -> None:
        end = min(offset, self._offset) // PAGE_BYTES * PAGE_BYTES
        if end - self._hole >= HOLE_BYTES and self._out >= 0:
            _punch(self._out, self._hole, end)
            self._hole = end

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        for fd in (self._stdin, self._out):
            if fd >= 0:
                os.close(fd)
        self._stdin = self._out = -1


class _Pipes:
    """Plain pipes with a thread each way: work anywhere, and end with the server."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._closed = False
        self._ahead = threading.Semaphore(4)  # reads that the loop has not taken yet
        self._writing: asyncio.Future[bool] | None = None

    def follow(self, received: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._eof = asyncio.Event()
        threading.Thread(target=self._pump, args=(received,), daemon=True).start()

    def _pump(self, received: Callable[[bytes], None]) -> None:
        with self._stdout, contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            while data := self._stdout.read(READ_BYTES):
                self._ahead.acquire()
                self._loop.call_soon_threadsafe(self._pass_on, received, data)
            self._loop.call_soon_threadsafe(self._eof.set)

    def _pass_on(self, received: Callable[[bytes], None], data: bytes) -> None:
        self._ahead.release()
        if not self._closed:
            received(data)

    async def drain(self, received: Callable[[bytes], None]) -> None:
        """A command that the agent left behind may hold the pipe open: so not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERM_SECONDS):
                await self._eof.wait()

    async def put(self, message: bytes, patience: float, is_over: Callable[[], bool]) -> None:
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=patience)
            if not self._writing.done():
                raise AgentNotReading(NOT_READING, withdrawn=True)
        self._writing = self._loop.create_future()
        threading.Thread(target=self._push, args=(message, self._writing), daemon=True).start()
        await asyncio.wait({self._writing}, timeout=patience)
        if not self._writing.done():
            raise AgentNotReading(NOT_READING, withdrawn=False)
        if not self._writing.result():
            raise AgentGone("The agent exited before it read the message.")

    def _push(self, message: bytes, written: "asyncio.Future[bool]") -> None:
        rest = memoryview(message)
        try:
            while rest:
                rest = rest[self._stdin.write(rest) :]
        except (OSError, ValueError):  # the agent has gone, or we have closed
            pass
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(written.set_result, not rest)

    def applied(self, offset: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._stdin.close()


class _ErrorFile:
    """err.log: the agent is never held up by it, and a flood does not fill the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cut = b""  # the end of what was cut where a hole is not possible
        self._hole = 0
        self._unwatch: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def follow(self) -> None:
        # The watch before the look, so that no growth falls between them.
        self._timer = None
        self._unwatch = _watch(self._path, self._grew)
        with contextlib.suppress(OSError):
            self._bound()

    def _grew(self) -> None:
        """Stop listening for a moment: a flood of small writes would keep waking the loop."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
            self._timer = asyncio.get_running_loop().call_later(STDERR_CHECK_SECONDS, self.follow)

    def _bound(self) -> None:
        size = self._path.stat().st_size
        if size - self._hole <= STDERR_DISK_BYTES:
            return
        with self._path.open("r+b", buffering=0) as file:
            end = (size - STDERR_TAIL_BYTES) // PAGE_BYTES * PAGE_BYTES
            if _punch(file.fileno(), self._hole, end):
                self._hole = end
            else:
                self._cut = self._read()
                file.truncate(0)

    def tail(self) -> str:
        return self._read().decode(errors="replace")

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - STDERR_TAIL_BYTES))
                return (self._cut + file.read(STDERR_TAIL_BYTES))[-STDERR_TAIL_BYTES:]
        except OSError:
            return self._cut

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._timer is not None:
            self._timer.cancel()


def _watch(path: Path, wake: Callable[[], None]) -> Callable[[], None]:
    """Call `wake` when the file has changed, until the function returned is called."""
    loop = asyncio.get_running_loop()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the user's inotify limits are used up
            return _Inotify.of(loop).watch(path, wake)
    return _Ticker(loop, wake).stop


class _Ticker:
    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._timer = loop.call_later(POLL_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(POLL_SECONDS, self._tick)
        self._wake()

    def stop(self) -> None:
        self._timer.cancel()


class _Inotify:
    """One descriptor for all files of an event loop: the kernel allows a user only 128."""

    _of: ClassVar[dict[asyncio.AbstractEventLoop, "_Inotify"]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wakes: dict[int, Callable[[], None]] = {}
        self._inotify = INotify(nonblocking=True)
        loop.add_reader(self._inotify.fileno(), self._dispatch)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Inotify":
        if loop not in cls._of:
            cls._of[loop] = cls(loop)
        return cls._of[loop]

    def watch(self, path: Path, wake: Callable[[], None]) -> Callable[[], None]:
        try:
            number = self._inotify.add_watch(path, flags.MODIFY)
        except OSError:
            self._close_if_unused()
            raise
        self._wakes[number] = wake
        return functools.partial(self._unwatch, number)

    def _unwatch(self, number: int) -> None:
        del self._wakes[number]
        with contextlib.suppress(OSError):  # the kernel has dropped it with the file
            self._inotify.rm_watch(number)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._wakes:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            del self._of[self._loop]

    def _dispatch(self) -> None:
        for event in parse_events(os.read(self._inotify.fileno(), 64 * 1024)):
            if event.mask & flags.Q_OVERFLOW:
                for wake in list(self._wakes.values()):
                    wake()
            elif event.wd in self._wakes:
                self._wakes[event.wd]()


def _unread(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def _resize(fd: int, size: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the user's pipe limit: a write may then be cut in two
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


def _punch(fd: int, start: int, end: int) -> bool:
    """Give the disk space back and keep every offset; False where that is not possible."""
    if sys.platform != "linux":
        return False
    fallocate = getattr(_libc(), "fallocate64", None) or _libc().fallocate
    keep_size_and_punch_hole = 0x01 | 0x02
    offsets = ctypes.c_int64(start), ctypes.c_int64(end - start)
    return bool(fallocate(fd, keep_size_and_punch_hole, *offsets) == 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)

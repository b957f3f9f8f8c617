"""Start a run in its folder, or open one that is already there: blocking work, done in threads."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent_lab.agents.environment import MARKER_VARIABLE
from agent_lab.agents.process.errors import AgentNotFound, AgentStartFailed
from agent_lab.agents.process.identity import boot_id, is_still, start_time_of
from agent_lab.agents.process.lease import lock
from agent_lab.agents.process.links import Files, Link, Pipes
from agent_lab.agents.process.run import Launch, Run, write_run

UNDO_SECONDS = 5.0
# Of our own, because what a cancelled start leaves must be undone even while the loop is ending.
_OPENERS = ThreadPoolExecutor(2, thread_name_prefix="agent open")


@dataclass(frozen=True, slots=True)
class Opened:
    """A run with our ends of it. `link` is None if nothing of its output is left."""

    run: Run
    link: "Link | None"
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


async def beside_the_loop(work: Callable[[], Opened]) -> Opened:
    """Run it beside the loop. Cancelled, it is undone before we return: nobody will own the result,
    and the next to open this folder must not meet it."""

    def undo(done: "Future[Opened]") -> None:
        if not done.cancelled() and done.exception() is None:
            done.result().undo()

    future = _OPENERS.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(undo)
        undone = asyncio.wrap_future(future)
        await asyncio.wait({undone}, timeout=UNDO_SECONDS)
        if undone.done() and not undone.cancelled():
            undone.exception()  # seen: whoever cancelled does not care
        raise


def spawn(launch: Launch, folder: Path) -> Opened:
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
) -> Opened:
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
    durable = launch.durable and _make_fifo(folder)
    if durable:
        stdin = opened(theirs, "in.fifo", os.O_RDWR)
        stdout = opened(theirs, "out.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        link: Link = Files(
            folder / "out.jsonl",
            opened(ours, "in.fifo", os.O_RDWR | os.O_NONBLOCK),
            opened(ours, "out.jsonl", os.O_RDWR),
            0,
        )
    run = Run(launch.marker, time.time(), boot_id(), durable=durable)
    write_run(folder, run)
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
        link = Pipes(child.stdin, child.stdout)
    run = msgspec.structs.replace(run, pid=child.pid, start_time=start_time_of(child.pid))
    write_run(folder, run)
    return Opened(run, link, open_pidfd(child.pid), child)


def _make_fifo(folder: Path) -> bool:
    """False where the file system has no FIFO or no locks: then a run cannot be taken up."""
    lease = os.open(folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.mkfifo(folder / "in.fifo", 0o600)
        return lock(lease)
    except BlockingIOError:
        return True  # locked by the caller's lease
    except (AttributeError, OSError):
        return False
    finally:
        os.close(lease)


def _end_child(child: "subprocess.Popen[bytes]") -> None:
    with child:  # waits for it and closes our ends of its pipes
        child.kill()


def reopen(run: Run, folder: Path, offset: int) -> Opened:
    pidfd = open_pidfd(run.pid)  # before the check: the pid cannot change hands after it
    stdin = out = -1
    alive = run.durable and not run.ended and is_still(run)
    try:
        out = os.open(folder / "out.jsonl", os.O_RDWR)
        if alive:
            stdin = os.open(folder / "in.fifo", os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        alive = False  # nobody can speak to it any more: it is ended like what it started
    if not alive and pidfd >= 0:
        os.close(pidfd)
    link = Files(folder / "out.jsonl", stdin, out, offset) if out >= 0 else None
    return Opened(run, link, pidfd if alive else -1, alive=alive)


def open_pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def reap(pid: int, child: "subprocess.Popen[bytes] | None") -> tuple[bool, int | None]:
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

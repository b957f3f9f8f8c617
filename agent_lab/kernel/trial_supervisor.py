"""Watch over a trial from a process between the kernel and the copy that runs the cell.

It adopts every orphan of the copy, so it can end whatever the cell started; it holds the limits of
time and memory; it reads floods of output without taking the interpreter from the kernel. At its
end it writes one report, bounded, and is gone. When the kernel dies it ends everything at once.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import to_builtins

from agent_lab.kernel import confinement, trial_child
from agent_lab.kernel.scratch import Scratch
from agent_lab.kernel.trial_outputs import Outputs

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

TICK_SECONDS = 0.05
GRACE_SECONDS = 2.0
"""How long the end of the output is waited for when the cell has ended."""
READ_AT_ONCE = 1 << 20


class _Cancelled(Exception):
    """The kernel cancelled the trial, or is gone."""


def supervise(
    shell: InteractiveShell,
    code: str,
    report: int,
    scratch: Path,
    seconds: float,
    memory: int,
    randomness: Any,
) -> NoReturn:
    """Called in the first copy, on its only thread; `report` is the pipe to the kernel."""
    try:
        os.setsid()
        gc.disable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _cancel)
        confinement.die_with_parent(signal.SIGTERM)
        confinement.adopt_orphans()
        confinement.separate_files({report})
        found = _Watch(shell, code, scratch, seconds, memory, randomness, report).run()
        shutil.rmtree(scratch, ignore_errors=True)
        line = json.dumps(found).encode()
        while line:
            line = line[os.write(report, line) :]
    except BaseException as error:  # we are a copy: nothing of it may run on
        os.write(report, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(0)


def _cancel(*_: object) -> None:
    raise _Cancelled


class _Watch:
    def __init__(
        self,
        shell: InteractiveShell,
        code: str,
        scratch: Path,
        seconds: float,
        memory: int,
        randomness: Any,
        report: int,
    ) -> None:
        self._scratch, self._seconds, self._memory = scratch, seconds, memory
        self._outputs = Outputs()
        self._done: dict[str, Any] = {}
        self._started = False
        self._peak = 0
        self._rest = b""
        frames, ours = os.pipe()
        stdout, to_stdout = os.pipe()
        stderr, to_stderr = os.pipe()
        self._supervisor = os.getpid()
        self._pid = trial_child.fork()
        if self._pid == 0:
            for fd in (frames, stdout, stderr, report):
                os.close(fd)
            self._copy(shell, code, ours, to_stdout, to_stderr, randomness)
        for fd in (ours, to_stdout, to_stderr):
            os.close(fd)
        self._close_all_but({report, frames, stdout, stderr})
        self._streams = {frames: "", stdout: "stdout", stderr: "stderr"}
        self._frames = frames
        for fd in self._streams:
            os.set_blocking(fd, False)

    def _copy(
        self, shell: Any, code: str, ours: int, stdout: int, stderr: int, randomness: Any
    ) -> NoReturn:
        try:
            os.setsid()
            confinement.die_with_parent(signal.SIGKILL)
            if os.getppid() != self._supervisor:
                os._exit(1)
            null = os.open(os.devnull, os.O_RDONLY)
            for fd, place in ((null, 0), (stdout, 1), (stderr, 2)):
                os.dup2(fd, place)
            frames = trial_child.Frames(ours)
            trial_child.run(
                shell, code, frames, self._scratch, self._seconds, self._memory, randomness
            )
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(70)
        finally:
            os._exit(0)

    @staticmethod
    def _close_all_but(keep: set[int]) -> None:
        """What we inherited would keep the kernel's ports and files open after its death."""
        last = 0
        for fd in sorted(keep):
            os.closerange(last, fd)
            last = fd + 1
        os.closerange(last, 1 << 20)

    # ------------------------------------------------------------ watching

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        stopped, ended = "", None
        try:
            stopped, ended = self._until_ended(began)
        except _Cancelled:
            stopped = "cancelled"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._end_all()
        self._drain(time.monotonic() + GRACE_SECONDS)
        took = self._done.get("seconds") or time.monotonic() - began
        return self._report(stopped, ended, took)

    def _until_ended(self, began: float) -> tuple[str, int | None]:
        watched = select.poll()
        for fd in self._streams:
            watched.register(fd, select.POLLIN)
        watched.register(process := os.pidfd_open(self._pid), select.POLLIN)
        look_again = began + TICK_SECONDS
        while True:
            for fd, _ in watched.poll(TICK_SECONDS * 1000):
                if fd == process:
                    return "", os.waitpid(self._pid, 0)[1]
                if not self._read(fd):
                    watched.unregister(fd)
            now = time.monotonic()
            if now - began > self._seconds:
                return "timeout", None
            if now >= look_again:
                used = sum(map(confinement.private_bytes, (self._pid, *self._descendants())))
                self._peak = max(self._peak, used)
                if used > self._memory:
                    return "memory", None
                # Looking takes long where there is much memory: a tenth of the time at most.
                look_again = now + max(TICK_SECONDS * 2, (time.monotonic() - now) * 10)

    def _read(self, fd: int) -> bool:
        """False when nothing more comes."""
        try:
            part = os.read(fd, READ_AT_ONCE)
        except BlockingIOError:
            return True
        if fd == self._frames:
            *lines, self._rest = (self._rest + part).split(b"\n")
            for line in lines:
                self._message(json.loads(line))
        elif part:
            text = part.decode("utf-8", "replace")
            self._outputs.add({"type": "stream", "name": self._streams[fd], "text": text})
        return bool(part)

    def _message(self, message: dict[str, Any]) -> None:
        if message["type"] == "done":
            self._done = message
        elif message["type"] == "started":
            self._started = True
        else:
            self._outputs.add(message)

    def _drain(self, until: float) -> None:
        """Every writer has ended: what is left is in the pipes."""
        for fd in self._streams:
            while time.monotonic() < until and select.select([fd], [], [], 0)[0]:
                if not self._read(fd):
                    break

    # ------------------------------------------------------------ ending

    def _end_all(self) -> None:
        """Kill whatever descends from the copy, and reap it, until nothing is left."""
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until:
            for pid in self._descendants(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.002)

    def _descendants(self, of: int | None = None) -> list[int]:
        parents: dict[int, list[int]] = {}
        for name in os.listdir("/proc"):  # noqa: PTH208 - names only
            if name.isdigit():
                try:
                    about = Path("/proc", name, "stat").read_bytes()
                except OSError:
                    continue
                parent = int(about.rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(name))
        found: list[int] = []
        ask = [self._pid if of is None else of]
        while ask:
            children = parents.get(ask.pop(), [])
            found += children
            ask += children
        return found

    # ------------------------------------------------------------ telling

    def _report(self, stopped: str, ended: int | None, took: float) -> dict[str, Any]:
        status, error = stopped, ""
        raised = self._outputs.error or {}
        if stopped == "timeout":
            error = f"It was stopped after {self._seconds:g} s."
        elif stopped == "memory":
            error = f"It was stopped: it used more than {self._memory >> 20} MiB of its own."
        elif not stopped and self._done:
            status = "ok" if self._done["ok"] else "error"
            error = f"{raised.get('ename', '')}: {raised.get('evalue', '')}" if raised else ""
            if raised.get("ename") == "MemoryError":
                status = "memory"
        elif not stopped and ended is not None and os.WIFSIGNALED(ended):
            number = os.WTERMSIG(ended)
            status = "timeout" if number == signal.SIGXCPU else "signal"
            error = f"It was ended by {signal.Signals(number).name}."
        elif not stopped and not self._started:
            return {"failed": self._first_words()}
        elif not stopped:
            status = "error"
            error = f"It ended itself with exit code {os.waitstatus_to_exitcode(ended or 0)}."
        files = list(Scratch(self._scratch).written())
        return {
            "status": status,
            "seconds": round(took, 4),
            "memory": max(self._peak, int(self._done.get("memory", 0))),
            "outputs": self._outputs.all(),
            "error": error,
            "files": to_builtins(files[:100]),
        }

    def _first_words(self) -> str:
        """What the copy said when it could not be confined."""
        texts = [str(one.get("text", "")) for one in self._outputs.all()]
        return "".join(texts).strip() or "the copy of the kernel did not start"

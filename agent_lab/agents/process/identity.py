"""Which process is which: whether a pid is still the one we started, and what it has started.

A process is ours only if pid, start time, boot and marker all match; anything else is never
signalled. A marker names one launch. What was started is found by the marker in its environment,
because an agent's commands run in sessions of their own.
"""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from agent_lab.agents.environment import MARKER_VARIABLE
from agent_lab.agents.process.run import Run

_log = logging.getLogger(__name__)

LINUX = sys.platform == "linux"
SWEEP_ROUNDS = 5
TERM_SECONDS = 1.0
KILLED_SECONDS = 5.0  # a killed process that is still there then is stuck inside the kernel
TERM = signal.SIGTERM
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process


def is_still(run: Run) -> bool:
    """Whether the process that the run names is still that process."""
    if run.pid <= 0 or run.boot_id != boot_id():
        return False
    try:
        # The second also tells a process from what is left of one: a zombie has no environment.
        return start_time_of(run.pid) == run.start_time and _carries(run.pid, run.marker)
    except (OSError, psutil.Error):
        return False


def start_time_of(pid: int) -> str:
    if LINUX:
        # Field 22, counted from the end of the name, which may hold spaces. In ticks since boot:
        # psutil's seconds would move with the clock.
        line = Path(f"/proc/{pid}/stat").read_bytes()
        return line.rpartition(b")")[2].split()[19].decode()
    return repr(psutil.Process(pid).create_time())


@functools.cache
def boot_id() -> str:
    """Empty where there is none; start times are dates there and need none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


async def sweep(marker: str) -> list[int]:
    """End every process started under the marker, and their descendants; returns their pids.

    The log names what could not be ended: another user's, or one stuck inside the kernel.
    """
    ended: dict[int, None] = {}
    spared: set[psutil.Process] = set()
    for _ in range(SWEEP_ROUNDS):  # one may fork between our look and our signal
        found = [p for p in await asyncio.to_thread(_carriers, marker) if p not in spared]
        if not found:
            break
        ended |= dict.fromkeys(process.pid for process in found)
        for number, patience in ((TERM, TERM_SECONDS), (KILL, KILLED_SECONDS)):
            await asyncio.to_thread(_signal, found, number)
            found = await _survivors(found, patience)
        spared.update(found)
    for process in spared:
        del ended[process.pid]
        _log.warning("agent_lab: what an agent started could not be ended: %s", process)
    return list(ended)


def _signal(found: list[psutil.Process], number: int) -> None:
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


async def _survivors(found: list[psutil.Process], patience: float) -> list[psutil.Process]:
    pause = 0.002
    deadline = time.monotonic() + patience
    while (found := await asyncio.to_thread(_living, found)) and time.monotonic() < deadline:
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
    return found


def _living(found: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in found if _is_alive(process)]


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
    return _living([process for process in found.values() if process.pid != os.getpid()])


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

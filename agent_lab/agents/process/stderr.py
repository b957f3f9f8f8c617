"""The agent's stderr: a file of bounded size, whose end explains an exit."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from agent_lab.agents.process.growing import PAGE_BYTES, punch, watch

STDERR_DISK_BYTES = 1024 * 1024
STDERR_TAIL_BYTES = 8 * 1024
STDERR_CHECK_SECONDS = 0.05
LOOKS = 10


class ErrorFile:
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
        self._unwatch = watch(self._path, self._grew)
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
            if punch(file.fileno(), self._hole, end):
                self._hole = end
            else:
                for _ in range(LOOKS):  # what is written after our look at the end is lost
                    size = os.fstat(file.fileno()).st_size
                    cut = self._read()
                    if os.fstat(file.fileno()).st_size == size:
                        break
                file.truncate(0)
                self._cut = cut

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

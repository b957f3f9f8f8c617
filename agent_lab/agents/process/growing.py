"""A file that another process appends to: be told that it grew, give back what has been read."""

import asyncio
import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

if sys.platform == "linux":
    from inotify_simple import INotify, flags, parse_events  # type: ignore[import-untyped]

POLL_SECONDS = 0.025  # where the system cannot tell of a change
PAGE_BYTES = 4096  # holes begin and end at pages


def watch(path: Path, wake: Callable[[], None]) -> Callable[[], None]:
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


def punch(fd: int, start: int, end: int) -> bool:
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

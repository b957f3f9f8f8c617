"""The two ways to speak with an agent: through files that outlive us, or through plain pipes."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from agent_lab.agents.process.errors import AgentGone, AgentNotReading
from agent_lab.agents.process.growing import PAGE_BYTES, POLL_SECONDS, punch, watch

if sys.platform != "win32":
    import fcntl
    import termios

READ_BYTES = 256 * 1024  # per turn of the loop: a flood of one agent must not starve the others
PIPE_BYTES = 1024 * 1024  # one os.write of at most this size enters an empty pipe whole
PIPE_DEFAULT_BYTES = 64 * 1024
HOLE_BYTES = 1024 * 1024
EOF_SECONDS = 1.0

NOT_READING = "The agent does not read what it is sent."


class Link(Protocol):
    """The two ways to speak with an agent. `received` is called in the loop's own thread."""

    def follow(self, received: Callable[[bytes], None]) -> None: ...
    async def drain(self, received: Callable[[bytes], None]) -> None: ...
    async def put(self, message: bytes, patience: float, is_over: Callable[[], bool]) -> None: ...
    def applied(self, offset: int) -> None: ...
    def close(self) -> None: ...


class Files:
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
        self._unwatch = watch(self._path, self._wake)
        self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._scheduled = False
        if self._unwatch is None:
            return  # the rest is being drained: a read of ours would overtake it
        if data := os.pread(self._out, READ_BYTES, self._offset):
            self._offset += len(data)
            if len(data) == READ_BYTES:
                self._wake()
            self._received(data)

    async def drain(self, received: Callable[[bytes], None]) -> None:
        """Up to the present end: a command that the agent left behind may still write."""
        self._unfollow()
        end = os.fstat(self._out).st_size
        while self._offset < end and self._out >= 0:
            data = os.pread(self._out, min(READ_BYTES, end - self._offset), self._offset)
            if not data:
                break  # somebody has cut the file off
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
            punch(self._out, self._hole, end)
            self._hole = end

    def _unfollow(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def close(self) -> None:
        self._unfollow()
        for fd in (self._stdin, self._out):
            if fd >= 0:
                os.close(fd)
        self._stdin = self._out = -1


class Pipes:
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
            async with asyncio.timeout(EOF_SECONDS):
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


def _unread(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def _resize(fd: int, size: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # the user's pipe limit: a write may then be cut in two
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)

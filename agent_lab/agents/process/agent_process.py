"""One agent program, from its start or adoption to the end of everything it started."""

import asyncio
import contextlib
import functools
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

import msgspec
import psutil

from agent_lab.agents.process.errors import AgentError, AgentGone, AgentNotEnding
from agent_lab.agents.process.growing import POLL_SECONDS
from agent_lab.agents.process.identity import (
    KILL,
    KILLED_SECONDS,
    TERM,
    boot_id,
    is_still,
    sweep,
)
from agent_lab.agents.process.links import Link
from agent_lab.agents.process.opening import Opened, beside_the_loop, reap, reopen, spawn
from agent_lab.agents.process.run import Exit, Launch, read_run, write_run
from agent_lab.agents.process.stderr import ErrorFile


class Sink(Protocol):
    """Called in the event loop's thread; what it raises goes to the loop's exception handler."""

    def received(self, data: bytes, /) -> None:
        """Bytes of stdout, in order, from the offset asked for."""

    def exited(self, end: Exit, /) -> None:
        """Called once, after the last received()."""


class AgentProcess:
    """One agent program, from its start or adoption to the end of everything it started."""

    write_timeout = 10.0
    first_write_timeout = 60.0  # a cold start from a slow disk is not a refusal to read

    def __init__(self, folder: Path, opened: "Opened", sink: Sink) -> None:
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
        self._errors = ErrorFile(folder / "err.log")
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
        if earlier is not None and earlier.boot_id == boot_id():
            await sweep(earlier.marker)
        opened = await beside_the_loop(functools.partial(spawn, launch, folder))
        return cls(folder, opened, sink)

    @classmethod
    async def adopt(cls, folder: Path, offset: int, sink: Sink) -> "AgentProcess | None":
        """Take up the folder's run: stdout from `offset` on, then exited() if it is over.

        None: no run is recorded here.
        """
        run = await asyncio.to_thread(read_run, folder)
        if run is None:
            return None
        opened = await beside_the_loop(functools.partial(reopen, run, folder, offset))
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
        if self._closing is None or _failed(self._closing):
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

    def _follow(self, link: "Link") -> None:
        link.follow(self._sink.received)
        self._errors.follow()
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._check_exit)
        else:
            self._poll = self._loop.call_later(POLL_SECONDS, self._check_exit)

    def _check_exit(self) -> None:
        """The pidfd became readable, or it is time to look."""
        running, code = reap(self.pid, self._child)
        if self._pidfd < 0 and code is None and (running or is_still(self._run)):
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
                await asyncio.to_thread(write_run, self._folder, ended)
        end = Exit(code, signal_number, self._errors.tail())
        self._release()
        self._loop.call_soon(self._sink.exited, end)  # its failure must not stop the sweep
        self._exited.set_result(end)
        if self._run.boot_id == boot_id():
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
            elif not self.adopted or is_still(self._run):
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


def _failed(task: "asyncio.Task[Exit]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)

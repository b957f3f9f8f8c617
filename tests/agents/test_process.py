"""AgentProcess against real programs: real pipes, real signals, real kills."""

import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from agent_lab.agents.framing import LineFramer, Torn
from agent_lab.agents.process import (
    AgentGone,
    AgentNotEnding,
    AgentNotFound,
    AgentNotReading,
    AgentProcess,
    AgentStartFailed,
    Exit,
    Launch,
    Lease,
    LeaseHeld,
    Run,
    agent_process,
    growing,
    identity,
    read_run,
    sweep,
)

LINUX = sys.platform == "linux"
PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]
PYTHON = (sys.executable, "-I", "-S")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and FIFOs are POSIX")


class Recorder:
    """A sink that keeps everything and can be waited on."""

    def __init__(self) -> None:
        self.data = b""
        self.framer = LineFramer()
        self.lines: list[Any] = []
        self.exits: list[Exit] = []
        self.late = 0
        self._changed = asyncio.Event()

    def received(self, data: bytes) -> None:
        self.late += len(self.exits)
        self.data += data
        self.lines += [json.loads(line) for line in self.framer.push(data) if type(line) is bytes]
        self._changed.set()

    def exited(self, end: Exit) -> None:
        self.exits.append(end)
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def line(self, key: str) -> Any:
        """The value of the first line that has the key."""
        await self.until(lambda: any(key in line for line in self.lines))
        return next(line[key] for line in self.lines if key in line)


@pytest.fixture
def marker() -> Iterator[str]:
    """A marker for one test, or the first part of some; nothing that carries it survives."""
    name = f"test-{uuid.uuid4()}"
    yield name
    for suffix in ("", "1", "2", "3", "4", "5"):
        asyncio.run(sweep(name + suffix))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "session"


@pytest.fixture(params=["files", "pipes", "elsewhere"])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that Linux offers; a platform without named pipes; one with POSIX alone."""
    if request.param == "pipes":
        monkeypatch.delattr(os, "mkfifo")
    if request.param == "elsewhere":
        leave_linux(monkeypatch)
    return str(request.param)


def leave_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "elsewhere")
    monkeypatch.setattr(identity, "LINUX", False)
    monkeypatch.delattr(os, "pidfd_open", raising=False)


def launch(marker: str, *arguments: str, cwd: str = "/") -> Launch:
    argv = (*PYTHON, str(PROGRAMS / "agent.py"), *arguments)
    return Launch(argv, {"PATH": os.environ["PATH"]}, cwd, marker)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test, debug=False)


async def eventually(condition: Callable[[], bool]) -> None:
    """For what the system does without telling anyone."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.001)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def suspend(pid: int) -> None:
    """Returns when it has stopped: before that it could still take a message up."""
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- one life, on both links ---


def test_lines_answer_and_exit_code(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "count", "3"), folder, sink)
        assert (process.durable, process.adopted) == (platform != "pipes", False)
        assert process.marker == marker
        await process.write(b"hello\n")
        assert await sink.line("heard") == 6
        assert sink.lines[:3] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert await process.close(b"end\n") == Exit(0, None, "")
        assert sink.lines[-1] == {"farewell": True}
        await sink.until(lambda: bool(sink.exits))
        assert sink.exits == [Exit(0, None, "")]
        assert not psutil.pid_exists(process.pid)
        with pytest.raises(AgentGone):
            await process.write(b"too late\n")

    run(test())


def test_exit_code_and_stderr(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "leave", "3"), folder, sink)
        assert await process.wait() == Exit(3, None, "why it left\n")
        assert sink.lines == [{"leaving": True}]
        assert sink.exits == [Exit(3, None, "why it left\n")]
        assert process.stderr_tail() == "why it left\n"

    run(test())


def test_killed_from_outside(folder: Path, marker: str, platform: str) -> None:
    """Everything said before the kill arrives, then one exit; its orphans are ended."""

    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "family"), folder, sink)
        pids = await sink.line("pids")
        os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == Exit(None, signal.SIGKILL, "")
        await process.close(None)
        assert [pid for pid in pids if is_running(pid)] == []
        assert len(sink.exits) == 1
        assert sink.late == 0

    run(test())


def test_half_a_line_then_end_of_file(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "half"), folder, sink)
        assert (await process.wait()).code == 0
        assert sink.lines == [{"whole": True}]
        assert sink.framer.finish() == [Torn(14, b'{"half":"no en')]

    run(test())


def test_what_was_said_before_the_exit_arrives_in_order(
    folder: Path, marker: str, platform: str
) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "burst", "20000"), folder, sink)
        assert (await process.wait()).code == 0
        await sink.until(lambda: bool(sink.exits))
        assert [line["n"] for line in sink.lines] == list(range(20_000))
        assert sink.late == 0

    run(test())


def test_large_message_and_order(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "echo"), folder, sink)
        messages = [b"first\n", b"A" + b"x" * 2_000_000 + b"Z\n", b"b" * 900_000 + b"\n", b"last\n"]
        await asyncio.gather(*(process.write(message) for message in messages))
        await sink.until(lambda: len(sink.lines) == 4)
        assert [line["heard"] for line in sink.lines] == [len(message) for message in messages]
        assert sink.lines[1]["start"] == "A" + "x" * 19
        assert sink.lines[1]["end"] == "x" * 18 + "Z"
        await process.close(b"end\n")

    run(test())


def test_suspended_agent_does_not_block_us(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "echo"), folder, sink)
        await process.write(b"one\n")
        process.write_timeout = 0.3
        suspend(process.pid)
        size = 200_000 if platform == "pipes" else 4  # plain pipes cannot tell what was read
        longest = 0.0
        sending = asyncio.create_task(process.write(b"x" * size + b"\n"))
        while not sending.done():
            before = time.monotonic()
            await asyncio.sleep(0.002)
            longest = max(longest, time.monotonic() - before)
        with pytest.raises(AgentNotReading, match="does not read") as raised:
            await sending
        assert longest < 0.2
        assert raised.value.withdrawn == (platform != "pipes")
        started = time.monotonic()
        end = await process.close(b"end\n", grace=2.0)
        assert time.monotonic() - started < 4.0
        assert end.signal == signal.SIGTERM  # which a suspended process obeys when continued

    run(test())


def test_close_reaches_what_left_the_process_group(
    folder: Path, marker: str, platform: str
) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "family"), folder, sink)
        pids = await sink.line("pids")
        assert [is_running(pid) for pid in pids] == [True] * 4
        first, second = await asyncio.gather(process.close(b"end\n"), process.close(None))
        assert first is second
        assert first.code == 0
        assert [pid for pid in pids if is_running(pid)] == []
        assert await process.close(None) is first

    run(test())


def test_five_agents_end_together(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sinks = [Recorder() for _ in range(5)]
        processes = [
            await AgentProcess.start(launch(f"{marker}{n}", "family"), folder / str(n), sink)
            for n, sink in enumerate(sinks, 1)
        ]
        pids = [pid for sink in sinks for pid in await sink.line("pids")]
        async with asyncio.timeout(10):
            await asyncio.gather(*(process.close(None) for process in processes))
        assert [pid for pid in pids if is_running(pid)] == []

    run(test())


def test_close_of_one_that_ignores_requests(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "stubborn"), folder, sink)
        [child] = await sink.line("pids")
        started = time.monotonic()
        end = await process.close(b"end\n", grace=0.4)
        assert end == Exit(None, signal.SIGKILL, "")
        assert time.monotonic() - started < 3.0
        assert not is_running(child)

    run(test())


def test_a_flood_does_not_starve_another_agent(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        quiet_sink, loud_sink = Recorder(), Recorder()
        quiet = await AgentProcess.start(launch(marker + "1", "echo"), folder / "quiet", quiet_sink)
        await quiet.write(b"ready\n")
        loud = await AgentProcess.start(
            launch(marker + "2", "flood", "20"), folder / "loud", loud_sink
        )
        longest = 0.0
        while len(loud_sink.data) < 10_000_000:
            before = time.monotonic()
            quiet_sink.lines.clear()
            await quiet.write(b"now\n")
            await quiet_sink.line("heard")
            longest = max(longest, time.monotonic() - before)
        assert longest < 2.0
        await loud.close(b"end\n")
        await quiet.close(b"end\n")
        assert loud_sink.data.count(b"\n") == 20_000 + 1

    run(test())


# --- starting ---


def test_program_not_found(folder: Path, marker: str) -> None:
    async def test() -> None:
        for name in ("/nowhere/agent", "no-such-agent-program"):
            with pytest.raises(AgentNotFound, match=f"program {name} was not found"):
                await AgentProcess.start(Launch((name,), {}, "/", marker), folder, Recorder())

    run(test())


def test_start_failures_have_a_sentence(folder: Path, tmp_path: Path, marker: str) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    orphan = tmp_path / "orphan"
    orphan.write_text("#!/nowhere/interpreter\n")
    orphan.chmod(0o755)
    cases = [
        (Launch((*PYTHON, "-c", ""), {}, "/nowhere", marker), "folder /nowhere does not exist"),
        (Launch((str(plain),), {}, "/", marker), "Permission denied"),
        (Launch((str(orphan),), {}, "/", marker), "could not be started"),
        (Launch((*PYTHON, "nul\0"), {}, "/", marker), "null byte"),
        (Launch((*PYTHON, "x" * 200_000), {}, "/", marker), "Argument list too long"),
    ]

    async def test() -> None:
        before = open_descriptors()
        for broken, sentence in cases:
            with pytest.raises(AgentStartFailed, match=sentence):
                await AgentProcess.start(broken, folder, Recorder())
        assert open_descriptors() == before

    run(test())


def test_files_are_private(folder: Path, marker: str) -> None:
    def modes() -> dict[str, int]:
        return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}

    folder.mkdir(parents=True)
    folder.chmod(0o755)

    async def test() -> None:
        process = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        names = ("lease", "in.fifo", "out.jsonl", "err.log", "meta.json")
        assert modes() == {folder.name: 0o700} | dict.fromkeys(names, 0o600)
        recorded = read_run(folder)
        assert recorded is not None
        assert (recorded.pid, recorded.marker, recorded.ended) == (process.pid, marker, False)
        await process.close(b"end\n")

    run(test())


def test_a_terminal_that_interrupts_the_server_does_not_interrupt_the_agent(
    folder: Path, marker: str
) -> None:
    async def test() -> None:
        process = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        await process.close(None)

    run(test())


def test_the_marker_is_always_in_the_environment(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "environment"), folder, sink)
        await process.wait()
        assert sink.lines[0]["AGENT_LAB_MARKER"] == marker
        assert set(sink.lines[0]) - {"LC_CTYPE"} == {"AGENT_LAB_MARKER", "PATH"}

    run(test())


def test_cancelled_start_leaves_no_process(folder: Path, marker: str, platform: str) -> None:
    long_search = "/nowhere:" * 10_000 + os.environ["PATH"]  # so that we come in the middle of it

    async def test() -> None:
        cat = Launch(("cat",), {"PATH": long_search}, "/", marker)
        starting = asyncio.create_task(AgentProcess.start(cat, folder, Recorder()))
        await eventually(lambda: read_run(folder) is not None)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        cancelled = read_run(folder)
        assert cancelled is not None
        assert cancelled.pid > 0
        assert not psutil.pid_exists(cancelled.pid)
        # Whoever cancelled may start anew at once.
        process = await AgentProcess.start(launch(f"{marker}1", "echo"), folder, Recorder())
        recorded = read_run(folder)
        assert recorded is not None
        assert (recorded.marker, recorded.pid) == (f"{marker}1", process.pid)
        await process.write(b"hello\n")
        await process.close(b"end\n")

    run(test())


def test_a_program_whose_path_is_no_text(folder: Path, marker: str, tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"agent \xff")
    program.write_text("#!/bin/sh\nread line\nexec sleep 600\n")
    program.chmod(0o755)

    async def test() -> None:
        started = Launch((str(program),), {}, "/", marker)
        process = await AgentProcess.start(started, folder, Recorder())
        await process.write(b"read me\n")
        await process.close(None)

    run(test())


def test_start_ends_an_earlier_run_of_the_folder(folder: Path, marker: str) -> None:
    async def test() -> None:
        before = Recorder()
        first = await AgentProcess.start(launch(marker + "1", "count", "3"), folder, before)
        await before.until(lambda: len(before.lines) == 3)
        first.detach()
        sink = Recorder()
        second = await AgentProcess.start(launch(marker + "2", "echo"), folder, sink)
        assert not is_running(first.pid)
        assert second.durable
        kill(first.pid)  # a zombie: a detached child is not reaped for us
        await second.write(b"hello\n")
        await sink.until(lambda: bool(sink.lines))
        assert sink.lines == [{"heard": 6, "start": "hello", "end": "hello"}]
        await second.close(b"end\n")

    run(test())


# --- writing ---


@pytest.mark.skipif(not LINUX, reason="pipes grow on Linux only")
def test_a_message_enters_the_pipe_whole(folder: Path, marker: str) -> None:
    """A server killed in the middle of one would leave half a line, which ends claude."""

    def unread(pipe: int) -> int:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "echo"), folder, sink)
        pipe = os.open(folder / "in.fifo", os.O_RDWR | os.O_NONBLOCK)
        await process.write(b"one\n")
        suspend(process.pid)
        message = b"x" * 900_000 + b"\n"
        sending = asyncio.create_task(process.write(message))
        await eventually(lambda: unread(pipe) > 0)
        assert unread(pipe) == len(message)
        os.kill(process.pid, signal.SIGCONT)
        await sending
        # All pipes of a user share a limit.
        assert fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) == 64 * 1024
        os.close(pipe)
        await process.close(b"end\n")

    run(test())


def test_a_message_that_was_not_read_is_never_read(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "echo"), folder, sink)
        await process.write(b"one\n")
        process.write_timeout = 0.1
        suspend(process.pid)
        for message in (b"lost\n", b"x" * 600_000 + b"\n", b"x" * 3_000_000 + b"\n"):
            with pytest.raises(AgentNotReading) as raised:
                await process.write(message)
            assert raised.value.withdrawn
        os.kill(process.pid, signal.SIGCONT)
        await process.write(b"two\n")
        await sink.until(lambda: len(sink.lines) == 2)
        assert [line["start"] for line in sink.lines] == ["one", "two"]
        await process.close(b"end\n")

    run(test())


def test_a_message_that_was_begun_is_read_to_its_end(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "sip"), folder, sink)
        await process.write(b"one\n")
        process.write_timeout = 0.3
        with pytest.raises(AgentNotReading) as raised:
            await process.write(b"A" + b"x" * 3_000_000 + b"Z\n")
        assert not raised.value.withdrawn
        assert await sink.line("sipped") > 0
        os.kill(process.pid, signal.SIGCONT)
        process.write_timeout = 10.0
        await process.write(b"two\n")
        await sink.until(lambda: len(sink.lines) == 3)
        assert sink.lines[1] == {"heard": 3_000_003, "start": "A", "end": "Z\n"}
        assert sink.lines[2]["start"] == "two"
        await process.close(b"end\n")

    run(test())


def test_a_slow_reader_is_waited_for_as_long_as_it_reads(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "slowly"), folder, sink)
        await process.write(b"one\n")
        process.write_timeout = 0.5
        started = time.monotonic()
        await process.write(b"x" * 1_500_000 + b"\n")
        assert time.monotonic() - started > 2 * process.write_timeout
        assert await sink.line("heard") == 1_500_001
        await process.close(b"end\n")

    run(test())


def test_a_zombie_is_not_taken_up(folder: Path, marker: str, platform: str) -> None:
    """As in a container whose first process reaps nobody."""

    async def test() -> None:
        first = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        first.detach()
        os.kill(first.pid, signal.SIGKILL)
        await eventually(lambda: not is_running(first.pid))
        assert psutil.pid_exists(first.pid)
        second = await AgentProcess.adopt(folder, 0, Recorder())
        assert second is not None
        with pytest.raises(AgentGone):
            await second.write(b"x\n")
        async with asyncio.timeout(5):
            await second.wait()
        kill(first.pid)  # reaps it

    run(test())


def test_a_slow_start_is_no_refusal_to_read(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "slow", "0.6"), folder, sink)
        process.write_timeout = 0.1
        await process.write(b"hello\n")
        assert await sink.line("heard") == 6
        await process.close(b"end\n")

    run(test())


def test_a_cancelled_sender_leaves_no_half_line(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "echo"), folder, sink)
        await process.write(b"one\n")
        suspend(process.pid)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await process.write(b"y" * 3_000_000 + b"\n")
        os.kill(process.pid, signal.SIGCONT)
        await process.write(b"two\n")
        await sink.until(lambda: len(sink.lines) == 3)
        assert [line["heard"] for line in sink.lines] == [4, 3_000_001, 4]
        await process.close(b"end\n")

    run(test())


def test_agent_that_dies_while_we_write(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "deaf"), folder, sink)
        await sink.line("ready")
        sending = asyncio.create_task(process.write(b"z" * 3_000_000 + b"\n"))
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(AgentGone):
            await sending
        assert (await process.wait()).signal == signal.SIGKILL

    run(test())


# --- the run outlives us ---


def test_detach_and_adopt(folder: Path, marker: str) -> None:
    async def test() -> None:
        first_sink = Recorder()
        first = await AgentProcess.start(launch(marker, "count", "5"), folder, first_sink)
        await first_sink.until(lambda: len(first_sink.lines) == 5)
        waiting = asyncio.create_task(first.wait())
        await asyncio.sleep(0)
        first.detach()
        with pytest.raises(AgentGone):
            await waiting
        with pytest.raises(AgentGone):
            await first.write(b"x\n")
        assert is_running(first.pid)

        sink = Recorder()
        offset = len(b'{"n": 0}\n') * 2
        second = await AgentProcess.adopt(folder, offset, sink)
        assert second is not None
        assert (second.pid, second.adopted, second.durable) == (first.pid, True, True)
        await second.write(b"again\n")
        assert await sink.line("heard") == 6
        assert sink.lines[:3] == [{"n": 2}, {"n": 3}, {"n": 4}]
        assert (await second.close(b"end\n")).code == 0
        assert first_sink.exits == []

    run(test())


def test_nothing_is_told_after_detach(folder: Path, marker: str) -> None:
    """Not even the end of a process whose last output is just being delivered."""

    class Leaver(Recorder):
        process: AgentProcess

        def received(self, data: bytes) -> None:
            super().received(data)
            self.process.detach()

    async def test() -> None:
        first = await AgentProcess.start(launch(marker, "burst", "5000"), folder, Recorder())
        await first.wait()
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, it: failures.append(it))
        sink = Leaver()
        adopted = await AgentProcess.adopt(folder, 0, sink)
        assert adopted is not None
        sink.process = adopted
        with pytest.raises(AgentGone):
            await adopted.wait()
        had = len(sink.data)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert (len(sink.data), sink.exits, failures) == (had, [], [])

    run(test())


def test_adopt_of_a_run_that_ended_meanwhile(folder: Path, marker: str) -> None:
    async def test() -> None:
        first = await AgentProcess.start(launch(marker, "count", "5"), folder, Recorder())
        first.detach()
        kill(first.pid)
        with (folder / "out.jsonl").open("ab") as file:
            file.write(b'{"last": true}\n')
        for _ in range(2):  # a second look delivers the same
            sink = Recorder()
            process = await AgentProcess.adopt(folder, 0, sink)
            assert process is not None
            assert await process.wait() == Exit(None, None, "")
            assert sink.lines[-1] == {"last": True}
            assert len(sink.exits) == 1
            await process.close(None)

    run(test())


def test_adopt_knows_the_exit_that_its_predecessor_saw(folder: Path, marker: str) -> None:
    async def test() -> None:
        process = await AgentProcess.start(launch(marker, "leave", "3"), folder, Recorder())
        await process.wait()
        sink = Recorder()
        adopted = await AgentProcess.adopt(folder, 0, sink)
        assert adopted is not None
        assert await adopted.close(None) == Exit(3, None, "why it left\n")
        assert sink.data == b'{"leaving": true}\n'

    run(test())


def test_adopt_ends_what_a_dead_agent_left(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        first = await AgentProcess.start(launch(marker, "family"), folder, sink)
        pids = await sink.line("pids")
        first.detach()
        kill(first.pid)
        second = await AgentProcess.adopt(folder, 0, Recorder())
        assert second is not None
        await second.close(None)
        assert [pid for pid in pids if is_running(pid)] == []

    run(test())


def test_nothing_to_adopt(folder: Path) -> None:
    async def test() -> None:
        assert await AgentProcess.adopt(folder, 0, Recorder()) is None

    run(test())
    folder.mkdir(parents=True)
    run(test())
    (folder / "meta.json").write_bytes(b'{"pid": "no')
    run(test())


@pytest.mark.parametrize("differs", ["marker", "start_time", "boot_id", "ended"])
def test_a_process_that_is_not_ours_is_not_taken_up(
    folder: Path, marker: str, differs: str
) -> None:
    """The recorded pid is alive and agrees in all but one point: it was given away anew.

    One of another boot, or without our marker, is a stranger's and is not even signalled.
    """

    async def test() -> None:
        first = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        await first.write(b"ready\n")
        recorded = read_run(folder)
        assert recorded is not None
        first.detach()
        changed: dict[str, Any] = {differs: True if differs == "ended" else f"{marker}-other"}
        stale = msgspec.structs.replace(recorded, **changed)
        (folder / "meta.json").write_bytes(msgspec.json.encode(stale))
        sink = Recorder()
        second = await AgentProcess.adopt(folder, 0, sink)
        assert second is not None
        with pytest.raises(AgentGone):
            await second.write(b"x\n")
        assert await second.close(b"end\n") == Exit(None, None, "")
        assert sink.lines == [{"heard": 6, "start": "ready", "end": "ready"}]
        assert is_running(first.pid) == (differs in ("marker", "boot_id"))
        kill(first.pid)

    run(test())


def test_a_start_that_was_cut_short_is_ended(folder: Path, marker: str) -> None:
    """The server died after the start and before it could record the pid."""

    async def test() -> None:
        process = await AgentProcess.adopt(folder, 0, Recorder())
        assert process is not None
        await process.close(None)

    folder.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id")
    unfinished = Run(marker, time.time(), boot.read_text().strip() if LINUX else "")
    (folder / "meta.json").write_bytes(msgspec.json.encode(unfinished))
    with subprocess.Popen(
        [*PYTHON, str(PROGRAMS / "agent.py"), "deaf"],
        env={"AGENT_LAB_MARKER": marker},
        stdout=subprocess.PIPE,
    ) as stray:
        assert stray.stdout is not None
        stray.stdout.readline()
        run(test())
        assert stray.wait(5) == -signal.SIGTERM


def stored(database: Path) -> tuple[int, list[Any]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        [(offset,)] = connection.execute("SELECT coalesce(max(after), 0) FROM line")
        return offset, [json.loads(text) for (text,) in connection.execute("SELECT text FROM line")]


@pytest.mark.parametrize("seed", range(4))
def test_exactly_once_through_kills_of_the_owner(
    folder: Path, tmp_path: Path, marker: str, seed: int
) -> None:
    total = 4000
    dice = random.Random(seed)
    database = tmp_path / "lines.db"
    agent = [*PYTHON, str(PROGRAMS / "agent.py"), "count", str(total), "0.0004"]
    owner = [
        sys.executable,
        str(PROGRAMS / "owner.py"),
        str(folder),
        str(database),
        marker,
        *agent,
    ]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    for _ in range(4):
        with subprocess.Popen(owner, env=env, stdout=subprocess.PIPE, bufsize=0) as server:
            assert server.stdout is not None
            for _ in range(dice.randrange(1, 60)):
                if not select.select([server.stdout], [], [], 3)[0]:
                    assert len(stored(database)[1]) == total  # silent because all is said
                    break
                server.stdout.read(1)
            server.kill()

    async def test() -> None:
        offset, before = stored(database)
        assert before
        sink = Recorder()
        lease = Lease.take(folder)  # the kernel took it back from the killed owner
        process = await AgentProcess.adopt(folder, offset, sink)
        assert process is not None
        await sink.until(lambda: {"n": total - 1} in before + sink.lines)
        assert before + sink.lines == [{"n": number} for number in range(total)]
        await process.write(b"still here\n")
        assert await sink.line("heard") == 11
        await process.close(b"end\n")
        lease.release()

    run(test())


@pytest.mark.skipif(not LINUX, reason="holes in files are punched on Linux only")
def test_what_is_stored_leaves_the_disk(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "flood", "6"), folder, sink)
        await sink.until(lambda: sink.data.count(b"\n") == 6000)
        path = folder / "out.jsonl"
        full = path.stat()
        process.applied(len(sink.data))
        assert path.stat().st_size == full.st_size
        assert path.stat().st_blocks * 512 < 64 * 1024 < full.st_blocks * 512
        process.detach()
        second_sink = Recorder()
        second = await AgentProcess.adopt(folder, len(sink.data), second_sink)
        assert second is not None
        await second.write(b"more\n")
        await second_sink.until(lambda: len(second_sink.lines) == 1)
        assert second_sink.lines[0]["heard"] == 5
        await second.close(b"end\n")

    run(test())


def test_unread_output_is_never_punched(folder: Path, marker: str) -> None:
    def wait_for_more_than_one_read() -> None:
        """The loop stands still meanwhile, so that nothing of it has been read."""
        path, deadline = folder / "out.jsonl", time.monotonic() + 10
        while path.stat().st_size < 5_900_000:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "flood", "6"), folder, sink)
        wait_for_more_than_one_read()
        process.applied(10**9)
        await sink.until(lambda: sink.data.count(b"\n") == 6000)
        assert b"\0" not in sink.data
        await process.close(b"end\n")

    run(test())


def test_stderr_flood_does_not_fill_the_disk(folder: Path, marker: str, platform: str) -> None:
    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "stderr", "60"), folder, sink)
        assert await sink.line("done")
        path = folder / "err.log"
        await eventually(lambda: path.stat().st_blocks * 512 < 2 * 1024 * 1024)
        tail = process.stderr_tail()
        assert tail.endswith("e\n\x1b[31mthe last words\x1b[0m\n")
        assert 7_000 < len(tail) <= 8192
        assert (await process.close(b"end\n")).stderr == tail

    run(test())


@pytest.mark.skipif(not LINUX, reason="inotify is Linux's")
def test_when_the_system_has_lost_count_of_changes_all_are_looked_at(tmp_path: Path) -> None:
    """The queue of changes overflows: what came last is not told."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    files = [tmp_path / name for name in ("one", "two", "last")]
    for file in files:
        file.touch()

    async def test() -> None:
        woken = asyncio.Event()
        unwatch = [growing.watch(file, lambda: None) for file in files[:2]]
        unwatch.append(growing.watch(files[2], woken.set))
        with files[0].open("ab", 0) as one, files[1].open("ab", 0) as two:
            for _ in range(limit // 2 + 10):
                one.write(b"x")  # in turns: repeated changes of one file count once
                two.write(b"x")
        files[2].write_bytes(b"x")
        async with asyncio.timeout(5):
            await woken.wait()
        for each in unwatch:
            each()

    run(test())


def test_without_inotify(folder: Path, marker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's limit of 128 instances is used up."""

    def refuse(**_: bool) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(growing, "INotify", refuse, raising=False)
    check_adoption(folder, marker)


def test_without_linux(folder: Path, marker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_linux(monkeypatch)
    check_adoption(folder, marker)


def check_adoption(folder: Path, marker: str) -> None:
    async def test() -> None:
        sink = Recorder()
        first = await AgentProcess.start(launch(marker, "count", "3"), folder, sink)
        await first.write(b"hello\n")
        assert await sink.line("heard") == 6
        first.detach()
        second_sink = Recorder()
        second = await AgentProcess.adopt(folder, 0, second_sink)
        assert second is not None
        await second.write(b"again\n")
        await second_sink.until(lambda: len(second_sink.lines) == 5)
        await second.close(b"end\n")
        await second_sink.until(lambda: bool(second_sink.exits))
        assert not is_running(first.pid)

    run(test())


# --- the end that does not come ---


def test_close_can_be_asked_for_again(
    folder: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time the process is stuck inside the kernel, where no signal reaches it."""

    async def test() -> None:
        process = await AgentProcess.start(launch(marker, "deaf"), folder, Recorder())
        with monkeypatch.context() as stuck:
            stuck.setattr(signal, "pidfd_send_signal", lambda *_: None)
            stuck.setattr(agent_process, "KILLED_SECONDS", 0.1)
            with pytest.raises(AgentNotEnding, match=str(process.pid)):
                await process.close(None, grace=0.1)
        assert is_running(process.pid)
        assert (await process.close(None)).signal == signal.SIGTERM

    run(test())


def test_what_cannot_be_ended_is_named(
    marker: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process of another user: it is not waited for again and again, and the log says which."""

    def refuse(process: psutil.Process, _: int) -> None:
        raise psutil.AccessDenied(process.pid)

    environment = {"AGENT_LAB_MARKER": marker}
    with subprocess.Popen(["/bin/sleep", "600"], env=environment) as stranger:
        with monkeypatch.context() as denied:
            denied.setattr(psutil.Process, "send_signal", refuse)
            denied.setattr(identity, "TERM_SECONDS", 0.1)
            denied.setattr(identity, "KILLED_SECONDS", 0.1)
            started = time.monotonic()
            assert asyncio.run(sweep(marker)) == []
            assert time.monotonic() - started < 1.0
        assert f"pid={stranger.pid}" in caplog.text
        assert asyncio.run(sweep(marker)) == [stranger.pid]


def test_output_that_is_emptied_does_not_hold_up_the_end(folder: Path, marker: str) -> None:
    """Somebody cuts the file off while the rest of it is delivered."""

    class Emptier(Recorder):
        def received(self, data: bytes) -> None:
            super().received(data)
            os.truncate(folder / "out.jsonl", 1_000_000)

    async def test() -> None:
        first = await AgentProcess.start(launch(marker, "burst", "5000"), folder, Recorder())
        await first.wait()
        sink = Emptier()
        process = await AgentProcess.adopt(folder, 0, sink)
        assert process is not None
        async with asyncio.timeout(5):
            await process.wait()
        assert len(sink.data) == 1_000_000

    run(test())


# --- leases ---


def test_one_lease_in_this_process(folder: Path) -> None:
    lease = Lease.take(folder)
    with pytest.raises(LeaseHeld):
        Lease.take(folder)
    lease.release()
    lease.release()
    again = Lease.take(folder)
    again.release()


def test_one_lease_among_processes(folder: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from agent_lab.agents.process import Lease\n"
        "lease = Lease.take(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LeaseHeld):
            Lease.take(folder)
        other.kill()
    Lease.take(folder).release()


@pytest.mark.skipif(not LINUX, reason="looks for its descriptor in /proc")
def test_a_lease_is_given_back_while_a_child_still_holds_its_descriptor(folder: Path) -> None:
    """So it does between fork and exec."""
    lease = Lease.take(folder)
    held = next(
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink() and entry.readlink() == folder / "lease"
    )
    shared = os.dup(held)
    with pytest.raises(LeaseHeld):
        Lease.take(folder)
    lease.release()
    Lease.take(folder).release()
    os.close(shared)


def test_where_the_file_system_has_no_locks_one_server_still_has_one_lease(
    folder: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    async def test() -> None:
        process = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        assert not process.durable  # two servers could take it up at once
        await process.close(b"end\n")

    monkeypatch.setattr(fcntl, "flock", refuse)
    held = Lease.take(folder)
    with pytest.raises(LeaseHeld):
        Lease.take(folder)
    run(test())
    held.release()
    Lease.take(folder).release()


def test_an_agent_does_not_inherit_the_lease(folder: Path, marker: str) -> None:
    async def test() -> None:
        lease = Lease.take(folder)
        process = await AgentProcess.start(launch(marker, "echo"), folder, Recorder())
        lease.release()
        Lease.take(folder).release()
        await process.close(b"end\n")

    run(test())


# --- nothing is left ---


def open_descriptors() -> int:
    return psutil.Process().num_fds()


def test_a_life_leaves_no_descriptor(folder: Path, marker: str, platform: str) -> None:
    """Not even the one that all lives of a loop share."""

    async def test() -> None:
        before = open_descriptors()
        for _ in range(2):
            sink = Recorder()
            process = await AgentProcess.start(launch(marker, "count", "1"), folder, sink)
            await sink.line("n")
            await process.close(b"end\n")
            await eventually(lambda: open_descriptors() == before)  # a thread may be closing one

    run(test())


@pytest.mark.skipif(not LINUX, reason="counts what a process wrote")
def test_a_busy_loop_does_not_make_plain_pipes_collect(
    folder: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "mkfifo")

    def stand_still() -> None:
        time.sleep(0.5)

    async def test() -> None:
        sink = Recorder()
        process = await AgentProcess.start(launch(marker, "flood", "20"), folder, sink)
        await sink.until(lambda: bool(sink.data))
        had = len(sink.data)
        stand_still()
        written = psutil.Process(process.pid).io_counters().write_chars
        assert written - had < 3_000_000
        await sink.until(lambda: sink.data.count(b"\n") == 20_000)
        await process.close(b"end\n")

    run(test())


def test_200_lives_leave_nothing(folder: Path, platform: str) -> None:
    async def life(number: int) -> None:
        sink = Recorder()
        started = Launch(("/bin/cat",), {}, "/", f"life-{uuid.uuid4()}")
        process = await AgentProcess.start(started, folder, sink)
        await process.write(b'{"n": 1}\n')
        await sink.line("n")
        assert (await process.close(None)).signal == signal.SIGTERM

    async def test() -> None:
        for number in range(5):  # fills the pool of threads
            await life(number)
        gc.collect()
        before = open_descriptors(), threading.active_count()
        for number in range(50 if platform == "elsewhere" else 200):
            await life(number)
        gc.collect()
        pools = 10  # bounded, and they grow when they like
        await eventually(lambda: threading.active_count() <= before[1] + pools)
        assert open_descriptors() <= before[0]
        assert psutil.Process().children() == []
        assert len(asyncio.all_tasks()) == 1

    run(test())
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)

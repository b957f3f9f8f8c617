"""Run code in a live kernel as a client of our own, and collect what it puts out.

One connection per kernel is kept open; its runs follow each other. IOPub is subscribed only while
something runs, so what others print costs us nothing. There is no limit on time: a run ends by
itself, with its turn, or with its kernel.

A cell that waits for an agent's answer holds the kernel, and code of that agent would wait behind
it for ever: it is handed over to that cell, which runs it. The kernel's queue then passes it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_core.utils import ensure_async
from msgspec import Struct

from agent_lab.notebook.kernel import HARMLESS, KernelManager, ask, own_session
from agent_lab.notebook.outputs import Outputs
from agent_lab.protocol.errors import Conflict, Unavailable
from agent_lab.protocol.events import Json

SUBSCRIBED_SECONDS = 1.0
"""For a kernel to say that we hear it; ipykernel 7 does so within milliseconds."""
LOOK_SECONDS = 1.0
"""How often a silent kernel is looked at: does it live?"""
LAST_WORDS_SECONDS = 4.0
"""For outputs that come after the reply."""
REPLY_SECONDS = 5.0
INTERRUPT_SECONDS = 4.0
EARLY_SECONDS = 0.1
"""An interrupt that comes as a cell begins is lost: ipykernel tells that it is busy before it heeds
one, and IPython swallows one that hits what it calls before a cell."""
CANCEL_SECONDS = 1.0
PROGRESS_SECONDS = 2.0
HAND_OVER, REFUSED = "agent_lab_run_request", "agent_lab_refused"
FIRST_OFFER, LONGEST_OFFER = 0.15, 5.0
"""How long code has waited in the queue when it is offered to a cell that waits, and how often
then: that cell may be in the queue too."""
RESENDS = 20
"""A kernel throws its queue away when a cell of it fails: what did not run is sent again."""

State = Literal["ok", "error", "died", "restarted"]


class Ran(Struct, frozen=True):
    """What became of a run. `outputs` are nbformat's, bounded; `seconds` from the kernel's start
    of it on."""

    status: State
    outputs: list[dict[str, Any]]
    execution_count: int | None
    seconds: float

    @property
    def error(self) -> Mapping[str, Any] | None:
        return next((o for o in reversed(self.outputs) if o["output_type"] == "error"), None)


class Progress(Struct, frozen=True):
    """`running` False: other code runs in the kernel, ours waits for it."""

    running: bool
    seconds: float
    text: str


Report = Callable[[Progress], None]


def process_of(manager: KernelManager) -> object:
    """What is another one after a restart, None where that cannot be told."""
    return getattr(getattr(manager, "provisioner", None), "pid", None)


async def interrupt_within(manager: KernelManager, request: str = "") -> str:
    """Interrupt what runs within a cell that waits for an agent, and not that cell.

    Returns `interrupted`; `over`: the request has ended; `waits`: the cell waits and nothing runs
    in it; `unknown`: there is no such cell.
    """
    try:
        found = await ask(manager, HAND_OVER, {"cancel": request}, CANCEL_SECONDS)
    except (Conflict, Unavailable):  # what holds the interpreter is interrupted as always
        return "unknown"
    return str(found.get("state", "unknown"))


class Kernel:
    """A connection to one kernel. Not used after `close`."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self._session = own_session(manager)
        self._client: AsyncKernelClient = manager.client(session=self._session)
        self._client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        self._iopub: zmq.asyncio.Socket = self._client.connect_iopub()
        self._iopub.unsubscribe(b"")
        self._greets: bool | None = None
        self._lock = asyncio.Lock()
        self._calling_off: set[asyncio.Task[None]] = set()
        self._runs: asyncio.Task[Ran] | None = None
        self._handed = ""
        self._began_at = 0.0

    def close(self) -> None:
        for task in (*self._calling_off, *([self._runs] if self._runs else [])):
            task.cancel()
        self._iopub.close(linger=0)
        self._client.stop_channels()

    async def run(
        self,
        code: str,
        outputs: Outputs,
        *,
        store_history: bool,
        metadata: Mapping[str, Json] | None = None,
        report: Report | None = None,
        sent: Callable[[str], None] | None = None,
    ) -> Ran:
        """Run code to its end. Cancelled: the kernel is interrupted, but nothing of others' is.

        `sent` is told the request's id before the kernel gets it, also when it is sent again.
        Raises Conflict `kernel_dead`, `kernel_waits` when it cannot run before a cell has ended
        that waits for the agent.
        """
        content = {
            "code": code, "silent": False, "store_history": store_history,
            "user_expressions": {}, "allow_stdin": False, "stop_on_error": False,
        }  # fmt: skip
        await self._lock.acquire()
        began = asyncio.Event()
        work = self._run(content, dict(metadata or {}), outputs, report, began, sent)
        running = asyncio.create_task(work, name="agent_lab: run")
        self._runs = running
        running.add_done_callback(self._ran)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            if not running.done():
                calling_off = asyncio.create_task(self._call_off(running, began))
                self._calling_off.add(calling_off)
                calling_off.add_done_callback(self._calling_off.discard)
                if began.is_set():
                    # Its last words belong to the run.
                    await asyncio.wait({calling_off})
            raise

    def _ran(self, running: asyncio.Task[Ran]) -> None:
        self._lock.release()
        if not running.cancelled():
            running.exception()  # seen: whoever waited may have gone

    async def _call_off(self, running: asyncio.Task[Ran], began: asyncio.Event) -> None:
        """Interrupt our code; while it waits behind another's, let that finish first: it is in the
        kernel's queue and cannot be taken back, so it is stopped as it begins."""
        begun = asyncio.create_task(began.wait())
        await asyncio.wait({begun, running}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if (early := self._began_at + EARLY_SECONDS - time.monotonic()) > 0:
            await asyncio.wait({running}, timeout=early)
        if not running.done():
            await self._interrupt()
            await asyncio.wait({running}, timeout=INTERRUPT_SECONDS)
        running.cancel()

    async def _interrupt(self) -> None:
        if self._handed and await interrupt_within(self.manager, self._handed) != "unknown":
            return
        interrupt: Any = getattr(self.manager, "interrupt_kernel", None)
        if interrupt is not None:
            await ensure_async(interrupt())

    async def _run(
        self,
        content: dict[str, Any],
        metadata: dict[str, Json],
        outputs: Outputs,
        report: Report | None,
        began: asyncio.Event,
        sent: Callable[[str], None] | None,
    ) -> Ran:
        if not await ensure_async(self.manager.is_alive()):
            raise Conflict("The kernel does not run. restart_kernel starts it.", "kernel_dead")
        process = process_of(self.manager)
        await self._forget_old()
        try:
            await self._subscribe()
            for _ in range(RESENDS):
                request = self._session.msg("execute_request", content, metadata=metadata)
                if sent is not None:
                    sent(request["header"]["msg_id"])
                ran = await self._once(request, outputs, report, began, process)
                if ran is not None:
                    return ran
            text = "The kernel threw its queue away again and again. Try when it is idle."
            raise Conflict(text, "kernel_busy")
        finally:
            with contextlib.suppress(zmq.ZMQError):  # closed meanwhile
                self._iopub.unsubscribe(b"")

    async def _forget_old(self) -> None:
        """Read away what came after the last run."""
        for socket in (self._iopub, self._client.shell_channel.socket):
            while await socket.poll(0):
                await socket.recv_multipart()

    async def _subscribe(self) -> None:
        """Hear the kernel from now on, for sure: what runs at once would be missed otherwise."""
        self._iopub.subscribe(b"")
        # ipykernel 7 greets each new topic; that of everything is known to it from others.
        topic = f"agent_lab.{uuid.uuid4().hex}".encode()
        self._iopub.subscribe(topic)
        try:
            if self._greets is False or not await self._heard(topic, (), SUBSCRIBED_SECONDS):
                await self._echo(topic)
        finally:
            self._iopub.unsubscribe(topic)

    async def _heard(self, topic: bytes, requests: Collection[str], seconds: float) -> bool:
        """Wait for the greeting of a topic, or for the echo of one of our requests."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not await self._iopub.poll(round(left * 1000)):
                break
            frames = await self._iopub.recv_multipart()
            if frames[0] == topic:
                self._greets = True
                return True
            message = self._message(frames) if requests else None
            if message is not None and _parent(message) in requests:
                self._greets = self._greets or False
                return True
        return False

    async def _echo(self, topic: bytes) -> None:
        """Ask for something harmless until it is heard that the kernel works on it."""
        shell: zmq.asyncio.Socket = self._client.shell_channel.socket
        answered, seconds = True, FIRST_OFFER
        while True:
            if answered:  # and was not heard: the subscription came too late
                asked = [self._ask_harmless(self._client.shell_channel)]
                answered = False
            if await self._heard(topic, asked, seconds):
                return
            if len(asked) == 1:  # a cell runs; what is asked on this channel does not wait for it
                asked.append(self._ask_harmless(self._client.control_channel))
                seconds = LOOK_SECONDS
            while await shell.poll(0):
                reply = self._message(await shell.recv_multipart())
                answered = answered or (reply is not None and _parent(reply) == asked[0])
            if not await ensure_async(self.manager.is_alive()):
                raise Conflict("The kernel does not run. restart_kernel starts it.", "kernel_dead")

    def _ask_harmless(self, channel: Any) -> str:
        message = self._session.msg(HARMLESS, {})
        channel.send(message)
        return str(message["header"]["msg_id"])

    def _message(self, frames: list[bytes]) -> dict[str, Any] | None:
        try:
            _, parts = self._session.feed_identities(frames)
            return self._session.deserialize(parts, content=False)
        except (ValueError, TypeError, KeyError):  # not signed, or cut
            return None

    async def _once(
        self,
        request: dict[str, Any],
        outputs: Outputs,
        report: Report | None,
        began: asyncio.Event,
        process: object,
    ) -> Ran | None:
        """Send it and follow it. None: the kernel threw it away unrun."""
        self._client.shell_channel.send(request)
        self._handed = ""
        offering = asyncio.create_task(self._offer(request, began), name="agent_lab: offer a run")
        try:
            return await self._follow(request["header"]["msg_id"], outputs, report, began, process)
        finally:
            offering.cancel()

    async def _offer(self, request: dict[str, Any], began: asyncio.Event) -> None:
        """While it waits in the queue, hand it over to a cell that waits for the agent."""
        # Sending has added to it what is no part of a message.
        message = {part: request[part] for part in ("header", "metadata", "content")}
        pause = FIRST_OFFER
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(began.wait(), pause)
                return
            pause = min(2 * pause, LONGEST_OFFER)
            try:
                offered = await ask(self.manager, HAND_OVER, {"request": message})
            except (Conflict, Unavailable):  # dead, or without our part as yet
                continue
            if offered.get("state") == "taken":
                self._handed = request["header"]["msg_id"]

    async def _follow(
        self,
        mine: str,
        outputs: Outputs,
        report: Report | None,
        began: asyncio.Event,
        process: object,
    ) -> Ran | None:
        shell: zmq.asyncio.Socket = self._client.shell_channel.socket
        sent_at = began_at = heard = time.monotonic()
        reply: dict[str, Any] | None = None
        poller = zmq.asyncio.Poller()
        poller.register(self._iopub, zmq.POLLIN)
        poller.register(shell, zmq.POLLIN)
        reported = sent_at
        idle = False
        read = 0
        while not (idle and reply is not None):
            ready = dict(await poller.poll(round(LOOK_SECONDS * 1000)))
            now = time.monotonic()
            if shell in ready:
                message = self._message(await shell.recv_multipart())
                if message is not None and _parent(message) == mine:
                    reply = self._session.unpack(message["content"])
                    if reply.get("status") == "aborted" and not began.is_set():
                        return None
                    if reply.get("ename") == REFUSED:
                        raise Conflict(str(reply.get("evalue")), "kernel_waits")
            if self._iopub in ready:
                heard = now
                message = self._message(await self._iopub.recv_multipart())
                if message is not None and _parent(message) == mine:
                    kind = message["header"]["msg_type"]
                    said = self._session.unpack(message["content"])
                    if kind == "status":
                        idle = said.get("execution_state") == "idle"
                        if not began.is_set():
                            began.set()
                            began_at = self._began_at = now
                    else:
                        outputs.push(kind, said)
                read += 1
                if read % 50 == 0:
                    await asyncio.sleep(0)  # a flood shall not hold up everybody else
            if not ready:
                ended = await self._ended(process)
                if ended is not None:
                    return Ran(ended, outputs.finished(), outputs.execution_count, now - began_at)
            if reply is not None and not idle and now - heard > LAST_WORDS_SECONDS:
                break  # the end was lost: a flood, or a kernel that does not tell it
            if idle and reply is None and now - heard > REPLY_SECONDS:
                break
            if report is not None and now - reported >= PROGRESS_SECONDS:
                reported = now
                report(Progress(began.is_set(), now - (began_at or sent_at), outputs.end))
        status: State = "error" if (reply or {}).get("status") == "error" else "ok"
        count = (reply or {}).get("execution_count")
        found = outputs.finished()
        if status == "error" and all(one["output_type"] != "error" for one in found):
            # The reply tells it too, where a flood swallowed the message.
            outputs.push("error", reply or {})
            found = outputs.finished()
        seconds = time.monotonic() - began_at
        return Ran(status, found, count if isinstance(count, int) else None, seconds)

    async def _ended(self, process: object) -> State | None:
        if process_of(self.manager) != process:
            return "restarted"
        return None if await ensure_async(self.manager.is_alive()) else "died"


def _parent(message: Mapping[str, Any]) -> object:
    return (message.get("parent_header") or {}).get("msg_id")

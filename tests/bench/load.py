"""Twenty sessions streaming at once: what a token and what the rest of the server feel of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from .clients import Answering, Chat, Token, lost_or_misplaced, new_session, piped
from .measures import Run
from .report import Figure, median, percentile
from .servers import FAKE_AGENT, PROJECT, Server, jupyter, scratch_environment

SESSIONS = 20
RATE = 50


async def many_sessions(run: Run) -> AsyncIterator[Figure]:
    """All on the sockets of one server, then all on plain pipes, in turns."""
    seconds, rounds = run.pick(10, 4), run.pick(2, 1)
    environment = scratch_environment(run.folder)
    for within, begun in ((1.0, "begun within a second"), (0.0, "begun and ended at once")):
        here: list[float] = []
        there: list[float] = []
        lost = 0
        for _ in range(rounds):
            async with crowded(run) as (server, chats):
                tokens, missing = await together(chats, seconds, within)
                here += tokens
                lost += missing
            async with AsyncExitStack() as stack:
                pipes = [
                    await stack.enter_async_context(piped(FAKE_AGENT, server.root, environment))
                    for _ in range(SESSIONS)
                ]
                there += (await together(pipes, seconds, within))[0]
        yield Figure(
            what=f"{SESSIONS} sessions at {RATE} tokens/s each, p99",
            here=percentile(here, 99),
            baseline=percentile(there, 99),
            baseline_is="the same fake agents on plain pipes",
            unit="ms",
            target=25.0,
            note=f"{begun}; p50 {median(here):.1f} over {median(there):.1f} ms, "
            f"slowest {max(here):.0f} over {max(there):.0f} ms",
        )
        yield Figure(
            what="    tokens lost, doubled or out of order",
            here=lost,
            unit=f"of {len(here):,}",
            target=0,
            digits=0,
        )


async def status(run: Run) -> AsyncIterator[Figure]:
    """A program of its own asks for /api/status, idle and while all sessions stream, in turns."""
    seconds, rounds = run.pick(6, 3), run.pick(3, 1)
    idle: list[float] = []
    busy: list[float] = []
    async with crowded(run) as (server, chats):
        for _ in range(rounds):
            idle += await asked(server, seconds)
            streaming = asyncio.create_task(together(chats, seconds + 2), name="streaming")
            for chat in chats:
                start = len(chat.frames)
                await chat.until(lambda frame: '"type":"agent_message_chunk"' in frame, start)
            busy += await asked(server, seconds)
            await streaming
    what = f"GET /api/status p95, {SESSIONS} sessions streaming"
    note = f"p50 {median(busy):.1f} over {median(idle):.1f} ms, {len(busy)} requests"
    now, before = percentile(busy, 95), percentile(idle, 95)
    yield Figure(
        what=what, here=now, baseline=before, baseline_is="the same server, idle", unit="ms",
        how="ratio", target=5.0, note=note,
    )  # fmt: skip
    yield Figure(what="    and in itself", here=now, unit="ms", target=25.0)


@asynccontextmanager
async def crowded(run: Run) -> AsyncIterator[tuple[Server, list[Chat]]]:
    """A server with SESSIONS sessions whose fake agents wait, and a client on each."""
    async with jupyter(run.room("server")) as server:
        chats = [
            await Chat().connect(server.url, await new_session(server.url)) for _ in range(SESSIONS)
        ]
        for chat in chats:
            await chat.ready()
        yield server, chats
        for chat in chats:
            chat.close()


async def together(
    sides: Sequence[Answering], seconds: float, within: float = 1.0
) -> tuple[list[float], int]:
    """Stream on all sides at once: the tokens' ages in ms, and how many did not come as sent.

    The sides begin one after the other within so many seconds, and so they end.
    """
    count = int(seconds * RATE)

    async def ask(side: Answering, after: float) -> list[Token]:
        await asyncio.sleep(after)
        return await side.ask(f"!tokens {count} rate {RATE}")

    turns = [ask(side, within * number / len(sides)) for number, side in enumerate(sides)]
    answers = await asyncio.gather(*turns)
    ages = [age for tokens in answers for _, age in tokens]
    return ages, sum(lost_or_misplaced(tokens, count) for tokens in answers)


async def asked(server: Server, seconds: float) -> list[float]:
    """How long each of many requests took, in ms."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.asking", str(server.port), str(seconds),
        cwd=PROJECT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return [float(line) for line in said.split()]

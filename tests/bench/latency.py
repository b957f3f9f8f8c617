"""Token by token: from the model to a WebSocket client, beside the same agent on a plain pipe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from .clients import Answering, Chat, Token, lost_or_misplaced, new_session, piped
from .history import lay
from .measures import Run
from .report import Figure, median, percentile
from .servers import (
    FAKE_AGENT,
    claude_program,
    claude_surroundings,
    jupyter,
    scratch_environment,
    scripted_model,
)

FRAME_MS = 16.0
ADDED_MS = 1.5
FIRST = 5


async def token_to_socket(run: Run) -> AsyncIterator[Figure]:
    """The real claude at a model that stamps its tokens, on the socket and on the pipe in turns."""
    program = claude_program()
    async with scripted_model() as model:
        environment = claude_surroundings(run.folder, model)
        async with (
            jupyter(run.folder, environment=environment, agent=program) as server,
            piped(program, server.root, environment) as pipe,
        ):
            chat = await Chat().connect(server.url, await new_session(server.url))
            await chat.ready()
            for rate in (50, 200):
                prompt = f"stream {{}} tokens at {rate}/s, stamped"
                count = run.pick(300, 100)
                here, there = await in_turns(chat, pipe, prompt, count, run.pick(4, 2))
                if rate == 50:
                    yield Figure(
                        what=f"slowest of a turn's first {FIRST} tokens, {rate}/s",
                        here=median(slowest_first(here, count)),
                        baseline=median(slowest_first(there, count)),
                        baseline_is="the same claude's stdout on a pipe",
                        unit="ms",
                        how="added",
                        note=f"median of {len(here) // count} turns",
                    )
                yield Figure(
                    what=f"model token → WebSocket, p50, {rate} tokens/s",
                    here=median(here),
                    baseline=median(there),
                    baseline_is="the same claude's stdout on a pipe",
                    unit="ms",
                    how="added",
                    target=ADDED_MS if rate < 1000 / FRAME_MS else ADDED_MS + FRAME_MS,
                    note=f"p95 {percentile(here, 95):.1f} over {percentile(there, 95):.1f} ms, "
                    f"{len(here)} tokens"
                    + ("" if rate < 1000 / FRAME_MS else "; tokens of one frame go out together"),
                )
            yield Figure(
                what="prompt sent → acknowledged, when it is stored",
                here=median(chat.acks),
                unit="ms",
                note=f"median of {len(chat.acks)} prompts, the slowest {max(chat.acks):.1f} ms",
            )
            chat.close()


async def history(run: Run) -> AsyncIterator[Figure]:
    """Two sessions of one server, one empty and one with 20 MB behind it, in turns."""
    megabytes = run.pick(20.0, 5.0)
    past = await lay(run.folder / "sessions", run.room("root"), megabytes=megabytes)
    environment = scratch_environment(run.folder)
    async with jupyter(run.folder, environment=environment, agent=FAKE_AGENT) as server:
        full = await Chat().connect(server.url, past.session_id)
        empty = await Chat().connect(server.url, await new_session(server.url))
        for chat in (full, empty):
            await chat.ready()
        rounds = run.pick(8, 3)
        here, there = await in_turns(full, empty, "!tokens {} rate 50", 100, rounds)
        yield Figure(
            what=f"the same with {past.bytes / 1e6:.0f} MB of history, p50",
            here=median(here),
            baseline=median(there),
            baseline_is="an empty session of the same server",
            unit="ms",
            how="ratio",
            target=1.2,
            note=f"{past.messages:,} messages; {len(here)} tokens of fake agents at 50/s",
        )
        full.close()
        empty.close()


async def in_turns(
    here: Answering, there: Answering, prompt: str, count: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Ask both the same, alternately; the ages of all tokens in ms. A first round is thrown away.

    Raises AssertionError when a token was lost.
    """
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, ages in zip((here, there), found, strict=True):
            tokens = await side.ask(prompt.format(count if number else 20))
            if number:
                ages += whole(tokens, count)
    return found


def slowest_first(ages: Sequence[float], count: int) -> list[float]:
    """Of each turn of `count` tokens, how long the slowest of its first ones took."""
    return [max(ages[begin : begin + FIRST]) for begin in range(0, len(ages), count)]


def whole(tokens: Sequence[Token], count: int) -> list[float]:
    lost = lost_or_misplaced(tokens, count)
    if lost:
        raise AssertionError(f"{lost} of {count} tokens did not come once and in order")
    return [age for _, age in tokens]

"""How much is sent: the bytes of one long answer on the socket, and the panel's bundle."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator

from .clients import Chat, Relay, new_session, piped
from .measures import Run
from .report import Figure
from .servers import bundle, claude_program, claude_surroundings, jupyter, scripted_model

TOKENS, TOKEN_BYTES = 2000, 20
VOCABULARY = 1200
MB = 1e6


async def answer(run: Run) -> AsyncIterator[Figure]:
    """2,000 tokens of 20 bytes from the real claude; the socket is seen through a relay."""
    program = claude_program()
    script = run.folder / "answer.toml"
    tokens = run.pick(TOKENS, 200)
    script.write_text(scene(tokens))
    async with scripted_model(str(script)) as model:
        environment = claude_surroundings(run.folder, model)
        async with (
            jupyter(run.folder, environment=environment, agent=program) as server,
            piped(program, server.root, environment) as pipe,
        ):
            relay = Relay(server.port)
            async with relay.listening() as url:
                chat = await Chat().connect(url, await new_session(server.url))
                await chat.ready()
                for rate in (500, 50):
                    before = pipe.bytes
                    await pipe.turn(f"answer at {rate}")
                    told = pipe.bytes - before
                    before = relay.received
                    frames = await chat.turn(f"answer at {rate}")
                    sent = relay.received - before
                    plain = sum(len(frame.encode()) for _, frame in frames)
                    size = tokens * TOKEN_BYTES // 1000
                    yield Figure(
                        what=f"bytes to one client, {size} kB answer at {rate}/s",
                        here=sent / MB,
                        baseline=told / MB,
                        baseline_is="claude's own stdout",
                        unit="MB",
                        target=0.25 * tokens / TOKENS,
                        digits=3,
                        note=f"{plain / MB:.3f} MB before compression, {len(frames):,} frames",
                    )
                chat.close()


def scene(tokens: int) -> str:
    """A script whose answer has words of TOKEN_BYTES, no more alike than those of prose."""
    source = random.Random(40)  # the same text in each run
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(VOCABULARY)]
    weights = [1 / (rank + 2) for rank in range(VOCABULARY)]  # as often as words of a language
    lines = []
    for _ in range(tokens):
        token = "_".join(source.choices(words, weights, k=6))
        lines.append(token[: TOKEN_BYTES - 1])
    text = " ".join(lines)
    return (
        f"[[scene]]\nname = 'answer'\nmatch = '^answer at (\\d+)$'\n"
        f"  [[scene.step]]\n  text = '{text}'\n  rate = '${{1}}'\n\n"
        "[[scene]]\nname = 'else'\nmatch = ''\n  [[scene.step]]\n  text = 'Yes.'\n"
    )


async def panel_bundle(_run: Run) -> AsyncIterator[Figure]:
    """The one file that every host loads when its first panel opens."""
    data = bundle()
    yield Figure(
        what="the panel's bundle, gzipped",
        here=len(gzip.compress(data, 6)) / 1000,
        unit="kB",
        target=120.0,
        digits=1,
        note=f"{len(data) / 1000:.0f} kB minified",
    )

"""How many lines of an agent one core takes through all we do with them, beside `json.loads`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agent_lab.demo.sample import prepare_workspace
from agent_lab.protocol.commands import NewSession, Prompt
from agent_lab.protocol.events import AgentMessage, TextBlock, decode_event
from agent_lab.protocol.transcript import text_of
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.settings import Settings
from agent_lab.sessions.subscribers import Subscriber
from agent_lab.store.event_log import Stored

from .clients import TURN_SECONDS, piped
from .measures import Run
from .replay import TURN_ID
from .report import Figure, median
from .servers import claude_program, claude_surroundings, scratch_environment, scripted_model

REPLAY = Path(__file__).with_name("replay.py")


async def lines(run: Run) -> AsyncIterator[Figure]:
    """Framing, adapter, fold, log and one subscriber, on recorded lines of the real claude.

    Both sides are measured in seconds of processor time of this process, all its threads together:
    what else the machine does does not count, and a second core does not help.
    """
    recorded = run.room("recorded")
    await record(run, recorded)
    turns = sorted(recorded.glob("turn-*.jsonl"))
    found = [line for file in turns for line in file.read_bytes().splitlines()]
    here: list[float] = []
    there: list[float] = []
    for number in range(run.pick(5, 2)):
        there.append(len(found) / loads(found))
        took = await replayed(run.room(f"round-{number}"), recorded, len(turns))
        here.append(len(found) / took)
    size = sum(map(len, found)) / len(found)
    yield Figure(
        what="lines through framing, adapter, log, fan-out",
        here=median(here),
        baseline=median(there),
        baseline_is="json.loads on the same lines",
        unit="/s",
        how="ratio",
        target=0.25,
        at_least=True,
        digits=0,
        note=f"per second of one core; {len(found):,} lines of {size:.0f} bytes on average",
    )


async def record(run: Run, folder: Path) -> None:
    """Lines of the real claude: long answers, and turns with a thought and a tool."""
    program = claude_program()
    words = run.pick(4000, 500)
    prompts = [f"stream {words} tokens", "think then answer", "read: orders.csv", "markdown"]
    prompts += [f"stream {words} tokens"] * 4
    async with scripted_model() as model:
        environment = claude_surroundings(run.folder, model)
        root = run.folder / "root"
        prepare_workspace(root)
        async with piped(program, root, environment) as pipe:
            (folder / "hello.jsonl").write_bytes(b"".join(line + b"\n" for _, line in pipe.lines))
            for number, prompt in enumerate(prompts):
                said = [line for _, line in await pipe.turn(prompt, TURN_ID % number)]
                (folder / f"turn-{number}.jsonl").write_bytes(b"\n".join(said) + b"\n")


def loads(found: list[bytes]) -> float:
    began = time.process_time()
    for line in found:
        json.loads(line)
    return time.process_time() - began


async def replayed(folder: Path, recorded: Path, turns: int) -> float:
    """Processor time, in seconds, of a session that hears the recording with one reader on it."""
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder,
        claude_command=(sys.executable, str(REPLAY), str(recorded)),
        agent_environment=scratch_environment(folder),
    )
    manager = Manager(settings)
    await manager.start()
    try:
        session, _ = await manager.create(NewSession(path=""))
        subscriber = await session.subscribe(after=0)
        await session.open()
        await until(subscriber, b'"status":"idle"')
        heard: list[Stored] = []
        began = time.process_time()
        for number in range(turns):
            content = (TextBlock("say what was recorded"),)
            await session.prompt(Prompt(id=f"prompt-{number}", content=content))
            heard += await until(subscriber, b'"type":"turn_ended"')
        took = time.process_time() - began
        assert words_of(heard) == streamed(recorded), "not all that was recorded was heard"
        return took
    finally:
        await manager.stop()


async def until(subscriber: Subscriber, wanted: bytes) -> list[Stored]:
    """What came up to the batch that has what is wanted."""
    heard: list[Stored] = []
    async with asyncio.timeout(TURN_SECONDS):
        async for events in subscriber:
            heard += events
            if any(wanted in event.json for event in events):
                break
    return heard


def words_of(heard: list[Stored]) -> str:
    """The agent's finished messages."""
    bodies = [decode_event(event.json).body for event in heard]
    return "".join(text_of(body.content) for body in bodies if isinstance(body, AgentMessage))


def streamed(recorded: Path) -> str:
    """The text deltas of the recording."""
    said: list[str] = []
    for file in sorted(recorded.glob("turn-*.jsonl")):
        for line in map(json.loads, file.read_bytes().splitlines()):
            delta = line.get("event", {}).get("delta", {})
            said.append(delta.get("text", "") if line["type"] == "stream_event" else "")
    return "".join(said)

"""Sessions with a past, laid into a log before a server opens it."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_lab.protocol.events import (
    AgentMessage,
    AgentThought,
    AnyBody,
    Event,
    Session,
    SessionUsage,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    TurnEnded,
    TurnStarted,
    UserMessage,
    Workspace,
    encode,
    join_event,
    now,
)
from agent_lab.store.event_log import Batch, EventLog

LAST_WORDS = "This is the last answer."
TURNS_A_BATCH = 50
WORDS = (
    "the frame has one row for each order and a column of amounts that were read as text so "
    "convert them first then group by region and take the mean of what is left without the "
    "missing ones which are few plot the result against time and look at the outliers again"
)
CODE = '```python\nmeans = orders.groupby("region")["amount"].mean()\nmeans.plot.bar()\n```'


@dataclass(frozen=True)
class Past:
    session_id: str
    messages: int
    bytes: int


def prose(source: random.Random, words: int) -> str:
    known = WORDS.split()
    return " ".join(source.choice(known) for _ in range(words))


async def lay(
    data_dir: Path,
    root: Path,
    *,
    messages: int | None = None,
    megabytes: float | None = None,
    also: Sequence[AnyBody] = (),
) -> Past:
    """A stopped session of so many messages (asked and answered), or of so many MB on the wire.

    `also` is part of its last turn.
    """
    log = EventLog(data_dir / "sessions.sqlite")
    await log.open()
    try:
        return await _fill(log, root, messages, megabytes, also)
    finally:
        await log.close()


async def _fill(
    log: EventLog,
    root: Path,
    messages: int | None,
    megabytes: float | None,
    also: Sequence[AnyBody],
) -> Past:
    source = random.Random(20)  # the same text in each run
    time = now()
    session = Session(
        id=str(uuid.uuid4()),
        title="A session with a past",
        agent="claude",
        agent_session_id=None,
        workspace=Workspace("", str(root)),
        created_at=time,
        updated_at=time,
    )
    number = await log.create(session)
    size = written = 0
    at_end = False
    while not at_end:
        events: list[tuple[Event, bytes]] = []
        for _ in range(TURNS_A_BATCH):
            turn_id = str(uuid.uuid4())
            written += 2
            at_end = written >= messages if messages else size >= (megabytes or 0) * 1e6
            for body in _turn(source, LAST_WORDS if at_end else "", also if at_end else ()):
                session.last_seq += 1
                event = Event(session.last_seq, session.id, turn_id, time, body)
                data = encode(body)
                size += len(join_event(event.seq, event.session_id, turn_id, time, data))
                events.append((event, data))
            if at_end:
                break
        session.usage = SessionUsage(turns=written // 2)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def stored(error: Exception | None, done: asyncio.Future[None] = done) -> None:
            done.set_exception(error) if error else done.set_result(None)

        log.append(Batch(number=number, events=events, session=session), stored)
        await done
    return Past(session.id, written, size)


def _turn(source: random.Random, last_words: str, also: Sequence[AnyBody]) -> Iterator[AnyBody]:
    """A turn as a real one is stored: a thought, a tool and its output, a page of markdown."""
    tool = f"toolu_{uuid.uuid4().hex[:20]}"
    question = prose(source, 15)
    yield UserMessage(message_id=str(uuid.uuid4()), content=(TextBlock(question),))
    yield TurnStarted()
    thought = TextBlock(prose(source, 40))
    yield AgentThought(message_id=f"{tool}-t", content=(thought,), duration_ms=800)
    command = {"command": "python report.py --region north", "description": "Run the report"}
    yield ToolCall(
        tool_call_id=tool, title="Run the report", name="Bash", kind="execute", raw_input=command
    )
    output = "\n".join(f"{n:4d}  {prose(source, 8)}" for n in range(25))
    yield ToolCallUpdate(
        tool_call_id=tool,
        status="completed",
        raw_output={"stdout": output, "stderr": "", "interrupted": False},
        content=(TextBlock(output),),
    )
    yield from also
    answer = (
        f"## {prose(source, 4)}\n\n{prose(source, 60)} **{prose(source, 3)}**.\n\n{CODE}\n\n"
        f"- {prose(source, 9)}\n- {prose(source, 9)}\n\n{last_words or prose(source, 20)}"
    )
    yield AgentMessage(message_id=f"{tool}-m", content=(TextBlock(answer),))
    yield TurnEnded(stop_reason="end_turn", duration_ms=4000)

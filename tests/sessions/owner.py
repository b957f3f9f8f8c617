"""A server process to kill: a Manager driven by JSON lines on stdin, its events as lines on stdout.

Commands: {"do": "prompt", "id", "text"}, {"do": "answer"} (allows whatever is pending), {"do":
"stop"}. Lines out: {"ready": session id}, then each event of the session as it is published.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from agent_lab.protocol.commands import NewSession, Prompt
from agent_lab.protocol.errors import Conflict
from agent_lab.protocol.events import TextBlock
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.session import Session
from agent_lab.sessions.settings import Settings
from tests.sessions.living import allow


async def main(folder: Path, command: tuple[str, ...], environment: dict[str, str]) -> None:
    manager = Manager(
        Settings(
            data_dir=folder / "data",
            root_dir=folder / "root",
            claude_command=command,
            agent_environment=environment,
        )
    )
    await manager.start()
    known = (await manager.listed()).sessions
    session = (
        await manager.get(known[0].id)
        if known
        else (await manager.create(NewSession(path="", trust=True)))[0]
    )
    say({"ready": session.id})
    subscriber = await session.subscribe(after=0)
    events = asyncio.create_task(publish(subscriber))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        order = json.loads(line)
        if order["do"] == "stop":
            break
        await obey(session, order)
    await manager.stop()
    events.cancel()


async def obey(session: Session, order: dict[str, str]) -> None:
    if order["do"] == "prompt":
        await session.prompt(Prompt(id=order["id"], content=(TextBlock(order["text"]),)))
    elif order["do"] == "answer":
        for request in session.info.pending_permissions:
            with contextlib.suppress(Conflict):  # settled meanwhile
                await session.answer(allow(request))


async def publish(subscriber: object) -> None:
    async for stored in subscriber:  # type: ignore[attr-defined]
        for one in stored:
            sys.stdout.buffer.write(one.json + b"\n")
        sys.stdout.buffer.flush()


def say(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), tuple(json.loads(sys.argv[2])), json.loads(sys.argv[3])))

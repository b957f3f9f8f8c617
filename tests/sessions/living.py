"""A real Manager on a scratch folder with the fake agent, and a reader that waits for events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from agent_lab.protocol.commands import AnswerPermission, NewSession, Prompt
from agent_lab.protocol.events import (
    AgentMessage,
    Event,
    PermissionRequest,
    TextBlock,
    TurnEnded,
    decode_event,
)
from agent_lab.protocol.transcript import text_of
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.session import Session
from agent_lab.sessions.settings import Settings

FAKE_AGENT = (sys.executable, str(Path(__file__).parents[1] / "fakes" / "fake_agent.py"))
DEADLINE = 30.0
_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)


def settings_for(folder: Path, faults: str = "", **changes: Any) -> Settings:
    """Settings with everything under `folder`; `faults` are switches of the fake agent."""
    root, config = folder / "root", folder / "config"
    root.mkdir(exist_ok=True)
    conversations = config / "projects" / "fake"
    conversations.mkdir(parents=True, exist_ok=True)
    environment = {
        "HOME": str(folder),
        "CLAUDE_CONFIG_DIR": str(config),
        "FAKE_AGENT_HOME": str(conversations),
        "FAKE_AGENT": faults,
    }
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "root_dir": root,
        "claude_command": FAKE_AGENT,
        "agent_environment": environment,
    }
    return Settings(**(values | changes))


@asynccontextmanager
async def managing(settings: Settings) -> AsyncIterator[Manager]:
    manager = Manager(settings)
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()


class Reader:
    """Reads a session's events as a client would, and keeps them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[Event] = []
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self, after: int = 0) -> Reader:
        subscriber = await self.session.subscribe(after=after)

        async def follow() -> None:
            async for stored in subscriber:
                self.events += [decode_event(one.json) for one in stored]
                async with self._news:
                    self._news.notify_all()

        self._task = asyncio.create_task(follow())
        return self

    async def until(self, wanted: Callable[[Event], bool], start: int = 0) -> Event:
        """The first event from index `start` on that is wanted; waits for it."""
        async with asyncio.timeout(DEADLINE), self._news:
            while True:
                for event in self.events[start:]:
                    if wanted(event):
                        return event
                await self._news.wait()

    async def ended(self, turn_id: str) -> TurnEnded:
        event = await self.until(lambda e: isinstance(e.body, TurnEnded) and e.turn_id == turn_id)
        assert isinstance(event.body, TurnEnded)
        return event.body

    async def permission(self, turn_id: str) -> PermissionRequest:
        event = await self.until(
            lambda e: isinstance(e.body, PermissionRequest) and e.turn_id == turn_id
        )
        assert isinstance(event.body, PermissionRequest)
        return event.body

    async def status(self, *wanted: str) -> None:
        async with asyncio.timeout(DEADLINE), self._news:
            while self.session.info.status not in wanted:
                await self._news.wait()

    def answer(self, turn_id: str) -> str:
        """The words of the agent in a turn."""
        return "".join(
            text_of(event.body.content)
            for event in self.events
            if event.turn_id == turn_id and isinstance(event.body, AgentMessage)
        )

    def ends(self) -> dict[str, int]:
        """How often each turn ended."""
        found: dict[str, int] = {}
        for event in self.events:
            if isinstance(event.body, TurnEnded) and event.turn_id:
                found[event.turn_id] = found.get(event.turn_id, 0) + 1
        return found


async def new_session(manager: Manager) -> tuple[Session, Reader]:
    session, _ = await manager.create(NewSession(path=""))
    return session, await Reader(session).start()


_count = 0


async def send(session: Session, text: str) -> str:
    """Send a prompt that starts a turn at once; returns the turn's id."""
    accepted = await session.prompt(prompt(text))
    assert accepted.turn_id is not None
    return accepted.turn_id


def prompt(text: str, id: str = "") -> Prompt:
    global _count
    _count += 1
    return Prompt(id=id or f"prompt-{_count}", content=(TextBlock(text),))


async def ask(session: Session, reader: Reader, text: str) -> str:
    """Ask and wait: the agent's words. The question every fault is followed by."""
    turn_id = await send(session, text)
    assert (await reader.ended(turn_id)).stop_reason == "end_turn"
    return reader.answer(turn_id)


async def ask_a_b_c(session: Session, reader: Reader) -> None:
    """After any fault: ask A, B, C and see answers A, B, C."""
    for letter in "ABC":
        assert await ask(session, reader, letter) == f"Answer to: {letter}"


def allow(request: PermissionRequest) -> AnswerPermission:
    return AnswerPermission(request_id=request.request_id, option_id="allow_once")


def carrying(name: str, value: str) -> list[psutil.Process]:
    """Every process that has this variable in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found

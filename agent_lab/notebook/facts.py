"""What happened in one kernel, in order, as its messages told it. Pure.

Every fact has a position; a reader keeps the last one it knows. Old facts fall out: memory is
bounded, and `missed` says that something did.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

MOST_FACTS = 400
MOST_CODE = 4000
"""Characters of a cell's source that are kept; whether it changed is told by a digest of all."""
AGENT = "agent_lab"
"""The user name of every kernel client of ours; that of a browser's is empty."""

RunStatus: TypeAlias = Literal["running", "ok", "error", "unknown"]
What: TypeAlias = Literal["started", "restarted", "died", "interrupted", "stopped"]


class Run(Struct):
    """A cell that ran. `client` is the jupyter session that asked; `seconds` None: not known.

    `digest` is of the whole source, `session_id` the session whose agent it was, when known.
    """

    position: int
    message: str
    code: str
    digest: int
    count: int | None
    began: datetime | None
    client: str
    by_agent: bool
    life: int
    status: RunStatus = "running"
    seconds: float | None = None
    ename: str = ""
    evalue: str = ""
    ended: int = 0
    session_id: str = ""
    cell_id: str = ""

    @property
    def is_prompt(self) -> bool:
        """It only asks the agent something."""
        code = self.code.strip()
        return code.startswith("%%agent") or (
            code.startswith("%agent") and len(code.splitlines()) == 1
        )


class Name(Struct, frozen=True):
    name: str
    type: str = ""
    shape: tuple[int, ...] | None = None


class Names(Struct, frozen=True):
    """What was bound, bound anew or deleted. `by_agent`: agents' runs alone did it."""

    position: int
    bound: tuple[Name, ...] = ()
    rebound: tuple[Name, ...] = ()
    deleted: tuple[Name, ...] = ()
    by_agent: bool = False


class Happened(Struct, frozen=True):
    position: int
    what: What
    time: datetime


Fact: TypeAlias = Run | Names | Happened


class Record:
    """The facts of one kernel. `life` counts its restarts; `position` is that of the last fact;
    `messages` how many messages reached us."""

    def __init__(self) -> None:
        self.position = 0
        self.life = 0
        self.dropped = 0
        self.messages = 0
        self.flooded = False
        self._facts: deque[Fact] = deque()
        self._running: dict[str, Run] = {}
        self._unnamed: list[Run] = []
        self._last_count = 0
        self._gap = 0
        self._whose: dict[str, tuple[str, str]] = {}

    def facts(self) -> tuple[Fact, ...]:
        return tuple(self._facts)

    def runs(self) -> list[Run]:
        return [fact for fact in self._facts if isinstance(fact, Run)]

    @property
    def running(self) -> tuple[Run, ...]:
        return tuple(self._running.values())

    def missed_since(self, position: int) -> bool:
        """Have facts later than this position fallen out, or never come?"""
        return max(self.dropped, self._gap) > position

    # ------------------------------------------------------------ what messages tell

    def began(
        self,
        message: str,
        code: str,
        count: int | None,
        at: datetime | None,
        client: str,
        user: str,
    ) -> Run:
        run = Run(
            position=self._step(),
            message=message,
            code=code[:MOST_CODE],
            digest=digest(code),
            count=count,
            began=at,
            client=client,
            by_agent=user == AGENT,
            life=self.life,
        )
        run.session_id, run.cell_id = self._whose.pop(message, ("", ""))
        if self.flooded:  # its end was not heard, and the shell runs one cell after the other
            self._lose_running()
            self.flooded = False
        if count is not None:
            if 0 < self._last_count < count - 1:  # cells in between were not heard
                self._gap = run.position
            self._last_count = count
        self._running[message] = run
        while len(self._running) > MOST_FACTS:
            del self._running[next(iter(self._running))]
        self._add(run)
        return run

    def deaf(self) -> None:
        """From here on facts may be missed, until the next cell begins."""
        self.flooded = True
        self._gap = self._step()

    def failed(self, message: str, ename: str, evalue: str) -> None:
        run = self._running.get(message)
        if run is not None:
            run.ename, run.evalue = ename[:200], " ".join(evalue.split())[:300]

    def ended(self, message: str, at: datetime | None) -> Run | None:
        """A cell's kernel is idle again. None: it was no cell that we know of."""
        run = self._running.pop(message, None)
        if run is None:
            return None
        run.status = "error" if run.ename else "ok"
        if at is not None and run.began is not None:
            run.seconds = max((at - run.began).total_seconds(), 0.0)
        run.ended = self._step()
        self._unnamed.append(run)
        del self._unnamed[:-MOST_FACTS]
        return run

    def happened(self, what: What, at: datetime) -> Happened:
        if what in ("restarted", "died", "stopped", "started"):
            self.life += 1
            self._last_count = 0
            self._lose_running()
            self._unnamed.clear()
        fact = Happened(self._step(), what, at)
        self._add(fact)
        return fact

    def named(
        self, bound: tuple[Name, ...], rebound: tuple[Name, ...], deleted: tuple[Name, ...]
    ) -> None:
        """What is different in memory since this was told last."""
        by_agent = bool(self._unnamed) and all(run.by_agent for run in self._unnamed)
        self._unnamed.clear()
        if bound or rebound or deleted:
            self._add(Names(self._step(), bound, rebound, deleted, by_agent))

    def belongs(self, message: str, *, session_id: str = "", cell_id: str = "") -> None:
        """Whose run it was, or which cell: told by those who sent it, before or after it began."""
        for fact in reversed(self._facts):
            if isinstance(fact, Run) and fact.message == message:
                fact.session_id = session_id or fact.session_id
                fact.cell_id = cell_id or fact.cell_id
                return
        known = self._whose.pop(message, ("", ""))
        self._whose[message] = (session_id or known[0], cell_id or known[1])
        while len(self._whose) > MOST_FACTS:
            del self._whose[next(iter(self._whose))]

    # ------------------------------------------------------------ bounds

    def _step(self) -> int:
        self.position += 1
        return self.position

    def _add(self, fact: Fact) -> None:
        self._facts.append(fact)
        if len(self._facts) > MOST_FACTS:
            self.dropped = self._facts.popleft().position

    def _lose_running(self) -> None:
        for run in self._running.values():
            run.status, run.ended = "unknown", self._step()
        self._running.clear()


def digest(source: str) -> int:
    """Of a cell's source; blank lines around it do not count."""
    return hash(source.strip())

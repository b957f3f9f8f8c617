"""Which turns owe an end, whose prompt is with the agent, how long nothing was heard, what it took.

Bookkeeping: it emits nothing and decides nothing; the session does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct

from agent_lab.protocol.events import (
    ContentBlock,
    ContextItem,
    PermissionRequest,
    PermissionResolved,
    SessionUsage,
    TurnEnded,
    TurnStarted,
    TurnUsage,
    UserMessage,
    decode_event,
)


class Turn(Struct):
    """A prompt of ours that is on its way to the agent or with it."""

    id: str
    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...]
    sent: bool = False


class Turns:
    """The turns of a session that have begun and not ended, oldest first; true while there is one.

    `current` is that of our own prompt; others the agent began by itself. `cancelling` holds from
    a cancel until the last of them has ended.
    """

    def __init__(self) -> None:
        self.current: Turn | None = None
        self.cancelling = False
        self._open: dict[str, None] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def __contains__(self, turn_id: object) -> bool:
        return turn_id in self._open

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._open))

    @property
    def speaking(self) -> str | None:
        """The turn that something without a turn of its own belongs to."""
        if self.current is not None:
            return self.current.id
        return next(reversed(self._open), None)

    @property
    def unsent(self) -> str | None:
        """The turn whose prompt has not been given to the agent yet."""
        return self.current.id if self.current is not None and not self.current.sent else None

    def begin(self, turn: Turn) -> None:
        """Our prompt begins a turn."""
        self.current = turn
        self._open[turn.id] = None

    def opened(self, turn_id: str) -> None:
        """The agent began a turn, or took up ours."""
        self._open[turn_id] = None

    def take_up(self, turn_ids: Iterable[str], messages: dict[str, UserMessage]) -> None:
        """The turns that an earlier server left open."""
        for turn_id in turn_ids:
            self._open[turn_id] = None
            if turn_id in messages:
                message = messages[turn_id]
                self.current = Turn(turn_id, message.content, message.context, sent=True)

    def end(self, turn_id: str) -> None:
        """Raises KeyError when it owes no end."""
        del self._open[turn_id]
        if self.current is not None and self.current.id == turn_id:
            self.current = None
        if not self._open:
            self.cancelling = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def ended(self, turn_ids: Iterable[str]) -> None:
        """Return when none of these owes an end any more."""
        owed = set(turn_ids)
        while owed & set(self._open):
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting


class Silence:
    """Calls when nothing was heard for some seconds."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds = seconds
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Begin to count anew."""
        self.stop()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._call)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def unfinished(
    events: Iterable[bytes],
) -> tuple[
    list[str],
    dict[str, UserMessage],
    dict[str, PermissionRequest],
    dict[str, PermissionResolved],
]:
    """The turns that still owe an end, their prompts, what was asked in them and what answered."""
    open_turns: dict[str, None] = {}
    messages: dict[str, UserMessage] = {}
    requests: dict[str, PermissionRequest] = {}
    resolved: dict[str, PermissionResolved] = {}
    for data in events:
        event = decode_event(data)
        match event.body:
            case TurnStarted() if event.turn_id:
                open_turns[event.turn_id] = None
            case TurnEnded() if event.turn_id:
                open_turns.pop(event.turn_id, None)
            case UserMessage() as body if event.turn_id:
                messages[event.turn_id] = body
            case PermissionRequest() as body:
                requests[body.request_id] = body
            case PermissionResolved() as body:
                resolved[body.request_id] = body
            case _:
                pass
    return list(open_turns), messages, requests, resolved


def added(total: SessionUsage, turn: TurnUsage) -> SessionUsage:
    """The session's totals with one more turn. A cost that is not known leaves the sum as it is."""
    cost = total.cost_usd
    if turn.cost_usd is not None:
        cost = (cost or 0.0) + turn.cost_usd
    return msgspec.structs.replace(
        total,
        turns=total.turns + 1,
        input_tokens=total.input_tokens + turn.input_tokens,
        output_tokens=total.output_tokens + turn.output_tokens,
        cache_read_tokens=total.cache_read_tokens + turn.cache_read_tokens,
        cache_write_tokens=total.cache_write_tokens + turn.cache_write_tokens,
        cost_usd=cost,
        cost_source=turn.cost_source or total.cost_source,
    )

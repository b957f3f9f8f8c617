"""What a kernel asks of the side that has the sessions, and what it is told. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent_lab.protocol.brief import Brief
from agent_lab.protocol.events import ContentBlock, ContextItem


class Sent(Struct, frozen=True):
    """What became of a question: a turn, or a place in the queue. It lies after the seq `after`.
    `notebook`: the path of the one whose session it went to."""

    session_id: str
    after: int = 0
    turn_id: str | None = None
    queued: str | None = None
    notebook: str | None = None


class Sessions(Struct, frozen=True):
    sessions: tuple[Brief, ...]
    current: str | None


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt and whom it goes to. The same `id` twice is one turn."""

    id: str
    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...] = ()
    session_id: str = ""
    new: bool = False
    agent: str | None = None
    model: str | None = None
    plan: bool = False
    without: tuple[Literal["since"], ...] = ()

"""The frames of a conversation with a session beside its events and commands. Pure.

Whatever carries them: a WebSocket of the server, a widget's own connection.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from agent_lab.protocol.events import Session

PROTOCOL = 1


class Hello(Struct, frozen=True, tag="hello", tag_field="type"):
    """`first_seq`: the next event sent has at least this seq; `last_seq`: the last one by now."""

    protocol: int
    session: Session
    first_seq: int
    last_seq: int


class Ack(Struct, frozen=True, tag="ack", tag_field="type", omit_defaults=True):
    """For a prompt also what became of it."""

    id: str
    turn_id: str | None = None
    queued: str | None = None


class Reject(Struct, frozen=True, tag="reject", tag_field="type"):
    id: str
    reason: str
    message: str


class _Named(Struct):
    id: str = ""


def id_of(message: str | bytes) -> str:
    """The id of something that is no command, for its sender to learn of it; "" without one."""
    try:
        return msgspec.json.decode(message, type=_Named).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""

"""The lines of claude's stdout that carry tokens, typed for speed; and the adapter's state. Pure.

All other lines are read as plain JSON: they are few. Fields we do not use are skipped unparsed.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from agent_lab.protocol.events import Json, PlanEntry

MAX_COUNT = (1 << 53) - 1
"""The largest whole number that every reader of an event can hold: JavaScript's."""

MAX_DEPTH = 100
"""Of a line's nesting. Deeper ones would exhaust the stack of some reader of the event."""


def as_count(value: Json) -> int | None:
    """A whole number as it is; None for anything else."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def as_number(value: Json) -> float | None:
    """A number that is not negative and can be held as it is; None for anything else."""
    return float(value) if type(value) in (int, float) and 0 <= value <= MAX_COUNT else None


def is_too_deep(line: bytes, value: Json) -> bool:
    """`value` is what the line was decoded to. For most lines the bytes alone tell."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True


class Usage(Struct):
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0

    @property
    def context(self) -> int:
        return sum(
            as_count(count) or 0
            for count in (
                self.input_tokens,
                self.output_tokens,
                self.cache_creation_input_tokens,
                self.cache_read_input_tokens,
            )
        )


class Message(Struct):
    id: str
    usage: Usage | None = None


class Block(Struct):
    type: str
    id: str = ""
    name: str = ""


class Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""


class MessageStart(Struct, tag="message_start"):
    message: Message


class BlockStart(Struct, tag="content_block_start"):
    index: int
    content_block: Block


class BlockDelta(Struct, tag="content_block_delta"):
    delta: Delta


class BlockStop(Struct, tag="content_block_stop"):
    pass


class MessageDelta(Struct, tag="message_delta"):
    usage: Usage | None = None


class MessageStop(Struct, tag="message_stop"):
    pass


class Ping(Struct, tag="ping"):
    pass


StreamEvent: TypeAlias = (
    MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping
)


class Line(Struct):
    event: StreamEvent | None = None
    parent_tool_use_id: str | None = None


decode_line = msgspec.json.Decoder(Line).decode

# ---------------------------------------------------------------- the adapter's state


class Stream(Struct):
    """The block being written, per sub-agent (key: the parent tool call, "" for the main
    thread)."""

    message: str
    block: str = ""
    kind: str = ""
    unfinished: bool = False
    thought: bool = False


class Tool(Struct):
    """A call without a result yet. `command`: of a `TaskUpdate`, the new subject. `reported`: a
    sub-agent whose report has already been shown."""

    name: str
    command: str = ""
    reported: bool = False


class Request(Struct):
    """A permission that claude waits for; `input` only where the answer needs it (questions)."""

    kind: str
    tool_call_id: str | None = None
    suggestions: dict[str, Json] = {}
    input: Json = None


class State(Struct):
    """`calls`: messages to our MCP server that have no answer yet."""

    turn: str | None = None
    prompts: list[str] = []
    lifecycle: bool = False
    cancelling: bool = False
    streams: dict[str, Stream] = {}
    blocks: dict[str, int] = {}
    tools: dict[str, Tool] = {}
    requests: dict[str, Request] = {}
    calls: dict[str, Json] = {}
    error: str = ""
    error_text: str = ""
    session_id: str = ""
    tasks: dict[str, PlanEntry] = {}


decode_state = msgspec.json.Decoder(State).decode

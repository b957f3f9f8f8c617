"""What every adapter keeps: lines of one agent in, facts out; commands in, bytes out. Pure.

An adapter is a state machine over one agent process's output. Its state is small and is stored in
the same transaction as the events it produced, so another server can go on from the stored offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import (
    AnyBody,
    ContentBlock,
    ContextItem,
    Json,
    PermissionRequest,
    PermissionResolved,
)
from agent_lab.protocol.reports import ContextReport, Rule

REJECTED = "The person rejected this change"
"""How the result of a tool of ours begins when a person did not want the change."""


class Fact(Struct, frozen=True):
    """Something that happened, in the turn it belongs to (None: in no turn)."""

    turn_id: str | None
    body: AnyBody


class Charge(Struct, frozen=True):
    """What one model took in one turn: increments, never totals."""

    turn_id: str | None
    model: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None


class ContextSeen(Struct, frozen=True):
    """How full the model's context is, in tokens; None where this line does not say."""

    used: int | None = None
    size: int | None = None


class Reply(Struct, frozen=True):
    """The agent's answer to a request of ours; `error` None when it succeeded."""

    request_id: str
    payload: Json = None
    error: str | None = None
    pending: tuple[PermissionRequest, ...] = ()


class Send(Struct, frozen=True):
    """Bytes the agent must be sent at once (an answer only the adapter can give)."""

    message: bytes


class ToolMessage(Struct, frozen=True):
    """A JSON-RPC message of the agent to the MCP server that we are; it waits for an answer under
    this id."""

    request_id: str
    message: Json


Decoded: TypeAlias = Fact | Charge | ContextSeen | Reply | Send | ToolMessage


class LaunchOptions(Struct, frozen=True, kw_only=True):
    """How to start the agent for a session. `resume` None: a new conversation under `session_id`.

    `fork`: as a copy under `session_id`; `resume_at`: of it up to this message only.
    `tools`: the name of the MCP server that we are for it; `unasked`: its tools that need no
    permission.
    """

    command: tuple[str, ...]
    session_id: str
    resume: str | None = None
    fork: bool = False
    resume_at: str | None = None
    model: str | None = None
    permission_mode: str = "default"
    trusted: bool = True
    allow_bypass: bool = False
    tools: str | None = None
    unasked: tuple[str, ...] = ()


class Adapter(Protocol):
    """One agent's dialect. `decode` never raises on what an agent says: it becomes an event."""

    def argv(self, options: LaunchOptions) -> tuple[str, ...]: ...
    def environment(self) -> dict[str, str]: ...

    def decode(self, line: bytes) -> Sequence[Decoded]: ...
    def ended(self) -> Sequence[Decoded]: ...

    def initialize(self, request_id: str, instructions: str = "") -> bytes: ...
    def prompt(
        self, turn_id: str, content: Sequence[ContentBlock], context: Sequence[ContextItem]
    ) -> bytes: ...
    def cancel(self, request_id: str) -> bytes: ...
    def set_model(self, request_id: str, model: str) -> bytes: ...
    def set_permission_mode(self, request_id: str, mode: str) -> bytes: ...
    def set_effort(self, request_id: str, effort: str) -> bytes: ...
    def context_usage(self, request_id: str) -> bytes: ...
    def read_context(self, reply: Reply) -> ContextReport | None: ...
    def rules(self, request_id: str) -> bytes: ...
    def read_rules(self, reply: Reply) -> tuple[Rule, ...]: ...
    def answer(self, answer: AnswerPermission) -> bytes: ...
    def grants(self, answer: AnswerPermission) -> tuple[str, ...]: ...
    def answer_again(self, resolved: PermissionResolved) -> bytes | None: ...
    def tool_reply(self, request_id: str, answer: Json | None) -> bytes: ...
    def tool_replied(self, request_id: str) -> None: ...
    def tools_waiting(self) -> tuple[ToolMessage, ...]: ...
    def farewell(self, request_id: str) -> bytes: ...

    def save(self) -> bytes: ...
    def load(self, state: bytes) -> None: ...

"""What happened in a session: one frozen type per event, to and from JSON. Pure.

An event is an envelope (`seq`, `session_id`, `turn_id`, `time`) around a body. On the wire and in
the log both are one flat JSON object; `encode_event` writes it once and those bytes serve the log
and every client. The log and the wire are the same thing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

Json: TypeAlias = Any
"""Any JSON value: what an agent sent and we only hand on."""

StopReason: TypeAlias = Literal[
    "end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled", "error"
]
ToolKind: TypeAlias = Literal[
    "read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"
]
ToolStatus: TypeAlias = Literal["pending", "in_progress", "completed", "failed", "cancelled"]
OptionKind: TypeAlias = Literal["allow_once", "allow_always", "reject_once", "reject_always"]
Origin: TypeAlias = Literal[
    "composer", "magic", "notebook", "terminal", "review", "api", "cli", "agent"
]
"""Who asked. `agent` marks a turn nobody asked for (a background task reporting back)."""

DialLevel: TypeAlias = Literal["off", "schema", "summary", "sample", "full"]

Status: TypeAlias = Literal[
    "starting",
    "idle",
    "running",
    "awaiting_permission",
    "cancelling",
    "stopped",
    "failed",
    "ended",
]


# ---------------------------------------------------------------- parts


class TextBlock(Struct, frozen=True, tag="text", tag_field="type"):
    text: str


class ImageBlock(Struct, frozen=True, tag="image", tag_field="type"):
    """`data` is base64."""

    mime_type: str
    data: str


class ResourceBlock(Struct, frozen=True, tag="resource", tag_field="type"):
    uri: str
    name: str = ""
    mime_type: str = "text/plain"
    text: str = ""


ContentBlock: TypeAlias = TextBlock | ImageBlock | ResourceBlock


class DiffBlock(Struct, frozen=True, tag="diff", tag_field="type"):
    """`old_text` is None for a new file. `line`: where the shown excerpt starts, from 1."""

    path: str
    old_text: str | None
    new_text: str
    line: int | None = None


class TerminalBlock(Struct, frozen=True, tag="terminal", tag_field="type"):
    command: str
    output: str = ""
    exit_code: int | None = None


class CellChange(Struct, frozen=True):
    """What becomes of one cell. `old_source` is what the change was made for: another source is a
    conflict. Insert: `cell_id` is the id that the cell will have. `after_cell_id` "": at the top.

    What it takes to put the cell back: `old_after_cell_id` is where a cell stood that is deleted or
    moved, `old_cell_type` what an edited one was; None in logs that were written before.
    """

    operation: Literal["insert", "edit", "delete", "move"]
    notebook: str
    cell_id: str
    cell_type: str = "code"
    old_source: str | None = None
    new_source: str | None = None
    after_cell_id: str | None = None
    old_after_cell_id: str | None = None
    old_cell_type: str | None = None


class CellDiffBlock(Struct, frozen=True, tag="cell_diff", tag_field="type"):
    change: CellChange


ToolContent: TypeAlias = (
    TextBlock | ImageBlock | ResourceBlock | DiffBlock | TerminalBlock | CellDiffBlock
)


class Effect(Struct, frozen=True):
    """Something that running a cell would do. `certain` False: as far as can be told without."""

    kind: Literal["rebinds", "deletes", "writes", "installs", "runs", "unknown"]
    name: str
    detail: str = ""
    certain: bool = True


class TrialSide(Struct, frozen=True):
    """One version of a cell as it was tried: `memory` is in bytes, `outputs` are nbformat's."""

    status: Literal["ok", "error", "timeout", "memory", "signal"]
    seconds: float
    memory: int | None = None
    outputs: tuple[dict[str, Json], ...] = ()
    text: str = ""
    error: str = ""


class Trial(Struct, frozen=True):
    """A cell tried before and after a change. `reason` says why it was refused or failed.
    `source`: the person's own version that was tried; None: it was the proposed one."""

    status: Literal["running", "done", "refused", "failed"]
    reason: str = ""
    before: TrialSide | None = None
    after: TrialSide | None = None
    source: str | None = None


class Location(Struct, frozen=True, omit_defaults=True):
    path: str
    line: int | None = None


class ContextItem(Struct, frozen=True, omit_defaults=True):
    """Something sent along with a prompt, shown as a chip: what it is and where it came from."""

    type: Literal[
        "cell",
        "output",
        "error",
        "variable",
        "selection",
        "terminal",
        "file",
        "diff",
        "since",
        "trial",
    ]
    label: str = ""
    text: str = ""
    notebook: str = ""
    cell_id: str = ""
    execution_count: int | None = None
    source: str = ""
    ename: str = ""
    evalue: str = ""
    traceback: str = ""
    name: str = ""
    path: str = ""
    line: int | None = None
    terminal: str = ""
    mime_type: str = ""


class PlanEntry(Struct, frozen=True):
    content: str
    status: Literal["pending", "in_progress", "completed"] = "pending"
    priority: Literal["high", "medium", "low"] = "medium"


class PermissionOption(Struct, frozen=True):
    """`label` says what is granted; `scope` says in words how far a lasting grant reaches."""

    option_id: str
    kind: OptionKind
    label: str
    scope: str = ""


class QuestionChoice(Struct, frozen=True):
    label: str
    description: str = ""


class Question(Struct, frozen=True):
    question: str
    header: str = ""
    multiple: bool = False
    choices: tuple[QuestionChoice, ...] = ()


class QueueItem(Struct, frozen=True):
    id: str
    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...] = ()
    origin: Origin = "composer"
    without: tuple[str, ...] | UnsetType = UNSET


class TurnError(Struct, frozen=True):
    """`message` is a sentence with the next step; `reason` is stable; `detail` is the agent's
    words."""

    message: str
    reason: str
    retryable: bool = True
    detail: str = ""


class TurnUsage(Struct, frozen=True):
    """What one turn took. Tokens are counts; `cost_usd` is None when unknown, never 0 for
    unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    cost_source: Literal["agent", "estimate"] | None = None


class SessionUsage(Struct, frozen=True):
    """Totals of a session, never deltas; they never fall. `context_*` are tokens, None when
    unknown."""

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    cost_source: Literal["agent", "estimate"] | None = None
    context_used: int | None = None
    context_size: int | None = None


class Model(Struct, frozen=True):
    id: str
    name: str
    efforts: tuple[str, ...] = ()


class SlashCommand(Struct, frozen=True):
    name: str
    description: str = ""
    hint: str = ""


class Workspace(Struct, frozen=True):
    """`path` is relative to the server's root, `cwd` absolute. `trusted` False: project settings
    unread."""

    path: str
    cwd: str
    branch: str | None = None
    worktree: str | None = None
    trusted: bool = True


class Notebook(Struct, frozen=True):
    path: str
    kernel_id: str | None = None


class ContextDial(Struct, frozen=True):
    """What may leave a folder's kernels. `sent`: what a person attaches; `read`: what tools tell.

    `masks` are regular expressions, `columns` names of table columns; what they name never leaves.
    `since`: each prompt says what happened since the last one.
    """

    sent: DialLevel = "full"
    read: DialLevel = "sample"
    masks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    since: bool = True


class ForkedFrom(Struct, frozen=True):
    """The session whose history up to `seq` this one began with."""

    session_id: str
    seq: int


# ---------------------------------------------------------------- bodies


class Body(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What one event says; the tag is the event's `type`."""


class SessionUpdated(Body, frozen=True, kw_only=True, tag="session_updated"):
    """The changed fields of the session object; absent fields did not change."""

    title: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    agent_session_id: str | UnsetType | None = UNSET
    workspace: Workspace | UnsetType = UNSET
    notebook: Notebook | UnsetType | None = UNSET
    mode: Literal["structured", "terminal"] | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    status_reason: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    models: tuple[Model, ...] | UnsetType = UNSET
    permission_mode: str | UnsetType = UNSET
    permission_modes: tuple[str, ...] | UnsetType = UNSET
    effort: str | UnsetType | None = UNSET
    efforts: tuple[str, ...] | UnsetType = UNSET
    commands: tuple[SlashCommand, ...] | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET
    terminal: str | UnsetType | None = UNSET
    forked_from: ForkedFrom | UnsetType | None = UNSET
    unseen: bool | UnsetType = UNSET
    demo: bool | UnsetType = UNSET
    dial: ContextDial | UnsetType = UNSET


class UserMessage(Body, frozen=True, kw_only=True, tag="user_message"):
    message_id: str
    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...] = ()
    origin: Origin = "composer"


class TurnStarted(Body, frozen=True, kw_only=True, tag="turn_started"):
    """`origin` "agent": nobody asked for this turn."""

    origin: Origin = "composer"


class TurnEnded(Body, frozen=True, kw_only=True, tag="turn_ended"):
    stop_reason: StopReason
    error: TurnError | None = None
    usage: TurnUsage = TurnUsage()
    duration_ms: int | None = None


class AgentMessageChunk(Body, frozen=True, kw_only=True, tag="agent_message_chunk"):
    message_id: str
    text: str
    parent_tool_call_id: str | UnsetType = UNSET


class AgentMessage(Body, frozen=True, kw_only=True, tag="agent_message"):
    """The finished message: it replaces its chunks. `partial`: it was cut (cancel, crash)."""

    message_id: str
    content: tuple[ContentBlock, ...]
    parent_tool_call_id: str | UnsetType = UNSET
    partial: bool | UnsetType = UNSET


class AgentThoughtChunk(Body, frozen=True, kw_only=True, tag="agent_thought_chunk"):
    message_id: str
    text: str
    parent_tool_call_id: str | UnsetType = UNSET


class AgentThought(Body, frozen=True, kw_only=True, tag="agent_thought"):
    message_id: str
    content: tuple[ContentBlock, ...]
    duration_ms: int | None = None
    parent_tool_call_id: str | UnsetType = UNSET
    partial: bool | UnsetType = UNSET


class ToolCall(Body, frozen=True, kw_only=True, tag="tool_call"):
    """`title` says what is done to what ("Read orders.csv"); `target` is its end, set in code
    type."""

    tool_call_id: str
    title: str
    name: str
    target: str = ""
    kind: ToolKind = "other"
    status: ToolStatus = "pending"
    raw_input: Json = None
    content: tuple[ToolContent, ...] = ()
    locations: tuple[Location, ...] = ()
    parent_tool_call_id: str | None = None


class ToolCallUpdate(Body, frozen=True, kw_only=True, tag="tool_call_update"):
    """Absent fields did not change; `content` and `locations` replace what was there."""

    tool_call_id: str
    title: str | UnsetType = UNSET
    kind: ToolKind | UnsetType = UNSET
    status: ToolStatus | UnsetType = UNSET
    raw_input: Json | UnsetType = UNSET
    raw_output: Json | UnsetType = UNSET
    content: tuple[ToolContent, ...] | UnsetType = UNSET
    locations: tuple[Location, ...] | UnsetType = UNSET


class Plan(Body, frozen=True, kw_only=True, tag="plan"):
    entries: tuple[PlanEntry, ...]


class PermissionRequest(Body, frozen=True, kw_only=True, tag="permission_request"):
    """`kind` question: `questions` holds the form. `kind` plan: `description` is the plan's
    markdown. `kind` cell_change: `change` says which; `effects` None: not known (yet)."""

    request_id: str
    kind: Literal["tool", "question", "plan", "cell_change"]
    title: str
    options: tuple[PermissionOption, ...]
    tool_call_id: str | None = None
    description: str = ""
    input: Json = None
    questions: tuple[Question, ...] = ()
    change: CellChange | None = None
    effects: tuple[Effect, ...] | None = None
    trial: Trial | None = None


class PermissionUpdated(Body, frozen=True, kw_only=True, tag="permission_updated"):
    """More is known about a request that waits; absent fields did not change."""

    request_id: str
    effects: tuple[Effect, ...] | UnsetType = UNSET
    trial: Trial | UnsetType = UNSET


class PermissionResolved(Body, frozen=True, kw_only=True, tag="permission_resolved"):
    """`by`: who settled it (user, cancel, agent, exit). The whole answer is kept so it can be sent
    again. `trial`: what the agent is told of the request's trial, behind the person's message."""

    request_id: str
    outcome: Literal["selected", "cancelled"]
    option_id: str | None = None
    message: str | None = None
    by: str = "user"
    updated_input: Json = None
    answers: dict[str, str] | None = None
    trial: str | None = None

    @property
    def said(self) -> str:
        """All that the agent is told."""
        return "\n\n".join(words for words in (self.message, self.trial) if words)


class QueueUpdated(Body, frozen=True, kw_only=True, tag="queue_updated"):
    items: tuple[QueueItem, ...]


class Usage(Body, frozen=True, kw_only=True, tag="usage"):
    """Session totals, absolute: the fields of `SessionUsage`."""

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    cost_source: Literal["agent", "estimate"] | None = None
    context_used: int | None = None
    context_size: int | None = None


class Notice(Body, frozen=True, kw_only=True, tag="notice"):
    """`key`: a later notice with the same key replaces this one (a retry counting up)."""

    level: Literal["info", "warning", "error"]
    code: str
    text: str
    key: str | UnsetType = UNSET


class AgentExited(Body, frozen=True, kw_only=True, tag="agent_exited"):
    """`expected`: we asked it to go. `stderr`: the last lines it wrote, when it was not."""

    code: int | None
    signal: int | None
    expected: bool
    stderr: str = ""


class AgentOutputInvalid(Body, frozen=True, kw_only=True, tag="agent_output_invalid"):
    """`reason`: torn (ended inside a line), oversize, not_json."""

    excerpt: str
    reason: str = "not_json"
    length: int = 0


class ReviewStarted(Body, frozen=True, kw_only=True, tag="review_started"):
    review_id: str
    child_id: str
    anchor_seq: int


class ReviewEnded(Body, frozen=True, kw_only=True, tag="review_ended"):
    review_id: str
    child_id: str
    anchor_seq: int


class Unknown(Body, frozen=True, kw_only=True, tag="unknown"):
    """Something an agent (or a newer version of us) said that we do not know: kept and shown."""

    raw: Json


AnyBody: TypeAlias = (
    SessionUpdated
    | UserMessage
    | TurnStarted
    | TurnEnded
    | AgentMessageChunk
    | AgentMessage
    | AgentThoughtChunk
    | AgentThought
    | ToolCall
    | ToolCallUpdate
    | Plan
    | PermissionRequest
    | PermissionUpdated
    | PermissionResolved
    | QueueUpdated
    | Usage
    | Notice
    | AgentExited
    | AgentOutputInvalid
    | ReviewStarted
    | ReviewEnded
    | Unknown
)

Chunk: TypeAlias = AgentMessageChunk | AgentThoughtChunk


# ---------------------------------------------------------------- the session object


class Session(Struct, kw_only=True):
    """The session object of the contract: itself a fold of events (see
    `transcript.fold_session`). `unseen`: a turn ended while nobody looked."""

    id: str
    title: str
    agent: str
    agent_session_id: str | None
    workspace: Workspace
    notebook: Notebook | None = None
    mode: Literal["structured", "terminal"] = "structured"
    status: Status = "stopped"
    status_reason: str | None = None
    model: str | None = None
    models: tuple[Model, ...] = ()
    permission_mode: str = "default"
    permission_modes: tuple[str, ...] = ("default", "acceptEdits", "plan")
    effort: str | None = None
    efforts: tuple[str, ...] = ()
    commands: tuple[SlashCommand, ...] = ()
    usage: SessionUsage = SessionUsage()
    queue: tuple[QueueItem, ...] = ()
    pending_permissions: tuple[PermissionRequest, ...] = ()
    parent_id: str | None = None
    terminal: str | None = None
    forked_from: ForkedFrom | None = None
    unseen: bool = False
    demo: bool = False
    dial: ContextDial | UnsetType = UNSET
    created_at: str
    updated_at: str
    last_seq: int = 0


# ---------------------------------------------------------------- envelope


class Event(Struct, frozen=True):
    seq: int
    session_id: str
    turn_id: str | None
    time: str
    body: AnyBody

    @property
    def type(self) -> str:
        return type_of(self.body)


def type_of(body: AnyBody) -> str:
    tag = body.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


_encoder = msgspec.json.Encoder()
_body_decoder: msgspec.json.Decoder[AnyBody] = msgspec.json.Decoder(AnyBody)


class _Envelope(Struct):
    seq: int
    session_id: str
    turn_id: str | None
    time: str


_envelope_decoder = msgspec.json.Decoder(_Envelope)


def encode(value: object) -> bytes:
    """JSON of any of our types. Lone surrogates, which UTF-8 cannot carry, become U+FFFD."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(without_surrogates(msgspec.to_builtins(value)))


def without_surrogates(value: Json) -> Json:
    """The same JSON value with each lone surrogate made visible as U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {without_surrogates(k): without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(v) for v in value]
    return value


def join_event(seq: int, session_id: str, turn_id: str | None, time: str, body: bytes) -> bytes:
    """The flat JSON of an event from its envelope and its encoded body (which is never empty)."""
    turn = b"null" if turn_id is None else _encoder.encode(turn_id)
    return b'{"seq":%d,"session_id":%b,"turn_id":%b,"time":"%b",%b' % (
        seq,
        _encoder.encode(session_id),
        turn,
        time.encode(),
        body[1:],
    )


def encode_event(event: Event) -> bytes:
    return join_event(event.seq, event.session_id, event.turn_id, event.time, encode(event.body))


def decode_body(data: bytes | str) -> AnyBody:
    """A body from its JSON; a type this version does not know becomes `Unknown`."""
    try:
        return _body_decoder.decode(data)
    except msgspec.ValidationError:
        return Unknown(raw=msgspec.json.decode(data))


def decode_event(data: bytes | str) -> Event:
    """Raises msgspec.ValidationError when the envelope is not one of ours."""
    head = _envelope_decoder.decode(data)
    return Event(head.seq, head.session_id, head.turn_id, head.time, decode_body(data))


def now() -> str:
    """The time of an event: ISO-8601 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

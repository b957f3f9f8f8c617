"""The fold: events in, what a person sees out. Pure; the twin of `labextension/src/transcript.ts`.

Both folds read the same fixtures and give the same JSON. An event costs the same whatever came
before it. Folding an event whose `seq` was already folded changes nothing, so a log may be read
again from any earlier point.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from agent_lab.protocol.events import (
    AgentExited,
    AgentMessage,
    AgentMessageChunk,
    AgentOutputInvalid,
    AgentThought,
    AgentThoughtChunk,
    ContentBlock,
    ContextItem,
    Event,
    Json,
    Location,
    Notice,
    Origin,
    PermissionRequest,
    PermissionResolved,
    PermissionUpdated,
    Plan,
    PlanEntry,
    QueueUpdated,
    ReviewEnded,
    ReviewStarted,
    Session,
    SessionUpdated,
    SessionUsage,
    StopReason,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    ToolContent,
    ToolKind,
    ToolStatus,
    TurnEnded,
    TurnError,
    TurnStarted,
    TurnUsage,
    Unknown,
    Usage,
    UserMessage,
)

# ---------------------------------------------------------------- items


class _Item(Struct, kw_only=True, tag_field="type"):
    """One thing in the conversation, at the place (`seq`, `time`) where it first appeared."""

    id: str
    seq: int
    time: str
    turn_id: str | None


class UserItem(_Item, kw_only=True, tag="user_message"):
    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...]
    origin: Origin


class MessageItem(_Item, kw_only=True, tag="agent_message"):
    """`text` grows while `done` is false; `content` holds the finished blocks."""

    parent_tool_call_id: str | None = None
    text: str = ""
    content: tuple[ContentBlock, ...] = ()
    done: bool = False
    partial: bool = False


class ThoughtItem(_Item, kw_only=True, tag="agent_thought"):
    parent_tool_call_id: str | None = None
    text: str = ""
    done: bool = False
    partial: bool = False
    duration_ms: int | None = None


class ToolItem(_Item, kw_only=True, tag="tool_call"):
    """`started_at` and `ended_at` are event times: when it was called, when it was settled."""

    title: str
    name: str
    target: str
    kind: ToolKind
    status: ToolStatus
    raw_input: Json
    raw_output: Json = None
    content: tuple[ToolContent, ...] = ()
    locations: tuple[Location, ...] = ()
    parent_tool_call_id: str | None = None
    started_at: str
    ended_at: str | None = None


class PlanItem(_Item, kw_only=True, tag="plan"):
    entries: tuple[PlanEntry, ...]


class PermissionItem(_Item, kw_only=True, tag="permission"):
    """`outcome` None: it waits for a person."""

    request: PermissionRequest
    outcome: Literal["selected", "cancelled"] | None = None
    option_id: str | None = None
    message: str | None = None
    by: str | None = None
    answers: dict[str, str] | None = None
    trial: str | None = None


class TurnItem(_Item, kw_only=True, tag="turn"):
    """The end of a turn: what it cost, or why it failed."""

    stop_reason: StopReason
    error: TurnError | None
    usage: TurnUsage
    duration_ms: int | None


class NoticeItem(_Item, kw_only=True, tag="notice"):
    level: Literal["info", "warning", "error"]
    code: str
    text: str


class ExitItem(_Item, kw_only=True, tag="agent_exited"):
    code: int | None
    signal: int | None
    expected: bool
    stderr: str


class InvalidItem(_Item, kw_only=True, tag="agent_output_invalid"):
    excerpt: str
    reason: str
    length: int


class ReviewItem(_Item, kw_only=True, tag="review"):
    child_id: str
    anchor_seq: int
    ended: bool = False


class UnknownItem(_Item, kw_only=True, tag="unknown"):
    raw: Json


Item: TypeAlias = (
    UserItem
    | MessageItem
    | ThoughtItem
    | ToolItem
    | PlanItem
    | PermissionItem
    | TurnItem
    | NoticeItem
    | ExitItem
    | InvalidItem
    | ReviewItem
    | UnknownItem
)


class RunningTurn(Struct, frozen=True):
    turn_id: str
    started_at: str
    origin: Origin


class Transcript(Struct, kw_only=True):
    """`turn` is the turn that runs now; `items` are in the order in which they first appeared."""

    session: Session
    items: list[Item] = []
    turn: RunningTurn | None = None
    first_seq: int = 0
    last_seq: int = 0


class Fold:
    """Folds events into a transcript, each in constant time.

    `session` is the session object to begin with: the one of a `hello` (already at its own
    `last_seq`, so that older events only add items), or a new one at seq 0.
    """

    def __init__(self, session: Session) -> None:
        self.transcript = Transcript(session=session)
        self._place: dict[str, int] = {}

    def push(self, event: Event) -> None:
        transcript = self.transcript
        if event.seq <= transcript.last_seq:
            return
        transcript.last_seq = event.seq
        if not transcript.first_seq:
            transcript.first_seq = event.seq
        if event.seq > transcript.session.last_seq:
            fold_session(transcript.session, event)
        self._fold_item(event)

    def _find(self, key: str) -> Item | None:
        place = self._place.get(key)
        return None if place is None else self.transcript.items[place]

    def _add(self, key: str, item: Item) -> None:
        self._place[key] = len(self.transcript.items)
        self.transcript.items.append(item)

    def _fold_item(self, event: Event) -> None:
        body, seq, time, turn = event.body, event.seq, event.time, event.turn_id
        match body:
            case AgentMessageChunk() | AgentMessage():
                self._message(event, body)
            case AgentThoughtChunk() | AgentThought():
                self._thought(event, body)
            case ToolCall():
                self._tool_call(event, body)
            case ToolCallUpdate():
                self._tool_update(event, body)
            case UserMessage():
                item = UserItem(
                    id=body.message_id, seq=seq, time=time, turn_id=turn, content=body.content,
                    context=body.context, origin=body.origin,
                )  # fmt: skip
                self._add(f"user:{body.message_id}", item)
            case TurnStarted():
                if turn is not None:
                    self.transcript.turn = RunningTurn(turn, time, body.origin)
            case TurnEnded():
                self.transcript.turn = None
                self._add(
                    f"turn:{turn}",
                    TurnItem(
                        id=f"turn:{turn}", seq=seq, time=time, turn_id=turn,
                        stop_reason=body.stop_reason, error=body.error, usage=body.usage,
                        duration_ms=body.duration_ms,
                    ),
                )  # fmt: skip
            case Plan():
                key = f"plan:{turn}"
                found = self._find(key)
                if isinstance(found, PlanItem):
                    found.entries = body.entries
                else:
                    self._add(
                        key,
                        PlanItem(id=key, seq=seq, time=time, turn_id=turn, entries=body.entries),
                    )
            case PermissionRequest():
                key = f"permission:{body.request_id}"
                if self._find(key) is None:
                    self._add(
                        key,
                        PermissionItem(
                            id=body.request_id, seq=seq, time=time, turn_id=turn, request=body
                        ),
                    )
            case PermissionUpdated():
                found = self._find(f"permission:{body.request_id}")
                if isinstance(found, PermissionItem):
                    found.request = amended(found.request, body)
            case PermissionResolved():
                found = self._find(f"permission:{body.request_id}")
                if isinstance(found, PermissionItem) and found.outcome is None:
                    found.outcome, found.option_id = body.outcome, body.option_id
                    found.message, found.by, found.answers = body.message, body.by, body.answers
                    found.trial = body.trial
            case Notice():
                self._notice(event, body)
            case AgentExited():
                self._add(
                    f"exit:{seq}",
                    ExitItem(
                        id=f"exit:{seq}", seq=seq, time=time, turn_id=turn, code=body.code,
                        signal=body.signal, expected=body.expected, stderr=body.stderr,
                    ),
                )  # fmt: skip
            case AgentOutputInvalid():
                self._add(
                    f"invalid:{seq}",
                    InvalidItem(
                        id=f"invalid:{seq}", seq=seq, time=time, turn_id=turn,
                        excerpt=body.excerpt, reason=body.reason, length=body.length,
                    ),
                )  # fmt: skip
            case ReviewStarted():
                key = f"review:{body.review_id}"
                self._add(
                    key,
                    ReviewItem(
                        id=body.review_id, seq=seq, time=time, turn_id=turn,
                        child_id=body.child_id, anchor_seq=body.anchor_seq,
                    ),
                )  # fmt: skip
            case ReviewEnded():
                found = self._find(f"review:{body.review_id}")
                if isinstance(found, ReviewItem):
                    found.ended = True
            case Unknown():
                self._add(
                    f"unknown:{seq}",
                    UnknownItem(
                        id=f"unknown:{seq}", seq=seq, time=time, turn_id=turn, raw=body.raw
                    ),
                )
            case SessionUpdated() | QueueUpdated() | Usage():
                pass

    def _message(self, event: Event, body: AgentMessageChunk | AgentMessage) -> None:
        key = f"message:{body.message_id}"
        item = self._find(key)
        if not isinstance(item, MessageItem):
            item = MessageItem(
                id=body.message_id, seq=event.seq, time=event.time, turn_id=event.turn_id,
                parent_tool_call_id=body.parent_tool_call_id or None,
            )  # fmt: skip
            self._add(key, item)
        if isinstance(body, AgentMessageChunk):
            item.text += body.text
            return
        item.text = text_of(body.content)
        item.content = body.content
        item.done = True
        item.partial = body.partial is True

    def _thought(self, event: Event, body: AgentThoughtChunk | AgentThought) -> None:
        key = f"thought:{body.message_id}"
        item = self._find(key)
        if not isinstance(item, ThoughtItem):
            item = ThoughtItem(
                id=body.message_id, seq=event.seq, time=event.time, turn_id=event.turn_id,
                parent_tool_call_id=body.parent_tool_call_id or None,
            )  # fmt: skip
            self._add(key, item)
        if isinstance(body, AgentThoughtChunk):
            item.text += body.text
            return
        item.text = text_of(body.content)
        item.done = True
        item.partial = body.partial is True
        item.duration_ms = body.duration_ms

    def _tool_call(self, event: Event, body: ToolCall) -> None:
        # An agent may announce the same call twice (from the call and from its permission
        # request): the second adds to the first.
        key = f"tool:{body.tool_call_id}"
        item = self._find(key)
        settled = body.status in _SETTLED
        if isinstance(item, ToolItem):
            item.title, item.name, item.target = body.title, body.name, body.target
            item.kind = body.kind
            item.raw_input = body.raw_input
            if body.content:
                item.content = body.content
            if body.locations:
                item.locations = body.locations
            if item.ended_at is None:
                item.status = body.status
                item.ended_at = event.time if settled else None
            return
        self._add(
            key,
            ToolItem(
                id=body.tool_call_id, seq=event.seq, time=event.time, turn_id=event.turn_id,
                title=body.title, name=body.name, target=body.target, kind=body.kind,
                status=body.status,
                raw_input=body.raw_input, content=body.content, locations=body.locations,
                parent_tool_call_id=body.parent_tool_call_id, started_at=event.time,
                ended_at=event.time if settled else None,
            ),
        )  # fmt: skip

    def _tool_update(self, event: Event, body: ToolCallUpdate) -> None:
        item = self._find(f"tool:{body.tool_call_id}")
        if not isinstance(item, ToolItem):
            return  # its call lies before the part of the log that was read
        for name in ("title", "kind", "status", "raw_input", "raw_output", "content", "locations"):
            value = getattr(body, name)
            if value is not UNSET:
                setattr(item, name, value)
        if body.status is not UNSET:
            item.ended_at = event.time if body.status in _SETTLED else None

    def _notice(self, event: Event, body: Notice) -> None:
        key = f"notice:{event.seq}" if body.key is UNSET else f"notice:{event.turn_id}:{body.key}"
        found = self._find(key)
        if isinstance(found, NoticeItem):
            found.level, found.code, found.text = body.level, body.code, body.text
            return
        self._add(
            key,
            NoticeItem(
                id=key, seq=event.seq, time=event.time, turn_id=event.turn_id, level=body.level,
                code=body.code, text=body.text,
            ),
        )  # fmt: skip


_SETTLED = ("completed", "failed", "cancelled")


def text_of(content: Iterable[ContentBlock]) -> str:
    """The words of some content blocks, one after the other."""
    return "".join(block.text for block in content if isinstance(block, TextBlock))


def amended(request: PermissionRequest, update: PermissionUpdated) -> PermissionRequest:
    """The request with what became known about it."""
    return msgspec.structs.replace(
        request,
        effects=request.effects if update.effects is UNSET else update.effects,
        trial=request.trial if update.trial is UNSET else update.trial,
    )


def fold_session(session: Session, event: Event) -> None:
    """Apply one event to the session object, in place."""
    session.last_seq = event.seq
    session.updated_at = event.time
    match event.body:
        case SessionUpdated() as body:
            for name in body.__struct_fields__:
                value = getattr(body, name)
                if value is not UNSET:
                    setattr(session, name, value)
        case QueueUpdated() as body:
            session.queue = body.items
        case Usage() as body:
            session.usage = SessionUsage(**msgspec.structs.asdict(body))
        case PermissionRequest() as body:
            if all(p.request_id != body.request_id for p in session.pending_permissions):
                session.pending_permissions = (*session.pending_permissions, body)
        case PermissionUpdated() as body:
            session.pending_permissions = tuple(
                amended(p, body) if p.request_id == body.request_id else p
                for p in session.pending_permissions
            )
        case PermissionResolved() as body:
            session.pending_permissions = tuple(
                p for p in session.pending_permissions if p.request_id != body.request_id
            )
        case _:
            pass


def fold(session: Session, events: Iterable[Event]) -> Transcript:
    """The transcript of a session from its events, oldest first."""
    folding = Fold(session)
    for event in events:
        folding.push(event)
    return folding.transcript

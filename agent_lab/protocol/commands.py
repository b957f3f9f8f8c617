"""What a client may ask of a session: one frozen type per command, parsed once at the edge.
Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.events import ContentBlock, ContextItem, Json, Origin

_S = TypeVar("_S", bound=Struct)


class Command(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """`id` is the client's own; the answer (`ack` or `reject`) names it."""

    id: str = ""


class Prompt(Command, frozen=True, kw_only=True, tag="prompt"):
    """`id` is the message's id: the same id twice is one turn. `without` names kinds of context
    that the server would add by itself: `since`."""

    content: tuple[ContentBlock, ...]
    context: tuple[ContextItem, ...] = ()
    origin: Origin = "composer"
    without: tuple[Literal["since"], ...] = ()


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    pass


class AnswerPermission(Command, frozen=True, kw_only=True, tag="answer_permission"):
    """`updated_input` replaces the tool's input; `answers` maps each question's text to the
    answer; `trial`: the outcome of the request's trial is told to the agent with the message."""

    request_id: str
    option_id: str
    message: str | None = None
    updated_input: Json = None
    answers: dict[str, str] | None = None
    trial: bool = False


class QueueEdit(Command, frozen=True, kw_only=True, tag="queue_edit"):
    item_id: str
    content: tuple[ContentBlock, ...]


class QueueRemove(Command, frozen=True, kw_only=True, tag="queue_remove"):
    item_id: str


class QueueSendNow(Command, frozen=True, kw_only=True, tag="queue_send_now"):
    item_id: str


class Set(Command, frozen=True, kw_only=True, tag="set"):
    model: str | None = None
    permission_mode: str | None = None
    effort: str | None = None
    title: str | None = None


class Look(Command, frozen=True, kw_only=True, tag="look"):
    """Whether a person sees the session on this connection."""

    visible: bool


class Ping(Command, frozen=True, kw_only=True, tag="ping"):
    pass


AnyCommand: TypeAlias = (
    Prompt | Cancel | AnswerPermission | QueueEdit | QueueRemove | QueueSendNow | Set | Look | Ping
)

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class NewSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST sessions`. `trust` None: not decided, so a folder that runs things is
    asked about."""

    notebook: str | None = None
    kernel_id: str | None = None
    path: str | None = None
    agent: str | None = None
    model: str | None = None
    mode: str | None = None
    permission_mode: str | None = None
    title: str | None = None
    worktree: str | None = None
    resume: str | None = None
    fork: bool = False
    trust: bool | None = None


def parse_command(data: bytes | str) -> AnyCommand:
    """Raises Invalid with a sentence when the text is not a command."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid(f"This message could not be understood: {error}.") from None


def parse(data: bytes | str, kind: type[_S]) -> _S:
    """A request body as one of our types. Raises Invalid with a sentence."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid(f"The request's body could not be understood: {error}.") from None

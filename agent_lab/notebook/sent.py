"""What was sent, turn by turn: a fold of the log, so it says the same after any restart. Pure.

It names what left and how large it was, the dial that was in force and what that held back; the
words themselves are in the transcript.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, field

from agent_lab.notebook.masks import found_in
from agent_lab.protocol.events import (
    ContentBlock,
    ContextDial,
    ContextItem,
    DialLevel,
    Event,
    ImageBlock,
    Origin,
    PermissionResolved,
    ResourceBlock,
    SessionUpdated,
    TerminalBlock,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    ToolContent,
    TurnStarted,
    UserMessage,
    encode,
)

OUR_TOOLS = "mcp__agent_lab__"
_WITHHELD = re.compile(r"\[… not sent: [^\]\n]*\]")
_OF_KERNEL = ("cell", "output", "error", "variable", "trial")

By: TypeAlias = Literal["person", "agent_lab", "tool", "agent"]
"""Who let it out: a person, the server by itself, a tool of ours, or a tool of the agent's own,
which no dial holds."""


class Sent(Struct, frozen=True, kw_only=True):
    """One thing that left. `bytes` of a picture; `masked` counts what was masked, by kind.

    `level`: of the dial, null where no dial applies. `withheld`: the dial kept something back.
    """

    kind: str
    by: By
    label: str = ""
    where: str = ""
    characters: int = 0
    bytes: int = 0
    mime_type: str = ""
    level: DialLevel | None = None
    masked: dict[str, int] = {}
    withheld: bool = False


class TurnSent(Struct, kw_only=True):
    """`dial` is that of the turn's beginning."""

    turn_id: str
    time: str
    origin: Origin = "composer"
    model: str | None = None
    dial: ContextDial = ContextDial()
    parts: list[Sent] = field(default_factory=list)

    @property
    def characters(self) -> int:
        return sum(part.characters for part in self.parts)


class Fold:
    """Events in, oldest first; `turns` out."""

    def __init__(self) -> None:
        self._turns: dict[str, TurnSent] = {}
        self._tools: dict[str, _Tool] = {}
        self._model: str | None = None
        self._dial = ContextDial()

    def turns(self) -> list[TurnSent]:
        """Without those in which nothing left."""
        return [turn for turn in self._turns.values() if turn.parts]

    def push(self, event: Event) -> None:
        match event.body:
            case SessionUpdated() as body:
                self._model = self._model if body.model is UNSET else body.model
                self._dial = self._dial if body.dial is UNSET else body.dial
            case TurnStarted() as body if event.turn_id:
                self._turn(event).origin = body.origin
            case UserMessage() as body if event.turn_id:
                turn = self._turn(event)
                turn.origin = body.origin
                turn.parts += [_content(one, "person") for one in body.content]
                turn.parts += [self._item(one) for one in body.context]
            case PermissionResolved() as body if event.turn_id:
                self._turn(event).parts += _answer(body)
                if body.trial:
                    self._turn(event).parts.append(self._trial(body.trial))
            case ToolCall() as body:
                self._tools[body.tool_call_id] = _Tool(body.name, body.title, self._dial.read)
                self._result(event, body.tool_call_id, body.status, body.content)
            case ToolCallUpdate() as body:
                self._result(event, body.tool_call_id, body.status, body.content)
            case _:
                pass

    def _turn(self, event: Event) -> TurnSent:
        turn_id = event.turn_id or ""
        turn = self._turns.get(turn_id)
        if turn is None:
            turn = TurnSent(turn_id=turn_id, time=event.time, model=self._model, dial=self._dial)
            self._turns[turn_id] = turn
        return turn

    def _trial(self, words: str) -> Sent:
        """What the agent was told of a trial with an answer."""
        return Sent(
            kind="trial",
            by="person",
            characters=len(words),
            level=self._dial.sent,
            withheld=_is_withheld((words,)),
        )

    def _item(self, item: ContextItem) -> Sent:
        texts = (item.text, item.source, item.traceback, item.evalue)
        level: DialLevel | None = None
        if item.type == "since":
            level = self._dial.read
        elif item.type in _OF_KERNEL:
            level = self._dial.sent
        return Sent(
            kind=item.type,
            by="agent_lab" if item.type == "since" else "person",
            label=item.label,
            where=" ".join(
                part for part in (item.notebook or item.path, item.cell_id, item.terminal) if part
            ),
            characters=sum(len(text) for text in texts),
            level=level,
            masked=found_in(texts),
            withheld=_is_withheld(texts),
        )

    def _result(
        self,
        event: Event,
        tool_call_id: str,
        status: object,
        content: object,
    ) -> None:
        tool = self._tools.get(tool_call_id)
        if tool is None or not event.turn_id:
            return
        if isinstance(content, tuple) and content:
            tool.content = content
            tool.level = self._dial.read
        if status in ("completed", "failed") and not tool.done:
            tool.done = True
            parts = list(_of_tool(tool))
            self._turn(event).parts += parts
            tool.content = ()


class _Tool(Struct):
    name: str
    title: str
    level: DialLevel
    content: tuple[ToolContent, ...] = ()
    done: bool = False


def _of_tool(tool: _Tool) -> Iterator[Sent]:
    ours = tool.name.startswith(OUR_TOOLS)
    by: By = "tool" if ours else "agent"
    texts: list[str] = []
    for block in tool.content:
        match block:
            case TextBlock() | ResourceBlock():
                texts.append(block.text)
            case TerminalBlock():
                texts.append(block.output)
            case ImageBlock():
                yield _image(block, by, tool.title, tool.level if ours else None)
            case _:  # a change is the agent's own
                pass
    yield Sent(
        kind="tool_result",
        by=by,
        label=tool.title,
        where=tool.name,
        characters=sum(len(text) for text in texts),
        level=tool.level if ours else None,
        masked=found_in(texts),
        withheld=_is_withheld(texts),
    )


def _content(block: ContentBlock, by: By) -> Sent:
    match block:
        case ImageBlock():
            return _image(block, by, "", None)
        case ResourceBlock():
            return Sent(
                kind="resource", by=by, label=block.name, where=block.uri,
                characters=len(block.text), mime_type=block.mime_type,
            )  # fmt: skip
        case _:
            return Sent(kind="text", by=by, characters=len(block.text))


def _image(block: ImageBlock, by: By, label: str, level: DialLevel | None) -> Sent:
    padding = block.data[-2:].count("=")
    return Sent(
        kind="image",
        by=by,
        label=label,
        bytes=len(block.data) * 3 // 4 - padding,
        mime_type=block.mime_type,
        level=level,
    )


def _answer(body: PermissionResolved) -> list[Sent]:
    """What a person wrote in answer to a question of the agent."""
    if body.by != "user":
        return []
    words = [body.message or "", *(body.answers or {}).values()]
    if body.updated_input is not None:
        words.append(encode(body.updated_input).decode())
    characters = sum(len(one) for one in words)
    return [Sent(kind="answer", by="person", characters=characters)] if characters else []


def _is_withheld(texts: Iterable[str]) -> bool:
    return any(_WITHHELD.search(text) for text in texts)


# ---------------------------------------------------------------- documents

COLUMNS = (
    "turn_id", "time", "kind", "by", "label", "where", "characters", "bytes", "mime_type", "level",
    "masked", "withheld",
)  # fmt: skip


def to_csv(turns: Sequence[TurnSent]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for turn in turns:
        for part in turn.parts:
            row = (
                turn.turn_id, turn.time, part.kind, part.by, part.label, part.where,
                part.characters, part.bytes, part.mime_type, part.level or "", _masked(part),
                "yes" if part.withheld else "",
            )  # fmt: skip
            writer.writerow([_inert(value) for value in row])
    return out.getvalue()


def _inert(value: object) -> object:
    """A spreadsheet takes a cell that begins like this for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def to_markdown(turns: Sequence[TurnSent], title: str) -> str:
    lines = [f"# What was sent: {_plain(title)}", ""]
    for turn in turns:
        dial = turn.dial
        held = f"dial: sent {dial.sent}, read {dial.read}"
        lines += [
            f"## {turn.time}",
            "",
            f"Turn {turn.turn_id}, from {turn.origin}, to {_plain(turn.model or 'the default')}; "
            f"{held}; {turn.characters:,} characters in all.",
            "",
            "| what | by | characters | bytes | level | masked | held back |",
            "|---|---|---:|---:|---|---|---|",
        ]
        for part in turn.parts:
            what = " ".join(one for one in (part.kind, part.label, part.where) if one)
            lines.append(
                f"| {_plain(what)} | {part.by} | {part.characters:,} | {part.bytes or ''} | "
                f"{part.level or ''} | {_plain(_masked(part))} | "
                f"{'yes' if part.withheld else ''} |"
            )
        lines.append("")
    return "\n".join(lines)


def _masked(part: Sent) -> str:
    return ", ".join(f"{count} {what}" for what, count in part.masked.items())


def _plain(text: str) -> str:
    """Words that are no markup, in one line."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", one_line)

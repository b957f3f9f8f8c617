"""Make of a turn's events what a cell shows: markdown as a whole, plain text as it comes. Pure.

What an agent wrote is made inert first: an output must neither drive a terminal nor have a page
fetch anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent_lab.kernel.text import inert
from agent_lab.protocol.events import (
    Event,
    PermissionRequest,
    Session,
    TurnEnded,
    UserMessage,
)
from agent_lab.protocol.transcript import (
    Fold,
    Item,
    MessageItem,
    NoticeItem,
    PermissionItem,
    ToolItem,
)

ENDINGS = {
    "cancelled": "The agent was stopped.",
    "refusal": "The model refused to go on. Ask in another way, or ask another model.",
    "max_tokens": "The answer ends here: it had reached the longest that the model may write.",
    "max_turn_requests": "The agent ended here: it had asked the model as often as it may.",
}
_TOOL_ENDS = {"failed": " (failed)", "cancelled": " (cancelled)"}
# What makes a page fetch something. A word joiner takes the meaning from it, invisibly; in code as
# well, since what counts as code there depends on who reads the markdown.
_FETCHES = re.compile(
    r"!(?=\[)|<(?=/?(?:img|image|picture|source|video|audio|track|iframe|frame|embed|object|input"
    r"|link|style|svg|math|base|meta|script|form|body|table|t[dhr]|use)\b)",
    re.IGNORECASE,
)
_MARKS = re.compile(r"([\\`*_{}\[\]<>#+!|~$&-])")


class Answer:
    """The answer to one prompt. Feed it the session's events, of which it takes those of its turn.

    `turn_id` is None while the prompt waits in the queue. `panel` says where the person answers
    what the agent asks.
    """

    def __init__(
        self,
        session: Session,
        prompt_id: str,
        turn_id: str | None = None,
        panel: str = " in the Agent panel",
    ) -> None:
        self._panel = panel
        self._fold = Fold(session)
        self.prompt_id = prompt_id
        self._shown: dict[str, str] = {}
        self._last = ""
        self._finished = False
        self.turn_id = turn_id
        self.ended: TurnEnded | None = None

    def push(self, event: Event) -> bool:
        """Whether this changed what is shown."""
        body = event.body
        if isinstance(body, UserMessage) and body.message_id == self.prompt_id:
            self.turn_id = event.turn_id
        if self.turn_id is None or event.turn_id != self.turn_id:
            return False
        self._fold.push(event)
        if isinstance(body, TurnEnded):
            self.ended = body
        return True

    @property
    def failure(self) -> str:
        """Why a turn that has ended is no success, else ""."""
        if self.ended is None or self.ended.stop_reason == "end_turn":
            return ""
        if self.ended.error is not None:
            return inert(self.ended.error.message)
        if self.ended.stop_reason.startswith("max_"):
            return ""
        return ENDINGS.get(self.ended.stop_reason, "The agent's turn failed.")

    @property
    def note(self) -> str:
        """What is to be said of a turn that ended early and is a success all the same, else ""."""
        reason = self.ended.stop_reason if self.ended is not None else ""
        return ENDINGS[reason] if reason.startswith("max_") else ""

    @property
    def waiting(self) -> PermissionRequest | None:
        """What the agent asks the person now."""
        for item in self._items():
            if isinstance(item, PermissionItem):
                return item.request
        return None

    # ------------------------------------------------------------ as a whole

    def markdown(self) -> str:
        parts: list[str] = []
        lines: list[str] = []
        for item in self._items():
            match item:
                case ToolItem():
                    lines.append(f"- {_literal(_tool(item))}")
                    continue
                case PermissionItem(request=request):
                    said = f"**Waiting for you{self._panel}:** {_literal(request.title)}"
                case NoticeItem():
                    said = f"*{_literal(_flat(item.text))}*"
                case MessageItem():
                    said = harmless(inert(item.text))
                case _:
                    continue
            parts += ["\n".join(lines)] if lines else []
            lines = []
            parts.append(said)
        parts += ["\n".join(lines)] if lines else []
        if self.note:
            parts.append(f"*{self.note}*")
        return "\n\n".join(part for part in parts if part.strip())

    def plain(self) -> str:
        """The same for a place without markdown."""
        parts = [_plain(item, self._panel) for item in self._items()]
        return "\n".join(part for part in (*parts, self.note) if part.strip())

    # ------------------------------------------------------------ as it comes

    def news(self) -> str:
        """What a terminal, which forgets nothing, has not been shown yet."""
        return "".join(self._news())

    def _news(self) -> Iterator[str]:
        for item in self._items():
            text = _plain(item, self._panel, running=True)
            key = f"{type(item).__name__}:{item.id}"
            before = self._shown.get(key, "")
            if text == before:
                continue
            self._shown[key] = text
            grown = self._last == key and text.startswith(before)
            yield text[len(before) :] if grown else f"{chr(10) if self._last else ''}{text}"
            self._last = key
        if self.ended is not None and not self._finished:
            self._finished = True
            yield "\n" if self._last else ""
            yield f"{self.note}\n" if self.note else ""

    def _items(self) -> Iterable[Item]:
        """Those that are shown: not a sub-agent's, not what has been answered."""
        for item in self._fold.transcript.items:
            match item:
                case MessageItem(parent_tool_call_id=None) | ToolItem(parent_tool_call_id=None):
                    yield item
                case PermissionItem(outcome=None):
                    yield item
                case NoticeItem(level=level) if level != "info":
                    yield item


def _plain(item: Item, panel: str, running: bool = False) -> str:
    match item:
        case MessageItem():
            return inert(item.text)
        case ToolItem():
            return f"* {inert(_flat(item.title) if running else _tool(item))}"
        case PermissionItem(request=request):
            return f"? Waiting for you{panel}: {inert(_flat(request.title))}"
        case NoticeItem():
            return f"! {inert(_flat(item.text))}"
        case _:
            return ""


def _tool(item: ToolItem) -> str:
    running = " …" if item.status in ("pending", "in_progress") else ""
    return _flat(item.title) + _TOOL_ENDS.get(item.status, running)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _literal(text: str) -> str:
    """Words that markdown must not read."""
    return harmless(_MARKS.sub(r"\\\1", inert(_flat(text))))


def harmless(markdown: str) -> str:
    """Markdown that makes no page fetch anything: pictures and their like are shown as text."""
    return _FETCHES.sub(lambda found: found[0] + "\N{WORD JOINER}", markdown)

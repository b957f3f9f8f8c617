"""The context dial: what of a kernel's memory may leave. Pure.

`let_out` is the one place through which every attached item and every tool's result goes. What it
withholds it says, in the text that leaves: "[… not sent: …]"; and so what left can be read from
what was sent.

Levels, each with what those before it let out:
  off      nothing that a kernel holds or printed
  schema   what there is: names, types, shapes, columns, the kind of an error
  summary  what was computed of it: statistics, errors with their traceback
  sample   some of it: the first and last lines of an output, a table's first rows, pictures
  full     all of it
Keys and tokens, what a person's masks match, and the values of chosen columns leave at no level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, overload

from msgspec import Struct
from msgspec.structs import replace

from agent_lab.notebook.masks import Masks, masked, masks_of
from agent_lab.protocol.events import (
    ContentBlock,
    ContextDial,
    ContextItem,
    DialLevel,
    ImageBlock,
    ResourceBlock,
    TextBlock,
)

LEVELS: tuple[DialLevel, ...] = ("off", "schema", "summary", "sample", "full")
WORDS: dict[DialLevel, str] = {
    "off": "off",
    "schema": "schema only",
    "summary": "summary",
    "sample": "sample",
    "full": "full",
}
FIRST_LINES, LAST_LINES, MOST_SAMPLE = 60, 40, 8000
"""Of an output at `sample`: lines from either end, and characters in all."""

Kind = Literal["outputs", "error", "value", "names", "plain"]
"""What a tool tells. `value`: of a variable, which the kernel's side of us has told at the dial's
level and without the chosen columns; `plain`: nothing that a kernel holds: cells' sources, states,
confirmations."""

_T = TypeVar("_T")


class Dial(Struct, frozen=True):
    """One side of a folder's dial: for what is sent, or for what tools read."""

    level: DialLevel = "full"
    masks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def lets(self, level: DialLevel) -> bool:
        """Does what needs this level leave?"""
        return LEVELS.index(self.level) >= LEVELS.index(level)

    @property
    def withheld(self) -> str:
        """What stands for something that does not leave."""
        return f'[… not sent: the context dial of this folder is at "{WORDS[self.level]}"]'


class Result(Struct, frozen=True):
    """A part of a tool's result, as it would leave."""

    kind: Kind
    content: tuple[ContentBlock, ...]


def sent(settings: ContextDial) -> Dial:
    """For what a person attaches."""
    return Dial(settings.sent, settings.masks, settings.columns)


def read(settings: ContextDial) -> Dial:
    """For what tools tell, and for what the server adds by itself."""
    return Dial(settings.read, settings.masks, settings.columns)


@overload
def let_out(dial: Dial, thing: ContextItem) -> ContextItem: ...
@overload
def let_out(dial: Dial, thing: Result) -> Result: ...
def let_out(dial: Dial, thing: ContextItem | Result) -> ContextItem | Result:
    """What may leave of an attached item or of a tool's result."""
    masks = masks_of(dial.masks)
    if isinstance(thing, ContextItem):
        return _item(dial, masks, thing)
    return Result(thing.kind, tuple(_block(dial, masks, thing.kind, one) for one in thing.content))


# ---------------------------------------------------------------- attached items


def _item(dial: Dial, masks: Masks, item: ContextItem) -> ContextItem:
    reduced = _reduced(dial, item)
    return replace(
        reduced,
        **{
            name: masks.apply(getattr(reduced, name))
            for name in ("label", "text", "source", "evalue", "traceback", "name")
        },
    )


def _reduced(dial: Dial, item: ContextItem) -> ContextItem:
    match item.type:
        case "cell" | "output" | "error":
            return _ran(dial, item)
        case "variable":
            return replace(
                item,
                text=_variable(dial, item.text),
                label=item.name or item.label,
            )
        case "trial":
            return replace(item, text=_output(dial, item.text))
        case _:  # a person's own words and files, and `since`, which was made for this level
            return item


def _ran(dial: Dial, item: ContextItem) -> ContextItem:
    if not dial.lets("schema"):
        count = "" if item.execution_count is None else f" [{item.execution_count}]"
        told = item.text or item.ename or item.evalue or item.traceback
        return replace(
            item, label=f"{item.type}{count}", text=dial.withheld if told else "", ename="",
            evalue="", traceback="",
        )  # fmt: skip
    item = replace(item, text=_output(dial, item.text))
    if dial.lets("summary"):
        return item
    withheld = dial.withheld if item.evalue or item.traceback else ""
    return replace(item, label=item.ename or item.label, evalue="", traceback=withheld)


_SCHEMA_LINE = re.compile(r"\s{0,8}[^\s:][^:\n]{0,120}: [^,\n]{1,80}")


def _variable(dial: Dial, text: str) -> str:
    if not text or dial.lets("summary"):
        return text
    if not dial.lets("schema"):
        return dial.withheld
    # "name: type extent, size or value", then a line for each column: values stand after a comma.
    kept = []
    cut = False
    for line in text.splitlines():
        found = _SCHEMA_LINE.match(line)
        kept.append(found[0] if found else line if line.strip().startswith("…") else "")
        cut = cut or found is None or found.end() < len(line)
    lines = [line for line in kept if line]
    return "\n".join([*lines, dial.withheld] if cut else lines)


# ---------------------------------------------------------------- results of tools


def _block(dial: Dial, masks: Masks, kind: Kind, block: ContentBlock) -> ContentBlock:
    match block:
        case ImageBlock():
            if kind == "plain" or dial.lets("sample"):
                return block
            size = f"{len(block.data) * 3 // 4:,} bytes of {block.mime_type}"
            return TextBlock(f"{size} {dial.withheld}" if dial.lets("schema") else dial.withheld)
        case ResourceBlock():
            return replace(block, text=masks.apply(_told(dial, kind, block.text)))
        case _:
            return TextBlock(masks.apply(_told(dial, kind, block.text)))


def _told(dial: Dial, kind: Kind, text: str) -> str:
    match kind:
        case "plain":
            return text
        case "names" | "value":
            return text if dial.lets("schema") else dial.withheld
        case "error":
            return text if dial.lets("summary") else dial.withheld
        case "outputs":
            return _output(dial, text)


def _output(dial: Dial, text: str) -> str:
    """What a cell printed or showed."""
    if not text or dial.level == "full":
        return _columns(dial, text)
    if not dial.lets("schema"):
        return dial.withheld
    lines = text.splitlines()
    if not dial.lets("sample"):
        return f"{len(lines):,} lines, {len(text):,} characters {dial.withheld}"
    return _columns(dial, _sample(dial, lines, text))


def _sample(dial: Dial, lines: list[str], text: str) -> str:
    if len(lines) <= FIRST_LINES + LAST_LINES and len(text) <= MOST_SAMPLE:
        return text
    first = _bounded(lines[:FIRST_LINES], MOST_SAMPLE * 3 // 5)
    rest = lines[len(first) :]
    last = _bounded(rest[::-1][:LAST_LINES], MOST_SAMPLE * 2 // 5)[::-1]
    left = len(rest) - len(last)
    between = f"{left:,} lines {dial.withheld}"
    if not first and not last:  # one line that is longer than a sample
        return f"{text[: MOST_SAMPLE * 3 // 5]}\n{dial.withheld}\n{text[-MOST_SAMPLE * 2 // 5 :]}"
    return "\n".join([*first, between, *last])


def _bounded(lines: Sequence[str], most: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        most -= len(line) + 1
        if most < 0:
            break
        kept.append(line)
    return kept


# ---------------------------------------------------------------- columns


def _columns(dial: Dial, text: str) -> str:
    """The values of chosen columns hidden in the tables of an output; case does not count.

    Where such a column is named in lines that are no table we can read, these lines stay here:
    better too little than a value that was to stay.
    """
    folded = text.casefold()
    named = [column for column in dial.columns if column and column.casefold() in folded]
    if not named:
        return text
    is_named = _word_of(named)
    parts = re.split(r"(\n[ \t]*\n)", text)  # paragraphs and the blank lines between them
    for place in range(0, len(parts), 2):
        if is_named(parts[place]):
            parts[place] = _paragraph(parts[place].split("\n"), named, is_named)
    return "".join(parts)


def _paragraph(lines: list[str], named: Sequence[str], is_named: Callable[[str], bool]) -> str:
    first = next(place for place, line in enumerate(lines) if is_named(line))
    # What stands before the head of a table is none of it; a column's own values, which stand
    # before its name, are not what a table's head could be.
    full = [line for line in lines if line.strip()]
    hidden = _markdown(full, named) or _aligned(full, named) if first == 0 else None
    end = "\n" if lines[-1] == "" else ""
    if hidden is None:
        return f"[… not sent: lines that show the masked column {_list(named)}]{end}"
    return "\n".join(hidden) + end


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _word_of(names: Sequence[str]) -> Callable[[str], bool]:
    words = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names)
    pattern = re.compile(words, re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


def _markdown(lines: Sequence[str], names: Sequence[str]) -> list[str] | None:
    """A table of Markdown, None: it is none. Its second line is made of dashes."""
    if len(lines) < 2 or "|" not in lines[0] or not re.fullmatch(r"[|:\- ]{3,}", lines[1]):
        return None
    head = [cell.strip() for cell in lines[0].strip().strip("|").split("|")]
    wanted = {name.casefold() for name in names}
    hidden = [place for place, cell in enumerate(head) if cell.casefold() in wanted]
    if not hidden:
        return None
    done = list(lines[:2])
    for line in lines[2:]:
        cells = line.strip().removeprefix("|").removesuffix("|").split("|")
        if len(cells) != len(head):
            return None  # a bar inside a value: which cell is whose cannot be told
        for place in hidden:
            cells[place] = f" {masked('column')} "
        done.append(f"|{'|'.join(cells)}|")
    return done


_FOOT = re.compile(r"\[\d+ rows x \d+ columns\]")


def _aligned(lines: Sequence[str], names: Sequence[str]) -> list[str] | None:
    """A table as pandas prints it, columns set to the right; None: it is not readable as one.

    A column's values end where its name ends, and begin after the end of the name before it.
    """
    head = lines[0]
    words = [(found.end(), found[0]) for found in re.finditer(r"\S+", head)]
    wanted = {name.casefold() for name in names}
    places = [place for place, (_, word) in enumerate(words) if word.casefold() in wanted]
    rows = [line for line in lines[1:] if not _FOOT.fullmatch(line.strip())]
    if not places or not rows or any(" " in name for name in names):
        return None
    if 0 in places and not all(re.match(r"\d+\s", row) for row in rows):
        return None  # without numbers before it, where its values begin cannot be told
    done = []
    for row in rows:
        line = row
        for place in reversed(places):
            end = words[place][0]
            start = words[place - 1][0] if place else len(row.split()[0])
            value = row[start:end]
            if not value.strip() or value[:1].strip() or row[end : end + 1].strip():
                return None  # it reaches into its neighbour
            line = f"{line[:start]} {masked('column')}{line[end:]}"
        done.append(line)
    return [head, *done, *(line for line in lines[1:] if _FOOT.fullmatch(line.strip()))]

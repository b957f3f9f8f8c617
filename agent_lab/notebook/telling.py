"""A tool's result in parts, each with what it is about: so the dial can be applied to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agent_lab.notebook import dial as dials
from agent_lab.notebook import mcp, outputs
from agent_lab.notebook.dial import Dial, Kind, Result
from agent_lab.protocol.events import ContentBlock, ImageBlock, Json, TextBlock
from agent_lab.protocol.reports import Inspection, Variable


class Told(Struct, frozen=True):
    """`is_error`: the tool failed, and the words say how to go on."""

    parts: tuple[Result, ...]
    is_error: bool = False


def part(kind: Kind, words: str) -> Result:
    return Result(kind, (TextBlock(words),))


def text(words: str, is_error: bool = False) -> Told:
    """Nothing in it that a kernel holds."""
    return Told((part("plain", words),), is_error)


def put_out(found: Sequence[Mapping[str, Any]], where: str = "") -> tuple[Result, ...]:
    """A cell's outputs; its error last, by its kind and then in full."""
    errors = [one for one in found if one.get("output_type") == "error"]
    others = [one for one in found if one.get("output_type") != "error"]
    parts = []
    if blocks := _blocks(outputs.read(others, where).content):
        parts.append(Result("outputs", blocks))
    for one in errors:
        parts.append(part("names", outputs.plain(str(one.get("ename", "")))[:200]))
    if blocks := _blocks(outputs.read(errors, where).content):
        parts.append(Result("error", blocks))
    return tuple(parts)


def leave(dial: Dial, told: Told) -> mcp.Result:
    """The one way out: what the dial lets through, as an agent gets it."""
    blocks: list[Json] = []
    for one in told.parts:
        for block in dials.let_out(dial, one).content:
            if isinstance(block, ImageBlock):
                blocks.append({"type": "image", "data": block.data, "mimeType": block.mime_type})
            elif isinstance(block, TextBlock) and blocks and blocks[-1]["type"] == "text":
                blocks[-1]["text"] += f"\n{block.text}"
            elif isinstance(block, TextBlock):
                blocks.append({"type": "text", "text": block.text})
    return mcp.Result(blocks, told.is_error)


def size(told: Told) -> int:
    """Characters of all its text."""
    return sum(
        len(block.text)
        for one in told.parts
        for block in one.content
        if isinstance(block, TextBlock)
    )


def _blocks(content: Sequence[Json]) -> tuple[ContentBlock, ...]:
    return tuple(
        ImageBlock(mime_type=one["mimeType"], data=one["data"])
        if one["type"] == "image"
        else TextBlock(one["text"])
        for one in content
    )


# ---------------------------------------------------------------- variables


def looked_into(found: Inspection, dial: Dial) -> Result:
    """A kernel's own words are as its outputs are: nobody has looked at them for the dial."""
    own = bool(found.text) and not found.variable.type
    return part("outputs" if own else "value", inspected(found, dial))


def variable(one: Variable, dial: Dial) -> str:
    """In one line; its value where the level lets that out, as looking into it does."""
    facts = [one.type]
    if one.shape is not None:
        facts.append(" x ".join(f"{count:,}" for count in one.shape))
    if one.length is not None:
        facts.append(f"{one.length:,} items")
    if one.dtype:
        facts.append(one.dtype)
    if one.size is not None:
        facts.append(_bytes(one.size))
    if one.columns:
        shown = ", ".join(f"{name} {dtype}" for name, dtype in one.columns)
        facts.append(f"columns: {shown}")
    value = f" = {one.value}" if one.value and _lets_value(one, dial) else ""
    return f"{one.name}: {', '.join(facts)}{value}"


def _lets_value(one: Variable, dial: Dial) -> bool:
    if one.name in dial.columns:
        return False
    if one.kind in ("callable", "class", "module"):
        return dial.lets("schema")
    return dial.lets("sample" if one.kind in ("text", "collection") else "summary")


def inspected(found: Inspection, dial: Dial) -> str:
    """All that the kernel's side told of one value, which hides the dial's columns itself."""
    lines = [variable(replace(found.variable, columns=()), dial)]
    if found.signature:
        lines.append(found.signature)
    if found.counted:
        lines.append(f"counted over {found.counted}")
    lines += [f"{name}: {value}" for name, value in found.statistics]
    if found.columns:
        lines += ["", "columns:"]
    for column in found.columns:
        facts = [column.dtype]
        if column.nulls is not None:
            facts.append(f"{column.nulls:,} null")
        facts += [f"{name} {value}" for name, value in column.statistics]
        if column.hidden:
            facts.append(f"[{column.hidden}]")
        lines.append(f"- {column.name}: {', '.join(facts)}")
    if found.columns_left:
        lines.append(f"[… {found.columns_left:,} more columns]")
    if found.rows:
        lines += ["", "first rows:", _row(found.header), "|" + " --- |" * len(found.header)]
        lines += [_row(row) for row in found.rows]
    if found.items:
        lines.append("")
        lines += [f"- {name}: {value}" for name, value in found.items]
    if found.items_left:
        lines.append(f"[… {found.items_left:,} more]")
    for words in (found.text, found.source):
        if words:
            lines += ["", words]
    lines += [f"[{note}]" for note in found.notes]
    return outputs.plain("\n".join(lines))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(one.replace("|", "\\|").replace("\n", " ") for one in cells) + " |"


def _bytes(count: int) -> str:
    if count < 10_000:
        return f"{count:,} B"
    return f"{count / 1e3:,.0f} kB" if count < 10_000_000 else f"{count / 1e6:,.0f} MB"

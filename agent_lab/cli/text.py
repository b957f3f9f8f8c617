"""Write for people: one line at a time, tables in columns, nothing that a terminal would obey."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence


def say(text: str = "", end: str = "\n") -> None:
    sys.stdout.write(inert(text) + end)
    sys.stdout.flush()


def inert(text: str) -> str:
    """Without control characters: what an agent says must not drive the terminal."""
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)

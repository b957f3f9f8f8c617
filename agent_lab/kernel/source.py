"""Find the text of a function or class where Python keeps the lines it has read."""

from __future__ import annotations

import ast
import inspect
import linecache
from pathlib import Path
from types import CodeType

LARGEST = 2_000_000


def source_of(code: CodeType, within: str = "") -> str:
    """The function's lines, or those of the class `within` that holds it; "" when not known."""
    lines = _lines(code.co_filename)
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines):
        return ""
    if not within:
        return "".join(inspect.getblock(lines[first:]))
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return ""
    for node in ast.walk(tree):
        last = getattr(node, "end_lineno", None) or 0
        if (
            isinstance(node, ast.ClassDef)
            and node.name == within
            and node.lineno <= first + 1 <= last
        ):
            begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            return "".join(lines[begin - 1 : last])
    return ""


def _lines(name: str) -> list[str]:
    """A cell's lines are kept in memory; a module's are read, if its file is no giant."""
    kept = linecache.cache.get(name)
    if kept is not None and len(kept) == 4:
        return kept[2]
    file = Path(name)
    try:
        if file.suffix != ".py" or file.stat().st_size > LARGEST:
            return []
        return file.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, ValueError):
        return []

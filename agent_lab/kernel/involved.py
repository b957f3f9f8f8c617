"""Say what the variables are that a question is about: those named, or those a failed cell used.

Only what `variables` tells of them leaves, so what it hides stays hidden here too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from agent_lab.kernel.variables import variables
from agent_lab.protocol.events import ContextItem
from agent_lab.protocol.reports import Variable

MOST = 20
"""Of a failed cell; the nearest to where it failed come first."""
TIMES = "\N{MULTIPLICATION SIGN}"
_UNITS = ("B", "kB", "MB", "GB", "TB")
_WORD = re.compile(r"[^\W\d]\w*")


def named(names: Iterable[str], namespace: Mapping[str, Any]) -> tuple[ContextItem, ...]:
    """Chips of the variables of these names. Raises ValueError when one is not there."""
    missing = [name for name in names if name not in namespace]
    if missing:
        raise ValueError(f"There is no variable {', '.join(missing)} in this kernel.")
    return tuple(_chip(one) for name in names for one in _told(name, namespace))


def involved(
    source: str, error: BaseException, namespace: Mapping[str, Any]
) -> tuple[ContextItem, ...]:
    """Chips of what a failed cell used: first the names in the innermost frame that is the
    person's own code, then outwards, then the other names of the cell. Modules, functions and
    classes are left to the source."""
    found: dict[str, Variable] = {}
    for names, values in (*_frames(error.__traceback__, namespace), (_names(source), namespace)):
        for name in names:
            if len(found) == MOST:
                break
            if name in values and name not in found:
                for one in _told(name, values):
                    if one.kind not in ("module", "callable", "class"):
                        found[name] = one
    return tuple(_chip(one) for one in found.values())


def _told(name: str, values: Mapping[str, Any]) -> list[Variable]:
    """As the list of variables tells it; it says nothing of names that begin with `_`."""
    return variables({name: values[name]}, {})


def _frames(
    traceback: TracebackType | None, namespace: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """What the frames of the person's own code name, innermost first, and their variables."""
    frames = []
    while traceback is not None:
        if traceback.tb_frame.f_globals is namespace:
            frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    for frame in reversed(frames):
        code = frame.f_code
        names = (*code.co_varnames, *code.co_freevars, *code.co_cellvars)
        if code.co_flags & _OPTIMIZED:
            yield names, frame.f_locals
        yield code.co_names, namespace


_OPTIMIZED = 0x1
"""CO_OPTIMIZED: a function's code, whose locals are its own and no namespace."""


def _names(source: str) -> tuple[str, ...]:
    """The names that a cell reads or writes, in order; of one that is no Python its words."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return tuple(dict.fromkeys(_WORD.findall(source)))
    names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return tuple(dict.fromkeys(names))


# ---------------------------------------------------------------- words


def _chip(one: Variable) -> ContextItem:
    columns = [f"  {name}: {dtype}" for name, dtype in one.columns]
    more = (one.shape[1] if one.shape and len(one.shape) > 1 else 0) - len(columns)
    rest = [f"  … {more} more columns"] if columns and more > 0 else []
    text = "\n".join((f"{one.name}: {about(one)}", *columns, *rest))
    return ContextItem(type="variable", label=one.name, name=one.name, text=text)


def about(one: Variable) -> str:
    """What it is in a few words, as the panel says it: type, extent, weight."""
    extent = ""
    if one.shape is not None:
        extent = f" {TIMES} ".join(f"{count:,}" for count in one.shape)
    elif one.length is not None:
        extent = f"{one.length:,} items"
    kind = one.type.rpartition(".")[2]
    what = " ".join(filter(None, (kind, one.dtype if one.dtype != kind else "", extent)))
    heavy = one.size is not None and (one.shape is not None or one.size > 10_000)
    weight = _bytes(one.size) if heavy and one.size is not None else ""
    return ", ".join(filter(None, (what, weight, "" if one.shape is not None else one.value)))


def _bytes(size: float) -> str:
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.2g} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes all")

"""What is told when asked, and is no event: an agent's context and rules, a kernel's variables,
how a cell was tried. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from agent_lab.protocol.events import Json

RuleScope: TypeAlias = Literal["session", "folder", "project", "user", "managed", "other"]


class ContextPart(Struct, frozen=True):
    """A kind of thing in the context. Sizes are tokens.

    `kind`: used; deferred (loaded when needed); buffer (kept free for compaction); free.
    """

    name: str
    tokens: int
    kind: Literal["used", "deferred", "buffer", "free"] = "used"


class ContextDetail(Struct, frozen=True):
    """One thing in the context: a memory file, a tool."""

    group: str
    name: str
    tokens: int


class ContextReport(Struct, frozen=True):
    """`threshold`: where the agent compacts by itself, None when it does not."""

    used: int
    size: int
    threshold: int | None = None
    categories: tuple[ContextPart, ...] = ()
    detail: tuple[ContextDetail, ...] = ()


class Rule(Struct, frozen=True):
    """What the agent may do unasked, must ask, or may not. `file` holds it, None: in memory."""

    id: str
    rule: str
    behavior: Literal["allow", "ask", "deny"]
    scope: RuleScope
    words: str = ""
    file: str | None = None
    revocable: bool = False


class Variable(Struct, frozen=True, omit_defaults=True):
    """`kind`: table, array, number, text, collection, callable, class, module or other. `size` is
    in bytes, shallow; `shape` and `length` count items; `columns` of a table: (name, dtype)."""

    name: str
    type: str
    kind: str
    value: str = ""
    shape: tuple[int, ...] | None = None
    length: int | None = None
    dtype: str = ""
    size: int | None = None
    columns: tuple[tuple[str, str], ...] = ()


Level: TypeAlias = Literal["schema", "summary", "sample", "full"]
"""How much of a value is told: names and types; counts and statistics; a few rows; many rows."""


class Column(Struct, frozen=True, omit_defaults=True):
    """One column of a table. `nulls` None: not counted. `statistics` are (name, value) as text."""

    name: str
    dtype: str
    nulls: int | None = None
    statistics: tuple[tuple[str, str], ...] = ()
    hidden: str = ""


class Inspection(Struct, frozen=True, omit_defaults=True):
    """One value, looked into. Texts hold no secrets that can be recognised.

    `columns` of a table, `columns_left` of them not told; `rows` its first, the label first in
    each, under `header`. `items` are (name, type or value) of what lies inside: a collection's, an
    array's coordinates, an object's attributes. `text`: the beginning of a text, a function's doc,
    or another kernel's own words. `counted`: over how much statistics and nulls were taken, "" for
    all of it. `notes`: what is not told, and why.
    """

    variable: Variable
    level: Level
    statistics: tuple[tuple[str, str], ...] = ()
    columns: tuple[Column, ...] = ()
    columns_left: int = 0
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    items: tuple[tuple[str, str], ...] = ()
    items_left: int = 0
    text: str = ""
    signature: str = ""
    source: str = ""
    counted: str = ""
    notes: tuple[str, ...] = ()


class NameChanges(Struct, frozen=True, omit_defaults=True):
    """What became of the names in memory since the snapshot that a token stands for.

    `forgotten`: the kernel does not know that token (it was restarted, or it is long ago), so
    nothing can be compared. `changed` in place: what can be seen of that at little cost (length,
    shape, dtype, columns, some items); a change of another item of a large value is not seen.
    """

    token: str
    bound: tuple[Variable, ...] = ()
    rebound: tuple[Variable, ...] = ()
    changed: tuple[Variable, ...] = ()
    deleted: tuple[Variable, ...] = ()
    forgotten: bool = False


class WrittenFile(Struct, frozen=True):
    """What a trial would have written, by the path that the code named; `size` in bytes."""

    path: str
    size: int


class TrialReport(Struct, frozen=True, omit_defaults=True):
    """How code did in a copy of the kernel. `memory`: bytes that were its own at the most.

    `outputs` are nbformat's, bounded. `files` were written to a scratch folder that is gone.
    """

    status: Literal["ok", "error", "timeout", "memory", "signal", "cancelled"]
    seconds: float
    memory: int | None = None
    outputs: tuple[dict[str, Json], ...] = ()
    error: str = ""
    files: tuple[WrittenFile, ...] = ()
    notes: tuple[str, ...] = ()

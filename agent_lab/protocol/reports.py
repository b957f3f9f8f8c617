"""What is told when asked, and is no event: an agent's context and rules, a kernel's variables.
Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

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

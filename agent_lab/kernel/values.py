"""Read what can be read of a value without running code of its type: the name of its type, the text
of a plain one. Pure."""

from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import PurePath
from typing import Any

from agent_lab.protocol.secrets import without_secrets

# A class of the person's may have a metaclass with a mind of its own: these ask `type` itself.
module_of = type.__dict__["__module__"].__get__
name_of = type.__dict__["__name__"].__get__
bases_of = type.__dict__["__mro__"].__get__
dict_of = type.__dict__["__dict__"].__get__

DIGITS = 300
"""Longer numbers are told of by their size: their text takes time that grows with its square."""


def is_one(kind: type, *known: type) -> bool:
    """By identity: `==` and `in` would ask the class."""
    return any(kind is one for one in known)


def type_name(value: Any) -> str:
    """With its module, unless it is Python's own or the person's."""
    module, name = module_of(type(value)), name_of(type(value))
    ours = type(module) is not str or module in ("builtins", "__main__")
    return str(name) if ours else f"{module}.{name}"


def family(kind: type) -> str:
    """The package and the name of a type: `pandas.DataFrame`, wherever in pandas it is defined."""
    return f"{root(kind)}.{name_of(kind)}"


def root(kind: type) -> str:
    module = module_of(kind)
    return module.partition(".")[0] if type(module) is str else ""


def plain(value: Any) -> str | None:
    """The text of a value of a type that is known to be plain, None for any other."""
    kind = type(value)
    if value is None or is_one(kind, bool, float, complex):
        return repr(value)
    if kind is int:
        bits = int.bit_length(value)
        return repr(value) if bits < DIGITS * 3 else f"an int of {bits} bits"
    if kind is str:
        return without_secrets(str(value))
    if is_one(kind, bytes, bytearray):
        return f"{len(value)} bytes"
    if is_one(kind, *_TEXTS) or (issubclass(kind, PurePath) and root(kind) == "pathlib"):
        return str(value)
    if family(kind) in _PANDAS:
        return str(value)
    if root(kind) == "numpy" and "numpy.generic" in map(family, bases_of(kind)):
        inside = value.item()
        return plain(inside) if root(type(inside)) != "numpy" else type_name(value)
    return None


_TEXTS = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)
_PANDAS = frozenset(
    f"pandas.{name}" for name in ("Timestamp", "Timedelta", "NaTType", "NAType", "Period")
)


def missing(value: Any) -> bool:
    """Whether it stands for no value: None, NaN, NaT, NA."""
    kind = type(value)
    if value is None or (kind is float and value != value):
        return True
    return family(kind) in ("pandas.NaTType", "pandas.NAType")


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def label(value: Any, most: int = 60) -> str:
    """A key, a column's or row's name: its text if plain, else its type."""
    if type(value) is tuple:
        return cut(", ".join(label(one, most) for one in value[:5]), most)
    if type(value) is str:
        return cut(value[: most + 1], most)
    text = plain(value)
    return cut(type_name(value) if text is None else text, most)

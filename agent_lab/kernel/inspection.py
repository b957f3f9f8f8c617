"""Look into one value of the kernel's memory, by kind: schema, statistics, first rows, source.

Bounded by count and by time: of a large value a sample is read, never the whole. Nothing lazy is
collected, nothing of the person's runs, no `__repr__` of a type that we do not know is called, and
what is hidden by name or by look is hidden at every level.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from time import monotonic, thread_time
from typing import Any

from msgspec import structs

from agent_lab.kernel import tables
from agent_lab.kernel.arrays import ARRAYS, array
from agent_lab.kernel.expression import find, instance_dict
from agent_lab.kernel.reading import FULL, Reading
from agent_lab.kernel.source import source_of
from agent_lab.kernel.values import (
    bases_of,
    cut,
    dict_of,
    family,
    is_one,
    label,
    name_of,
    plain,
    root,
    type_name,
)
from agent_lab.kernel.variables import described, signature
from agent_lab.protocol.reports import Inspection, Level, Variable
from agent_lab.protocol.secrets import HIDDEN, Masks, secret_text, without_secrets

BUDGET_SECONDS = 0.1
TEXT, LONG_TEXT = 400, 20_000
ITEMS, MANY_ITEMS = 20, 100
DEPTH = 3

_LAZY_ROOTS = frozenset(("dask", "pyspark", "ibis", "h5py", "zarr", "vaex", "modin", "sqlalchemy"))
_LAZY = frozenset(("polars.LazyFrame", "duckdb.DuckDBPyRelation", "pandas.DataFrameGroupBy"))


class _Spent:
    """Seconds of work, or a fifth of those that passed, whichever is more: beside a running cell
    we wait for the interpreter longer than we work."""

    def __init__(self) -> None:
        self._work, self._began = thread_time(), monotonic()

    def seconds(self) -> float:
        return max(thread_time() - self._work, (monotonic() - self._began) / 5)


def inspect_variable(
    expression: str,
    namespace: Mapping[str, Any],
    level: Level,
    masks: Masks,
    clock: Callable[[], float] | None = None,
) -> Inspection:
    """Raises NotNamed, whose sentence says why nothing is found under this expression."""
    found = find(expression, namespace)
    value, name = found.value, expression.strip()
    clock = clock or _Spent().seconds
    end = clock() + BUDGET_SECONDS
    reading = Reading(level, masks, lambda: clock() > end)
    variable = described(found.names[-1], value)
    hidden = next((masks.why(one) for one in found.names if masks.hide(one)), "")
    if not hidden and variable.value == HIDDEN:
        hidden = HIDDEN
    if not hidden:
        hidden = _hidden_inside(value, reading)
    variable = structs.replace(variable, name=name, value="" if hidden else _short(variable, level))
    inspection = Inspection(variable, level)
    if hidden:
        columns = () if masks.hide(found.names[-1]) else tables.names_only(variable)
        return structs.replace(inspection, columns=columns, notes=(hidden,))
    try:
        inspection = _inspected(value, inspection, reading)
    except (Exception, SystemExit) as error:  # changed while it was read, or by the person
        reading.note(f"not all could be read: {type_name(error)}")
    return structs.replace(inspection, notes=(*inspection.notes, *reading.notes))


def _short(variable: Variable, level: Level) -> str:
    if variable.kind in ("callable", "class", "module"):
        return variable.value
    if level == "schema" or (level == "summary" and variable.kind in ("text", "collection")):
        return ""
    return without_secrets(variable.value)


_NAMED = frozenset(("pandas.Series", "polars.Series", "xarray.DataArray"))


def _hidden_inside(value: Any, reading: Reading) -> str:
    """A column keeps its name when it is taken out of its table."""
    return reading.why(value.name) if family(type(value)) in _NAMED else ""


def _inspected(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    kind = type(value)
    known = family(kind)
    if known in _LAZY or root(kind) in _LAZY_ROOTS:
        reading.note("lazy: its values are computed or loaded when asked for, so none is shown")
        return inspection
    if known in tables.TABLES:
        return tables.TABLES[known](value, inspection, reading)
    if known in ARRAYS:
        return array(value, inspection, reading)
    if issubclass(kind, types.ModuleType):
        return _module(value, inspection, reading)
    if issubclass(kind, type):
        return _class(value, inspection, reading)
    if inspection.variable.kind == "callable":
        return _callable(value, inspection, reading)
    if inspection.variable.kind == "text":
        return _text(value, inspection, reading)
    for base in (dict, list, tuple, set, frozenset):
        if issubclass(kind, base):
            return _collection(value, base, inspection, reading)
    if plain(value) is not None:
        return inspection
    return _object(value, inspection, reading)


# ---------------------------------------------------------------- kinds of plain Python


def _text(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    kind = type(value)
    if not is_one(kind, str, bytes, bytearray):
        return inspection
    size = len(value)
    if kind is not str:
        return structs.replace(inspection, statistics=(("bytes", str(size)),))
    part = value[: LONG_TEXT * 50]
    lines = (("characters", str(size)), ("lines", str(part.count("\n") + 1)))
    counted = "" if len(part) == size else f"the first {len(part)} of {size} characters"
    if not reading.summary:
        return inspection
    inspection = structs.replace(inspection, statistics=lines, counted=counted)
    if not reading.sample:
        return inspection
    most = LONG_TEXT if reading.full else TEXT
    # What begins in the part that is shown may be a secret only by what follows.
    shown = without_secrets(value[: most + 4000])
    if secret_text(value[:200]):
        return structs.replace(inspection, notes=(HIDDEN,))
    return structs.replace(inspection, text=cut(shown, most))


def _collection(value: Any, base: Any, inspection: Inspection, reading: Reading) -> Inspection:
    most = MANY_ITEMS if reading.full else ITEMS
    size = base.__len__(value)
    few = list(islice(dict.items(value) if base is dict else base.__iter__(value), most))
    items: list[tuple[str, str]] = []
    if base is dict:
        for key, inside in few:
            named = type(key) is str and key.isidentifier()
            shown = label(key) if named or reading.sample else type_name(key)
            why = reading.masks.why(key) if type(key) is str else ""
            items.append((without_secrets(shown), _inside(inside, reading, why)))
    else:
        ordered = base is list or base is tuple
        names = dict_of(type(value)).get("_fields", ()) if base is tuple else ()
        for at, one in enumerate(few):
            field = names[at] if type(names) is tuple and at < len(names) else None
            why = reading.masks.why(field) if type(field) is str else ""
            shown = field if type(field) is str else f"[{at}]" if ordered else ""
            items.append((shown, _inside(one, reading, why)))
    inspection = structs.replace(inspection, items=tuple(items), items_left=size - len(few))
    if reading.summary and base in (list, tuple) and size:
        return reading.column(inspection, sampled(value, base, reading), size, "items")
    return inspection


def sampled(value: Any, base: Any, reading: Reading) -> Sequence[Any]:
    """Evenly spread over a list: an item is one step, however long the list."""
    size = base.__len__(value)
    step = -(-size // reading.most)
    return [base.__getitem__(value, at) for at in range(0, size, step)]


def _inside(value: Any, reading: Reading, why: str, depth: int = 1) -> str:
    """An item: its value where it is plain and may be told, else what it is like."""
    if why:
        return f"{type_name(value)}, {why}"
    text = plain(value)
    if text is not None and reading.sample:
        return cut(f"{text!r}" if type(value) is str else text, 200 if reading.full else 80)
    about = described("", value)
    words = [about.type]
    if about.shape is not None:
        words.append(" by ".join(map(str, about.shape)))
    elif about.length is not None:
        words.append(f"of {about.length}")
    if about.dtype:
        words.append(about.dtype)
    for base in (dict, list, tuple):
        if issubclass(type(value), base) and depth < DEPTH and not reading.late():
            keys: Iterable[str]
            if base is dict:
                few = islice(dict.items(value), 3)
                keys = (f"{_key(key)}: {_types(one, depth + 1)}" for key, one in few)
            else:
                keys = (_types(one, depth + 1) for one in islice(base.__iter__(value), 3))
            more = ", …" if base.__len__(value) > 3 else ""
            words.append(f"({', '.join(keys)}{more})")
    return " ".join(words)


def _key(key: Any) -> str:
    """One that could name a column is schema; any other is a value."""
    return label(key, 30) if type(key) is str and key.isidentifier() else type_name(key)


def _types(value: Any, depth: int) -> str:
    """Types inside types, no deeper than DEPTH."""
    for base in (list, tuple, dict):
        if issubclass(type(value), base) and depth < DEPTH:
            inside = dict.values(value) if base is dict else base.__iter__(value)
            few = list(islice(inside, 1))
            return f"{type_name(value)} of {_types(few[0], depth + 1)}" if few else type_name(value)
    return type_name(value)


def _object(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    """Attributes that it keeps itself; what its class computes is not asked."""
    inside = instance_dict(value)
    slots = [
        (name, member)
        for base in bases_of(type(value))
        if root(base) != "builtins"
        for name, member in list(dict_of(base).items())
        if is_one(type(member), types.MemberDescriptorType)
    ]
    names = [*islice(inside.items(), FULL * 2)]
    for name, member in slots[: FULL * 2]:
        try:
            names.append((name, member.__get__(value)))
        except AttributeError:
            continue
    items = tuple(
        (label(name), _inside(one, reading, reading.masks.why(name) if type(name) is str else ""))
        for name, one in names
    )
    methods = sorted(
        name
        for base in bases_of(type(value))
        if root(base) != "builtins"
        for name, one in list(dict_of(base).items())
        if type(one) is types.FunctionType and not name.startswith("_")
    )
    if methods:
        reading.note(f"methods: {cut(', '.join(dict.fromkeys(methods)), 400)}")
    left = len(inside) + len(slots) - len(names)
    return structs.replace(inspection, items=items, items_left=max(left, 0))


def _callable(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    function = value.__func__ if type(value) is types.MethodType else value
    doc = (
        function.__doc__
        if is_one(type(function), types.FunctionType, types.BuiltinFunctionType)
        else None
    )
    inspection = structs.replace(inspection, signature=signature(value), text=_doc(doc, reading))
    if reading.summary and type(function) is types.FunctionType:
        return _with_source(inspection, source_of(function.__code__), reading)
    return inspection


def _class(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    inside = dict_of(value)
    bases = ", ".join(str(name_of(one)) for one in bases_of(value)[1:-1])
    items = [("bases", bases)] if bases else []
    for name, one in list(inside.items())[:MANY_ITEMS]:
        if type(one) is types.FunctionType:
            items.append((name, signature(one)))
        elif not name.startswith("__"):
            items.append((name, type_name(one)))
    init = inside.get("__init__")
    inspection = structs.replace(
        inspection,
        items=tuple(items),
        text=_doc(inside.get("__doc__"), reading),
        signature=signature(init).replace("__init__", str(name_of(value)), 1)
        if type(init) is types.FunctionType
        else "",
    )
    if not reading.summary:
        return inspection
    codes = [one.__code__ for one in inside.values() if type(one) is types.FunctionType]
    within = next((source_of(code, str(name_of(value))) for code in codes), "")
    return _with_source(inspection, within, reading)


def _module(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    inside = object.__getattribute__(value, "__dict__")
    version = inside.get("__version__")
    items = [("version", version)] if type(version) is str else []
    public = [name for name in list(inside) if type(name) is str and name[:1] != "_"]
    items.append(("names", cut(", ".join(public[: MANY_ITEMS if reading.full else ITEMS]), 2000)))
    return structs.replace(
        inspection,
        items=tuple(items),
        items_left=max(len(public) - (MANY_ITEMS if reading.full else ITEMS), 0),
        text=_doc(inside.get("__doc__"), reading),
    )


def _doc(doc: Any, reading: Reading) -> str:
    if type(doc) is not str or not reading.summary:
        return ""
    return cut(without_secrets(doc.strip()), LONG_TEXT if reading.full else 2000)


def _with_source(inspection: Inspection, source: str, reading: Reading) -> Inspection:
    most = LONG_TEXT if reading.full else 4000
    return structs.replace(inspection, source=cut(without_secrets(source), most))

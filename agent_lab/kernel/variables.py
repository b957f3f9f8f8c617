"""Say what is in memory, on the kernel's control channel: without a cell, while a cell runs.

Nothing of the person's runs for it: only attributes of types that are known to answer at once are
read, and no `__repr__` of another type is called. Values whose name or look says that they are
secret are never shown.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from agent_lab.kernel.values import (
    cut,
    family,
    is_one,
    label,
    name_of,
    plain,
    root,
    type_name,
)
from agent_lab.protocol.reports import Variable
from agent_lab.protocol.secrets import HIDDEN, secret_name, secret_text

MOST = 500
"""How many variables are told of; the newest."""
VALUE = 80
"""Characters of a short value."""
COLUMNS = 30
WIDE = 1000
"""Of a table with more columns the size is not asked: it is summed up over all of them."""


def mine(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The names that a person bound. `hidden`: what the shell itself put there."""
    return [
        (name, value)
        for name, value in list(namespace.items())
        if type(name) is str
        and not name.startswith("_")
        and not (name in hidden and hidden[name] is value)
    ]


def variables(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> list[Variable]:
    """What a person made, newest last."""
    return [described(name, value) for name, value in mine(namespace, hidden)[-MOST:]]


def described(name: str, value: Any) -> Variable:
    """In a line: type, shape, a short value."""
    try:
        return _described(name, value)
    except (Exception, SystemExit):  # its type was changed under us: told of by its name
        return Variable(name, type_name(value), "other")


def _described(name: str, value: Any) -> Variable:
    kind = type(value)
    # Never `isinstance`: it asks the value, whose `__class__` may be anything.
    if issubclass(kind, types.ModuleType):
        inside = object.__getattribute__(value, "__dict__")  # a lazy module loads when asked
        return Variable(name, "module", "module", value=label(inside.get("__name__", "")))
    if issubclass(kind, type):
        return Variable(name, "class", "class", value=str(name_of(value)))
    if is_one(kind, types.FunctionType, types.BuiltinFunctionType, types.MethodType):
        return Variable(name, name_of(kind), "callable", value=signature(value))
    describe = _KNOWN.get(family(kind))
    if describe is not None:
        return describe(name, value)
    if issubclass(kind, (str, bytes, bytearray)) and not is_one(kind, str, bytes, bytearray):
        return Variable(name, type_name(value), "text")
    if is_one(kind, str, bytes, bytearray):
        short = value[: VALUE + 1]
        return Variable(
            name,
            name_of(kind),
            "text",
            value=_shown(name, repr(short), value[:VALUE] if kind is str else ""),
            length=len(value),
            size=sys.getsizeof(value),
        )
    for base in _COLLECTIONS:
        if issubclass(kind, base):
            return Variable(
                name,
                type_name(value),
                "collection",
                value=_shown(name, _items(value, base)),
                length=base.__len__(value),
                size=base.__sizeof__(value),
            )
    text = plain(value)
    if text is not None:
        known = is_one(kind, int, float, complex, bool) or root(kind) == "numpy" or value is None
        return Variable(
            name, type_name(value), "number" if known else "other", value=_number(name, value, text)
        )
    return Variable(name, type_name(value), "other")


_COLLECTIONS: tuple[Any, ...] = (dict, list, tuple, set, frozenset)


def _number(name: str, value: Any, text: str) -> str:
    """A number under a telling name is a limit or a count more often than a secret, save one."""
    return HIDDEN if "passw" in name.lower() else cut(text, VALUE)


def _shown(name: str, text: str, raw: str = "") -> str:
    return HIDDEN if secret_name(name) or secret_text(raw) else cut(text, VALUE)


_FEW = 5


def _items(value: Any, base: Any) -> str:
    """The types of the first few items: their values may be large, or secret."""
    if base is dict:
        pairs = islice(dict.items(value), _FEW)  # not by its keys: theirs is the hash
        inside = ", ".join(
            f"{repr(key[:20]) if type(key) is str else type_name(key)}: {type_name(one)}"
            for key, one in pairs
        )
    else:
        inside = ", ".join(map(type_name, islice(base.__iter__(value), _FEW)))
    more = ", …" if base.__len__(value) > _FEW else ""
    return f"[{inside}{more}]" if base is list or base is tuple else f"{{{inside}{more}}}"


def signature(value: Any) -> str:
    """With the defaults that are plain; annotations are not asked: they may be computed."""
    function = value.__func__ if type(value) is types.MethodType else value
    name = function.__name__ if is_one(type(function), *_FUNCTIONS) else type_name(function)
    if type(function) is not types.FunctionType:
        return f"{name}(…)"
    code = function.__code__
    names, count = code.co_varnames, code.co_argcount
    defaults = function.__defaults__ or ()
    given = dict(zip(names[count - len(defaults) : count], defaults, strict=True))
    given |= function.__kwdefaults__ or {}
    bound = 1 if type(value) is types.MethodType else 0
    words = [_argument(one, given) for one in names[:count]]
    if code.co_posonlyargcount:
        words.insert(code.co_posonlyargcount, "/")
    words = words[bound:]
    keywords = names[count : count + code.co_kwonlyargcount]
    after = count + code.co_kwonlyargcount
    if code.co_flags & 0x04:  # CO_VARARGS
        words.append(f"*{names[after]}")
        after += 1
    elif keywords:
        words.append("*")
    words += [_argument(one, given) for one in keywords]
    if code.co_flags & 0x08:  # CO_VARKEYWORDS
        words.append(f"**{names[after]}")
    return f"{name}({', '.join(words)})"


_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)


def _argument(name: str, given: Mapping[str, Any]) -> str:
    if name not in given:
        return name
    value = given[name]
    text = repr(value[:40]) if type(value) is str else plain(value)
    if type(value) is str and (secret_name(name) or secret_text(value)):
        text = None
    return f"{name}={'…' if text is None else cut(text, 40)}"


# ---------------------------------------------------------------- types of the field


def dtype_name(dtype: Any) -> str:
    """A dtype's own words, if it is one that we know."""
    known = root(type(dtype)) in ("numpy", "pandas", "polars", "pyarrow", "torch")
    return cut(str(dtype), 80) if known else type_name(dtype)


def _pandas_frame(name: str, value: Any) -> Variable:
    few = value if value.shape[1] <= COLUMNS else value.iloc[:, :COLUMNS]
    return Variable(
        name,
        "pandas.DataFrame",
        "table",
        shape=tuple(value.shape),
        size=_frame_size(value),
        columns=tuple(
            (label(one), dtype_name(dtype))
            for one, dtype in zip(list(few.columns), list(few.dtypes), strict=True)
        ),
    )


def _frame_size(value: Any) -> int | None:
    """Of its blocks: `memory_usage` makes a series of every column, 1 ms for each table."""
    blocks = getattr(value._mgr, "blocks", None)
    if blocks is not None and len(blocks) <= WIDE:
        return int(sum(one.values.nbytes for one in blocks) + value.index.nbytes)
    small = value.shape[1] <= WIDE
    return int(value.memory_usage(index=True, deep=False).sum()) if small else None


def _pandas_series(name: str, value: Any) -> Variable:
    return Variable(
        name,
        f"pandas.{type(value).__name__}",
        "array",
        shape=(len(value),),
        dtype=dtype_name(value.dtype),
        size=int(value.memory_usage(deep=False)),
    )


def _polars_frame(name: str, value: Any) -> Variable:
    columns = tuple((c[:60], str(d)) for c, d in list(value.schema.items())[:30])
    return Variable(
        name,
        "polars.DataFrame",
        "table",
        shape=tuple(value.shape),
        size=int(value.estimated_size()),
        columns=columns,
    )


def _polars_series(name: str, value: Any) -> Variable:
    return Variable(
        name,
        "polars.Series",
        "array",
        shape=(len(value),),
        dtype=dtype_name(value.dtype),
        size=int(value.estimated_size()),
    )


def _numpy_array(name: str, value: Any) -> Variable:
    return Variable(
        name,
        family(type(value)),
        "array",
        shape=tuple(value.shape),
        dtype=dtype_name(value.dtype),
        size=int(value.nbytes),
    )


def _torch_tensor(name: str, value: Any) -> Variable:
    return Variable(
        name,
        f"torch.{type(value).__name__}",
        "array",
        value=str(value.device),
        shape=tuple(value.shape),
        dtype=dtype_name(value.dtype),
        size=int(value.element_size() * value.nelement()),
    )


def _arrow_table(name: str, value: Any) -> Variable:
    return Variable(
        name,
        f"pyarrow.{type(value).__name__}",
        "table",
        shape=(value.num_rows, value.num_columns),
        size=int(value.nbytes),
        columns=tuple((field.name[:60], str(field.type)) for field in list(value.schema)[:30]),
    )


def _xarray(name: str, value: Any) -> Variable:
    sizes = dict(value.sizes)
    return Variable(
        name,
        f"xarray.{type(value).__name__}",
        "array",
        value=", ".join(f"{key}: {count}" for key, count in sizes.items())[:VALUE],
        shape=tuple(sizes.values()),
        dtype=str(getattr(value, "dtype", "")),
        size=int(value.nbytes),
    )


_KNOWN: Mapping[str, Callable[[str, Any], Variable]] = {
    "pandas.DataFrame": _pandas_frame,
    "pandas.Series": _pandas_series,
    "polars.DataFrame": _polars_frame,
    "polars.Series": _polars_series,
    "numpy.ndarray": _numpy_array,
    "numpy.memmap": _numpy_array,
    "torch.Tensor": _torch_tensor,
    "torch.Parameter": _torch_tensor,
    "pyarrow.Table": _arrow_table,
    "pyarrow.RecordBatch": _arrow_table,
    "xarray.DataArray": _xarray,
    "xarray.Dataset": _xarray,
}

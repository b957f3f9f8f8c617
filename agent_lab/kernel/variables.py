"""Say what is in memory, on the kernel's control channel: without a cell, while a cell runs.

Nothing of the person's runs for it: only attributes of types that are known to answer at once are
read, and no `__repr__` of another type is called. Values whose name or look says that they are
secret are never shown.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from agent_lab.protocol.reports import Variable

if TYPE_CHECKING:
    from ipykernel.kernelbase import Kernel
    from IPython.core.interactiveshell import InteractiveShell

REQUEST, REPLY = "agent_lab_variables_request", "agent_lab_variables_reply"
MOST = 500
"""How many variables are told of; the newest."""
VALUE = 80
"""Characters of a short value."""

_SECRET_NAME = re.compile(r"(?i)(secret|token|passw|api_?key|credential|private_?key|auth)")
_SECRET_TEXT = re.compile(
    r"\A(sk-|ghp_|gho_|github_pat_|xox[bp]-|AKIA|eyJ[\w-]+\.|-----BEGIN|hf_|glpat-)"
)
HIDDEN = "not shown: looks like a secret"


def variables(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> list[Variable]:
    """What a person made, newest last. `hidden`: what the shell itself put there."""
    mine = [
        (name, value)
        for name, value in list(namespace.items())
        if not name.startswith("_") and not (name in hidden and hidden[name] is value)
    ]
    return [_safely(name, value) for name, value in mine[-MOST:]]


def _safely(name: str, value: Any) -> Variable:
    try:
        return _described(name, value)
    except Exception:  # a subclass that overrides what it should not: told of by its type
        return Variable(name, _type(value), "other")


def _described(name: str, value: Any) -> Variable:
    kind = type(value)
    # Never `isinstance`: it asks the value, whose `__class__` may be anything.
    if issubclass(kind, types.ModuleType):
        return Variable(name, "module", "module", value=str(value.__name__))
    if issubclass(kind, type):
        return Variable(name, "class", "class", value=str(_name_of(value)))
    if _is(kind, types.FunctionType, types.BuiltinFunctionType, types.MethodType):
        return Variable(name, _name_of(kind), "callable", value=_signature(value))
    describe = _KNOWN.get(f"{str(_module_of(kind)).partition('.')[0]}.{_name_of(kind)}")
    if describe is not None:
        return describe(name, value)
    if value is None or _is(kind, bool, int, float, complex):
        return Variable(name, _name_of(kind), "number", value=_shown(name, repr(value)))
    if _is(kind, str, bytes, bytearray):
        short = value[: VALUE + 1]
        return Variable(
            name,
            _name_of(kind),
            "text",
            value=_shown(name, repr(short), value[:40] if kind is str else ""),
            length=len(value),
            size=sys.getsizeof(value),
        )
    if _is(kind, list, tuple, dict, set, frozenset):
        return Variable(
            name,
            _name_of(kind),
            "collection",
            value=_shown(name, _items(value)),
            length=len(value),
            size=sys.getsizeof(value),
        )
    return Variable(name, _type(value), "other")


# A class of the person's may have a metaclass with a mind of its own: these ask `type` itself.
_module_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__name__"].__get__


def _type(value: Any) -> str:
    module, name = _module_of(type(value)), _name_of(type(value))
    ours = type(module) is not str or module in ("builtins", "__main__")
    return str(name) if ours else f"{module}.{name}"


def _is(kind: type, *known: type) -> bool:
    """By identity: `==` and `in` would ask the class."""
    return any(kind is one for one in known)


def _shown(name: str, text: str, raw: str = "") -> str:
    if _SECRET_NAME.search(name) or _SECRET_TEXT.match(raw):
        return HIDDEN
    return text if len(text) <= VALUE else f"{text[: VALUE - 1]}…"


_FEW = 5


def _items(value: Any) -> str:
    """The types of the first few items: their values may be large, or secret."""
    if type(value) is dict:
        pairs = (
            (repr(key[:20]) if type(key) is str else _type(key), _type(one))
            for key, one in islice(value.items(), _FEW)
        )
        inside = ", ".join(f"{key}: {one}" for key, one in pairs)
    else:
        inside = ", ".join(_type(one) for one in islice(value, _FEW))
    more = ", …" if len(value) > _FEW else ""
    return f"[{inside}{more}]" if _is(type(value), list, tuple) else f"{{{inside}{more}}}"


def _signature(value: Any) -> str:
    code = getattr(value, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if code is not None else ()
    return f"{value.__name__}({', '.join(names)})"


# ---------------------------------------------------------------- types of the field


def _pandas_frame(name: str, value: Any) -> Variable:
    return Variable(
        name,
        "pandas.DataFrame",
        "table",
        shape=tuple(value.shape),
        size=int(value.memory_usage(index=True, deep=False).sum()),
        columns=tuple((str(c)[:60], str(d)) for c, d in _pairs(value.columns, value.dtypes)),
    )


def _pairs(columns: Any, dtypes: Any) -> list[tuple[Any, Any]]:
    return list(zip(list(columns[:30]), list(dtypes.iloc[:30]), strict=True))


def _pandas_series(name: str, value: Any) -> Variable:
    return Variable(
        name,
        f"pandas.{type(value).__name__}",
        "array",
        shape=(len(value),),
        dtype=str(value.dtype),
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
        dtype=str(value.dtype),
        size=int(value.estimated_size()),
    )


def _numpy_array(name: str, value: Any) -> Variable:
    return Variable(
        name,
        "numpy.ndarray",
        "array",
        shape=tuple(value.shape),
        dtype=str(value.dtype),
        size=int(value.nbytes),
    )


def _torch_tensor(name: str, value: Any) -> Variable:
    return Variable(
        name,
        f"torch.{type(value).__name__}",
        "array",
        value=str(value.device),
        shape=tuple(value.shape),
        dtype=str(value.dtype),
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
    "torch.Tensor": _torch_tensor,
    "torch.Parameter": _torch_tensor,
    "pyarrow.Table": _arrow_table,
    "pyarrow.RecordBatch": _arrow_table,
    "xarray.DataArray": _xarray,
    "xarray.Dataset": _xarray,
}


# ---------------------------------------------------------------- the channel


def install(shell: InteractiveShell) -> None:
    """Answer on the control channel of this kernel; a shell that is no kernel has none."""
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is None:
        return

    async def answer(stream: Any, ident: Any, parent: Any) -> None:
        found = variables(shell.user_ns, shell.user_ns_hidden)
        content = {"status": "ok", "variables": to_builtins(found)}
        assert kernel.session is not None, "it has just received a message"
        kernel.session.send(stream, REPLY, content, parent, ident=ident)

    kernel.control_handlers[REQUEST] = answer


def uninstall(shell: InteractiveShell) -> None:
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is not None:
        kernel.control_handlers.pop(REQUEST, None)

"""Find the value that an expression names, `df["region"]` or `model.weights[0]`; run nothing.

The grammar is names, attributes and constant subscripts. Nothing is called: no property, no
`__getattr__`, no `__getitem__` of a type that we do not know.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from agent_lab.kernel.values import bases_of, dict_of, family, is_one, label, type_name


class NotNamed(Exception):
    """The sentence says why the expression names no value that can be read."""


class Found(Struct, frozen=True):
    """`names`: every name on the way to it, outermost first: what a mask may forbid."""

    value: Any
    names: tuple[str, ...]


def find(expression: str, namespace: Mapping[str, Any]) -> Found:
    """Raises NotNamed."""
    text = expression.strip()
    if len(text) > 500:
        raise NotNamed("The name is too long.")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise NotNamed(f"{text!r} is not a name.") from None
    return _found(tree, namespace)


def _found(node: ast.expr, namespace: Mapping[str, Any]) -> Found:
    if isinstance(node, ast.Name):
        if node.id not in namespace:
            near = get_close_matches(node.id, [one for one in namespace if one[:1] != "_"], 3)
            hint = f" There is {', '.join(near)}." if near else " Use list_variables."
            raise NotNamed(f"There is no variable {node.id} in this kernel.{hint}")
        return Found(namespace[node.id], (node.id,))
    if isinstance(node, ast.Attribute):
        within = _found(node.value, namespace)
        return Found(_attribute(within.value, node.attr), (*within.names, node.attr))
    if isinstance(node, ast.Subscript):
        within = _found(node.value, namespace)
        try:
            key = ast.literal_eval(node.slice)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            raise NotNamed("Only constant subscripts can be looked into; use run_code.") from None
        names = [one for one in (key if type(key) is tuple else (key,)) if type(one) is str]
        return Found(_item(within.value, key), (*within.names, *names))
    raise NotNamed(
        "Only names, attributes and constant subscripts can be looked into, "
        'like df["region"]; use run_code for anything that computes.'
    )


_ABSENT = object()
# Attributes that answer at once, of types whose instances keep nothing in a `__dict__`.
_KNOWN_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "pandas.DataFrame": ("index", "columns", "dtypes"),
    "pandas.Series": ("index",),
    "numpy.ndarray": ("T", "real", "imag", "base"),
    "torch.Tensor": ("grad", "data"),
    "torch.Parameter": ("grad", "data"),
}


def _attribute(value: Any, name: str) -> Any:
    kind = type(value)
    if issubclass(kind, types.ModuleType):
        inside = object.__getattribute__(value, "__dict__")  # a lazy module loads when asked
        return _present(inside.get(name, _ABSENT), value, name)
    if issubclass(kind, type):
        for base in bases_of(value):
            if name in dict_of(base):
                return _own(dict_of(base)[name], None, name)
        return _present(_ABSENT, value, name)
    if family(kind) in _TABLES and name not in _KNOWN_ATTRIBUTES.get(family(kind), ()):
        return _item(value, name)
    if name in _KNOWN_ATTRIBUTES.get(family(kind), ()):
        return getattr(value, name)
    inside = instance_dict(value)
    for base in bases_of(kind):
        if name in dict_of(base):
            found = dict_of(base)[name]
            if name not in inside or is_one(type(found), property):
                return _own(found, value, name)
            break
    return _present(inside.get(name, _ABSENT), value, name)


def instance_dict(value: Any) -> dict[str, Any]:
    """The attributes that an object keeps itself; a class may claim to have none."""
    for base in bases_of(type(value)):
        getter = dict_of(base).get("__dict__")
        if isinstance(getter, types.GetSetDescriptorType):
            found = getter.__get__(value)
            return found if type(found) is dict else {}
    return {}


def _own(found: Any, value: Any, name: str) -> Any:
    """What a class holds under a name, as far as it is a value and not something that computes."""
    kind = type(found)
    if is_one(kind, types.MemberDescriptorType) and value is not None:
        try:
            return found.__get__(value)  # a slot
        except AttributeError:
            raise NotNamed(f"{name} is not set.") from None
    if is_one(kind, staticmethod, classmethod):
        return found.__func__
    computes = any("__get__" in dict_of(base) for base in bases_of(kind))
    if computes and not is_one(kind, types.FunctionType):
        raise NotNamed(f"{name} is computed when it is read; use run_code if it is safe to run.")
    return found


def _present(found: Any, value: Any, name: str) -> Any:
    if found is _ABSENT:
        raise NotNamed(f"{type_name(value)} keeps no {label(name)!r} that can be read.")
    return found


_TABLES = frozenset(
    ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch",
     "xarray.Dataset")
)  # fmt: skip


def _item(value: Any, key: Any) -> Any:
    kind = type(value)
    known = family(kind)
    try:
        if issubclass(kind, dict):
            return _present(dict.get(value, key, _ABSENT), value, key)
        if issubclass(kind, (list, tuple)) and type(key) is int:
            base: Any = list if issubclass(kind, list) else tuple
            return base.__getitem__(value, key)
        if known == "pandas.DataFrame":
            for at, one in enumerate(list(value.columns)):
                if type(one) is type(key) and label(one, 200) == label(key, 200):
                    return value.iloc[:, at]
            return _present(_ABSENT, value, key)
        if known == "polars.DataFrame":
            names = list(value.columns)
            return (
                value.to_series(names.index(key)) if key in names else _present(_ABSENT, value, key)
            )
        if known in ("pyarrow.Table", "pyarrow.RecordBatch"):
            at = value.schema.get_field_index(key) if type(key) is str else -1
            return value.column(at) if at >= 0 else _present(_ABSENT, value, key)
        if known == "xarray.Dataset" and type(key) is str:
            return value[key] if key in value.variables else _present(_ABSENT, value, key)
        if known == "numpy.ndarray" or (known == "torch.Tensor" and type(key) is int):
            return value[key]
        if known in ("pandas.Series", "polars.Series") and type(key) is int:
            raise NotNamed(f"Inspect the {type_name(value)} itself; its head is shown.")
    except (IndexError, TypeError, KeyError):
        raise NotNamed(f"{type_name(value)} has no item {key!r}.") from None
    raise NotNamed(f"Items of {type_name(value)} cannot be looked into; use run_code.")

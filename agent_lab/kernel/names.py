"""Tell what became of the names in memory since an earlier look, without keeping any value alive.

A snapshot holds for each name who the value was and what it looked like from outside: never the
value. It sees rebinding, and of changes in place those of length, shape, dtype, columns and of a
few items. It does not see a change of other items, or a new value that happens to lie at the
address of the old one and looks the same.
"""

from __future__ import annotations

import sys
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from threading import Lock
from typing import Any

from msgspec import Struct

from agent_lab.kernel.values import family, is_one, label
from agent_lab.kernel.variables import described, mine
from agent_lab.protocol.reports import NameChanges, Variable

SNAPSHOTS = 16
NAMES = 2000
TOLD = 100
"""Names told of in each list; the newest."""
ITEMS = 16

# What has no weak references is told apart by its address and by its value, if that is small.
_EXACT = (bool, int, float, complex, str, bytes)
_LONGEST = 1000


class _Mark(Struct, frozen=True):
    """`reference`: weak, None where the type has none. `look` is what it was like."""

    reference: weakref.ref[Any] | None
    address: int
    kind: str
    look: tuple[Any, ...]
    shape: tuple[int, ...] | None = None


class Snapshots:
    """Of one kernel."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[str, _Mark]] = OrderedDict()
        self._lock = Lock()

    def changes(
        self, since: str, namespace: Mapping[str, Any], hidden: Mapping[str, Any]
    ) -> NameChanges:
        """Since the snapshot that the token `since` stands for; "": only a new token."""
        values = dict(mine(namespace, hidden)[-NAMES:])
        now = {name: _mark(value) for name, value in values.items()}
        token = uuid.uuid4().hex
        with self._lock:
            before = self._kept.get(since)
            self._kept[token] = now
            while len(self._kept) > SNAPSHOTS:
                self._kept.popitem(last=False)
        if before is None:
            return NameChanges(token, forgotten=bool(since))
        bound, rebound, changed = [], [], []
        for name, mark in now.items():
            old = before.get(name)
            if old is None:
                bound.append(described(name, values[name]))
            elif not _same(old, mark, values[name]):
                rebound.append(described(name, values[name]))
            elif old.look != mark.look:
                changed.append(described(name, values[name]))
        gone = [
            Variable(name, mark.kind, "other", shape=mark.shape)
            for name, mark in before.items()
            if name not in now
        ]
        return NameChanges(
            token,
            tuple(bound[-TOLD:]),
            tuple(rebound[-TOLD:]),
            tuple(changed[-TOLD:]),
            tuple(gone[-TOLD:]),
        )


_weak = type.__dict__["__weakrefoffset__"].__get__


def _mark(value: Any) -> _Mark:
    kind = type(value)
    reference = None
    if _weak(kind) and not is_one(kind, *_EXACT):
        try:
            reference = weakref.ref(value)
        except TypeError:
            reference = None
    try:
        look = _look(value)
    except (Exception, SystemExit):  # its type was changed under us: told apart by address alone
        look = ()
    about = look[0] if look and type(look[0]) is tuple else None
    return _Mark(reference, id(value), family(kind).removeprefix("builtins."), look, about)


def _same(old: _Mark, new: _Mark, value: Any) -> bool:
    if old.reference is not None:
        return old.reference() is value
    if old.address == new.address and old.kind == new.kind:
        return True if not _small(new) else old.look == new.look
    # Equal small values are the same to whoever reads them.
    return _small(new) and old.kind == new.kind and old.look == new.look


def _small(mark: _Mark) -> bool:
    return len(mark.look) == 2 and mark.look[0] == "exactly"


def _look(value: Any) -> tuple[Any, ...]:
    """Comparable, small, and holding no part of the value but copies of small plain ones."""
    kind = type(value)
    if value is None or is_one(kind, bool, float, complex):
        return ("exactly", repr(value))
    if kind is int:
        return ("exactly", value if value.bit_length() < 8 * _LONGEST else hash(value))
    if is_one(kind, str, bytes):
        return ("exactly", value if len(value) < 64 else (len(value), hash(value[:_LONGEST])))
    known = family(kind)
    if known in ("numpy.ndarray", "numpy.memmap"):
        few = value[tuple(slice(None, None, max(n // 4, 1)) for n in value.shape)]
        small = few.size <= 1024 and not value.dtype.hasobject
        return (tuple(value.shape), str(value.dtype), hash(few.tobytes()) if small else 0)
    if known == "pandas.DataFrame":
        # Its blocks are replaced when columns are; a look at their first items tells of the rest.
        blocks = tuple(_block(one.values) for one in value._mgr.blocks[:50])
        return (tuple(value.shape), tuple(map(label, value.columns[:50])), blocks)
    if known == "pandas.Series":
        return ((len(value),), str(value.dtype), _block(value._mgr.blocks[0].values))
    if known in ("torch.Tensor", "torch.Parameter"):
        return (tuple(value.shape), str(value.dtype), value._version)
    if known == "polars.DataFrame":
        return (tuple(value.shape), tuple(value.columns[:50]))
    if known in ("pyarrow.Table", "xarray.DataArray"):
        return (tuple(value.shape),)
    for base in (dict, list, tuple, set, frozenset):
        if issubclass(kind, base):
            return ((base.__len__(value),), _few(value, base))
    return ()


def _block(values: Any) -> tuple[Any, ...]:
    kind = type(values)
    if family(kind) != "numpy.ndarray":
        return (id(values), len(values))
    return (id(values), *_look(values))


def _few(value: Any, base: Any) -> int:
    """Which items are at both ends, told by address: nothing of theirs is called."""
    size = base.__len__(value)
    if base is list or base is tuple:
        places = {*range(min(size, ITEMS)), *range(max(size - ITEMS, 0), size)}
        return hash(tuple(id(base.__getitem__(value, at)) for at in sorted(places)))
    if base is dict:
        # The order of a dictionary is that of its making: its end is what is new.
        newest = islice(reversed(dict.items(value)), ITEMS)
        return hash(tuple((id(key), id(one)) for key, one in newest))
    return hash(sys.getsizeof(value)) if is_one(type(value), set, frozenset) else 0

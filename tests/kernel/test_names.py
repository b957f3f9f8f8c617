"""What became of names between two looks, and that a look keeps nothing alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from agent_lab.kernel.names import NAMES, SNAPSHOTS, Snapshots
from agent_lab.protocol.reports import NameChanges


class Thing:
    pass


class Looks:
    """Two looks at one namespace, with something done between them."""

    def __init__(self, **names: Any) -> None:
        self.space: dict[str, Any] = names
        self.snapshots = Snapshots()
        self.token = self.snapshots.changes("", self.space, {}).token

    def again(self) -> NameChanges:
        found = self.snapshots.changes(self.token, self.space, {})
        self.token = found.token
        return found


def names(found: NameChanges) -> dict[str, list[str]]:
    told = {
        kind: [one.name for one in getattr(found, kind)]
        for kind in ("bound", "rebound", "changed", "deleted")
    }
    return {kind: each for kind, each in told.items() if each}


def test_names_that_come_go_and_change_are_told_once() -> None:
    looks = Looks(x=1, frame=pd.DataFrame({"a": [1]}), gone=np.zeros((3, 4)), same="text")
    looks.space |= {"x": 2, "frame": pd.DataFrame({"a": [1]}), "new": [1, 2], "same": "te" + "xt"}
    del looks.space["gone"]
    found = looks.again()
    assert names(found) == {"bound": ["new"], "rebound": ["x", "frame"], "deleted": ["gone"]}
    assert (found.deleted[0].type, found.deleted[0].shape) == ("numpy.ndarray", (3, 4))
    assert found.rebound[0].value == "2"
    assert names(looks.again()) == {}


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1, 2], lambda v: v.append(3)),
        ([1, 2], lambda v: v.__setitem__(0, 9)),
        ({"a": 1}, lambda v: v.update(b=2)),
        ({"a": 1}, lambda v: v.update(a=2)),
        ({1, 2}, lambda v: v.add(3)),
        (np.zeros(10), lambda v: v.fill(1)),
        (np.zeros((3, 3)), lambda v: v.sort() or v.__iadd__(1)),
        (pd.DataFrame({"a": [1, 2]}), lambda v: v.insert(1, "b", 3)),
        (pd.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__("a", [5, 6])),
        (pd.Series([1, 2]), lambda v: v.__setitem__(0, 9)),
        (pl.DataFrame({"a": [1]}), lambda v: v.insert_column(1, pl.Series("b", [2]))),
    ],
)
def test_a_change_in_place_that_shows_is_seen(value: Any, change: Any) -> None:
    looks = Looks(v=value)
    assert names(looks.again()) == {}
    change(value)
    assert names(looks.again()) == {"changed": ["v"]}


def test_a_new_object_that_looks_the_same_is_another() -> None:
    looks = Looks(thing=Thing(), array=np.zeros(3), number=10**6, text="x" * 100)
    looks.space |= {"thing": Thing(), "array": np.zeros(3), "number": 10**6, "text": "x" * 100}
    assert names(looks.again()) == {"rebound": ["thing", "array"]}


def test_a_look_keeps_nothing_alive() -> None:
    thing, array, frame = Thing(), np.zeros(3), pd.DataFrame({"a": [1]})
    alive = [weakref.ref(one) for one in (thing, array, frame)]
    looks = Looks(thing=thing, array=array, frame=frame, inside=[Thing()])
    alive.append(weakref.ref(looks.space["inside"][0]))
    looks.space.clear()
    del thing, array, frame
    gc.collect()
    assert [one() for one in alive] == [None] * 4
    assert names(looks.again()) == {"deleted": ["thing", "array", "frame", "inside"]}


def test_what_is_kept_is_bounded() -> None:
    looks = Looks(x=1)
    first = looks.token
    for _ in range(SNAPSHOTS):
        looks.again()
    assert looks.snapshots.changes(first, looks.space, {}).forgotten
    many = Snapshots()
    space = {f"v{n}": n for n in range(NAMES * 2)}
    token = many.changes("", space, {}).token
    found = many.changes(token, {**space, "new": 1}, {})
    assert [one.name for one in found.bound] == ["new"]


def test_strangers_are_not_asked() -> None:
    class Odd:
        def _asked(self, *_: Any) -> Any:
            raise SystemExit

        __eq__ = __hash__ = __len__ = __repr__ = _asked

    looks = Looks(odd=Odd(), inside=[Odd()], keys={"a": Odd()})
    assert names(looks.again()) == {}
    looks.space["odd"] = Odd()
    assert names(looks.again()) == {"rebound": ["odd"]}

"""What is told of one value, by kind and level; and what never is."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import xarray as xr

from agent_lab.kernel.expression import NotNamed
from agent_lab.kernel.inspection import inspect_variable
from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.reports import Inspection, Level
from agent_lab.protocol.secrets import HIDDEN, LONGEST_COLUMN, MASKED, MOST_COLUMNS, Masks


def inspected(
    value: Any, level: Level = "sample", masks: tuple[str, ...] = (), name: str = "v", **more: Any
) -> Inspection:
    return inspect_variable(name, {"v": value, **more}, level, Masks(masks), lambda: 0.0)


PLAIN: dict[str, Any] = {
    "region": ["North", "South", "North", None],
    "amount": [1.5, 2.5, None, 4.0],
    "good": [True, False, True, True],
}
FRAME = pd.DataFrame(
    {
        "region": ["North", "South", "North", None],
        "amount": [1.5, 2.5, float("nan"), 4.0],
        "day": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", None]),
        "good": [True, False, True, True],
        "kind": pd.Categorical(["a", "b", "a", "a"]),
    }
)


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "table",
    [FRAME, pl.DataFrame(PLAIN), pa.table(PLAIN)],
    ids=["pandas", "polars", "arrow"],
)
def test_a_table_has_its_columns_nulls_statistics_and_first_rows(table: Any) -> None:
    found = inspected(table)
    columns = {one.name: one for one in found.columns}
    assert columns["region"].nulls == 1
    assert dict(columns["region"].statistics)["unique"] == "2"
    assert dict(columns["region"].statistics)["most frequent: North"] == "2"
    assert columns["amount"].nulls == 1
    assert dict(columns["amount"].statistics)["min"] == "1.5"
    assert dict(columns["amount"].statistics)["max"] == "4"
    assert dict(columns["good"].statistics) == {"true": "3", "false": "1"}
    assert found.header[:3] == ("", "region", "amount")
    assert found.rows[0][:3] == ("0", "North", "1.5")
    assert len(found.rows) == 4
    assert found.counted == ""
    assert not found.notes


def test_each_level_tells_more() -> None:
    frame = pd.concat([FRAME] * 30, ignore_index=True)
    schema, summary, sample, full = (
        inspected(frame, level) for level in ("schema", "summary", "sample", "full")
    )
    assert [one.name for one in schema.columns] == list(FRAME.columns)
    assert all(one.nulls is None and not one.statistics for one in schema.columns)
    assert summary.columns[1].nulls == 30
    assert "North" not in repr(summary)
    assert (len(schema.rows), len(summary.rows), len(sample.rows), len(full.rows)) == (0, 0, 5, 50)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(
            {"email": ["a@b.org"], "Password": ["pw1"], "n": [1], "note": ["sk-abcdefgh1"]}
        ),
        pl.DataFrame(
            {"email": ["a@b.org"], "Password": ["pw1"], "n": [1], "note": ["sk-abcdefgh1"]}
        ),
        pa.table({"email": ["a@b.org"], "Password": ["pw1"], "n": [1], "note": ["sk-abcdefgh1"]}),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_masked_columns_and_secrets_are_never_shown(table: Any) -> None:
    for level in ("schema", "summary", "sample", "full"):
        found = inspected(table, level, ("EMAIL",))
        assert not any(one in repr(found) for one in ("a@b", "pw1", "abcdefgh"))
        assert {one.name: one.hidden for one in found.columns} == {
            "email": MASKED, "Password": HIDDEN, "n": "", "note": "",
        }  # fmt: skip
        column = inspected(table, level, ("email",), name="v['email']")
        assert "a@b" not in repr(column)
        assert column.notes == (MASKED,)


def test_a_column_that_was_taken_out_is_still_masked() -> None:
    frame = pd.DataFrame({"email": ["a@b.org"], "n": [1]})
    assert inspected(frame["email"], "full", ("email",)).notes == (MASKED,)
    indexed = inspected(frame.set_index("email"), "full", ("email",))
    assert "a@b" not in repr(indexed)
    assert indexed.rows == (("0", "1"),)


LONG = "the " * 45 + "email"
PAIR = ("person", "email")


@pytest.mark.parametrize(
    ("column", "mask"),
    [("Email", "email"), (LONG, LONG), (PAIR, "email"), (PAIR, "person, email"), (7, "7")],
    ids=["case", "long", "a part", "its parts", "a number"],
)
def test_a_column_is_masked_by_its_whole_name_in_its_table_and_out_of_it(
    column: Any, mask: str
) -> None:
    frame = pd.DataFrame([["a@b.org", 1]], columns=pd.Index([column, "n"], tupleize_cols=False))
    table = inspected(frame, "full", (mask,))
    assert [one.hidden for one in table.columns] == [MASKED, ""]
    column_alone = frame.iloc[:, 0]
    assert inspected(column_alone, "full", (mask,)).notes == (MASKED,)
    indexed = inspected(frame.set_index(column), "full", (mask,))
    for found in (table, inspected(column_alone, "full", (mask,)), indexed):
        assert "a@b" not in repr(found)
    if type(column) is str:
        alone = inspected(pl.Series(column, ["a@b.org"]), "full", (mask,))
        assert alone.notes == (MASKED,)
        assert "a@b" not in repr(alone)
        for other in (pl.DataFrame({column: ["a@b.org"]}), pa.table({column: ["a@b.org"]})):
            assert "a@b" not in repr(inspected(other, "full", (mask,)))
    assert "a@b" in repr(inspected(frame.iloc[:, 0], "full"))


def test_as_many_and_as_long_masks_as_the_dial_takes_and_no_more() -> None:
    names = [f"c{number}".ljust(LONGEST_COLUMN, "x") for number in range(MOST_COLUMNS)]
    for name in (names[0], names[-1]):
        assert inspected(pd.Series(["a@b.org"], name=name), "full", tuple(names)).notes == (MASKED,)
    for refused in ([*names, "one"], ["x" * (LONGEST_COLUMN + 1)], [""]):
        with pytest.raises(Invalid, match="200"):
            Masks(refused)


def test_of_a_large_table_a_sample_is_read_in_time() -> None:
    frame = pd.DataFrame(
        np.arange(30_000_000.0).reshape(-1, 30), columns=[f"c{n}" for n in range(30)]
    )
    began = time.perf_counter()
    found = inspect_variable("v", {"v": frame}, "full", Masks())
    assert time.perf_counter() - began < 1  # 100 ms of its own, on a machine that others use
    assert found.counted.startswith("a sample: 4")
    assert found.counted.endswith("of 1000000 rows")
    assert found.columns[0].nulls == 0


def test_a_wide_table_is_bounded() -> None:
    found = inspected(pd.DataFrame(np.zeros((2, 5000))))
    assert (len(found.columns), found.columns_left) == (200, 4800)
    assert len(found.rows[0]) == 31


def test_when_the_time_is_over_the_rest_is_named() -> None:
    ticks = iter(range(1000))
    found = inspect_variable("v", {"v": FRAME}, "sample", Masks(), lambda: next(ticks) / 30)
    assert [one.name for one in found.columns] == list(FRAME.columns)
    assert found.columns[-1].nulls is None
    assert "took too long" in found.notes[0]


# ---------------------------------------------------------------- arrays


def test_an_array_has_statistics_and_a_head() -> None:
    found = inspected(np.array([[1.0, float("nan")], [float("inf"), 4.0]]))
    assert dict(found.statistics) == {
        "min": "1", "max": "4", "infinite": "1", "mean": "2.5", "std": "1.5", "nulls": "1",
    }  # fmt: skip
    assert found.rows == (("0", "1.0", "nan"), ("1", "inf", "4.0"))


def test_a_giant_array_is_not_copied() -> None:
    big = np.lib.stride_tricks.as_strided(np.ones(1), (10**6, 10**6), (0, 0))  # 8 TB if copied
    found = inspected(big)
    assert found.counted.startswith("a sample: ")
    assert dict(found.statistics)["mean"] == "1"


@pytest.mark.parametrize(
    "array",
    [
        np.array([]), np.array(3), np.zeros((0, 5)), np.array(["a", "b"]), np.array([1 + 2j]),
        np.array(["2026-01-01"], "M8[D]"), np.array([1, "a", None, object()], object),
        np.zeros(2, [("a", "i4"), ("b", "f8")]), np.zeros((2, 3, 4, 5), "f2"),
        np.array([2**64 - 1], "u8"), np.array([10**400, 1], object), np.array([1], "g"),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)  # fmt: skip
def test_every_dtype_is_told(array: Any) -> None:
    for level in ("schema", "full"):
        found = inspected(array, level)
        assert found.variable.kind == "array"
        assert not found.notes


def test_memory_on_disk_is_read_at_its_beginning(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "m", shape=(100, 100_000), mode="w+")
    assert inspected(mapped).counted == "the first 20000 of 10000000 items"


def test_a_series_and_its_strange_dtypes() -> None:
    found = inspected(pd.Series([1, None, 3], dtype="Int64", name="n"))
    assert dict(found.statistics)["nulls"] == "1"
    assert [row[1] for row in found.rows] == ["1", "<NA>", "3"]
    assert (
        inspected(pd.Series(pd.period_range("2026", periods=3, freq="D"))).rows[0][1]
        == "2026-01-01"
    )
    assert inspected(pl.Series([1, 2, None])).rows == (("0", "1"), ("1", "2"), ("2", "None"))


def test_xarray_is_told_and_not_loaded(tmp_path: Any) -> None:
    array = xr.DataArray(
        np.ones((2, 3)), dims=("x", "y"), coords={"x": [1, 2]}, attrs={"unit": "m"}
    )
    found = inspected(array)
    assert ("dimension x", "2") in found.items
    assert ("attribute unit", "m") in found.items
    assert dict(found.statistics)["mean"] == "1"
    data = inspected(xr.Dataset({"t": array}))
    assert [one.name for one in data.columns] == ["x", "t"]
    assert dict(inspected(xr.Dataset({"t": array}), name="v['t']").statistics)["max"] == "1"


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    weights = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    found = inspected(weights)
    assert dict(found.statistics)["max"] == "5"
    assert dict(found.items) == {"device": "cpu", "requires_grad": "True"}
    assert inspected(torch.ones(3, dtype=torch.bfloat16)).rows[0] == ("0", "1.0")
    for other in (torch.ones(3).to_sparse(), torch.ones(3, device="meta")):
        assert "not read" in inspected(other).notes[0]
    assert inspected(torch.ones(10**6)).counted.startswith("a sample")


# ---------------------------------------------------------------- plain Python


def test_texts() -> None:
    long = "word\n" * 100_000
    assert dict(inspected(long, "summary").statistics) == {
        "characters": "500000",
        "lines": "100001",
    }
    assert (inspected(long, "summary").text, len(inspected(long).text)) == ("", 400)
    assert len(inspected(long, "full").text) == 20_000
    assert inspected(b"abc").statistics == (("bytes", "3"),)
    secret = inspected("url = 'postgres://me:hunter2@host/db'", "full").text
    assert "hunter2" not in secret
    assert "postgres://me:" in secret


def test_collections_are_told_by_type() -> None:
    nested = {"rows": [{"a": 1}, {"a": 2}], "password": "hunter2", 5: FRAME}
    found = inspected(nested)
    items = dict(found.items)
    assert items["rows"] == "list of 2 (dict of int, dict of int)"
    assert items["password"] == f"str, {HIDDEN}"
    assert items["5"] == "pandas.DataFrame 4 by 5"
    assert "hunter2" not in repr(inspected(nested, "full"))
    assert inspected(Pair(1, "x")).items == (("left", "1"), ("right", "'x'"))
    assert inspected(list(range(10**6))).counted == "a sample: 20000 of 1000000 items"
    assert dict(inspected([1, 2, 3]).statistics)["mean"] == "2"
    endless: list[Any] = []
    endless.append(endless)
    assert inspected(endless).items[0][0] == "[0]"
    assert "secret-key" not in repr(inspected({"secret-key-of-a-person": 1}, "summary"))


def test_functions_classes_and_modules() -> None:
    def area(width: int, height: int = 2, *more: int, unit: str = "m", **rest: int) -> int:
        """How large it is."""
        return width * height  # the source

    found = inspected(area)
    assert found.signature == "area(width, height=2, *more, unit='m', **rest)"
    assert found.text == "How large it is."
    assert "# the source" in found.source
    assert not inspected(area, "schema").source
    shape = inspected(Shape)
    assert shape.signature == "Shape(self, side)"
    assert shape.source.startswith("class Shape:")
    assert shape.source.rstrip().endswith("return self.side**2")
    assert dict(inspected(np).items)["version"] == np.__version__


class Pair(NamedTuple):
    left: int
    right: str


class Shape:
    """A square."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.api_key = "hunter2"

    @property
    def computed(self) -> int:
        raise AssertionError("must not run")

    def area(self) -> int:
        return self.side**2


def test_an_object_tells_what_it_keeps() -> None:
    found = inspected(Shape(3))
    assert found.items == (("side", "3"), ("api_key", f"str, {HIDDEN}"))
    assert "methods: area" in found.notes

    @dataclasses.dataclass(slots=True)
    class Point:
        x: int
        y: int

    assert inspected(Point(1, 2)).items == (("x", "1"), ("y", "2"))


# ---------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("v.side", "3"), ("d['k'][1]", "2"), ("d['k'][-1]", "2"), ("f.amount[0]", None),
        ("f['n']", ""), ("f.n", ""), ("o['a']", "1"), ("a[0, 1]", "2.0"), ("m.sub.x", "5"),
    ],
)  # fmt: skip
def test_an_expression_without_calls_names_a_value(expression: str, value: str | None) -> None:
    sub = ModuleType("sub")
    sub.x = 5  # type: ignore[attr-defined]
    module = ModuleType("m")
    module.sub = sub  # type: ignore[attr-defined]
    space = {
        "v": Shape(3), "d": {"k": [1, 2]}, "f": pd.DataFrame({"n": [1], "amount": [2]}),
        "o": OrderedDict(a=1), "a": np.array([[1.0, 2.0]]), "m": module,
    }  # fmt: skip
    if value is None:
        with pytest.raises(NotNamed):
            inspect_variable(expression, space, "full", Masks())
        return
    found = inspect_variable(expression, space, "full", Masks())
    assert (found.variable.name, found.variable.value) == (expression, value)


@pytest.mark.parametrize(
    "expression",
    ["v()", "v.area()", "v.computed", "missing", "v[0]", "v + 1", "1", "", "v if 1 else 2",
     "[v]", "v[v]", "lambda: v", "v.__class__", "v.nothing", "(" * 300, "x" * 600, "counts['new']"],
)  # fmt: skip
def test_what_would_run_is_refused(expression: str) -> None:
    counts: Any = defaultdict(int)
    with pytest.raises(NotNamed):
        inspect_variable(expression, {"v": Shape(1), "counts": counts}, "full", Masks())
    assert not counts


def test_a_near_name_is_offered() -> None:
    with pytest.raises(NotNamed, match="There is frame"):
        inspect_variable("fraem", {"frame": 1}, "sample", Masks())


# ---------------------------------------------------------------- what must not happen


ARMED = False
ASKED: list[int] = []


def _asked(*_: Any) -> Any:
    """Libraries and pytest ask while the values are made: only then is it answered."""
    if ARMED:
        ASKED.append(1)
        raise SystemExit("it was asked")
    return 1


class Meta(type):
    __eq__ = __repr__ = __instancecheck__ = __call__ = _asked
    __hash__ = _asked
    __module__ = property(_asked)


class Hostile:
    """Whatever of it is asked fails the test."""

    __eq__ = __bool__ = __call__ = _asked
    __hash__ = _asked

    def __repr__(self) -> str:
        return str(_asked())

    def __getattribute__(self, name: str) -> Any:
        _asked()
        return object.__getattribute__(self, name)


class HostileDict(dict[str, Any]):
    __len__ = __iter__ = __getitem__ = __bool__ = _asked
    keys = items = values = get = __contains__ = _asked


@pytest.fixture
def armed() -> Iterator[Callable[[], None]]:
    def arm() -> None:
        global ARMED
        ARMED = True

    ASKED.clear()
    yield arm
    globals()["ARMED"] = False


STRANGERS: dict[str, Callable[[], Any]] = {
    "object": Hostile,
    "list": lambda: [Hostile()],
    "dict": lambda: {"a": Hostile()},
    "keys": lambda: {Hostile(): 1},
    "tuple": lambda: (Hostile(),),
    "subclass": lambda: HostileDict(a=Hostile()),
    "class": lambda: Hostile,
    "metaclass": lambda: Meta("Odd", (), {"a": 1}),
    "instance": lambda: object.__new__(type.__call__(Meta, "Odd", (), {})),
    "attribute": lambda: Shape(Hostile()),  # type: ignore[arg-type]
    "frame": lambda: pd.DataFrame({"a": [Hostile(), Hostile()]}),
    "labels": lambda: pd.DataFrame([[1]], columns=pd.Index([Hostile()], dtype=object)),
    "array": lambda: np.array([Hostile()], object),
    "series": lambda: pd.Series([Hostile()]),
    "polars": lambda: pl.Series([Hostile()], dtype=pl.Object),
    "default": lambda: lambda a=Hostile(): a,  # noqa: B008
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_nothing_of_a_stranger_runs(kind: str, armed: Callable[[], None]) -> None:
    value = STRANGERS[kind]()
    armed()
    found = [inspected(value, level) for level in ("schema", "summary", "sample", "full")]
    globals()["ARMED"] = False
    assert not ASKED
    assert not [note for one in found for note in one.notes if "could" in note]


def test_lazy_things_are_not_collected(tmp_path: Any) -> None:
    asked = []

    def ask(frame: Any) -> Any:
        asked.append(frame)
        return frame

    lazy = pl.LazyFrame({"a": [1]}).map_batches(ask)
    assert inspected(lazy).notes[0].startswith("lazy:")
    file = tmp_path / "gone.csv"
    file.write_text("a\n1\n")
    scan = pl.scan_csv(file)
    file.unlink()
    assert inspected(scan).notes[0].startswith("lazy:")
    assert not asked


def test_the_library_may_be_broken_by_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("patched")

    for name in ("mean", "isnan", "min", "max", "percentile"):
        monkeypatch.setattr(np, name, broken)
    for name in ("head", "describe", "isna", "__repr__", "mean", "memory_usage"):
        monkeypatch.setattr(pd.DataFrame, name, broken)
    monkeypatch.setattr(pd, "isna", broken)
    assert dict(inspected(np.arange(3.0)).statistics)["mean"] == "1"
    assert inspected(FRAME).columns[0].nulls == 1
    assert len(inspected(FRAME).rows) == 4
    monkeypatch.setattr(np, "array", broken)  # pandas itself needs it
    assert "could be read: RuntimeError" in inspected(FRAME).notes[0]


def test_nothing_is_warned_of_and_no_state_changes() -> None:
    hostile = pd.DataFrame({"a": [float("nan")] * 3, "b": [float("inf"), -float("inf"), 0]})
    before = (np.random.get_state()[1].tolist(), np.geterr(), list(warnings.filters))  # type: ignore[index]
    options = {name: pd.get_option(name) for name in ("display.max_rows", "display.precision")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (hostile, hostile["a"], hostile.to_numpy(), np.array([1e308, 1e308, 1e308])):
            assert not inspected(value, "full").notes
    assert before == (np.random.get_state()[1].tolist(), np.geterr(), list(warnings.filters))  # type: ignore[index]
    assert options == {name: pd.get_option(name) for name in options}

"""The account of what happened since, as a function of facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent_lab.notebook.dial import Dial
from agent_lab.notebook.facts import MOST_FACTS, Name, Names, Record
from agent_lab.notebook.since import (
    CellNow,
    Files,
    Since,
    edited_cells,
    item,
    merged,
    since,
    words,
)

BEGAN = datetime(2026, 1, 5, 10, tzinfo=UTC)
FULL = Dial("full")


def ran(record: Record, code: str, count: int, failure: str = "", user: str = "") -> None:
    message = f"{code}{count}"
    record.began(message, code, count, BEGAN, "tab", user)
    if failure:
        record.failed(message, "ValueError", failure)
    record.ended(message, BEGAN + timedelta(seconds=1.5))


def test_nothing_happened_says_nothing() -> None:
    record = Record()
    assert not since(record, 0, "s")
    assert item(since(record, 0, "s"), FULL, "a.ipynb") is None
    ran(record, "a = 1", 1)
    assert not since(record, record.position, "s")


def test_a_run_that_ended_since_is_told_again() -> None:
    record = Record()
    record.began("m", "fit()", 1, BEGAN, "tab", "")
    assert "still running" in words(since(record, 0, "s"), FULL)
    position = record.position
    assert not since(record, position, "s")
    record.ended("m", BEGAN + timedelta(minutes=5))
    assert words(since(record, position, "s"), FULL) == (
        "cells run, newest last:\n  [1] ok 5 min: fit()"
    )


def test_what_ran_before_a_restart_is_only_counted() -> None:
    record = Record()
    ran(record, "a = 1", 1)
    record.named((Name("a", "int"),), (), ())
    record.began("m", "forever()", 2, BEGAN, "tab", "")
    record.happened("restarted", BEGAN)
    ran(record, "b = 1", 1)
    record.named((Name("b", "int"),), (), ())
    text = words(since(record, 0, "s"), FULL)
    assert text.splitlines() == [
        "The kernel was restarted at 10:00:00 UTC: nothing from before is in its memory.",
        "cells run before that: 2",
        "cells run, newest last:",
        "  [1] ok 1.5 s: b = 1",
        "new names: b (int)",
    ]


def test_differences_are_joined() -> None:
    x, y, z, w = (Name(name, "int") for name in "xyzw")
    facts = [
        Names(1, bound=(x, y), rebound=(z,), deleted=(w,)),
        Names(2, bound=(w,), rebound=(x,), deleted=(y, z)),
    ]
    assert merged(facts) == ((x,), (w,), (z,))


def test_names_that_only_an_agent_bound_are_not_told() -> None:
    record = Record()
    ran(record, "a = 1", 1, user="agent_lab")
    record.named((Name("a"),), (), ())
    assert not since(record, 0, "s")
    ran(record, "b = 1", 2, user="agent_lab")
    ran(record, "c = 1", 3)
    record.named((Name("b"), Name("c")), (), ())
    assert "new names: b, c" in words(since(record, 0, "s"), FULL)


@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [
        ("off", "files changed: f.csv", ["ran", "a = 1", "frame", "secret value", "c1"]),
        ("schema", "frame (DataFrame 3\u00d72)", ["secret value"]),
        ("summary", "ValueError: secret value", []),
    ],
)
def test_the_dial_holds(level: str, shown: str, hidden: list[str]) -> None:
    record = Record()
    ran(record, "a = 1", 1, "secret value")
    record.named((Name("frame", "DataFrame", (3, 2)),), (), ())
    account = since(record, 0, "s")
    account = Since(
        runs=account.runs, bound=account.bound, files=Files(changed=("f.csv",)),
        edited=(("c1", 1),),
    )  # fmt: skip
    made = item(account, Dial(level), "a.ipynb")  # type: ignore[arg-type]  # a level's name
    assert made is not None
    assert shown in made.text
    for words_ in hidden:
        assert words_ not in made.text + made.label


def test_it_stays_small_whatever_happened() -> None:
    record = Record()
    for number in range(1, 3000):
        ran(record, f"x{'é' * 500} = {number}\ny", number, "é" * 900)
        record.named(
            (Name(f"n{number}" + "é" * 300, "t" * 300, (1,) * 50),), (), (Name("d" * 400),)
        )
    files = tuple(f"{number}/{'é' * 300}" for number in range(1000))
    told = since(record, 0, "s")
    assert told.missed
    assert len(record.facts()) == MOST_FACTS
    account = Since(
        notes=("n" * 300,) * 9, runs=told.runs, missed=True, bound=told.bound,
        deleted=told.deleted, files=Files(files, files, files),
        edited=tuple((f"c{n}", n) for n in range(100)),
    )  # fmt: skip
    text = words(account, FULL)
    assert 500 < len(text.encode()) <= 2000


def test_control_characters_of_code_and_names_are_inert() -> None:
    record = Record()
    ran(record, "print('\x1b]52;c;x\x07')\u202e", 1)
    text = words(since(record, 0, "s"), FULL)
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_a_gap_in_the_counts_is_said() -> None:
    record = Record()
    ran(record, "a", 7)
    assert not since(record, 0, "s").missed  # it began before it was watched
    ran(record, "b", 8)
    ran(record, "c", 11)
    assert "more cells ran than could be followed" in words(since(record, 0, "s"), FULL)


def test_cells_are_matched_by_count_or_by_what_a_tab_told() -> None:
    record = Record()
    ran(record, "a = 1", 1)
    ran(record, "b = 1", 2)
    record.belongs("b = 12", cell_id="c2")
    cells = [
        CellNow("c1", "a = 1\n", 1),
        CellNow("c2", "b = 2", None),
        CellNow("c3", "new", None),
        CellNow("c4", "of another life", 9),
    ]
    assert edited_cells(record, cells) == [("c2", 2)]
    assert edited_cells(record, [CellNow("c1", "a = 2", 1)]) == [("c1", 1)]
    record.happened("restarted", BEGAN)
    assert edited_cells(record, [CellNow("c1", "a = 2", 1)]) == []

"""Describe a list of plain values in words. Pure, and our own arithmetic: what the person rebinds
in numpy or pandas does not reach it, it warns of nothing and starts no threads."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from agent_lab.kernel.values import cut, family, is_one, missing, plain

Pairs = tuple[tuple[str, str], ...]


class Described(Struct, frozen=True):
    """`top`: the most frequent texts, which are values, so only for those who may see rows."""

    nulls: int
    statistics: Pairs
    top: Pairs = ()


def describe(values: Iterable[Any]) -> Described:
    """Of what is neither a number, a text nor a time, only the count is told."""
    nulls, numbers, texts, times, booleans = 0, [], [], [], []
    for one in values:
        kind = type(one)
        if kind is float or kind is int:
            if one != one:
                nulls += 1
            else:
                numbers.append(one)
        elif kind is str:
            texts.append(one)
        elif kind is bool:
            booleans.append(one)
        elif missing(one):
            nulls += 1
        elif is_one(kind, datetime.datetime, datetime.date, datetime.timedelta) or family(kind) in (
            "pandas.Timestamp",
            "pandas.Timedelta",
        ):
            times.append(one)
    statistics: list[tuple[str, str]] = []
    top: Pairs = ()
    if numbers:
        statistics += _of_numbers(numbers)
    if booleans:
        statistics += [("true", str(sum(booleans))), ("false", str(len(booleans) - sum(booleans)))]
    if texts:
        counts = Counter(texts)
        lengths = [len(one) for one in counts]
        statistics += [
            ("unique", str(len(counts))),
            ("shortest", str(min(lengths))),
            ("longest", str(max(lengths))),
        ]
        top = tuple((cut(plain(one) or "", 60), str(n)) for one, n in counts.most_common(5))
    if times:
        statistics += _of_times(times)
    return Described(nulls, tuple(statistics), top)


def _of_numbers(numbers: Sequence[float]) -> list[tuple[str, str]]:
    infinite = 0
    finite = numbers
    if any(type(one) is float and math.isinf(one) for one in numbers):
        finite = [one for one in numbers if not math.isinf(one)]
        infinite = len(numbers) - len(finite)
    said = [("infinite", str(infinite))] if infinite else []
    if not finite:
        return said
    ordered = sorted(finite)
    mean = _mean(ordered)
    said = [("min", number(ordered[0])), ("max", number(ordered[-1])), *said]
    if mean is not None:
        spread = _mean([(one - mean) ** 2 for one in ordered]) if _small(ordered) else None
        said.append(("mean", number(mean)))
        if spread is not None:
            said.append(("std", number(math.sqrt(spread))))
    if len(ordered) > 3:
        last = len(ordered) - 1
        said += [(f"{share}%", number(ordered[last * share // 100])) for share in (25, 50, 75)]
    return said


def _small(ordered: Sequence[float]) -> bool:
    """Squares of these are still numbers."""
    return max(abs(ordered[0]), abs(ordered[-1])) < 1e150


def _mean(numbers: Sequence[float]) -> float | None:
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return None


def _of_times(times: Sequence[Any]) -> list[tuple[str, str]]:
    try:
        return [("first", str(min(times))), ("last", str(max(times)))]
    except TypeError:  # with and without a time zone
        return []


def number(value: float) -> str:
    """Six digits say what a number is like; whole ones are told whole."""
    if type(value) is int:
        return plain(value) or ""
    return f"{value:.6g}"

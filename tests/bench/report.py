"""What a measure hands back, and how it is printed: figure, baseline, here, target, verdict."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

How = Literal["itself", "added", "ratio"]
WIDTHS = (48, 18, 18, 17, 14)
HEADINGS = ("figure", "baseline", "here", "compared", "target")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    `here` and `baseline` have the same unit; `how` says what of them is held against `target`:
    `here` itself, what it adds to the baseline, or its ratio to it. `target` None: for information.
    """

    what: str
    here: float
    unit: str
    how: How = "itself"
    baseline: float | None = None
    baseline_is: str = ""
    target: float | None = None
    at_least: bool = False
    digits: int = 2
    note: str = ""

    @property
    def compared(self) -> float:
        if self.baseline is None or self.how == "itself":
            return self.here
        return self.here - self.baseline if self.how == "added" else self.here / self.baseline

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        over = self.compared >= self.target
        return over if self.at_least else self.compared <= self.target

    def row(self) -> str:
        def amount(value: float, sign: str = "") -> str:
            return f"{value:{sign},.{self.digits}f} {self.unit}".rstrip()

        compared = {
            "itself": "",
            "added": amount(self.compared, "+"),
            "ratio": f"{self.compared:.2f} x",
        }[self.how if self.baseline is not None else "itself"]
        bound = "≥" if self.at_least else "≤"
        target = ""
        if self.target is not None:
            plus = "+" if self.how == "added" else ""
            wanted = f"{self.target:.2f} x" if self.how == "ratio" else amount(self.target)
            target = f"{bound} {plus}{wanted}"
        verdict = {True: "reached", False: "NOT reached", None: ""}[self.reached]
        cells = (
            self.what,
            "" if self.baseline is None else amount(self.baseline),
            amount(self.here),
            compared,
            target,
        )
        line = columns(cells) + verdict
        against = f"baseline: {self.baseline_is}" if self.baseline_is else ""
        notes = "; ".join(filter(None, (against, self.note)))
        return line.rstrip() + (f"\n    {notes}" if notes else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "figure": self.what,
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_is": self.baseline_is,
            "here": self.here,
            "how": self.how,
            "compared": self.compared,
            "target": self.target,
            "reached": self.reached,
            "note": self.note,
        }


def columns(cells: Sequence[str]) -> str:
    """The cells in their columns; one that is too long pushes the rest to the right."""
    return "".join(f"{cell:<{width}} " for cell, width in zip(cells, WIDTHS, strict=True))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` per cent of the values do not exceed. Raises ValueError without any."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part / 100 * (len(ordered) - 1)))]

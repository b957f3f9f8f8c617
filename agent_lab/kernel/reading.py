"""How much of a value may be read and told: the level, the masks, the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import structs

from agent_lab.kernel.statistics import describe
from agent_lab.kernel.values import cut, label, plain, type_name
from agent_lab.protocol.reports import Inspection, Level
from agent_lab.protocol.secrets import LONGEST_COLUMN, Masks

MOST = 20_000
"""Items read for statistics."""
SAMPLE, FULL = 5, 50
"""Rows shown."""
CELL, LONG_CELL = 60, 400
"""Characters of a cell."""


class Reading:
    """One look. `late()` is True when its time is used up."""

    def __init__(self, level: Level, masks: Masks, late: Callable[[], bool]) -> None:
        self.masks = masks
        self.late = late
        self.summary = level != "schema"
        self.sample = level in ("sample", "full")
        self.full = level == "full"
        self.rows = FULL if self.full else SAMPLE if self.sample else 0
        self.most = MOST
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def why(self, name: Any) -> str:
        """What is shown instead of the values of a column, a series or an index of this name, whole
        as it is; "" when they may be shown. Of a name of several parts each one hides them."""
        parts = name if type(name) is tuple else ()
        known = (label(one, LONGEST_COLUMN) for one in (name, *parts) if one is not None)
        return next(filter(None, map(self.masks.why, known)), "")

    def cell(self, value: Any) -> str:
        """A value among others; of what is not plain its type."""
        text = plain(value)
        if text is None:
            return f"<{type_name(value)}>"
        return cut(text, LONG_CELL if self.full else CELL)

    def row(self, values: Iterable[Any]) -> tuple[str, ...]:
        return tuple(self.cell(one) for one in values)

    def column(
        self, inspection: Inspection, values: Sequence[Any], size: int, unit: str
    ) -> Inspection:
        """The statistics of one run of values, of which there are `size`."""
        found = describe(values)
        nulls = (("nulls", str(found.nulls)),) if found.nulls else ()
        top = tuple((f"most frequent: {text}", count) for text, count in found.top)
        return structs.replace(
            inspection,
            statistics=(*found.statistics, *nulls, *(top if self.sample else ())),
            counted=self.counted(len(values), size, unit),
        )

    @staticmethod
    def counted(read: int, size: int, unit: str) -> str:
        return f"a sample: {read} of {size} {unit}" if read < size else ""

"""What a measure is given and where it is registered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .report import Figure

_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """One run of one measure: a scratch folder of its own, and how thorough to be."""

    folder: Path
    quick: bool

    def room(self, name: str) -> Path:
        """A folder of that name below the run's, made if missing."""
        room = self.folder / name
        room.mkdir(parents=True, exist_ok=True)
        return room

    def pick(self, full: _T, quick: _T) -> _T:
        return quick if self.quick else full


Measure = Callable[[Run], AsyncIterator[Figure]]
"""Gives its figures as they become known. Raises servers.Missing."""

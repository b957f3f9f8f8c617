"""Look at a session's folder: which files changed, and the cells of a notebook's file.

Reads the disk within bounds: call in a thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from agent_lab.notebook.since import CellNow, Files
from agent_lab.protocol.events import Json

MOST_FILES = 5000
SCAN_SECONDS = 0.3
"""A folder with more files, or on a slower disk, is not told of: half a list would be wrong."""
MOST_NOTEBOOK_BYTES = 16 << 20
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}
_OWN_SUFFIXES = (".ipynb", ".pyc", ".swp", "~")
"""Notebooks are told of by cells; the others are by-products."""

Snapshot: TypeAlias = Mapping[str, tuple[int, int]]
"""Modification time (ns) and size of each file, by its path relative to the folder."""


def snapshot(cwd: Path) -> Snapshot | None:
    """None: there is too much to look at."""
    until = time.monotonic() + SCAN_SECONDS
    found: dict[str, tuple[int, int]] = {}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(cwd / place) as entries:
                for entry in entries:
                    name = entry.name
                    path = f"{place}{name}"
                    if name.startswith(".") or name in _SKIPPED:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{path}/")
                    elif entry.is_file() and not name.endswith(_OWN_SUFFIXES):
                        state = entry.stat()
                        found[path] = (state.st_mtime_ns, state.st_size)
        except OSError:
            continue
        if len(found) > MOST_FILES or time.monotonic() > until:
            return None
    return found


def difference(before: Snapshot, after: Snapshot) -> Files:
    return Files(
        changed=tuple(sorted(p for p, state in after.items() if before.get(p, state) != state)),
        added=tuple(sorted(after.keys() - before.keys())),
        deleted=tuple(sorted(before.keys() - after.keys())),
    )


class _Cell(Struct):
    cell_type: str = ""
    id: str = ""
    source: str | list[str] = ""
    execution_count: int | None = None


class _Notebook(Struct):
    cells: list[_Cell] = []


_decode = msgspec.json.Decoder(_Notebook).decode


def _code_cells(cells: Iterable[_Cell]) -> list[CellNow]:
    return [
        CellNow(
            cell.id,
            cell.source if isinstance(cell.source, str) else "".join(cell.source),
            cell.execution_count,
        )
        for cell in cells
        if cell.cell_type == "code"
    ]


def code_cells(told: Sequence[Json]) -> list[CellNow]:
    """Of cells in nbformat's JSON; empty where they are no such thing."""
    try:
        return _code_cells(msgspec.convert(told, list[_Cell]))
    except msgspec.ValidationError:
        return []


class NotebookFiles:
    """The code cells of notebooks' files, read anew when a file has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], list[CellNow]]] = {}

    def cells(self, file: Path) -> list[CellNow]:
        """Empty where the file cannot be read, or is too large to be read each time."""
        try:
            state = file.stat()
            mark = (state.st_mtime_ns, state.st_size)
            known = self._known.get(file)
            if known is not None and known[0] == mark:
                return known[1]
            if state.st_size > MOST_NOTEBOOK_BYTES:
                return []
            read = _decode(file.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeError):
            return []
        cells = _code_cells(read.cells)
        if len(self._known) > 50:
            self._known.clear()
        self._known[file] = (mark, cells)
        return cells

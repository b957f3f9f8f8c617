"""The files of a session's folder, for completion: listed with git's own idea of what is ignored.

Reads the disk: call in a thread.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from msgspec import Struct

MOST_FILES = 20_000
LIST_SECONDS = 2.0
"""How long listing may take; what was found by then is offered."""
FRESH_SECONDS = 5.0
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}


class File(Struct, frozen=True):
    """`path` is relative to the session's folder, with slashes."""

    path: str
    kind: Literal["file", "folder"]


class FileIndex:
    """Remembers the listing of a folder while somebody types."""

    def __init__(self) -> None:
        self._listed: dict[Path, tuple[float, list[File]]] = {}

    def search(self, cwd: Path, q: str, limit: int) -> list[File]:
        """The files and folders whose path has the letters of `q` in this order, best first."""
        listed, is_new = self._files(cwd, FRESH_SECONDS)
        found = _best(listed, q, limit)
        if not found and not is_new:  # perhaps it was made a moment ago
            found = _best(self._files(cwd, 0.0)[0], q, limit)
        return found

    def _files(self, cwd: Path, age: float) -> tuple[list[File], bool]:
        """The listing of a folder, at most so many seconds old; and whether it was made now."""
        now = time.monotonic()
        known = self._listed.get(cwd)
        if known is not None and known[0] >= now - age:
            return known[1], False
        self._listed = {k: v for k, v in self._listed.items() if v[0] > now - FRESH_SECONDS}
        listed = list(_list(cwd))
        self._listed[cwd] = (now, listed)
        return listed, True


def _best(files: list[File], q: str, limit: int) -> list[File]:
    words = q.lower()
    ranked = ((rank, file) for file in files if (rank := _rank(file.path, words)))
    best = sorted(ranked, key=lambda one: (one[0], len(one[1].path), one[1].path))
    return [file for _, file in best[:limit]]


def _rank(path: str, q: str) -> int:
    """1 is best; 0: it does not match."""
    if not q:
        return 1 + path.count("/")
    lower = path.lower()
    name = lower.rstrip("/").rpartition("/")[2]
    if name.startswith(q):
        return 1
    if q in name:
        return 2
    if q in lower:
        return 3
    letters = iter(lower)
    return 4 if all(letter in letters for letter in q) else 0


def _list(cwd: Path) -> Iterable[File]:
    listed = _of_git(cwd)
    folders: set[str] = set()
    for path in _walked(cwd) if listed is None else dict.fromkeys(listed):
        yield File(path, "file")
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            yield File(f"{folder}/", "folder")
            folder = folder.rpartition("/")[0]


def _of_git(cwd: Path) -> list[str] | None:
    """None: not a repository, or no git here."""
    command = (
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    )
    try:
        said = subprocess.run(
            command,
            cwd=cwd,
            # A repository's own settings can name programs to run; this listing needs none of them.
            env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor",
                 "GIT_CONFIG_VALUE_0": "false", "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIST_SECONDS,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    paths = said.stdout.decode("utf-8", "replace").split("\0")
    return [path for path in paths if path][:MOST_FILES]


def _walked(cwd: Path) -> Iterable[str]:
    until = time.monotonic() + LIST_SECONDS
    count = 0
    for folder, folders, files in os.walk(cwd):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        place = os.path.relpath(folder, cwd).replace(os.sep, "/")
        for name in sorted(files):
            if not name.startswith("."):
                count += 1
                yield name if place == "." else f"{place}/{name}"
        if count >= MOST_FILES or time.monotonic() > until:
            return

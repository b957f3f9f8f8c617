"""Let code in a trial write files: they land in a scratch folder, under the paths that it named.

What goes through Python's `open`, `os.mkdir`, `os.rename` and `os.stat` is led there; what a
library writes by itself is refused by the system.
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core import interactiveshell

from agent_lab.protocol.reports import WrittenFile

LARGEST_COPY = 100_000_000
"""A file that is appended to is copied first, if it is no larger."""
FILES = 100


class Scratch:
    """`folder` exists. Paths given by code may be relative, bytes or descriptors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mirror = folder / "files"
        self._open, self._stat = io.open, os.stat
        self._mkdir, self._replace = os.mkdir, os.replace

    def written(self) -> Iterator[WrittenFile]:
        """By the paths that the code named, those below the current folder relative to it."""
        here = Path.cwd()
        for at, file in enumerate(sorted(self._mirror.rglob("*"))):
            if at >= FILES * 10:
                return
            if file.is_file():
                path = Path("/") / file.relative_to(self._mirror)
                name = path.relative_to(here) if path.is_relative_to(here) else path
                yield WrittenFile(str(name), file.stat().st_size)

    def lead_here(self) -> None:
        """From now on, in this process."""
        temporary = self.folder / "tmp"
        temporary.mkdir()
        self._mirror.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        for module, name, ours in (
            (builtins, "open", self.open),
            (io, "open", self.open),
            (interactiveshell, "io_open", self.open),  # what `open` is in a cell
            (os, "stat", self.stat),
            (os, "mkdir", self.mkdir),
            (os, "replace", self.replace),
            (os, "rename", self.replace),
        ):
            setattr(module, name, ours)

    def _led(self, path: Any) -> Path | None:
        """Where a path leads, None where it is to be taken as it is."""
        if type(path) is int:
            return None
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - must not touch the disk
        if whole.startswith((str(self.folder), "/dev/", "/proc/")):
            return None
        return self._mirror / whole.lstrip("/")

    def _exists(self, path: Any) -> bool:
        try:
            self._stat(path)
        except (OSError, ValueError):
            return False
        return True

    def open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        led = self._led(file)
        if led is None:
            return self._open(file, mode, *args, **options)
        if not set(mode) & set("wax+"):
            return self._open(led if self._exists(led) else file, mode, *args, **options)
        if "x" in mode and self._exists(file):
            raise FileExistsError(17, "File exists", os.fspath(file))
        made = self._exists(led.parent)
        if not made and not os.access(file if self._exists(file) else _folder_of(file), os.W_OK):
            self._stat(_folder_of(file))
            raise PermissionError(13, "Permission denied", os.fspath(file))
        self._ready(led, file)
        if "w" not in mode and not self._exists(led) and self._exists(file):
            if self._stat(file).st_size > LARGEST_COPY:
                raise PermissionError(13, "Too large to be tried on a copy", os.fspath(file))
            with self._open(file, "rb") as source, self._open(led, "wb") as target:
                shutil.copyfileobj(source, target)
        return self._open(led, mode, *args, **options)

    def _ready(self, led: Path, file: Any) -> None:
        """Make the folder that the file's own folder leads to, if there is one."""
        if not self._exists(led.parent):
            self._stat(_folder_of(file))
            self._folder(led.parent)

    def _folder(self, led: Path) -> None:
        if not self._exists(led):
            self._folder(led.parent)
            self._mkdir(led)

    def stat(self, path: Any, **options: Any) -> os.stat_result:
        led = self._led(path) if not options.get("dir_fd") else None
        return self._stat(led if led is not None and self._exists(led) else path, **options)

    def mkdir(self, path: Any, mode: int = 0o777, **options: Any) -> None:
        led = self._led(path)
        if led is None or options:
            return self._mkdir(path, mode, **options)
        if self._exists(path) or self._exists(led):
            raise FileExistsError(17, "File exists", os.fspath(path))
        self._ready(led, path)
        return self._mkdir(led, mode)

    def replace(self, source: Any, target: Any, **options: Any) -> None:
        """Of a file that the trial wrote; another one is refused by the system."""
        came, goes = self._led(source), self._led(target)
        if came is None and goes is not None and self._exists(source):
            came = Path(os.fsdecode(source))
        if came is None or goes is None or not self._exists(came):
            return self._replace(source, target, **options)
        self._ready(goes, target)
        return self._replace(came, goes)


def _folder_of(file: Any) -> str:
    return os.path.dirname(os.path.abspath(os.fsdecode(file)))  # noqa: PTH100, PTH120

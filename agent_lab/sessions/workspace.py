"""Where a session works: its folder inside the root, its git branch, and what in it would run
unasked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import msgspec
from msgspec import Struct

from agent_lab.protocol.errors import Forbidden, Invalid, NotFound

LOCAL_SETTINGS = ".claude/settings.local.json"
PROJECT_SETTINGS = (".claude/settings.json", LOCAL_SETTINGS, ".mcp.json")
"""Files of a folder from which claude runs hooks, starts servers and takes API addresses,
unasked."""


class Settings(Struct, frozen=True):
    """The files of a folder that would run something, and a digest of what they say."""

    files: tuple[str, ...]
    digest: str


def inside(root: Path, relative: str) -> Path:
    """A client's path as an absolute one, symlinks resolved. Raises Forbidden when it leaves the
    root."""
    if "\0" in relative:
        raise Invalid("A path cannot contain NUL.")
    base = root.resolve()
    try:
        path = (base / relative.lstrip("/")).resolve()
        path.exists()
    except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
        raise Invalid(f"{relative[:100]!r} is not a path here: {error}.") from None
    if path != base and base not in path.parents:
        raise Forbidden(f"{relative!r} lies outside the folder that this server serves.")
    return path


def folder_of(root: Path, notebook: str) -> Path:
    """The folder of a notebook, which need not exist itself. Raises Invalid, Forbidden,
    NotFound."""
    path = inside(root, notebook)
    if path == root.resolve():
        raise Invalid(f"{notebook!r} names a folder, not a notebook.")
    if not path.parent.is_dir():
        raise NotFound(f"There is no folder for the notebook {notebook!r}.")
    return path.parent


def folder(root: Path, relative: str) -> Path:
    """Raises NotFound when the path is not a folder."""
    path = inside(root, relative)
    if not path.is_dir():
        raise NotFound(f"There is no folder {relative!r} here.")
    return path


def relative_to(root: Path, path: Path) -> str:
    """The path as clients name it: relative to the root, "" for the root itself."""
    base = root.resolve()
    return "" if path == base else os.path.relpath(path, base)


def project_settings(cwd: Path, granted: Collection[str] = ()) -> Settings:
    """Look in the folder and in those above it up to the repository's top, as claude does.

    `granted` are rules that a person gave the agent here with "Always allow": claude wrote them
    into the folder's settings, and they are no reason to ask about the folder.
    """
    found: list[str] = []
    digest = hashlib.sha256()
    for place in _up_to_repository(cwd):
        for name in PROJECT_SETTINGS:
            file = place / name
            try:
                data = file.read_bytes()
            except OSError:
                continue
            if place == cwd and name == LOCAL_SETTINGS:
                data = _without(data, granted)
                if not data:
                    continue
            found.append(os.path.relpath(file, cwd))
            digest.update(f"{file}\0{len(data)}\0".encode())
            digest.update(data)
    return Settings(tuple(found), digest.hexdigest())


def _without(data: bytes, granted: Collection[str]) -> bytes:
    """The folder's own settings but for what a person granted; empty when nothing is left."""
    try:
        settings = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return data
    permissions = settings.get("permissions") if isinstance(settings, dict) else None
    if not granted or not isinstance(permissions, dict):
        return data
    for name in ("allow", "additionalDirectories"):
        if isinstance(permissions.get(name), list):
            permissions[name] = [one for one in permissions[name] if one not in granted]
            if not permissions[name]:
                del permissions[name]
    if not permissions:
        del settings["permissions"]
    return msgspec.json.encode(settings) if settings else b""


def _up_to_repository(cwd: Path) -> list[Path]:
    places = [cwd, *cwd.parents]
    for number, place in enumerate(places):
        if (place / ".git").exists():
            return places[: number + 1]
    return [cwd]


def branch(cwd: Path) -> str | None:
    """The git branch of a folder, read from the repository itself; None outside one or detached."""
    for place in [cwd, *cwd.parents]:
        git = place / ".git"
        try:
            if git.is_file():  # a worktree: the file names the real folder
                git = place / git.read_text().removeprefix("gitdir:").strip()
            if git.is_dir():
                head = (git / "HEAD").read_text().strip()
                return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else None
        except OSError:
            return None
    return None

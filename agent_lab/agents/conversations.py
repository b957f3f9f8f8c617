"""What claude keeps of its conversations on disk: which there are, and where one can be forked.

Source: `<config>/projects/<folder, each sign but letters and digits a dash>/<id>.jsonl`, one line
an entry; those of the conversation have a `uuid` and a `parentUuid`. A prompt has the uuid that it
was sent with. Reads files: call in a thread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from agent_lab.agents.registry import UUID, claude_folder
from agent_lab.protocol.events import Json

TITLE_BYTES = 256 << 10
"""How much of a file is read for its title: the first prompt stands near the top."""
LONGEST_NAME = 180
"""Of a longer folder's name claude keeps the beginning and a digest."""


class Conversation(Struct, frozen=True):
    """One that claude can resume. `path` is the folder it works in."""

    agent_session_id: str
    title: str
    updated_at: str
    path: str


class _Entry(Struct):
    type: str = ""
    uuid: str | None = None
    parent: str | None = msgspec.field(default=None, name="parentUuid")
    message: Json = None
    is_meta: bool = msgspec.field(default=False, name="isMeta")
    is_side: bool = msgspec.field(default=False, name="isSidechain")
    cwd: str = ""
    ai_title: str = msgspec.field(default="", name="aiTitle")
    custom_title: str = msgspec.field(default="", name="customTitle")
    summary: str = ""


_decode = msgspec.json.Decoder(_Entry).decode


def _entries(lines: Iterator[bytes]) -> Iterator[_Entry]:
    for line in lines:
        try:
            yield _decode(line)
        except msgspec.DecodeError:
            continue  # a kind of entry that we do not know, or a line that is being written


def fork_point(file: Path, prompts: Collection[str]) -> str | None:
    """The answer after which the conversation is cut so that none of these prompts is in it.

    The uuid that `--resume-session-at` takes. None: none of them is in it, so nothing is to cut.
    "": one of them is the first, so nothing would be left. Raises OSError.
    """
    parents: dict[str, tuple[str, str | None]] = {}
    first = None
    with file.open("rb") as lines:
        for entry in _entries(iter(lines)):
            if entry.uuid is None:
                continue
            parents[entry.uuid] = (entry.type, entry.parent)
            if first is None and entry.uuid in prompts:
                first = entry.parent or ""
    if first is None:
        return None
    while first:
        kind, parent = parents.get(first, ("", None))
        if kind == "assistant":
            return first
        first = parent or ""
    return ""


class Made(Struct, frozen=True):
    """Conversations, newest first; `complete` false: there was no time to look at all."""

    found: tuple[Conversation, ...]
    complete: bool = True


def below(
    environment: Mapping[str, str], root: str, *, alone: bool = False, seconds: float = 2.0
) -> Made:
    """The conversations that claude made in a folder and, unless `alone`, in those below it."""
    until = time.monotonic() + seconds
    found: list[Conversation] = []
    for changed, file in _newest_first(claude_folder(environment) / "projects", root, alone):
        if time.monotonic() > until:
            return Made(tuple(found), complete=False)
        try:
            title, cwd = _title(file)
        except OSError:
            continue
        # Another folder's name may give the same dashes.
        inside = cwd == root or (not alone and cwd.startswith(root.rstrip("/") + "/"))
        if title and inside and Path(cwd).is_dir():  # else nothing can go on there
            at = datetime.fromtimestamp(changed, UTC).isoformat(timespec="milliseconds")
            found.append(Conversation(file.stem, title, at.replace("+00:00", "Z"), cwd))
    return Made(tuple(found))


def _newest_first(projects: Path, root: str, alone: bool) -> list[tuple[float, Path]]:
    """The files of conversations whose folder's name can be that of the root or of one below."""
    dashed = _dashed(root)
    found: list[tuple[float, Path]] = []
    for folder in _folders(projects, dashed):
        if alone and folder.name != dashed and len(dashed) < LONGEST_NAME:
            continue
        for file in folder.glob("*.jsonl"):
            if UUID.match(file.stem):
                try:
                    found.append((file.stat().st_mtime, file))
                except OSError:
                    continue  # deleted just now
    return sorted(found, reverse=True)


def _dashed(cwd: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]", "-", cwd)


def _folders(projects: Path, dashed: str) -> list[Path]:
    try:
        return [each for each in projects.iterdir() if each.name.startswith(dashed[:LONGEST_NAME])]
    except OSError:
        return []  # claude was never used here


def _title(file: Path) -> tuple[str, str]:
    """Its title, else its first prompt, "" when nobody said anything; and the folder where it
    began."""
    with file.open("rb") as opened:
        lines = opened.read(TITLE_BYTES).splitlines()
    prompt = title = cwd = ""
    for entry in _entries(iter(lines)):
        cwd = cwd or entry.cwd  # a later one is where a command of the agent went
        title = entry.custom_title or entry.ai_title or entry.summary or title
        if not prompt and entry.type == "user" and not entry.is_meta and not entry.is_side:
            prompt = _first_line(entry.message)
    return (title or prompt)[:200], cwd


def _first_line(message: Json) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = next((text for text in texts if isinstance(text, str)), "")
    if not isinstance(content, str) or content.lstrip().startswith("<"):
        return ""  # claude's own: a command's name, a reminder
    return next((line.strip() for line in content.splitlines() if line.strip()), "")

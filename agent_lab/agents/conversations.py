"""What claude keeps of its conversations on disk: which there are, and where one can be forked.

Source: `<config>/projects/<folder, each sign but letters and digits a dash>/<id>.jsonl`, one line
an entry; those of the conversation have a `uuid` and a `parentUuid`. A prompt has the uuid that it
was sent with. Reads files: call in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from agent_lab.agents.registry import UUID, claude_folder
from agent_lab.protocol.events import Json

TITLE_BYTES = 256 << 10
"""How much of a file is read for its title: the first prompt stands near the top."""


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


def of_folder(environment: Mapping[str, str], cwd: str) -> list[Conversation]:
    """The conversations that claude made in a folder, newest first."""
    folder = claude_folder(environment) / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", cwd)
    found: list[tuple[float, Conversation]] = []
    for file in folder.glob("*.jsonl"):
        if not UUID.match(file.stem):
            continue
        try:
            changed = file.stat().st_mtime
            title = _title(file, cwd)
        except OSError:
            continue
        if title:
            time = datetime.fromtimestamp(changed, UTC).isoformat(timespec="milliseconds")
            time = time.replace("+00:00", "Z")
            found.append((changed, Conversation(file.stem, title, time, cwd)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _title(file: Path, cwd: str) -> str:
    """Its title, else its first prompt; "" when nobody said anything in this folder."""
    with file.open("rb") as opened:
        lines = opened.read(TITLE_BYTES).splitlines()
    prompt = title = ""
    for entry in _entries(iter(lines)):
        if entry.cwd and entry.cwd != cwd:
            return ""  # another folder whose name gives the same dashes
        title = entry.custom_title or entry.ai_title or entry.summary or title
        if not prompt and entry.type == "user" and not entry.is_meta and not entry.is_side:
            prompt = _first_line(entry.message)
    return (title or prompt)[:200]


def _first_line(message: Json) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = next((text for text in texts if isinstance(text, str)), "")
    if not isinstance(content, str) or content.lstrip().startswith("<"):
        return ""  # claude's own: a command's name, a reminder
    return next((line.strip() for line in content.splitlines() if line.strip()), "")

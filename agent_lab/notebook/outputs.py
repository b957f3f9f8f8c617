"""A run's messages as a cell's outputs, and outputs as what an agent reads. Pure but for the spill.

However much a cell writes, little of it is held: of each stream its beginning and its end, of
pictures a few megabytes. The whole text goes to `spill`, a bounded file that an agent can page
through.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from msgspec import Struct

from agent_lab.protocol.events import Json

HEAD, TAIL = 200_000, 100_000
"""Characters that are kept of one stream."""
MOST_OUTPUTS = 500
MOST_BYTES = 20 << 20
"""Of all the displayed data of one run."""
READ_HEAD, READ_TAIL = 16_000, 8_000
"""Characters of all the text that an agent is given of one run."""
MOST_IMAGES = 10
IMAGE_BYTES = 3_700_000
"""Models take 5 MB of base64."""
IMAGE_SIDE = 7_900
SPILL_BYTES = 50 << 20
"""Bytes that are kept of one run's text in a file."""


class Spill:
    """Where all the text goes. `write` is called with UTF-8; `full`: not all of it fitted."""

    def __init__(self, write: Callable[[bytes], None], most: int = SPILL_BYTES) -> None:
        self._write = write
        self._left = most
        self.used = False

    @property
    def full(self) -> bool:
        return self._left <= 0

    def add(self, text: str) -> None:
        if self._left <= 0:
            return
        data = text.encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        self.used = True
        self._write(data)


class _Text:
    """A stream's beginning and end."""

    def __init__(self, spill: Spill | None) -> None:
        self._spill = spill
        self._head = ""
        self._tail: list[str] = []
        self._tail_size = 0
        self._left_out = 0

    def add(self, text: str) -> None:
        if not self._tail and len(self._head) + len(text) <= HEAD:
            self._head += text
            return
        if self._spill is not None:
            if not self._tail:
                self._spill.add(self._head)
            self._spill.add(text)
        if not self._tail and len(self._head) < HEAD:
            taken = HEAD - len(self._head)
            self._head += text[:taken]
            text = text[taken:]
        if len(text) > TAIL:
            self._left_out += self._tail_size + len(text) - TAIL
            self._tail, self._tail_size = [text[-TAIL:]], TAIL
            return
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= TAIL:
            gone = self._tail.pop(0)
            self._tail_size -= len(gone)
            self._left_out += len(gone)
        if len(self._tail) > 1000:  # many short ones
            self._tail = ["".join(self._tail)]

    @property
    def end(self) -> str:
        return ("".join(self._tail) or self._head)[-4000:]

    def joined(self) -> str:
        if not self._tail:
            return overwritten(self._head)
        gap = f"\n[… {self._left_out:,} characters left out here …]\n" if self._left_out else ""
        return overwritten(self._head) + gap + overwritten("".join(self._tail))


class Outputs:
    """Collects as a notebook does: streams are joined, displays updated, outputs cleared."""

    def __init__(self, spill: Spill | None = None) -> None:
        self.spill = spill
        self._found: list[dict[str, Any]] = []
        self._streams: dict[int, _Text] = {}
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._clear_next = False
        self._bytes = 0
        self._dropped = 0
        self.execution_count: int | None = None
        self.pushed = 0
        """How many messages there were: another number, other outputs."""

    def push(self, kind: str, content: Mapping[str, Any]) -> None:
        """One message of the run; others than outputs are ignored."""
        self.pushed += 1
        match kind:
            case "clear_output":
                self._clear_next = bool(content.get("wait"))
                if not self._clear_next:
                    self._clear()
            case "update_display_data":
                self._update(content)
            case "execute_input":
                self._count(content)
            case "stream" | "display_data" | "execute_result" | "error":
                if self._clear_next:
                    self._clear()
                self._add(kind, content)

    def _count(self, content: Mapping[str, Any]) -> None:
        count = content.get("execution_count")
        self.execution_count = count if isinstance(count, int) else self.execution_count

    def _clear(self) -> None:
        self._clear_next = False
        self._found.clear()
        self._streams.clear()
        self._displays.clear()
        self._bytes = self._dropped = 0

    def _add(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "stream":
            name, text = str(content.get("name")), str(content.get("text", ""))
            last = self._found[-1] if self._found else None
            if last is not None and last["output_type"] == "stream" and last["name"] == name:
                self._streams[id(last)].add(text)
                return
        if len(self._found) >= MOST_OUTPUTS:
            self._dropped += 1
            return
        if kind == "stream":
            output: dict[str, Any] = {"output_type": "stream", "name": name, "text": ""}
            self._streams[id(output)] = _Text(self.spill)
            self._streams[id(output)].add(text)
        elif kind == "error":
            output = {
                "output_type": "error",
                "ename": str(content.get("ename", "")),
                "evalue": str(content.get("evalue", "")),
                "traceback": [str(line) for line in content.get("traceback") or ()],
            }
        else:
            output = {
                "output_type": kind,
                "data": self._data(content),
                "metadata": dict(content.get("metadata") or {}),
            }
            if kind == "execute_result":
                self._count(content)
                output["execution_count"] = content.get("execution_count")
            display = (content.get("transient") or {}).get("display_id")
            if isinstance(display, str):
                self._displays.setdefault(display, []).append(output)
        self._found.append(output)

    def _data(self, content: Mapping[str, Any]) -> dict[str, Any]:
        data = {str(mime): value for mime, value in (content.get("data") or {}).items()}
        size = sum(len(v) if isinstance(v, str) else len(json.dumps(v)) for v in data.values())
        if self._bytes + size > MOST_BYTES:
            return {"text/plain": f"[a display of {size:,} bytes was left out: too much]"}
        self._bytes += size
        return data

    def _update(self, content: Mapping[str, Any]) -> None:
        display = (content.get("transient") or {}).get("display_id")
        for output in self._displays.get(display, ()) if isinstance(display, str) else ():
            self._bytes -= sum(len(str(value)) for value in output["data"].values())
            self._bytes = max(self._bytes, 0)
            output["data"] = self._data(content)
            output["metadata"] = dict(content.get("metadata") or {})

    @property
    def end(self) -> str:
        """The last words of what runs, for its progress."""
        last = self._found[-1] if self._found else None
        if last is None:
            return ""
        if last["output_type"] == "stream":
            return plain(overwritten(self._streams[id(last)].end))
        return plain(str(last.get("data", {}).get("text/plain", "")))[-4000:]

    def finished(self) -> list[dict[str, Any]]:
        """The outputs as nbformat has them."""
        found = [
            {**one, "text": self._streams[id(one)].joined()}
            if one["output_type"] == "stream"
            else one
            for one in self._found
        ]
        if self._dropped:
            text = f"[{self._dropped:,} more outputs were left out]\n"
            found.append({"output_type": "stream", "name": "stderr", "text": text})
        return found


# ---------------------------------------------------------------- what an agent reads

_ANSI = re.compile(
    r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """Without terminal codes; other control characters are made visible."""
    return _CONTROLS.sub("\ufffd", _ANSI.sub("", text.replace("\r\n", "\n")))


def overwritten(text: str) -> str:
    """What stays on a line that was written over with carriage returns (progress bars)."""
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(
        line if "\r" not in line else line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines
    )


class Read(Struct, frozen=True):
    """MCP content blocks; `cut`: more text was there than is told."""

    content: list[Json]
    cut: bool


def read(outputs: Sequence[Mapping[str, Any]], where: str = "") -> Read:
    """Outputs as MCP content: text, and pictures as pictures. `where` says where all of it is."""
    parts: list[str | dict[str, Json]] = []
    images = 0
    for output in outputs:
        match output.get("output_type"):
            case "stream":
                text = plain(_whole(output.get("text"))).rstrip("\n")
                parts.append(f"[stderr]\n{text}" if output.get("name") == "stderr" else text)
            case "error":
                parts.append(traceback_of(output))
            case _:
                picture = _picture(output.get("data") or {})
                if isinstance(picture, dict):
                    images += 1
                    if images > MOST_IMAGES:
                        picture = "[a further picture is left out]"
                if picture is not None:
                    parts.append(picture)
                else:
                    parts.append(_words(output.get("data") or {}))
    return _bounded([part for part in parts if part], where)


def traceback_of(output: Mapping[str, Any]) -> str:
    lines = output.get("traceback") or ()
    text = plain("\n".join(str(line) for line in lines))
    said = f"{output.get('ename', '')}: {output.get('evalue', '')}"
    return text if text.strip() else plain(said)


def _bounded(parts: Sequence[str | dict[str, Json]], where: str) -> Read:
    total = sum(len(part) for part in parts if isinstance(part, str))
    if total <= READ_HEAD + READ_TAIL:
        return Read(_blocks(parts), False)
    # The beginning of the first and the end of the last: where a traceback stands.
    head, tail = READ_HEAD, READ_TAIL
    first: list[str | dict[str, Json]] = []
    last: list[str | dict[str, Json]] = []
    texts = list(parts)
    while texts and (not isinstance(texts[0], str) or len(texts[0]) <= head):
        part = texts.pop(0)
        head -= len(part) if isinstance(part, str) else 0
        first.append(part)
    while texts and (not isinstance(texts[-1], str) or len(texts[-1]) <= tail):
        part = texts.pop()
        tail -= len(part) if isinstance(part, str) else 0
        last.insert(0, part)
    if texts:
        begin = texts[0] if isinstance(texts[0], str) else ""
        end = texts[-1] if isinstance(texts[-1], str) else ""
        first.append(begin[:head])
        if tail:
            last.insert(0, end[-tail:])
        first += [part for part in texts[1:-1] if not isinstance(part, str)]
    told = READ_HEAD - head + READ_TAIL - tail
    left_out = f"[… {max(total - told, 0):,} of {total:,} characters left out here"
    gap = f"{left_out}; {where} …]" if where else f"{left_out} …]"
    return Read(_blocks([*first, gap, *last]), True)


def _blocks(parts: Sequence[str | dict[str, Json]]) -> list[Json]:
    blocks: list[Json] = []
    for part in parts:
        if not isinstance(part, str):
            blocks.append(part)
        elif blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += f"\n{part}"
        else:
            blocks.append({"type": "text", "text": part})
    return blocks


def _whole(text: Any) -> str:
    """nbformat's multi-line strings are a string or a list of its lines."""
    return "".join(str(line) for line in text) if isinstance(text, list) else str(text or "")


def _picture(data: Mapping[str, Any]) -> dict[str, Json] | str | None:
    for mime in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        if mime not in data:
            continue
        encoded = re.sub(r"\s+", "", _whole(data[mime]))
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            return f"[a broken {mime}]"
        width, height = _extent(raw)
        if len(raw) > IMAGE_BYTES or max(width, height) > IMAGE_SIDE:
            size = f"{width} x {height}, " if width else ""
            return (
                f"[a picture ({size}{len(raw) / 1e6:.1f} MB) is too large to be looked at; draw it "
                "smaller: figsize, dpi]"
            )
        return {"type": "image", "data": encoded, "mimeType": mime}
    return None


def _extent(data: bytes) -> tuple[int, int]:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return 0, 0


def _words(data: Mapping[str, Any]) -> str:
    """The most telling text of a mime bundle."""
    if "text/markdown" in data:
        return plain(_whole(data["text/markdown"]))
    if "text/html" in data and (table := _table(_whole(data["text/html"]))):
        return table
    if "text/plain" in data:
        text = plain(_whole(data["text/plain"]))
        drawn = [mime for mime in data if "plotly" in mime or "vega" in mime or "svg" in mime]
        return f"{text}\n[{drawn[0]}: drawn in the browser only]" if drawn else text
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False)
    if "text/latex" in data:
        return plain(_whole(data["text/latex"]))
    if "text/html" in data:
        return plain(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", _whole(data["text/html"]))))
    return f"[{', '.join(sorted(data)) or 'nothing'}: shown in the notebook only]"


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables = 0
        self.rows: list[list[str]] = []
        self.after: list[str] = []
        self._cell: list[str] | None = None
        self._span = 1
        self._skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables += 1
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
            span = dict(attrs).get("colspan") or "1"
            self._span = min(int(span), 50) if span.isdecimal() else 1
        elif tag in ("style", "script"):
            self._skip += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            text = " ".join("".join(self._cell).split()).replace("|", "\\|")
            if self.rows:
                self.rows[-1] += [text, *[""] * (self._span - 1)]
            self._cell = None
        elif tag in ("style", "script"):
            self._skip = max(self._skip - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._skip:
            return
        if self._cell is not None:
            self._cell.append(data)
        elif self.rows and data.strip():
            self.after.append(" ".join(data.split()))


def _table(html: str) -> str:
    """A single table as markdown, "" for other HTML."""
    if "<table" not in html or len(html) > 2_000_000:
        return ""
    cells = _Cells()
    cells.feed(html)
    rows = [row for row in cells.rows if row]
    if cells.tables != 1 or not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    return plain("\n".join([*lines, *cells.after]))

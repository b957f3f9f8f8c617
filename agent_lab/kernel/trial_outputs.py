"""Put together what a trial sends into nbformat's outputs, bounded. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any

from agent_lab.protocol.events import Json

TEXT = 100_000
"""Characters kept of each end of one stream's output."""
DATA = 4_000_000
"""Characters of one display's data; what is longer is left out."""
ALL_DATA = 12_000_000
OUTPUTS = 500


class _Stream:
    """Both ends of a text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._head: list[str] = []
        self._room = TEXT
        self._tail: deque[str] = deque()
        self._kept = self._left_out = 0

    def add(self, text: str) -> None:
        if self._room:
            part, text = text[: self._room], text[self._room :]
            self._room -= len(part)
            self._head.append(part)
        if text:
            self._tail.append(text)
            self._kept += len(text)
            while self._kept - len(self._tail[0]) >= TEXT:
                gone = len(self._tail.popleft())
                self._kept -= gone
                self._left_out += gone

    def output(self) -> dict[str, Json]:
        tail = "".join(self._tail)
        over = max(len(tail) - TEXT, 0)
        left_out = self._left_out + over
        mark = f"\n[… {left_out} characters left out …]\n" if left_out else ""
        text = "".join(self._head) + mark + tail[over:]
        return {"output_type": "stream", "name": self.name, "text": text}


class Outputs:
    """Takes messages as they come: stream, display_data, execute_result, error, clear_output."""

    def __init__(self) -> None:
        self._outputs: list[_Stream | dict[str, Json]] = []
        self._displays: dict[str, list[dict[str, Json]]] = {}
        self._clear_first = False
        self._data = 0
        self.error: dict[str, Json] | None = None

    def add(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "clear_output":
            self._clear_first = bool(message.get("wait"))
            if not self._clear_first:
                self._outputs.clear()
            return
        if self._clear_first:
            self._outputs.clear()
            self._clear_first = False
        if kind == "stream":
            self._stream(message["name"], message["text"])
        elif kind == "error":
            self.error = {
                "output_type": "error",
                "ename": str(message["ename"])[:1000],
                "evalue": str(message["evalue"])[:TEXT],
                "traceback": _bounded([str(line) for line in message["traceback"]]),
            }
            self._append(self.error)
        elif kind in ("display_data", "execute_result"):
            self._display(kind, message)

    def _stream(self, name: str, text: str) -> None:
        last = self._outputs[-1] if self._outputs else None
        if not (isinstance(last, _Stream) and last.name == name):
            last = _Stream(name)
            if not self._append(last):
                return
        last.add(text)

    def _display(self, kind: str, message: dict[str, Any]) -> None:
        output: dict[str, Json] = {
            "output_type": kind,
            "data": self._fitting(message["data"]),
            "metadata": message.get("metadata") or {},
        }
        if kind == "execute_result":
            output["execution_count"] = None
        display_id = message.get("display_id")
        if message.get("update"):
            for shown in self._displays.get(str(display_id), ()):
                shown |= {"data": output["data"], "metadata": output["metadata"]}
            return
        if self._append(output) and isinstance(display_id, str):
            self._displays.setdefault(display_id, []).append(output)

    def _fitting(self, data: dict[str, Any]) -> dict[str, Json]:
        kept: dict[str, Json] = {}
        for name, inside in data.items():
            size = len(inside) if isinstance(inside, str) else len(str(inside))
            if size <= DATA and self._data + size <= ALL_DATA:
                kept[name] = inside
                self._data += size
        return kept or {"text/plain": "[too large to be kept]"}

    def _append(self, output: _Stream | dict[str, Json]) -> bool:
        if len(self._outputs) < OUTPUTS:
            self._outputs.append(output)
            return True
        return False

    def all(self) -> list[dict[str, Json]]:
        return [one.output() if isinstance(one, _Stream) else one for one in self._outputs]


def _bounded(lines: list[str]) -> list[str]:
    """A traceback's end says what happened, its beginning where."""
    if sum(map(len, lines)) <= TEXT:
        return lines
    return [line[-2000:] for line in (*lines[:5], "[…]", *lines[-20:])]

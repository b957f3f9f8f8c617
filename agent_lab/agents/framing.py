"""Turn bytes from an agent's stdout into complete lines. Pure: no I/O.

for line in framer.push(data):      # whatever a read returned
    match line:
        case bytes(): ...           # one complete line, no newline
        case Oversize(): ...        # longer than allowed: discarded, reported once
framer.finish()                     # at end of file: [Torn(...)] or []
"""

from dataclasses import dataclass

MAX_LINE_BYTES = 32 * 1024 * 1024
EXCERPT_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Oversize:
    """A line longer than the framer keeps; `length` counts its bytes without the newline."""

    length: int
    excerpt: bytes


@dataclass(frozen=True, slots=True)
class Torn:
    """What stood after the last newline when the stream ended."""

    length: int
    excerpt: bytes


Line = bytes | Oversize | Torn


class LineFramer:
    """Cut a stream at its newlines, however it was cut into reads.

    Blank lines are skipped and the CR of a CRLF is dropped. `consumed` is the number of bytes up
    to and including the last newline: a reader that starts again there loses and repeats nothing.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.consumed = 0
        self._max = max_line_bytes
        self._open = bytearray()  # grows in place: a line in 10,000 reads is still copied once
        self._length = 0  # of the open line; larger than len(_open) once it is being discarded

    def push(self, data: bytes) -> list[Line]:
        head, *rest = data.split(b"\n")
        self._hold(head)
        if not rest:
            return []
        self.consumed += self._length + 1
        lines = [self._take()]
        tail = rest.pop()
        lines += [line if len(line) <= self._max else _oversize(line) for line in rest]
        self.consumed += sum(map(len, rest)) + len(rest)
        self._hold(tail)
        return [kept for line in lines if (kept := _without_cr(line))]

    def finish(self) -> list[Line]:
        if not self._length:
            return []
        length = self._length
        line = self._take()
        return [Torn(length, line[:EXCERPT_BYTES] if isinstance(line, bytes) else line.excerpt)]

    def _hold(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length <= self._max:
            self._open += piece
        else:
            self._open += piece[:EXCERPT_BYTES]
            del self._open[EXCERPT_BYTES:]

    def _take(self) -> Line:
        kept = bytes(self._open)
        line = kept if self._length <= self._max else Oversize(self._length, kept)
        self._open.clear()
        self._length = 0
        return line


def _oversize(line: bytes) -> Oversize:
    return Oversize(len(line), line[:EXCERPT_BYTES])


def _without_cr(line: Line) -> Line | None:
    if not isinstance(line, bytes):
        return line
    line = line.removesuffix(b"\r")
    return line if line and not line.isspace() else None

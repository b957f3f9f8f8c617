"""LineFramer: the same lines however the bytes are cut, within bounded memory."""

import json
import random
import time
import tracemalloc

import pytest

from agent_lab.agents.framing import EXCERPT_BYTES, Line, LineFramer, Oversize, Torn

STREAM = b"".join(
    [
        b'{"type":"init"}\n',
        b"\n",
        b'{"text":"crlf"}\r\n',
        b"  \r\n",
        json.dumps(
            {"text": "gr\u00fc\u00dfe \U0001f600 \u202eabc\u200b"}, ensure_ascii=False
        ).encode()
        + b"\n",
        b"debug noise\n",
        b'{"nul":"\x00","surrogate":"\\ud800"}\n',
        b"x" * 9000 + b"\n",
        b'{"last":true}\n',
    ]
)
LINES: list[Line] = [
    line for raw in STREAM.split(b"\n") if (line := raw.removesuffix(b"\r")).strip()
]


def fed(stream: bytes, cuts: list[int], **options: int) -> tuple[list[Line], LineFramer]:
    framer = LineFramer(**options)
    lines: list[Line] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        lines += framer.push(stream[start:end])
    return lines, framer


def test_one_read() -> None:
    lines, framer = fed(STREAM, [])
    assert lines == LINES
    assert framer.consumed == len(STREAM)
    assert framer.finish() == []


def test_one_byte_a_read() -> None:
    lines, framer = fed(STREAM, list(range(1, len(STREAM))))
    assert lines == LINES
    assert framer.consumed == len(STREAM)


def test_every_single_cut() -> None:
    stream = STREAM[:200]  # holds CRLF, blank lines and characters of two to four bytes
    whole, _ = fed(stream, [])
    for cut in range(1, len(stream)):
        assert fed(stream, [cut])[0] == whole


@pytest.mark.parametrize("seed", range(20))
def test_random_cuts(seed: int) -> None:
    cuts = sorted(random.Random(seed).choices(range(len(STREAM)), k=40))
    lines, framer = fed(STREAM, cuts)
    assert lines == LINES
    assert framer.consumed == len(STREAM)


def test_consumed_is_a_resume_point() -> None:
    """Whoever starts again at `consumed` gets the rest: nothing twice, nothing lost."""
    for cut in range(len(STREAM)):
        framer = LineFramer()
        before = framer.push(STREAM[:cut])
        assert STREAM[: framer.consumed] == b"" or STREAM[framer.consumed - 1] == ord("\n")
        assert before + LineFramer().push(STREAM[framer.consumed :]) == LINES


def test_torn_tail() -> None:
    framer = LineFramer()
    assert framer.push(b'{"a":1}\n{"b":') == [b'{"a":1}']
    assert framer.consumed == 8
    assert framer.finish() == [Torn(5, b'{"b":')]
    assert framer.finish() == []


def test_oversize_line_between_good_ones() -> None:
    stream = b"before\n" + b"y" * 5000 + b"\nafter\n"
    for cuts in ([], [1000], list(range(1, len(stream)))):
        lines, framer = fed(stream, cuts, max_line_bytes=3000)
        assert lines == [b"before", Oversize(5000, b"y" * EXCERPT_BYTES), b"after"]
        assert framer.consumed == len(stream)


def test_the_limit_itself_is_allowed() -> None:
    assert fed(b"z" * 10 + b"\n", [4], max_line_bytes=10)[0] == [b"z" * 10]
    assert fed(b"z" * 11 + b"\n", [4], max_line_bytes=10)[0] == [Oversize(11, b"z" * 11)]


def test_oversize_line_is_not_consumed_before_its_newline() -> None:
    framer = LineFramer(max_line_bytes=100)
    assert framer.push(b"ok\n" + b"y" * 500) == [b"ok"]
    framer.push(b"y" * 500)
    assert framer.consumed == 3
    assert framer.push(b"\n") == [Oversize(1000, b"y" * 1000)]
    assert framer.consumed == 1004


def test_oversize_torn_tail() -> None:
    framer = LineFramer(max_line_bytes=100)
    framer.push(b"y" * 5000)
    assert framer.finish() == [Torn(5000, b"y" * EXCERPT_BYTES)]


def test_a_line_of_100_megabytes_takes_bounded_memory() -> None:
    chunk = b"m" * (256 * 1024)
    framer = LineFramer(max_line_bytes=1024 * 1024)
    tracemalloc.start()
    try:
        for _ in range(400):
            assert framer.push(chunk) == []
        [line] = framer.push(b"\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert line == Oversize(400 * len(chunk), b"m" * EXCERPT_BYTES)
    assert peak < 4 * 1024 * 1024


def seconds(framer: LineFramer, piece: bytes, times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        framer.push(piece)
    return time.process_time() - start


def test_a_line_in_many_reads_takes_linear_time() -> None:
    """8 MB and 32 MB, in reads of 1 kB: four times the bytes, not sixteen times the time."""
    piece = b"p" * 1024
    small = min(seconds(LineFramer(), piece, 8_000) for _ in range(3))
    large = min(seconds(LineFramer(), piece, 32_000) for _ in range(3))
    assert large < 10 * small


def test_many_lines_in_one_read_are_fast() -> None:
    data = b'{"type":"stream_event","text":"some words"}\n' * 1000
    assert min(seconds(LineFramer(), data, 10) for _ in range(3)) / 10 < 0.02

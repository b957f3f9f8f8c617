"""Find secrets in text and put words in their place. Pure, and linear in the text.

Every pattern of ours has bounded repetitions. A person's own pattern is read before it is used:
the number of ways in which it can match at one place is bounded, and the text is given to it in
short pieces, so that no pattern can hold the server up.
"""

from __future__ import annotations

import importlib
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.secrets import HIDDEN
from agent_lab.protocol.secrets import MASKED as MASKED_BY_KERNEL

LONGEST_PATTERN = 200
MOST_PATTERNS = 50
PIECE = 1500
"""Characters of a line that a person's pattern sees at once; pieces overlap by OVERLAP."""
OVERLAP = 200
MOST_WAYS = 5000
PATTERN_SECONDS = 0.25
"""What a person's patterns may take on one text; what they have not seen by then does not leave."""
UNSEEN = "[… not sent: the masks of this folder took too long on this text]"


def masked(what: str) -> str:
    return f"[masked: {what}]"


MARK = re.compile(r"\[masked: ([^\]\n]{1,80})\]")
"""What stands for something that was masked; the group names it."""

_KINDS: tuple[tuple[str, str], ...] = (
    (
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=\s:,.\\-]{1,20000}?"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
    ),
    ("token", r"\beyJ[\w-]{8,2000}\.[\w-]{8,8000}\.[\w-]{0,2000}"),
    (
        "API key",
        r"\b(?:sk-(?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{16,250}"
        r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,120}"
        r"|gh[oprsu]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}"
        r"|glpat-[A-Za-z0-9_-]{16,100}|xox[abeoprs]-[A-Za-z0-9-]{10,250}"
        r"|(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b|AIza[A-Za-z0-9_-]{30,45}"
        r"|ya29\.[A-Za-z0-9_-]{20,500}|hf_[A-Za-z0-9]{20,100}|npm_[A-Za-z0-9]{30,60}"
        r"|pypi-[A-Za-z0-9_-]{30,400}|SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{16,80}"
        r"|dop_v1_[a-f0-9]{40,80}|dapi[a-f0-9]{32}|gsk_[A-Za-z0-9]{20,100})",
    ),
)
_PLAIN = re.compile("|".join(f"({pattern})" for _, pattern in _KINDS))
_BEARER = re.compile(r"\b([Bb]earer|[Bb]asic|[Tt]oken) ([A-Za-z0-9._~+/=-]{12,4000})")
_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@\"']{0,200}):([^\s/@\"']{1,500})@")
_NAMED = re.compile(
    r"((?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|apikey"
    r"|access[_-]?key|account[_-]?key|private[_-]?key|auth[_-]?key|credential)s?[\w-]{0,40}"
    r"[\"']?\s{0,8}(?:=>|[=:])\s{0,8})"
    r"(?:[rbuf]{0,2}(\"[^\"\n]{1,4000}\"|'[^'\n]{1,4000}')|([^\s\"'()\[\]{},;]{6,4000}))",
    re.IGNORECASE,
)

_NUMBER = re.compile(r"[-+]?[\d._]{1,40}(?:e[-+]?\d{1,4})?", re.IGNORECASE)
"""A count of tokens is no token."""


class Masks:
    """A folder's masks: ours, and a person's own patterns."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._own = [re.compile(check_pattern(one)) for one in patterns]

    def apply(self, text: str) -> str:
        """The text with words in the place of what must not leave."""
        if not text:
            return text
        text = _PLAIN.sub(_kind, text)
        text = _ADDRESS.sub(lambda m: f"{m[1]}:{masked('password')}@", text)
        text = _BEARER.sub(_bearer, text)
        text = _NAMED.sub(_named, text)
        return self._by_own(text) if self._own else text

    def _by_own(self, text: str) -> str:
        until = time.monotonic() + PATTERN_SECONDS
        done: list[str] = []
        for line in text.splitlines(keepends=True):
            spans: list[tuple[int, int]] = []
            for start in range(0, len(line), PIECE - OVERLAP) if len(line) > PIECE else (0,):
                piece = line[start : start + PIECE]
                for pattern in self._own:
                    if time.monotonic() > until:
                        return "".join([*done, UNSEEN])
                    spans += [
                        (start + found.start(), start + found.end())
                        for found in pattern.finditer(piece)
                        if found.end() > found.start()
                    ]
            done.append(_without(line, spans))
        return "".join(done)


def _without(line: str, spans: list[tuple[int, int]]) -> str:
    kept: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            kept += [line[at:start], masked("own pattern")]
        at = end
    return "".join([*kept, line[at:]])


def _kind(found: re.Match[str]) -> str:
    return masked(_KINDS[(found.lastindex or 1) - 1][0])


def _bearer(found: re.Match[str]) -> str:
    value = found[2]
    if found[1].lower() == "token" and not _is_random(value):
        return found[0]
    return f"{found[1]} {masked('token')}"


def _named(found: re.Match[str]) -> str:
    quoted, bare = found[2], found[3]
    value = quoted[1:-1] if quoted else bare
    if MARK.search(found[0]) or not value.strip():
        return found[0]
    if quoted and not _NUMBER.fullmatch(value):
        return f"{found[1]}{quoted[0]}{masked('secret')}{quoted[0]}"
    return f"{found[1]}{masked('secret')}" if bare and _is_random(bare) else found[0]


def _is_random(value: str) -> bool:
    """Does it look drawn by lot, as a key is, and not written, as a name or a word is?"""
    if len(value) < 8 or value.isalpha() or _NUMBER.fullmatch(value):
        return False
    if not any(letter.isdigit() for letter in value):
        return False
    return entropy(value) >= (2.75 if len(value) < 16 else 3.2)


def entropy(value: str) -> float:
    """Bits per character."""
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


_BY_KERNEL = {HIDDEN: "secret", MASKED_BY_KERNEL: "column"}
"""What the kernel's side of us says where it tells no value, and what that counts as."""


def found_in(texts: Iterable[str]) -> dict[str, int]:
    """How often what was masked in some texts that were let out."""
    found = Counter[str]()
    for text in texts:
        found.update(mark[1] for mark in MARK.finditer(text))
        for words, what in _BY_KERNEL.items():
            if words in text:
                found[what] += text.count(words)
    return dict(found)


# ---------------------------------------------------------------- a person's own patterns


@lru_cache(maxsize=64)
def masks_of(patterns: tuple[str, ...]) -> Masks:
    return Masks(patterns)


def check_patterns(patterns: Sequence[str]) -> None:
    """Raises Invalid with the reason."""
    if len(patterns) > MOST_PATTERNS:
        raise Invalid(f"A folder can have {MOST_PATTERNS} masks. Join some of them.")
    for pattern in patterns:
        check_pattern(pattern)


def check_pattern(pattern: str) -> str:
    """The pattern, when it cannot take long. Raises Invalid with the reason."""
    shown = pattern[:60]
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise Invalid(f"A mask has 1 to {LONGEST_PATTERN} characters: {shown!r}.")
    try:
        re.compile(pattern)
        tree = _parser().parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Invalid(f"The mask {shown!r} is no regular expression: {error}.") from None
    try:
        ways = _ways(tree)
    except _Refused as error:
        raise Invalid(f"The mask {shown!r} is refused: {error}.") from None
    if ways > MOST_WAYS:
        text = (
            f"The mask {shown!r} could take too long. Give all but one of its repetitions a bound, "
            r"as in \d{1,20}, and repeat no group without one."
        )
        raise Invalid(text)
    if re.compile(pattern).fullmatch(""):
        raise Invalid(f"The mask {shown!r} matches nothing at all as well. Make it say more.")
    return pattern


class _Refused(Exception):
    pass


def _parser() -> Any:
    # The standard library's own reading of a pattern; what it should not know is refused below.
    return importlib.import_module("re._parser")


def _ways(items: Any) -> float:
    """In how many ways at most a sequence can match at one place of a piece."""
    ways = 1.0
    for op, value in items:
        match str(op):
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN" | "AT":
                pass
            case "BRANCH":
                ways *= sum(_ways(one) for one in value[1])
            case "SUBPATTERN":
                ways *= _ways(value[3])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                ways *= _repeated(value)
            case "ATOMIC_GROUP":
                ways *= _ways(value)
            case _:
                raise _Refused("it looks back or ahead, or at what it matched before")
        if ways > MOST_WAYS:
            return ways
    return ways


def _repeated(value: Any) -> float:
    low, high, body = int(value[0]), min(int(value[1]), PIECE), value[2]
    inner = _ways(body)
    if inner == 1.0:
        return float(high - low + 1)
    if high > 64:
        return MOST_WAYS + 1.0
    return sum(inner**times for times in range(low, high + 1))

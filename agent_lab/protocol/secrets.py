"""Tell what looks like a secret, by its name or by its text, and take it out. Pure.

A guard against showing one by accident, not against somebody who hides one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent_lab.protocol.errors import Invalid

HIDDEN = "not shown: looks like a secret"
MASKED = "not shown: masked"

_NAME = re.compile(
    # `tokens`, `tokenizer`, `author` and `secretary` are words of the trade, not secrets.
    r"(?i)(secret(?!ar)|(?:api|auth|access|bearer|refresh)_?tokens|token(?!s|i[sz])|passw|pwd"
    r"|api_?key|access_?key|credential|private_?key|auth(?!or|en))"
)
# Each alternative is anchored by a literal and bounded, so that a long text costs one pass.
_TEXT = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"(?:[\s\S]{0,8000}?-----END [A-Z ]{0,40}PRIVATE KEY-----|[\s\S]{0,8000})"
    r"|\b(?:sk|pk|rk)[-_](?:ant-|proj-|live[-_]|test[-_])?[A-Za-z0-9_-]{6,200}"
    r"|\bgh[opusr]_[A-Za-z0-9]{6,255}|\bgithub_pat_\w{6,255}|\bglpat-[\w-]{6,64}"
    r"|\bxox[abeoprs]-[\w-]{6,255}|\bAKIA[0-9A-Z]{6,32}|\bAIza[\w-]{20,64}|\bhf_[A-Za-z0-9]{6,64}"
    r"|\beyJ[\w-]{4,4000}\.[\w-]{1,8000}(?:\.[\w-]{0,4000})?"
)
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{1,100}:)[^\s@/]{1,200}(?=@)")
_ASSIGNED = re.compile(
    r"(?i)((?:secret|token|passw(?:or)?d|pwd|api_?key|access_?key|private_?key)"
    r"['\"]?\s{0,3}[:=]\s{0,3})(['\"])[^'\"\n]{1,500}\2"
)
_IN_TEXT = "[secret not shown]"


def secret_name(name: str) -> bool:
    """Whether a variable, column or key of this name is likely to hold a secret."""
    return _NAME.search(name) is not None


def secret_text(text: str) -> bool:
    """Whether the text starts as a key or token does."""
    return _TEXT.match(text) is not None


def without_secrets(text: str) -> str:
    """The text, each key, token, password of a URL or assigned secret replaced by a mark."""
    text = _TEXT.sub(_IN_TEXT, text)
    text = _URL_PASSWORD.sub(rf"\1{_IN_TEXT}", text)
    return _ASSIGNED.sub(rf"\1\2{_IN_TEXT}\2", text)


MOST_COLUMNS = 200
LONGEST_COLUMN = 200


def check_columns(columns: Sequence[str]) -> None:
    """Raises Invalid with the limit."""
    if len(columns) > MOST_COLUMNS:
        text = f"A folder can have {MOST_COLUMNS} masked columns; these are {len(columns)}."
        raise Invalid(text)
    for one in columns:
        if not 0 < len(one) <= LONGEST_COLUMN:
            text = f"The name of a masked column has 1 to {LONGEST_COLUMN} characters: {one[:60]!r}"
            raise Invalid(f"{text} has {len(one)}.")


class Masks:
    """The columns whose values a person keeps to themselves, by their names; case does not count.

    Raises Invalid for what `check_columns` refuses: none is left out in silence.
    """

    def __init__(self, columns: Sequence[str] = ()) -> None:
        check_columns(columns)
        self._names = frozenset(one.casefold() for one in columns)

    def hide(self, name: str) -> bool:
        """Whether a person masked this name."""
        return name.casefold() in self._names

    def why(self, name: str) -> str:
        """What is shown instead of the value of `name`; "" when it may be shown."""
        if self.hide(name):
            return MASKED
        return HIDDEN if secret_name(name) else ""

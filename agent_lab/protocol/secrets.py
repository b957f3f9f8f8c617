"""Tell what looks like a secret, by its name or by its text, and take it out. Pure.

A guard against showing one by accident, not against somebody who hides one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

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


class Masks:
    """Patterns (`*email*`, case ignored) of the names whose values a person keeps to themselves."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        known = [one[:100] for one in patterns if one.strip("* ")][:100]
        self._found = re.compile("|".join(translate(one) for one in known), re.I) if known else None

    def hide(self, name: str) -> bool:
        """Whether a person masked this name."""
        return self._found is not None and self._found.match(name) is not None

    def why(self, name: str) -> str:
        """What is shown instead of the value of `name`; "" when it may be shown."""
        if self.hide(name):
            return MASKED
        return HIDDEN if secret_name(name) else ""

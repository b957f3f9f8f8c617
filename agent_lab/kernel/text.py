"""Make text inert that somebody else wrote. Pure."""

from __future__ import annotations

import unicodedata


def inert(text: str) -> str:
    """Without control characters and lone surrogates: what an agent says drives no terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )

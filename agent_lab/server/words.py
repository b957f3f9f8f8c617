"""The reader's language for the page without JupyterLab: what is chosen there, from its pack.

JupyterLab loads all packs of a language for its own page; this reads only our part of one.
"""

from __future__ import annotations

import importlib.util
import json
import re
from importlib.metadata import entry_points
from pathlib import Path

from msgspec import Struct

PACKS = "jupyterlab.languagepack"
CHOSEN = "@jupyterlab/translation-extension/plugin.jupyterlab-settings"
ENGLISH = "en"
_LOCALE = re.compile(r'^(?!\s*//).*?"locale"\s*:\s*"([A-Za-z_-]{2,20})"', re.MULTILINE)


class Words(Struct, frozen=True):
    """`catalogue` in Jed's shape, a text to its translations; empty: the words are English."""

    locale: str = ENGLISH
    catalogue: dict[str, object] = {}


def chosen(settings: Path) -> Words:
    """What a person chose among JupyterLab's settings, whose folder this is. Reads files: call in a
    thread."""
    try:
        # JSON with comments; the one value that matters has a shape of its own.
        found = _LOCALE.search((settings / CHOSEN).read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        return Words()
    return of(found[1]) if found else Words()


def of(locale: str) -> Words:
    """Our part of the installed pack of a language; English without one."""
    for entry in entry_points(group=PACKS, name=locale):
        spec = importlib.util.find_spec(entry.module)
        if spec is None or spec.origin is None:
            continue
        pack = Path(spec.origin).parent / "locale" / locale / "LC_MESSAGES" / "agent_lab.json"
        try:
            catalogue = json.loads(pack.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(catalogue, dict):
            return Words(locale.replace("_", "-"), catalogue)
    return Words()

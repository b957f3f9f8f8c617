"""The lasting rules of an agent: in which file each stands, and how one is taken out of it.

Reads and writes files: call in a thread.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent_lab.protocol.errors import Conflict, NotFound
from agent_lab.protocol.reports import Rule, RuleScope
from agent_lab.sessions.workspace import LOCAL_SETTINGS


def files(config: Path, cwd: Path) -> Mapping[RuleScope, Path]:
    """Where claude keeps rules: `config` is its own folder, `cwd` the session's."""
    return {
        "folder": cwd / LOCAL_SETTINGS,
        "project": cwd / ".claude" / "settings.json",
        "user": config / "settings.json",
    }


def with_files(rules: tuple[Rule, ...], places: Mapping[RuleScope, Path]) -> tuple[Rule, ...]:
    return tuple(
        msgspec.structs.replace(rule, file=str(places[rule.scope]))
        if rule.scope in places
        else rule
        for rule in rules
    )


def take_out(rule: Rule, file: Path) -> None:
    """Remove a rule from a settings file; everything else in it stays.

    Raises NotFound when it is not there any more, Conflict when the file cannot be read or written.
    """
    try:
        settings = msgspec.json.decode(file.read_bytes())
        rules = settings["permissions"][rule.behavior]
        rules.remove(rule.rule)
    except (OSError, msgspec.DecodeError) as error:
        raise Conflict(f"{file} cannot be read: {error}. Mend it, then try again.") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotFound(f"The rule {rule.rule!r} is not in {file} any more.") from None
    data = msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n"
    try:
        _replace(file, data)
    except OSError as error:
        raise Conflict(f"{file} cannot be written: {error}. Mend it, then try again.") from None


def _replace(file: Path, data: bytes) -> None:
    """Whole or not at all, with the file's own mode; a link stays a link."""
    target = file.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(data)
        Path(name).chmod(target.stat().st_mode & 0o777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

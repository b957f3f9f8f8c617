"""One run of an agent program: how it is asked for, what its folder records of it, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True)
class Launch:
    """`durable` False: the agent shall see the end of whoever started it, and end too."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    marker: str
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Exit:
    """`code` and `signal` are both None when nobody could learn them (an adopted process)."""

    code: int | None
    signal: int | None
    stderr: str


class Run(msgspec.Struct, frozen=True):
    """meta.json. `pid` 0: written just before the start, so that no start goes unrecorded."""

    marker: str
    started_at: float
    boot_id: str
    pid: int = 0
    start_time: str = ""
    durable: bool = True
    ended: bool = False
    code: int | None = None
    signal: int | None = None


def read_run(folder: Path) -> Run | None:
    """What the folder says of its last run; an offset belongs to the run with the same marker."""
    try:
        return msgspec.json.decode((folder / "meta.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None


def write_run(folder: Path, run: Run) -> None:
    draft = folder / "meta.json.new"
    draft.touch(0o600)
    draft.write_bytes(msgspec.json.encode(run))
    draft.replace(folder / "meta.json")

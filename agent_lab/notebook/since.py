"""What happened beside the conversation since its last prompt, in at most 2 KB of words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from agent_lab.notebook.dial import Dial
from agent_lab.notebook.facts import Fact, Happened, Name, Names, Record, Run, digest
from agent_lab.protocol.events import ContextItem

MOST_BYTES = 2000
MOST_LISTED = 12
"""Cells, names or files that are named; of more, how many there are."""
LONGEST_LINE = 80


class CellNow(Struct, frozen=True):
    """A code cell as the notebook's file has it."""

    id: str
    source: str
    execution_count: int | None


class Files(Struct, frozen=True):
    """Paths relative to the folder."""

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.deleted)


class Since(Struct, frozen=True):
    """The account in parts. `notes` are whole sentences about the notebook and its kernel."""

    notes: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    before_restart: int = 0
    missed: bool = False
    bound: tuple[Name, ...] = ()
    rebound: tuple[Name, ...] = ()
    deleted: tuple[Name, ...] = ()
    files: Files = Files()
    edited: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return self != Since()


def since(record: Record, position: int, session_id: str) -> Since:
    """Of what happened in a kernel after a position, what its session's agent does not know."""
    new = [fact for fact in record.facts() if _is_after(fact, position)]
    runs = [
        fact
        for fact in new
        if isinstance(fact, Run) and not _is_own(fact, session_id) and not fact.is_prompt
    ]
    bound, rebound, deleted = merged(
        fact for fact in _of_last_life(new) if isinstance(fact, Names) and not fact.by_agent
    )
    return Since(
        notes=tuple(_sentence(fact) for fact in new if isinstance(fact, Happened)),
        runs=tuple(run for run in runs if run.life == record.life),
        before_restart=sum(run.life != record.life for run in runs),
        missed=record.missed_since(position),
        bound=bound,
        rebound=rebound,
        deleted=deleted,
    )


def _is_after(fact: Fact, position: int) -> bool:
    return fact.position > position or (isinstance(fact, Run) and fact.ended > position)


def _is_own(run: Run, session_id: str) -> bool:
    return run.by_agent and run.session_id in ("", session_id)


def _of_last_life(facts: Sequence[Fact]) -> Sequence[Fact]:
    """What came after memory was lost the last time."""
    for place in range(len(facts) - 1, -1, -1):
        fact = facts[place]
        if isinstance(fact, Happened) and fact.what != "interrupted":
            return facts[place:]
    return facts


def merged(
    facts: Iterable[Names],
) -> tuple[tuple[Name, ...], tuple[Name, ...], tuple[Name, ...]]:
    """One difference of several: what was bound and deleted again is none."""
    bound: dict[str, Name] = {}
    rebound: dict[str, Name] = {}
    deleted: dict[str, Name] = {}
    for fact in facts:
        for one in fact.bound:
            (rebound if deleted.pop(one.name, None) else bound)[one.name] = one
        for one in fact.rebound:
            (bound if one.name in bound else rebound)[one.name] = one
        for one in fact.deleted:
            rebound.pop(one.name, None)
            if bound.pop(one.name, None) is None:
                deleted[one.name] = one
    return tuple(bound.values()), tuple(rebound.values()), tuple(deleted.values())


def edited_cells(record: Record, cells: Sequence[CellNow]) -> list[tuple[str, int]]:
    """Cells (id, count) whose source differs from what ran last under their count, or their id."""
    ran: dict[int, Run] = {}
    by_cell: dict[str, Run] = {}
    for run in record.runs():
        if run.life == record.life and run.count is not None:
            ran[run.count] = run
            if run.cell_id:
                by_cell[run.cell_id] = run
    edited = []
    for cell in cells:
        count = cell.execution_count
        run_ = by_cell.get(cell.id) or (ran.get(count) if count is not None else None)
        if run_ is not None and run_.count is not None and run_.digest != digest(cell.source):
            edited.append((cell.id, run_.count))
    return edited


# ---------------------------------------------------------------- words


def item(account: Since, dial: Dial, notebook: str) -> ContextItem | None:
    """The account as it goes along with a prompt. None: there is nothing that may be told."""
    text = words(account, dial)
    if not text:
        return None
    return ContextItem(type="since", label=label(account, dial), text=text, notebook=notebook)


def label(account: Since, dial: Dial) -> str:
    """What a chip says."""
    names = len(account.bound) + len(account.rebound) + len(account.deleted)
    files = account.files
    changed = len(files.changed) + len(files.added) + len(files.deleted)
    failed = sum(run.status == "error" for run in account.runs)
    told = dial.lets("schema")
    parts = [
        _count(len(account.runs) if told else 0, "cell ran", "cells ran"),
        _count(failed if told else 0, "failed", "failed"),
        _count(names if told else 0, "name changed", "names changed"),
        _count(len(account.edited) if told else 0, "cell edited", "cells edited"),
        _count(changed, "file changed", "files changed"),
    ]
    said = ", ".join(part for part in parts if part)
    if account.notes:
        said = f"{account.notes[-1].rstrip('.').partition(':')[0]}{', ' if said else ''}{said}"
    return f"since: {said}"[:120]


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}" if number else ""


def words(account: Since, dial: Dial) -> str:
    """Every part in a line or more; the longest part gives way first."""
    for most in (MOST_LISTED, 6, 3, 1):
        text = "\n".join(_lines(account, dial, most))
        if len(text.encode()) <= MOST_BYTES:
            return text
    return text.encode()[: MOST_BYTES - 3].decode("utf-8", "ignore") + "…"


def _lines(account: Since, dial: Dial, most: int) -> list[str]:
    lines = list(account.notes[-most:])
    if dial.lets("schema"):
        lines += _of_kernel(account, dial, most)
    files = account.files
    for what, paths in (
        ("files changed", files.changed),
        ("new files", files.added),
        ("files deleted", files.deleted),
    ):
        if paths:
            lines.append(f"{what}: {_listed([_short(path, 100) for path in paths], most)}")
    return lines


def _of_kernel(account: Since, dial: Dial, most: int) -> list[str]:
    lines = []
    if account.before_restart:
        lines.append(f"cells run before that: {account.before_restart}")
    if account.missed:
        lines.append("more cells ran than could be followed")
    if account.runs:
        shown = account.runs[-most:]
        lines.append("cells run, newest last:")
        if len(account.runs) > len(shown):
            lines.append(f"  … {len(account.runs) - len(shown)} earlier")
        lines += [f"  {_run(run, dial)}" for run in shown]
    for what, names in (
        ("new names", account.bound),
        ("names bound anew or changed", account.rebound),
    ):
        if names:
            lines.append(f"{what}: {_listed([_name(name) for name in names], most)}")
    if account.deleted:
        deleted = _listed([_short(name.name, 60) for name in account.deleted], most)
        lines.append(f"names deleted: {deleted}")
    if account.edited:
        cells = [f"{_short(id, 40)} (ran as [{count}])" for id, count in account.edited]
        lines.append(f"cells edited since they ran: {_listed(cells, most)}")
    return lines


def _run(run: Run, dial: Dial) -> str:
    count = "[ ]" if run.count is None else f"[{run.count}]"
    who = "another agent's, " if run.by_agent else ""
    took = "" if run.seconds is None else f" {duration(run.seconds)}"
    match run.status:
        case "running":
            end = "still running"
        case "ok":
            end = f"ok{took}"
        case "error":
            why = f": {run.evalue}" if run.evalue and dial.lets("summary") else ""
            end = f"failed{took}, {_short(run.ename + why, 160)}"
        case _:
            end = "how it ended is not known"
    cell = f", cell {_short(run.cell_id, 40)}" if run.cell_id else ""
    return f"{count} {who}{end}{cell}: {first_line(run.code)}"


def first_line(code: str) -> str:
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    if not lines:
        return "(empty)"
    rest = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
    return _short(lines[0], LONGEST_LINE) + rest


def duration(seconds: float) -> str:
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min"


def _name(name: Name) -> str:
    shape = "\u00d7".join(str(n) for n in name.shape or ())
    about = " ".join(part for part in (_short(name.type, 40), shape) if part)
    return f"{_short(name.name, 60)} ({about})" if about else _short(name.name, 60)


def _listed(shown: Sequence[str], most: int) -> str:
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f", … {rest} more" if rest > 0 else "")


def _short(text: str, most: int) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _sentence(fact: Happened) -> str:
    at = _clock(fact.time)
    match fact.what:
        case "restarted":
            return f"The kernel was restarted at {at}: nothing from before is in its memory."
        case "died":
            return f"The kernel died at {at}: nothing from before is in memory."
        case "stopped":
            return f"The kernel was shut down at {at}: nothing is in memory."
        case "interrupted":
            return f"The kernel was interrupted at {at}."
        case _:
            return f"The kernel was started at {at}: nothing from before is in its memory."


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"

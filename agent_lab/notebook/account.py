"""What each session is told with its prompts of what happened beside it, as the dial allows.

Keeps for each session up to where it was told; `watch` keeps what happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from agent_lab.notebook import dial as dials
from agent_lab.notebook.dial import Dial, let_out
from agent_lab.notebook.facts import Happened
from agent_lab.notebook.folder import NotebookFiles, Snapshot, difference, snapshot
from agent_lab.notebook.since import CellNow, Files, Since, edited_cells, item, since
from agent_lab.notebook.watch import StartTask, Watch, Watchable
from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.events import ContextDial, ContextItem, Notebook, Notice, Session

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.12
"""How long a prompt waits for what the kernel and the disk tell; what is late is told next time."""
LONG_TEXT = 64_000
"""Characters from which masking is done in a thread."""
MOST_NOTES = 8


class Places(Protocol):
    """Where kernels and notebooks are."""

    def kernel(self, kernel_id: str, /) -> Watchable | None: ...
    def file(self, notebook: str, /) -> Path | None: ...
    async def open_cells(self, notebook: str, /) -> list[CellNow] | None:
        """The code cells as they stand in the tab that has the notebook open, saved or not. None:
        none has it."""
        ...


Tell = Callable[[str, str, Notice], None]
"""Show a person something: the session's id, what happened, and the words for it."""


class _Known(Struct):
    """One session: what it was told, and what it has to be told beside what its kernel's record
    says."""

    notebook: Notebook
    cwd: Path
    position: int = 0
    files: Snapshot | None = None
    notes: list[str] = field(default_factory=list)
    edited: set[tuple[str, int]] = field(default_factory=set)
    was_there: bool = False
    given: _Given | None = None


class _Given(Struct, frozen=True):
    """What a prompt was given, to be kept when its turn begins."""

    kernel_id: str | None
    position: int
    files: Snapshot | None
    notes: int
    edited: frozenset[tuple[str, int]]
    is_there: bool


class KernelAccount:
    """An Account (see sessions/account.py). Used from one event loop."""

    def __init__(self, places: Places, start_task: StartTask, tell: Tell) -> None:
        self._places = places
        self._start_task = start_task
        self._tell = tell
        self._known: dict[str, _Known] = {}
        self._notebooks = NotebookFiles()
        self.watch = Watch(places.kernel, start_task, self._happened)

    def close(self) -> None:
        self.watch.close()

    # ------------------------------------------------------------ what goes with a prompt

    async def of_prompt(
        self,
        session: Session,
        dial: ContextDial,
        context: tuple[ContextItem, ...],
        without: tuple[str, ...],
    ) -> tuple[ContextItem, ...]:
        let = await _let_out(dials.sent(dial), context)
        known = self._known.get(session.id)
        if known is None or session.notebook is None:
            return let
        work = self._made(session.id, known, dial)
        making = asyncio.get_running_loop().create_task(work, name=f"{session.id}: since")
        await asyncio.wait([making])
        error = making.exception()
        if error is not None:  # a prompt goes without it rather than not at all
            _log.error("agent_lab: what happened since could not be told", exc_info=error)
            return let
        made, known.given = making.result()
        return let if made is None or "since" in without else (*let, made)

    async def preview(self, session: Session, dial: ContextDial) -> ContextItem | None:
        """What the next prompt would be given of what happened since the last one."""
        known = self._known.get(session.id)
        if known is None or not dial.since:
            return None
        return (await self._made(session.id, known, dial))[0]

    async def _made(
        self, session_id: str, known: _Known, dial: ContextDial
    ) -> tuple[ContextItem | None, _Given]:
        told, given = await self._account(session_id, known)
        made = item(told, dials.read(dial), known.notebook.path) if dial.since else None
        if made is not None:
            [made] = await _let_out(dials.read(dial), (made,))
        return made, given

    def turn_began(self, session: Session) -> None:
        known = self._known.get(session.id)
        given = None if known is None else known.given
        if known is None or given is None:
            return
        known.given = None
        if given.kernel_id == known.notebook.kernel_id:
            known.position = given.position
        known.files = known.files if given.files is None else given.files
        del known.notes[: given.notes]
        known.edited |= given.edited
        known.was_there = given.is_there

    async def _account(self, session_id: str, known: _Known) -> tuple[Since, _Given]:
        kernel_id = known.notebook.kernel_id
        record = None if kernel_id is None else self.watch.follow(kernel_id)
        looked = asyncio.ensure_future(asyncio.to_thread(self._look, known))
        read = asyncio.ensure_future(self._cells(known.notebook.path))
        settled = asyncio.ensure_future(self.watch.settled(kernel_id or ""))
        await asyncio.wait([looked, read, settled], timeout=PATIENCE_SECONDS)
        settled.cancel()
        files, is_there = looked.result() if looked.done() else (None, known.was_there)
        cells = read.result() if read.done() else []
        read.cancel()
        told = Since() if record is None else since(record, known.position, session_id)
        edited = [] if record is None else edited_cells(record, cells)
        new_edited = [one for one in edited if one not in known.edited]
        notes = list(known.notes)
        if known.was_there and not is_there:
            notes.append(
                f"The notebook's file {known.notebook.path} is not there any more: it was moved or "
                "deleted outside Jupyter."
            )
        changed = Files()
        if files is not None and known.files is not None:
            changed = difference(known.files, files)
        told = replace(told, notes=(*notes, *told.notes), files=changed, edited=tuple(new_edited))
        given = _Given(
            kernel_id,
            0 if record is None else record.position,
            files,
            len(known.notes),
            frozenset(edited),
            is_there,
        )
        return told, given

    def _look(self, known: _Known) -> tuple[Snapshot | None, bool]:
        file = self._places.file(known.notebook.path)
        return snapshot(known.cwd), file is not None and file.exists()

    async def _cells(self, notebook: str) -> list[CellNow]:
        """Of a tab that has it open, however slow, never what the file says: a person runs what
        they have not saved."""
        opened = await self._places.open_cells(notebook)
        if opened is not None:
            return opened
        file = self._places.file(notebook)
        return [] if file is None else await asyncio.to_thread(self._notebooks.cells, file)

    # ------------------------------------------------------------ sessions come, change and go

    def bound(self, session: Session, before: Notebook | None) -> None:
        notebook = session.notebook
        known = self._known.get(session.id)
        if notebook is None:
            self.forgotten(session.id)
            return
        if known is None:
            self._known[session.id] = known = _Known(notebook, Path(session.workspace.cwd))
            self._begin(session.id, known)
        known.notebook = notebook
        if before is not None and before.path != notebook.path:
            _note(known, f"The notebook {before.path} is now {notebook.path}.")
            known.was_there = False
        if before is not None and before.kernel_id != notebook.kernel_id:
            _note(known, _kernel_changed(before.kernel_id, notebook.kernel_id))
            known.edited.clear()
            self._drop_unused(before.kernel_id)
        if before is None or before.kernel_id != notebook.kernel_id:
            record = self.watch.record(notebook.kernel_id or "")
            known.position = 0 if record is None else record.position
            if notebook.kernel_id is not None:
                self.watch.follow(notebook.kernel_id)

    def _begin(self, session_id: str, known: _Known) -> None:
        self._start_task(self._first_look(known), f"{session_id}: first look")

    async def _first_look(self, known: _Known) -> None:
        files, is_there = await asyncio.to_thread(self._look, known)
        if known.files is None:
            known.files = files
        known.was_there = known.was_there or is_there

    def turn_ended(self, session: Session) -> None:
        known = self._known.get(session.id)
        if known is not None:
            self._start_task(self._look_again(known), f"{session.id}: look")

    async def _look_again(self, known: _Known) -> None:
        files, known.was_there = await asyncio.to_thread(self._look, known)
        known.files = known.files if files is None else files

    def forgotten(self, session_id: str) -> None:
        known = self._known.pop(session_id, None)
        if known is not None:
            self._drop_unused(known.notebook.kernel_id)

    def _drop_unused(self, kernel_id: str | None) -> None:
        if kernel_id is not None and not self.sessions_of(kernel_id):
            self.watch.forget(kernel_id)

    def sessions_of(self, kernel_id: str) -> list[str]:
        """The sessions that are bound to a kernel."""
        return [id for id, known in self._known.items() if known.notebook.kernel_id == kernel_id]

    # ------------------------------------------------------------ what happens to them

    def note(self, session_id: str, sentence: str) -> None:
        """Something about its notebook that the agent is told with the next prompt."""
        known = self._known.get(session_id)
        if known is not None:
            _note(known, sentence)

    def _happened(self, kernel_id: str, fact: Happened) -> None:
        for session_id in self.sessions_of(kernel_id):
            path = self._known[session_id].notebook.path
            name = path.rpartition("/")[2]
            match fact.what:
                case "restarted":
                    text = f"The kernel of {name} was restarted: its memory is empty."
                    notice = Notice(level="warning", code="kernel_restarted", text=text)
                case "died":
                    text = (
                        f"The kernel of {name} died and its memory is lost. Jupyter starts it "
                        "again by itself where it can; then run the cells that are needed."
                    )
                    notice = Notice(level="error", code="kernel_died", text=text)
                case "stopped":
                    text = f"The kernel of {name} was shut down. Start it to go on with it."
                    notice = Notice(level="warning", code="kernel_stopped", text=text)
                case _:
                    continue
            self._tell(session_id, fact.what, notice)


def _note(known: _Known, sentence: str) -> None:
    known.notes.append(sentence)
    del known.notes[:-MOST_NOTES]


def _kernel_changed(before: str | None, now: str | None) -> str:
    if now is None:
        return "The notebook's kernel was shut down: nothing is in memory, and no cell can run."
    if before is None:
        return "The notebook has a kernel now; nothing from before is in its memory."
    return "The notebook has another kernel now; nothing from before is in its memory."


async def _let_out(dial: Dial, items: tuple[ContextItem, ...]) -> tuple[ContextItem, ...]:
    size = sum(len(one.text) + len(one.source) + len(one.traceback) for one in items)

    def let() -> tuple[ContextItem, ...]:
        try:
            return tuple(let_out(dial, one) for one in items)
        except Invalid as error:  # masks of another version
            _log.warning("agent_lab: %s", error.message)
            return tuple(let_out(replace(dial, level="off", masks=()), one) for one in items)

    return await asyncio.to_thread(let) if size > LONG_TEXT else let()

"""Read and change the cells of a notebook: by their ids, each for the source it was meant for.

What a change does is decided here, on the notebook's JSON. Where it is done is a `Document`: the
open tab, a document shared by jupyter-collaboration, or the file through the contents API.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from agent_lab.notebook import provenance
from agent_lab.notebook.provenance import KEY
from agent_lab.notebook.tabs import Tab
from agent_lab.protocol.errors import AgentLabError, Conflict, Invalid, NotFound
from agent_lab.protocol.events import CellChange, Json, now

Cell = dict[str, Any]
Content = dict[str, Any]
"""A notebook as nbformat has it."""

_Done = TypeVar("_Done")

CELL_TYPES = ("code", "markdown", "raw")
TRIES = 5
UPGRADED = (
    "The notebook's format was older than 4.5, which keeps no ids of cells. It is 4.5 now, so "
    "that the ids stay."
)


class Author(Struct, frozen=True):
    """Who made a cell or its outputs."""

    session: str
    turn: str | None
    agent: str
    model: str | None

    def wrote(self, source: str) -> Json:
        """The metadata of a cell whose source is now this."""
        return provenance.wrote(source, **asdict(self), at=now())

    def ran(self, execution_count: int | None) -> Json:
        """The metadata of a cell that was run."""
        return provenance.ran(execution_count, **asdict(self), at=now())


class Document(Protocol):
    """One notebook. `where` names the way that it was reached last: tab, shared, file."""

    @property
    def where(self) -> str: ...

    @property
    def upgraded(self) -> bool:
        """A change made an old notebook one of a format that keeps the ids of its cells."""
        ...

    async def read(self) -> Content:
        """Raises NotFound, Invalid."""
        ...

    async def change(self, change: CellChange, author: Author | None) -> None:
        """`author` None: a person takes back what an agent did. Raises Conflict `cell_changed`,
        NotFound `cell_not_found`; then nothing was done."""
        ...

    async def set_outputs(self, cell_id: str, source: str, result: Result, author: Author) -> None:
        """The outputs of a cell that was run with `source`. Raises like `change`."""
        ...

    async def show_running(
        self, cell_id: str, outputs: Sequence[Json], source: str | None = None
    ) -> None:
        """What a cell that runs has put out so far, where a person can see it; the file is not
        touched. `source`: what it must have. Raises like `change`."""
        ...


class Result(Struct, frozen=True):
    outputs: list[dict[str, Any]]
    execution_count: int | None


# ---------------------------------------------------------------- pure


def source_of(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def upgrade(content: Content) -> bool:
    """Give each cell an id where the format is older than ids (nbformat 4.5), in place.

    The same cells get the same ids each time, for as long as nobody writes them down; a page that
    has the notebook open (`lab/cellIds.ts`) gives the same. True: it was needed.
    """
    cells: list[Cell] = content.get("cells", [])
    old = (content.get("nbformat"), content.get("nbformat_minor", 0)) < (4, 5)
    if not old and all(cell.get("id") for cell in cells):
        return False
    used = {str(cell["id"]) for cell in cells if cell.get("id")}
    for cell in cells:
        if cell.get("id"):
            continue
        said = f"{cell.get('cell_type')}\0{source_of(cell)}"
        for number in itertools.count():
            id = provenance.source_hash(f"{number}\0{said}")
            if id not in used:
                break
        cell["id"] = id
        used.add(id)
    content["nbformat"], content["nbformat_minor"] = 4, max(5, content.get("nbformat_minor", 5))
    return True


def find(content: Content, cell_id: str, notebook: str = "") -> tuple[int, Cell]:
    """Raises NotFound `cell_not_found`: never a guess."""
    for index, cell in enumerate(content.get("cells", [])):
        if cell.get("id") == cell_id:
            return index, cell
    where = f" in {notebook}" if notebook else ""
    text = (
        f"There is no cell {cell_id[:80]!r}{where}; it may have been deleted. read_notebook lists "
        "the cells and their ids."
    )
    raise NotFound(text, "cell_not_found")


def check(change: CellChange) -> None:
    """Raises Invalid for a change that no notebook can take."""
    if change.cell_type not in CELL_TYPES:
        raise Invalid(f"There is no cell type {change.cell_type!r}: {', '.join(CELL_TYPES)}.")
    if change.operation == "insert" and change.new_source is None:
        raise Invalid("A new cell needs a source.")
    if change.operation == "move" and change.after_cell_id == change.cell_id:
        raise Invalid("A cell cannot be moved behind itself.")


def is_done(content: Content, change: CellChange) -> bool:
    """Was this very change made already? Asked after a restart, which may have come between."""
    index = {cell.get("id"): number for number, cell in enumerate(content.get("cells", []))}
    at = index.get(change.cell_id)
    cells = content.get("cells", [])
    match change.operation:
        case "insert":
            return at is not None
        case "delete":
            return at is None
        case "edit":
            return at is not None and (
                source_of(cells[at]) == change.new_source != change.old_source
            )
        case "move":
            before = str(cells[at - 1].get("id")) if at else ""
            return at is not None and before == change.after_cell_id


def apply(content: Content, change: CellChange, author: Author | None) -> None:
    """Make the change in place. Raises Conflict `cell_changed`, NotFound, Invalid; then nothing
    was done."""
    check(change)
    cells: list[Cell] = content["cells"]
    if change.operation == "insert":
        if any(cell.get("id") == change.cell_id for cell in cells):
            raise Conflict(f"There is a cell {change.cell_id!r} already.", "cell_changed")
        at = _place(content, change)
        cells.insert(at, new_cell(change, author))
        return
    at, cell = find(content, change.cell_id, change.notebook)
    _expect(cell, change.old_source)
    match change.operation:
        case "delete":
            del cells[at]
        case "move":
            _place(content, change)  # before anything is taken out
            del cells[at]
            cells.insert(_place(content, change), cell)
        case "edit":
            cells[at] = edited(cell, change, author)


def with_origin(content: Content, change: CellChange) -> CellChange:
    """With what the cell is and where it stands now, so that the change can be taken back. Raises
    NotFound."""
    at, cell = find(content, change.cell_id, change.notebook)
    match change.operation:
        case "edit":
            return replace(change, old_cell_type=str(cell.get("cell_type")))
        case "delete" | "move":
            behind = str(content["cells"][at - 1]["id"]) if at else ""
            return replace(change, old_after_cell_id=behind)
        case "insert":
            return change


def new_cell(change: CellChange, author: Author | None) -> Cell:
    source = change.new_source or ""
    cell: Cell = {
        "id": change.cell_id,
        "cell_type": change.cell_type,
        "metadata": author.wrote(source) if author else {},
        "source": source,
    }
    if change.cell_type == "code":
        cell |= {"outputs": [], "execution_count": None}
    return cell


def edited(cell: Cell, change: CellChange, author: Author | None) -> Cell:
    """The outputs stay, as when a person types: they tell what the old source did."""
    cell = copy.copy(cell)
    source = change.new_source if change.new_source is not None else source_of(cell)
    cell["source"] = source
    known = dict(cell.get("metadata") or {})
    if author is None:
        cell["metadata"] = provenance.unmarked(known)
    else:
        cell["metadata"] = _laid_over(known, author.wrote(source))
    if change.cell_type != cell.get("cell_type"):
        cell["cell_type"] = change.cell_type
        for name in ("outputs", "execution_count", "attachments"):
            cell.pop(name, None)
        if change.cell_type == "code":
            cell |= {"outputs": [], "execution_count": None}
    return cell


def ran(cell: Cell, source: str, result: Result, author: Author) -> Cell:
    """The cell with the outputs of a run. Raises Conflict `cell_changed`."""
    _expect(cell, source)
    if cell.get("cell_type") != "code":
        raise Conflict("The cell is no code any more.", "cell_changed")
    known = dict(cell.get("metadata") or {})
    return {
        **cell,
        "metadata": _laid_over(known, author.ran(result.execution_count)),
        "outputs": result.outputs,
        "execution_count": result.execution_count,
    }


def new_id() -> str:
    return uuid.uuid4().hex[:8]


def _laid_over(metadata: Mapping[str, Any], mark: Json) -> dict[str, Any]:
    """With our mark, one level deep, as the page does it."""
    kept = metadata.get(KEY)
    return {**metadata, KEY: {**(kept if isinstance(kept, dict) else {}), **mark[KEY]}}


def _expect(cell: Cell, source: str | None) -> None:
    if source is not None and source_of(cell) != source:
        text = (
            f"Cell {cell.get('id')!r} was changed meanwhile, so nothing was done. Read it again "
            "with read_cell, then decide anew."
        )
        raise Conflict(text, "cell_changed")


def _place(content: Content, change: CellChange) -> int:
    """Behind which cell: None at the end, "" at the top."""
    if change.after_cell_id is None:
        return len(content["cells"])
    if not change.after_cell_id:
        return 0
    return find(content, change.after_cell_id, change.notebook)[0] + 1


def before(content: Content, cell_id: str, notebook: str) -> str:
    """The id of the cell before this one, "" when it is the first. Raises NotFound."""
    at, _ = find(content, cell_id, notebook)
    return str(content["cells"][at - 1]["id"]) if at else ""


# ---------------------------------------------------------------- the file


class Stored(Struct, frozen=True):
    """`version` changes with each change of the file."""

    content: Content
    version: object


class Contents(Protocol):
    """What we use of Jupyter's contents API; paths are relative to the server's root."""

    async def load(self, path: str) -> Stored: ...
    async def version(self, path: str) -> object: ...
    async def save(self, path: str, content: Content) -> None: ...


class Locks:
    """One change of a path at a time; a lock lives as long as it is used."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    def __call__(self, path: str) -> _Locked:
        return _Locked(self._locks, path)


class _Locked:
    def __init__(self, locks: dict[str, tuple[asyncio.Lock, list[None]]], path: str) -> None:
        self._locks, self._path = locks, path

    async def __aenter__(self) -> None:
        lock, users = self._locks.setdefault(self._path, (asyncio.Lock(), []))
        users.append(None)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(users)
            raise

    async def __aexit__(self, *_: object) -> None:
        lock, users = self._locks[self._path]
        lock.release()
        self._leave(users)

    def _leave(self, users: list[None]) -> None:
        users.pop()
        if not users:
            del self._locks[self._path]


class FileDocument:
    """Through the contents API: no tab is open, or none that talks to us."""

    where = "file"

    def __init__(self, path: str, contents: Contents, locks: Locks) -> None:
        self._path = path
        self._contents = contents
        self._locks = locks
        self.upgraded = False

    async def read(self) -> Content:
        content = (await self._contents.load(self._path)).content
        upgrade(content)
        return content

    async def change(self, change: CellChange, author: Author | None) -> None:
        await self._write(lambda content: apply(content, change, author))

    async def set_outputs(self, cell_id: str, source: str, result: Result, author: Author) -> None:
        def put(content: Content) -> None:
            at, cell = find(content, cell_id, self._path)
            content["cells"][at] = ran(cell, source, result, author)

        await self._write(put)

    async def show_running(
        self, cell_id: str, outputs: Sequence[Json], source: str | None = None
    ) -> None:
        """Nobody looks at a file."""

    async def _write(self, change: Callable[[Content], None]) -> None:
        async with self._locks(self._path):
            for _ in range(TRIES):
                stored = await self._contents.load(self._path)
                is_old = upgrade(stored.content)
                change(stored.content)
                # Somebody else's save in between is not written over: all is decided anew.
                if await self._contents.version(self._path) == stored.version:
                    await self._contents.save(self._path, stored.content)
                    self.upgraded = is_old
                    return
        raise Conflict(
            "The notebook is being saved again and again by somebody else. Try again.",
            "cell_changed",
        )


# ---------------------------------------------------------------- the open tab


class TabDocument:
    """Through the open tab: undo works there, and what is not saved is safe."""

    where = "tab"

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.upgraded = False

    async def _ask(self, op: str, **fields: Json) -> None:
        done = await self.tab.ask(op, **fields)
        if isinstance(done, dict) and done.get("upgraded") is True:
            self.upgraded = True

    async def read(self) -> Content:
        content = await self.tab.ask("read")
        if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
            text = "The browser's page told something that is no notebook. Reload that page."
            raise Conflict(text, "not_a_notebook")
        upgrade(content)
        return content

    async def change(self, change: CellChange, author: Author | None) -> None:
        check(change)
        metadata = author.wrote(change.new_source or "") if author else {}
        match change.operation:
            case "insert":
                cell = {
                    "id": change.cell_id,
                    "cell_type": change.cell_type,
                    "source": change.new_source or "",
                    "metadata": metadata,
                }
                await self._ask("insert", cell=cell, after_cell_id=change.after_cell_id)
            case "edit":
                await self._ask(
                    "edit",
                    cell_id=change.cell_id,
                    expected_source=change.old_source,
                    source=change.new_source,
                    cell_type=change.cell_type,
                    metadata=metadata,
                    unmark=author is None,
                )
            case "delete":
                await self._ask("delete", cell_id=change.cell_id, expected_source=change.old_source)
            case "move":
                # The page's own move asks for no source: where a cell stands is not what it says.
                await self._ask("move", cell_id=change.cell_id, after_cell_id=change.after_cell_id)

    async def set_outputs(self, cell_id: str, source: str, result: Result, author: Author) -> None:
        """A cell that was edited while it ran gets its outputs all the same, as when a person runs
        it: they have been seen there already. Raises Conflict `edited_meanwhile` then."""
        fields: dict[str, Json] = {
            "cell_id": cell_id,
            "outputs": result.outputs,
            "execution_count": result.execution_count,
            "running": False,
            "metadata": author.ran(result.execution_count),
        }
        try:
            await self._ask("outputs", expected_source=source, **fields)
        except Conflict as error:
            if error.reason != "cell_changed":
                raise
            await self._ask("outputs", **fields)
            text = "The cell was edited while it ran: its outputs are those of the source before."
            raise Conflict(text, "edited_meanwhile") from None

    async def show_running(
        self, cell_id: str, outputs: Sequence[Json], source: str | None = None
    ) -> None:
        fields: dict[str, Json] = {"cell_id": cell_id, "outputs": list(outputs)}
        if source is not None:
            fields["expected_source"] = source
        await self._ask("outputs", **fields, execution_count=None, running=True)


class OpenDocument:
    """The way that there is at each moment: the tab that holds the notebook, else what is without.

    A tab that is gone, or that does not answer, has done nothing of what it was asked: then the
    next way is taken. Where the outcome is not known, nothing else is tried. `holder` finds the
    tab, without those that it is given.
    """

    def __init__(
        self,
        holder: Callable[[Sequence[Tab]], Tab | None],
        without: Callable[[], Awaitable[Document]],
    ) -> None:
        self._holder = holder
        self._without = without
        self._silent: list[Tab] = []
        self._tab: Tab | None = None
        self.where = "file"
        self.upgraded = False
        self.notes: list[str] = []
        """What an agent must be told about how this went; emptied by whoever tells it."""

    async def _do(self, work: Callable[[Document], Awaitable[_Done]]) -> _Done:
        while (tab := self._find()) is not None:
            opened = TabDocument(tab)
            try:
                done = await work(opened)
            except AgentLabError as error:
                if error.reason not in ("tab_gone", "tab_silent"):
                    raise
                self._give_up(tab, error.reason == "tab_silent")
            else:
                self._went(opened)
                return done
        document = await self._without()
        done = await work(document)
        self._went(document)
        return done

    def _went(self, document: Document) -> None:
        self.where = document.where
        if document.upgraded:
            self.upgraded = True
            self.notes.append(UPGRADED)

    def _find(self) -> Tab | None:
        """A tab that was used stays the one, also when its notebook was renamed."""
        if self._tab is None or self._tab.gone:
            self._tab = self._holder(self._silent)
        return self._tab

    def _give_up(self, tab: Tab, silent: bool) -> None:
        self._tab = None
        self._silent.append(tab)
        if not silent:
            return
        self.notes.append(
            f"The browser's page with {tab.path} does not answer (it may sleep), so the file was "
            "used" + (", which lacks what is unsaved there. Tell the person." if tab.dirty else ".")
        )

    async def read(self) -> Content:
        return await self._do(lambda document: document.read())

    async def change(self, change: CellChange, author: Author | None) -> None:
        await self._do(lambda document: document.change(change, author))

    async def set_outputs(self, cell_id: str, source: str, result: Result, author: Author) -> None:
        await self._do(lambda document: document.set_outputs(cell_id, source, result, author))

    async def show_running(
        self, cell_id: str, outputs: Sequence[Json], source: str | None = None
    ) -> None:
        await self._do(lambda document: document.show_running(cell_id, outputs, source))


# ---------------------------------------------------------------- the shared document


class Shared(Protocol):
    """What we use of jupyter-collaboration's notebook (`jupyter_ydoc.YNotebook`)."""

    def get(self) -> Any: ...
    def get_cell(self, index: int) -> Any: ...
    def create_ycell(self, value: Any) -> Any: ...
    @property
    def ycells(self) -> Any: ...


class SharedDocument:
    """jupyter-collaboration's document: everybody's undo works, and nothing is merged by us. It
    gives ids to all cells itself."""

    where = "shared"
    upgraded = False

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def read(self) -> Content:
        content: Content = copy.deepcopy(self._shared.get())
        upgrade(content)
        return content

    async def change(self, change: CellChange, author: Author | None) -> None:
        content = await self.read()
        had = [str(cell["id"]) for cell in content["cells"]]
        apply(content, change, author)
        self._carry_over(had, content["cells"], change.cell_id)

    async def set_outputs(self, cell_id: str, source: str, result: Result, author: Author) -> None:
        content = await self.read()
        had = [str(cell["id"]) for cell in content["cells"]]
        at, cell = find(content, cell_id)
        content["cells"][at] = ran(cell, source, result, author)
        self._carry_over(had, content["cells"], cell_id)

    async def show_running(
        self, cell_id: str, outputs: Sequence[Json], source: str | None = None
    ) -> None:
        """Where a page shows it, that page is asked; else nobody looks."""

    def _carry_over(self, had: Sequence[str], cells: Sequence[Cell], cell_id: str) -> None:
        """Only the one cell is replaced: others' cursors and edits elsewhere stay."""
        shared = self._shared.ycells
        with shared.doc.transaction(origin="agent_lab"):
            if cell_id in had:
                del shared[had.index(cell_id)]
            for index, cell in enumerate(cells):
                if cell["id"] == cell_id:
                    shared.insert(index, self._shared.create_ycell(cell))

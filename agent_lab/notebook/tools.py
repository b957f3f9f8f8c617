"""What each tool does, in the words that a model reads: descriptions, results, the next step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent_lab.agents.adapters.base import REJECTED
from agent_lab.notebook import dial as dials
from agent_lab.notebook import document as documents
from agent_lab.notebook import outputs, telling, variables
from agent_lab.notebook.dial import Dial, Result
from agent_lab.notebook.document import Author, Cell, Content, OpenDocument, source_of
from agent_lab.notebook.mcp import Param, Tool
from agent_lab.notebook.outputs import plain
from agent_lab.notebook.run_tools import run_cell, run_code
from agent_lab.notebook.running import Progress, interrupt_within
from agent_lab.notebook.telling import Told, part, text
from agent_lab.protocol.errors import Invalid, NotFound
from agent_lab.protocol.events import CellChange, CellDiffBlock, TextBlock
from agent_lab.protocol.reports import Level
from agent_lab.sessions.proposals import Decision

if TYPE_CHECKING:
    from agent_lab.notebook.bond import Bond, Target
    from agent_lab.sessions.tools import Call, Host

INSTRUCTIONS = """\
You work beside a live Jupyter notebook, {notebook}, and its running kernel. The person sees both. \
The agent_lab tools (mcp__agent_lab__*) reach what is in the kernel's memory now and the \
notebook's cells, also unsaved ones.
- To learn about data, use list_variables and inspect_variable, then run_code for a look; do not \
load files again in another Python.
- To change the notebook use insert_cell, edit_cell, delete_cell, move_cell, never file edits of \
the .ipynb. The person may accept, edit or reject each change; what they say is the tool's result.
- run_cell runs a cell of the notebook and stores its outputs there; run_code runs code in the \
same memory and stores nothing in the notebook. Names that you bind stay, so do not bind over the \
person's.
- Cells are named by cell id: read_notebook lists them.
- Use Bash for everything else: files, git, packages, other programs."""

NO_NOTEBOOK = """\
You work inside Jupyter. The agent_lab tools (mcp__agent_lab__*) reach its live notebooks and \
kernels: list_notebooks tells which there are; name one in the argument `notebook`. To change a \
notebook use insert_cell, edit_cell, delete_cell, move_cell, never file edits of the .ipynb. Use \
Bash for everything else."""

AGAIN = (
    "The server was restarted while this ran. Kernels end with a server, or the outcome is "
    "unknown: look first (kernel_status, read_notebook), then decide whether to do it again."
)

MOST_NOTEBOOKS = 200
SOURCE_CHARACTERS = 4_000
NOTEBOOK_CHARACTERS = 50_000
TERMINAL_CHARACTERS = 20_000
WAIT_FOR_KERNEL_SECONDS = 60.0

_NOTEBOOK = Param("string", "Path of the notebook; default: the session's own.")
_CELL = Param("string", "The cell's id, as read_notebook lists it.", required=True)
_TYPE = Param("string", "Kind of cell; default: code.", choices=documents.CELL_TYPES)

TOOLS: Sequence[Tool] = (
    Tool(
        "list_notebooks",
        "List notebooks",
        "List the notebooks in the session's folder, and which of them have a running kernel.",
        {},
    ),
    Tool(
        "read_notebook",
        "Read notebook",
        "List a notebook's cells in order: id, type, execution count, source, and in one line what "
        "each put out. Long sources are cut; read_cell gives all of a cell.",
        {
            "notebook": _NOTEBOOK,
            "after_cell_id": Param("string", "Go on behind this cell, for a long notebook."),
        },
    ),
    Tool(
        "read_cell",
        "Read cell",
        "Read one cell: its whole source and its stored outputs, pictures as pictures.",
        {"cell_id": _CELL, "notebook": _NOTEBOOK},
    ),
    Tool(
        "insert_cell",
        "Insert cell",
        "Propose a new cell. Without a place it goes to the end. It is not run: use run_cell with "
        "the id that is returned.",
        {
            "source": Param("string", "The cell's source.", required=True),
            "cell_type": _TYPE,
            "after_cell_id": Param("string", "Put it behind this cell."),
            "before_cell_id": Param("string", "Or: put it before this cell."),
            "notebook": _NOTEBOOK,
        },
        changes=True,
    ),
    Tool(
        "edit_cell",
        "Edit cell",
        "Propose a new source for a cell: the whole source, not a part. It is not run.",
        {
            "cell_id": _CELL,
            "source": Param("string", "The whole new source.", required=True),
            "cell_type": Param(
                "string", "Change the kind of cell too.", choices=documents.CELL_TYPES
            ),
            "notebook": _NOTEBOOK,
        },
        changes=True,
    ),
    Tool(
        "delete_cell",
        "Delete cell",
        "Propose to delete a cell.",
        {"cell_id": _CELL, "notebook": _NOTEBOOK},
        changes=True,
    ),
    Tool(
        "move_cell",
        "Move cell",
        "Propose to move a cell behind or before another one.",
        {
            "cell_id": _CELL,
            "after_cell_id": Param("string", "Put it behind this cell."),
            "before_cell_id": Param("string", "Or: put it before this cell."),
            "notebook": _NOTEBOOK,
        },
        changes=True,
    ),
    Tool(
        "run_cell",
        "Run cell",
        "Run a code cell of the notebook in its live kernel, store its outputs in the notebook, "
        "and return them: text, tracebacks, tables, pictures. Waits until it has ended.",
        {"cell_id": _CELL, "notebook": _NOTEBOOK},
        runs=True,
    ),
    Tool(
        "run_code",
        "Run code",
        "Run code in the notebook's live kernel and return all its outputs: text, the value of the "
        "last line, tracebacks, tables, pictures. It shares the memory with the notebook; nothing "
        "is stored in the notebook. There is no keyboard: input() fails.",
        {"code": Param("string", "The code.", required=True), "notebook": _NOTEBOOK},
        runs=True,
    ),
    Tool(
        "list_variables",
        "List variables",
        "List what is in the kernel's memory: name, type, shape, size, short value. Answers at "
        "once, also while a cell runs.",
        {"notebook": _NOTEBOOK},
    ),
    Tool(
        "inspect_variable",
        "Inspect variable",
        "Tell more about one variable, without running code: of a table its columns and types, "
        "of a function its signature.",
        {
            "name": Param("string", "The variable's name.", required=True),
            "notebook": _NOTEBOOK,
        },
    ),
    Tool(
        "kernel_status",
        "Kernel status",
        "Tell whether the kernel is idle, busy or dead, its language, and which notebooks use it.",
        {"notebook": _NOTEBOOK},
    ),
    Tool(
        "interrupt_kernel",
        "Interrupt kernel",
        "Stop what runs in the kernel now, also a cell of the person's. The memory stays.",
        {"notebook": _NOTEBOOK},
        runs=True,
    ),
    Tool(
        "restart_kernel",
        "Restart kernel",
        "Restart the kernel, or start one where none runs. All variables are lost.",
        {"notebook": _NOTEBOOK},
        runs=True,
    ),
    Tool(
        "read_terminal",
        "Read terminal",
        "Read the last of what a terminal of this Jupyter server shows, as plain text.",
        {"name": Param("string", "The terminal's name; default: the session's, or the only one.")},
    ),
)


class Use:
    """One use of a tool. `notes` are told before its result."""

    def __init__(self, bond: Bond, call: Call, call_id: str, arguments: Mapping[str, Any]) -> None:
        self.bond = bond
        self.call = call
        self.call_id = call_id
        self.arguments = arguments
        self.notes: list[str] = []
        self._documents: dict[str, OpenDocument] = {}

    @property
    def host(self) -> Host:
        return self.call.host

    def given(self, name: str) -> str:
        value = self.arguments.get(name)
        return value if isinstance(value, str) else ""

    async def target(self) -> Target:
        found = await self.bond.target(self.host, self.given("notebook") or None)
        self.notes += found.notes
        return found

    def document(self, target: Target) -> OpenDocument:
        """The same one for all of this use: a tab that did not answer is not waited for again."""
        known = self._documents.get(target.path)
        if known is None:
            known = self._documents[target.path] = self.bond.document(target.path)
        return known

    def said(self) -> str:
        """What the agent must be told beside the result."""
        notes = [*self.notes]
        for document in self._documents.values():
            notes += document.notes
        return "\n".join(dict.fromkeys(notes))

    async def dial(self) -> Dial:
        return dials.read(await self.host.dial())

    @property
    def author(self) -> Author:
        info = self.host.info
        return Author(info.id, self.host.turn(), info.agent, info.model)

    def report(self, progress: Progress) -> None:
        """Tell the person, and the agent's own door, how a long run goes on."""
        seconds = f"{progress.seconds:,.0f} s"
        said = progress.text[-2000:] if progress.running else ""
        state = f"running for {seconds}" if progress.running else "waiting: the kernel is busy"
        words = f"{said}\n[{state}]".lstrip()
        self.host.show(self.call_id, (TextBlock(words),))
        if self.call.progress is not None:
            self.call.progress(progress.seconds, state)


async def use_tool(tool: Tool, use: Use) -> Told:
    """Raises AgentLabError with the next step."""
    told = await (_again(tool, use) if use.call.again else _RUN[tool.name](use))
    said = use.said()
    return Told((part("plain", said), *told.parts), told.is_error) if said else told


async def _again(tool: Tool, use: Use) -> Told:
    """A call that an earlier server began. What only reads is done anew; what runs is never run
    twice; a change goes on where it was asked about."""
    if tool.runs:
        return text(AGAIN, True)
    if tool.changes:
        decision = await use.host.asked_before(use.call_id)
        if decision is not None:
            return await _finish(use, decision)
        if use.host.accepts:
            return text(AGAIN, True)  # nobody is asked, so it may be done already
    return await _RUN[tool.name](use)


# ---------------------------------------------------------------- reading


async def _list_notebooks(use: Use) -> Told:
    bond, info = use.bond, use.host.info
    opened = await bond.jupyter.opened()
    found = await bond.jupyter.notebooks(info.workspace.path, MOST_NOTEBOOKS)
    running = {one.path for one in opened}
    own = info.notebook.path if info.notebook else None
    lines = []
    for path in dict.fromkeys([*([own] if own else []), *sorted(running), *found]):
        marks = [*(["this session's"] if path == own else [])]
        marks += [*(["kernel runs"] if path in running else [])]
        lines.append(bond.name(info, path) + (f"  ({', '.join(marks)})" if marks else ""))
    if len(found) >= MOST_NOTEBOOKS:
        lines.append(f"[only the first {MOST_NOTEBOOKS} are listed]")
    return text("\n".join(lines) or "There is no notebook here.")


async def _read_notebook(use: Use) -> Told:
    target = await use.target()
    document = use.document(target)
    content = await document.read()
    cells: list[Cell] = content["cells"]
    first = 0
    if after := use.given("after_cell_id"):
        first = documents.find(content, after, target.name)[0] + 1
    language = (content.get("metadata", {}).get("kernelspec") or {}).get("name", "")
    kernel = "kernel runs" if target.kernel_id else "no kernel runs"
    about = ", ".join(part for part in (f"{len(cells)} cells", str(language), kernel) if part)
    head = f"{target.name}: {about}"
    parts: list[Result] = [part("plain", head)]
    size = len(head)
    for number, cell in enumerate(cells[first:], first):
        listed = _listed(cell)
        size += telling.size(Told(listed))
        if size > NOTEBOOK_CHARACTERS:
            last = cells[number - 1]["id"] if number else ""
            left = len(cells) - number
            said = f'\n[{left} more cells: read_notebook with after_cell_id "{last}"]'
            parts.append(part("plain", said))
            break
        parts += listed
    return Told(tuple(parts))


def _listed(cell: Cell) -> tuple[Result, ...]:
    source = plain(source_of(cell))
    if len(source) > SOURCE_CHARACTERS:
        left_out = len(source) - SOURCE_CHARACTERS
        source = f"{source[:SOURCE_CHARACTERS]}\n[… {left_out:,} more characters: read_cell]"
    return (part("plain", f"\n{_head(cell)}\n{source}"), *_put_out(cell))


def _head(cell: Cell) -> str:
    kind = str(cell.get("cell_type"))
    count = cell.get("execution_count")
    ran = "" if kind != "code" else f" [{count}]" if count is not None else " [not run]"
    return f"--- cell {cell.get('id')} · {kind}{ran}"


MOST_LISTED_OUTPUTS = 5


def _put_out(cell: Cell) -> list[Result]:
    """Each in a line."""
    found = cell.get("outputs") or ()
    parts = []
    for output in found[:MOST_LISTED_OUTPUTS]:
        match output.get("output_type"):
            case "error":
                said = plain(str(output.get("evalue")))[:200]
                parts.append(part("names", f"--> {plain(str(output.get('ename')))[:200]}"))
                parts.append(part("error", f"    {said}"))
            case "stream":
                words = plain(documents.source_of({"source": output.get("text")})).strip()
                size = f"--> {output.get('name')} {len(words):,} characters:"
                parts += [part("names", size), part("outputs", f"    {words[:80]!r}")]
            case _:
                parts.append(part("names", f"--> {', '.join(sorted(output.get('data') or {}))}"))
    if len(found) > MOST_LISTED_OUTPUTS:
        parts.append(part("plain", f"--> {len(found) - MOST_LISTED_OUTPUTS} more"))
    return parts


async def _read_cell(use: Use) -> Told:
    target = await use.target()
    document = use.document(target)
    _, cell = documents.find(await document.read(), use.given("cell_id"), target.name)
    source = plain(source_of(cell))
    kept = use.bond.spill(use.host)
    if len(source) > outputs.READ_HEAD:
        kept.spill.add(source)
        where = kept.close()
        source = f"{source[: outputs.READ_HEAD]}\n[… {where}]"
    parts: list[Result] = [part("plain", f"{_head(cell)}\n{source}")]
    if found := telling.put_out(cell.get("outputs") or ()):
        parts += [part("plain", "--> its outputs:"), *found]
    return Told(tuple(parts))


async def _list_variables(use: Use) -> Told:
    target = await use.target()
    manager, dial = use.bond.manager(target), await use.dial()
    if not dial.lets("schema"):
        return Told((part("names", ""),))
    found = await variables.variables(manager)
    if not found:
        return text("There are no variables in the kernel's memory.")
    return Told((part("names", "\n".join(telling.variable(one, dial) for one in found)),))


async def _inspect_variable(use: Use) -> Told:
    target = await use.target()
    manager, dial = use.bond.manager(target), await use.dial()
    if dial.level == "off":
        return Told((part("value", ""),))
    level: Level = dial.level
    # A person's masks look at the text that leaves; columns are hidden where their values are read.
    found = await variables.inspect_variable(manager, use.given("name"), level, dial.columns)
    return Told((telling.looked_into(found, dial),))


async def _kernel_status(use: Use) -> Told:
    target = await use.target()
    if target.kernel_id is None:
        return text(f"No kernel runs for {target.name}. restart_kernel starts one.")
    state = await use.bond.jupyter.kernel_state(target.kernel_id)
    opened = await use.bond.jupyter.opened()
    info = use.host.info
    users = [use.bond.name(info, one.path) for one in opened if one.kernel_id == target.kernel_id]
    alive = await variables_alive(use, target)
    lines = [
        f"{target.name}: kernel {state.get('name')}",
        f"state: {state.get('execution_state') if alive else 'dead; restart_kernel starts it'}",
        f"last activity: {state.get('last_activity')}",
        f"used by: {', '.join(users) or 'no open notebook'}",
    ]
    if len(users) > 1:
        lines.append("Several notebooks share its memory.")
    return text("\n".join(lines))


async def variables_alive(use: Use, target: Target) -> bool:
    manager = use.bond.manager(target)
    alive = manager.is_alive()
    return bool(await alive if isinstance(alive, Awaitable) else alive)


async def _read_terminal(use: Use) -> Told:
    found = {one.name: one for one in use.bond.jupyter.terminals()}
    if not found:
        raise NotFound("No terminal is open in this Jupyter server.")
    name = use.given("name") or use.host.info.terminal or ""
    if not name and len(found) == 1:
        name = next(iter(found))
    if name not in found:
        known = ", ".join(sorted(found))
        asked = f"There is no terminal {name[:80]!r}." if name else "Several terminals are open."
        raise NotFound(f"{asked} Name one of these: {known}.")
    words = outputs.overwritten(plain(found[name].text.replace("\r\n", "\n")))
    words = words.replace("\r", "").rstrip()
    if len(words) > TERMINAL_CHARACTERS:
        words = f"[the last {TERMINAL_CHARACTERS:,} characters]\n{words[-TERMINAL_CHARACTERS:]}"
    return text(f"terminal {name}:\n{words}" if words else f"terminal {name} shows nothing yet.")


# ---------------------------------------------------------------- changing cells


async def _insert_cell(use: Use) -> Told:
    target, content = await _looked(use)
    change = CellChange(
        "insert",
        target.path,
        documents.new_id(),
        use.given("cell_type") or "code",
        new_source=use.given("source"),
        after_cell_id=_behind(use, content, target, optional=True),
    )
    return await _change(use, change, "")


async def _edit_cell(use: Use) -> Told:
    target, content = await _looked(use)
    _, cell = documents.find(content, use.given("cell_id"), target.name)
    kind = use.given("cell_type") or str(cell["cell_type"])
    old, new = source_of(cell), use.given("source")
    if old == new and kind == cell["cell_type"]:
        return text("The cell has this source already; nothing was changed.")
    change = CellChange("edit", target.path, cell["id"], kind, old, new)
    return await _change(use, documents.with_origin(content, change), _called(cell))


async def _delete_cell(use: Use) -> Told:
    target, content = await _looked(use)
    _, cell = documents.find(content, use.given("cell_id"), target.name)
    change = CellChange("delete", target.path, cell["id"], cell["cell_type"], source_of(cell))
    return await _change(use, documents.with_origin(content, change), _called(cell))


async def _move_cell(use: Use) -> Told:
    target, content = await _looked(use)
    _, cell = documents.find(content, use.given("cell_id"), target.name)
    source = source_of(cell)
    change = CellChange(
        "move",
        target.path,
        cell["id"],
        cell["cell_type"],
        source,
        source,
        _behind(use, content, target, optional=False),
    )
    return await _change(use, documents.with_origin(content, change), _called(cell))


async def _looked(use: Use) -> tuple[Target, Content]:
    target = await use.target()
    document = use.document(target)
    return target, await document.read()


def _called(cell: Cell) -> str:
    """What people call a cell: its count."""
    count = cell.get("execution_count")
    return f"[{count}]" if count is not None else ""


def _behind(use: Use, content: Content, target: Target, *, optional: bool) -> str | None:
    after, first = use.given("after_cell_id"), use.given("before_cell_id")
    if after and first:
        raise Invalid("Give after_cell_id or before_cell_id, not both.")
    if after:
        documents.find(content, after, target.name)
        return after
    if first:
        behind = documents.before(content, first, target.name)
        if not optional and behind == use.given("cell_id"):  # a cell that is moved to where it is
            raise Invalid("The cell is there already.")
        return behind
    if not optional:
        raise Invalid("Say where: after_cell_id or before_cell_id.")
    cells = content["cells"]
    return str(cells[-1]["id"]) if cells else ""


async def _change(use: Use, change: CellChange, name: str) -> Told:
    """Ask, then do what was decided."""
    documents.check(change)
    use.host.show(use.call_id, (CellDiffBlock(change),))
    return await _finish(use, await use.host.propose(change, use.call_id, name))


async def _finish(use: Use, decision: Decision) -> Told:
    """Do what a person decided, however long ago they were asked."""
    if not decision.accepted:
        return rejected(decision)
    change = decision.change
    target = await use.target()  # it may have been renamed while this waited
    document = use.document(target)
    done = use.call.again and documents.is_done(await document.read(), change)
    if not done and change.operation in ("delete", "move"):  # it may stand elsewhere by now
        change = documents.with_origin(await document.read(), change)
    if decision.edited or change != decision.change:
        use.host.show(use.call_id, (CellDiffBlock(change),))
    if not done:
        await document.change(change, use.author)
    return _done(change, decision, target)


def rejected(decision: Decision) -> Told:
    said = f", and says: {decision.message}" if decision.message else "."
    after = "" if decision.message else " Ask what they want instead."
    trial = f"\n{decision.trial}" if decision.trial else ""
    return text(f"{REJECTED}{said}{after} Nothing was changed.{trial}", True)


def _done(change: CellChange, decision: Decision, target: Target) -> Told:
    verb = {"insert": "Inserted", "edit": "Changed", "delete": "Deleted", "move": "Moved"}
    words = f"{verb[change.operation]} cell {change.cell_id} in {target.name}."
    if change.operation in ("insert", "edit") and change.cell_type == "code":
        words += " It has not been run: run_cell runs it."
    if decision.edited:
        words += f"\nThe person edited your version first. The source is now:\n{change.new_source}"
    if decision.message:
        words += f"\nThey say: {decision.message}"
    if decision.trial:
        words += f"\n{decision.trial}"
    return text(words)


# ---------------------------------------------------------------- the kernel


async def _interrupt_kernel(use: Use) -> Told:
    target = await use.target()
    manager = use.bond.manager(target)
    assert target.kernel_id is not None, "it has a manager"
    match await interrupt_within(manager):
        case "waits":
            return text(
                "Nothing was interrupted: the cell that runs there only waits for an agent's "
                "answer (`%agent --wait`). Code can be run meanwhile."
            )
        case "interrupted":
            return text("What was run there meanwhile was interrupted. Its memory stays.")
    await use.bond.jupyter.interrupt_kernel(target.kernel_id)
    return text(f"The kernel of {target.name} was interrupted. Its memory stays.")


async def _restart_kernel(use: Use) -> Told:
    target = await use.target()
    jupyter, host = use.bond.jupyter, use.host
    if target.kernel_id is None:
        kernel_id = await jupyter.start_kernel(target.path)
        bound = host.info.notebook
        if bound is not None and bound.path == target.path:
            await host.rebind(msgspec.structs.replace(bound, kernel_id=kernel_id))
        use.bond.restarted(host.info.id, kernel_id)
        use.notes.clear()
        return text(f"A kernel was started for {target.name}. Its memory is empty.")
    await jupyter.restart_kernel(target.kernel_id)
    use.bond.restarted(host.info.id, target.kernel_id)
    return text(f"The kernel of {target.name} was restarted. Its memory is empty.")


_RUN: Mapping[str, Callable[[Use], Awaitable[Told]]] = {
    "list_notebooks": _list_notebooks,
    "read_notebook": _read_notebook,
    "read_cell": _read_cell,
    "insert_cell": _insert_cell,
    "edit_cell": _edit_cell,
    "delete_cell": _delete_cell,
    "move_cell": _move_cell,
    "run_cell": run_cell,
    "run_code": run_code,
    "list_variables": _list_variables,
    "inspect_variable": _inspect_variable,
    "kernel_status": _kernel_status,
    "interrupt_kernel": _interrupt_kernel,
    "restart_kernel": _restart_kernel,
    "read_terminal": _read_terminal,
}

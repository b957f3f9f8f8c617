"""The kernel bond: which notebook and kernel a session's tools reach, and what they left behind.

Nothing lands in the wrong place: where a notebook was renamed, got another kernel, or its kernel
was restarted, this is found at the next call, and the agent is told once.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from agent_lab.notebook import asked as waiting
from agent_lab.notebook import dial as dials
from agent_lab.notebook import mcp, telling
from agent_lab.notebook.dial import Dial
from agent_lab.notebook.document import (
    Contents,
    Document,
    FileDocument,
    Locks,
    OpenDocument,
    Shared,
    SharedDocument,
    is_done,
)
from agent_lab.notebook.effects import Took, durations
from agent_lab.notebook.kernel import KernelManager
from agent_lab.notebook.outputs import Spill
from agent_lab.notebook.running import Kernel, process_of
from agent_lab.notebook.tabs import Tabs
from agent_lab.notebook.telling import Told
from agent_lab.notebook.tools import INSTRUCTIONS, NO_NOTEBOOK, TOOLS, Use, use_tool
from agent_lab.notebook.watch import Watch
from agent_lab.protocol.errors import AgentLabError, Conflict, Invalid
from agent_lab.protocol.events import CellChange, Effect, Json, Notebook, Session, Trial
from agent_lab.sessions import workspace
from agent_lab.sessions.proposals import undoing
from agent_lab.sessions.tools import OURS, SERVER, Asked, Call, Host

_log = logging.getLogger(__name__)

OUTPUT = "agent-lab://output/"
PAGE_BYTES = 48_000
OUTPUTS_KEPT = 50
LONG_TEXT = 20_000
"""Characters from which masking is done in a thread."""


class Opened(Struct, frozen=True):
    """A notebook that has a kernel. `path` is relative to the server's root."""

    path: str
    kernel_id: str


class Terminal(Struct, frozen=True):
    name: str
    text: str


class Jupyter(Protocol):
    """What we use of the Jupyter server."""

    @property
    def contents(self) -> Contents: ...
    async def opened(self) -> Sequence[Opened]: ...
    def kernel(self, kernel_id: str) -> KernelManager | None: ...
    async def kernel_state(self, kernel_id: str) -> Mapping[str, Json]: ...
    async def start_kernel(self, path: str) -> str:
        """Start a kernel for the notebook; returns its id."""
        ...

    async def restart_kernel(self, kernel_id: str) -> None: ...
    async def interrupt_kernel(self, kernel_id: str) -> None: ...
    async def notebooks(self, folder: str, most: int) -> Sequence[str]:
        """Paths of the notebooks below a folder."""
        ...

    async def shared(self, path: str) -> Shared | None:
        """jupyter-collaboration's document of the notebook, None where there is none."""
        ...

    def terminals(self) -> Sequence[Terminal]: ...


class Target(Struct, frozen=True):
    """A notebook that a tool is about. `name` is as the agent names it; `notes` it must be told."""

    path: str
    name: str
    kernel_id: str | None
    notes: tuple[str, ...] = ()


class _Seen(Struct):
    """What a session's agent knows: where it worked last, and the processes of kernels that it
    used. Watchers bind the session anew before the agent calls a tool; it is told all the same."""

    own: Notebook
    processes: dict[str, object] = field(default_factory=dict)


class Bond:
    """Keeps `sessions.tools.Tools`. One for the server."""

    def __init__(
        self,
        jupyter: Jupyter,
        root: Path,
        version: str,
        tabs: Tabs | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.jupyter = jupyter
        self._tabs = tabs or Tabs()
        self._watch = watch
        self.unasked = tuple(f"{OURS}{tool.name}" for tool in TOOLS if not tool.runs)
        self._root = root
        self._version = version
        self._kernels: dict[str, Kernel] = {}
        self._locks = Locks()
        self._seen: dict[str, _Seen] = {}

    # ------------------------------------------------------------ what a session asks

    def instructions(self, session: Session) -> str:
        bound = session.notebook
        if bound is None:
            return NO_NOTEBOOK
        self._seen.setdefault(session.id, _Seen(bound))
        return INSTRUCTIONS.format(notebook=self._name(session, bound.path))

    async def answer(self, call: Call) -> Json | None:
        server = _Server(self, call, self._version)
        try:
            return await mcp.handle(server, call.message)
        except Exception:  # the top of a call: the agent must have an answer
            _log.exception("agent_lab: a tool failed")
            id = call.message.get("id") if isinstance(call.message, dict) else None
            said = "This tool failed in Agent Lab itself; the server's log has the details."
            return {"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": said}}

    def runs_code(self, asked: Asked) -> bool:
        return waiting.runs_code(asked)

    async def effects(self, host: Host, asked: Asked) -> tuple[Effect, ...]:
        return await waiting.read_effects(self, host, asked)

    async def try_out(self, host: Host, asked: Asked) -> Trial:
        return await waiting.try_out(self, host, asked)

    async def trial_words(self, host: Host, trial: Trial) -> str:
        return await waiting.words_of_trial(host, trial)

    async def take_back(self, host: Host, change: CellChange) -> None:
        path = change.notebook
        bound = host.info.notebook
        if bound is not None and bound.path != path and not await self._exists(path):
            path = bound.path  # it was renamed meanwhile
        change = replace(change, notebook=path)
        document = self.document(path)
        if not is_done(await document.read(), change):
            raise Conflict("The cell is not what this change made of it any more.", "cell_changed")
        await document.change(undoing(change), None)

    def forget(self, session_id: str) -> None:
        self._seen.pop(session_id, None)

    def close(self) -> None:
        """Let go of all kernels."""
        for kernel in self._kernels.values():
            kernel.close()
        self._kernels.clear()

    # ------------------------------------------------------------ where

    async def target(self, host: Host, notebook: str | None) -> Target:
        """The notebook that is named, else the session's. Raises Invalid, Forbidden."""
        info = host.info
        opened = await self.jupyter.opened()
        if notebook:
            path = self._path(info, notebook)
            bound = info.notebook
            if bound is None or bound.path != path:
                kernels = set(self._kernels_of(path, opened))
                kernel_id = kernels.pop() if len(kernels) == 1 else None
                return self._noted(info, path, kernel_id, ())
        if info.notebook is None:
            raise Invalid(
                "This session has no notebook of its own. Name one in the argument `notebook`; "
                "list_notebooks tells which there are.",
                "no_notebook",
            )
        return await self._own(host, info.notebook, opened)

    async def _own(self, host: Host, bound: Notebook, opened: Sequence[Opened]) -> Target:
        """The session's notebook, wherever it and its kernel went."""
        info = host.info
        seen = self._seen.setdefault(info.id, _Seen(bound))
        path, kernel_id, notes = bound.path, bound.kernel_id, list[str]()
        kernels = self._kernels_of(path, opened)
        elsewhere = [one.path for one in opened if one.kernel_id == kernel_id]
        if kernels:
            kernel_id = kernel_id if kernel_id in kernels else kernels[0]
        elif kernel_id is None or not elsewhere:
            if kernel_id is not None and self.jupyter.kernel(kernel_id) is None:
                kernel_id = None
        elif len(elsewhere) == 1 and not await self._exists(path):
            path = elsewhere[0]
        else:
            others = ", ".join(self._name(info, one) for one in elsewhere)
            notes.append(
                f"The kernel that this notebook had is used by {others} now, so it was left alone."
            )
            kernel_id = None
        now = Notebook(path, kernel_id)
        if now != bound and kernel_id is not None:
            await host.rebind(now)
        notes += await self._news(info, seen, now)
        return self._noted(info, path, kernel_id, tuple(notes))

    async def _news(self, info: Session, seen: _Seen, now: Notebook) -> list[str]:
        """What is not as the agent left it."""
        notes = []
        if now.path != seen.own.path:
            gone = not await self._exists(seen.own.path)
            what = "The notebook was renamed: it" if gone else "The session's notebook"
            notes.append(f"{what} is {self._name(info, now.path)} now.")
        if now.kernel_id is not None and seen.own.kernel_id not in (None, now.kernel_id):
            notes.append(
                "The notebook has another kernel now: nothing of what was in memory is there."
            )
        seen.own = Notebook(now.path, now.kernel_id or seen.own.kernel_id)
        return notes

    async def place(
        self, info: Session, notebook: str | None, path: str | None = None
    ) -> tuple[str, str | None]:
        """The notebook's path and its kernel, for a look that is no use of a tool: nothing is
        bound, and nothing counts as told. `notebook` as the agent names it, or its `path`.

        Raises Invalid, Conflict `no_notebook`.
        """
        bound = info.notebook
        wanted = path or (self._path(info, notebook) if notebook else bound and bound.path)
        if not wanted:
            raise Conflict("This session has no notebook of its own.", "no_notebook")
        kernels = self._kernels_of(wanted, await self.jupyter.opened())
        own = bound.kernel_id if bound is not None and bound.path == wanted else None
        if own is not None and (own in kernels or not kernels):
            return wanted, own
        return wanted, kernels[0] if kernels else None

    def took(self, kernel_id: str | None) -> dict[str, Took]:
        """Which runs made the names in this kernel's memory."""
        record = None if self._watch is None else self._watch.record(kernel_id or "")
        if record is None:
            return {}
        return durations(
            # What an agent ran beside the notebook has a number that no cell shows.
            (run.code, Took(run.seconds, run.count if run.cell_id or not run.by_agent else None))
            for run in record.runs()
            if run.life == record.life and run.seconds is not None and run.status == "ok"
        )

    def _kernels_of(self, path: str, opened: Sequence[Opened]) -> list[str]:
        """What the tab that has it open says, counts; else what Jupyter says."""
        tab = self._tabs.holder(path)
        if tab is not None and tab.kernel_id and self.jupyter.kernel(tab.kernel_id) is not None:
            return [tab.kernel_id]
        return [one.kernel_id for one in opened if one.path == path]

    def _noted(
        self, info: Session, path: str, kernel_id: str | None, notes: tuple[str, ...]
    ) -> Target:
        manager = None if kernel_id is None else self.jupyter.kernel(kernel_id)
        if manager is None or kernel_id is None:
            return Target(path, self._name(info, path), None, notes)
        process = process_of(manager)
        bound = info.notebook or Notebook(path, kernel_id)
        seen = self._seen.setdefault(info.id, _Seen(bound)).processes
        before = seen.get(kernel_id)
        seen[kernel_id] = process
        if before is not None and process is not None and before != process:
            said = "The kernel was restarted since you last used it: its memory is empty."
            notes = (*notes, said)
        return Target(path, self._name(info, path), kernel_id, notes)

    def restarted(self, session_id: str, kernel_id: str) -> None:
        """The session itself restarted it, or started it, and knows."""
        seen = self._seen.get(session_id)
        if seen is not None:
            seen.processes.pop(kernel_id, None)
            seen.own = Notebook(seen.own.path, None)

    async def _exists(self, path: str) -> bool:
        return await asyncio.to_thread(workspace.inside(self._root, path).exists)

    def _path(self, session: Session, notebook: str) -> str:
        """As the agent names it: from its folder, else from the server's root, or in full."""
        base = self._root.resolve()
        if posixpath.isabs(notebook) and Path(notebook).is_relative_to(base):
            notebook = Path(notebook).relative_to(base).as_posix()
            return self._checked(notebook, notebook)
        if posixpath.isabs(notebook):
            raise Invalid(f"{notebook[:200]!r} lies outside the folder that Jupyter serves.")
        here = posixpath.normpath(posixpath.join(session.workspace.path, notebook))
        there = posixpath.normpath(notebook)
        inside = not here.startswith("../")
        if here != there and not there.startswith("../"):
            path = workspace.inside(self._root, here) if inside else base
            if not path.is_file() and workspace.inside(self._root, there).is_file():
                return self._checked(there, notebook)
        return self._checked(here, notebook)

    def _checked(self, path: str, notebook: str) -> str:
        if path.startswith("../") or path == "..":
            raise Invalid(f"{notebook[:200]!r} lies outside the folder that Jupyter serves.")
        workspace.inside(self._root, path)
        if not path.endswith(".ipynb"):
            raise Invalid(f"{notebook[:200]!r} is no notebook: their names end in .ipynb.")
        return path

    def _name(self, session: Session, path: str) -> str:
        """From the agent's folder, as its other tools name files."""
        return posixpath.relpath(path, session.workspace.path or ".")

    def name(self, session: Session, path: str) -> str:
        return self._name(session, path)

    # ------------------------------------------------------------ what

    def document(self, path: str) -> OpenDocument:
        async def without() -> Document:
            shared = await self.jupyter.shared(path)
            if shared is not None:
                return SharedDocument(shared)
            return FileDocument(path, self.jupyter.contents, self._locks)

        return OpenDocument(lambda silent: self._tabs.holder(path, silent), without)

    def is_ours(self, host: Host, target: Target, message: str, cell_id: str = "") -> None:
        """A request that a session's agent makes of the kernel: whoever follows it knows whose."""
        if self._watch is not None and target.kernel_id is not None:
            self._watch.belongs(target.kernel_id, message, session_id=host.info.id, cell_id=cell_id)

    def manager(self, target: Target) -> KernelManager:
        """Raises Conflict `no_kernel`."""
        manager = None if target.kernel_id is None else self.jupyter.kernel(target.kernel_id)
        if manager is None:
            said = f"No kernel runs for {target.name}. restart_kernel starts one."
            raise Conflict(said, "no_kernel")
        return manager

    def kernel(self, target: Target) -> Kernel:
        """Our connection to the kernel, kept open. Raises Conflict `no_kernel`."""
        manager = self.manager(target)
        assert target.kernel_id is not None, "it has a manager"
        known = self._kernels.get(target.kernel_id)
        if known is not None and known.manager is manager:
            return known
        for kernel_id, kernel in list(self._kernels.items()):
            if self.jupyter.kernel(kernel_id) is not kernel.manager:
                kernel.close()
                del self._kernels[kernel_id]
        found = self._kernels[target.kernel_id] = Kernel(manager)
        return found

    # ------------------------------------------------------------ long outputs

    def spill(self, host: Host) -> Kept:
        return Kept(host.outputs)

    async def resources(self, host: Host) -> Sequence[mcp.Resource]:
        files = await asyncio.to_thread(_kept, host.outputs)
        return [mcp.Resource(f"{OUTPUT}{name}", f"Output {name}", size) for name, size in files]

    async def read(self, host: Host, uri: str) -> str | None:
        """A page of a long output, as the dial lets it out."""
        found = re.fullmatch(re.escape(OUTPUT) + r"([0-9a-f]{8})(?:/([0-9]{1,6}))?", uri)
        if found is None:
            return None
        file, page = host.outputs / f"{found[1]}.txt", int(found[2] or 1)
        dial = dials.read(await host.dial())
        return await asyncio.to_thread(_page_out, dial, file, page, f"{OUTPUT}{found[1]}")


class Kept:
    """The file that holds all the text of one run, made when the first of it comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._id = secrets.token_hex(4)
        self._file: Any = None
        self.spill = Spill(self._write)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, _ in _kept(self._folder)[OUTPUTS_KEPT - 1 :]:
                (self._folder / f"{name}.txt").unlink(missing_ok=True)
            self._file = (self._folder / f"{self._id}.txt").open("wb")
        self._file.write(data)

    def close(self) -> str:
        """Says where the text is, "" where all of it was told."""
        if self._file is None:
            return ""
        self._file.close()
        some = ", its first 50 MB" if self.spill.full else ""
        return f"full output{some}: resource {OUTPUT}{self._id}, pages {OUTPUT}{self._id}/2 …"


def _kept(folder: Path) -> list[tuple[str, int]]:
    """The newest first."""
    try:
        files = [(file.stat(), file.stem) for file in folder.glob("*.txt")]
    except OSError:
        return []
    newest = sorted(files, key=lambda one: one[0].st_mtime_ns, reverse=True)
    return [(name, stat.st_size) for stat, name in newest]


def _page_out(dial: Dial, file: Path, page: int, uri: str) -> str | None:
    """A page, as the dial lets it out. None: there is none."""
    found = _page(file, page)
    if found is None:
        return None
    before, words, pages = found
    if not dial.lets("full"):
        return dial.withheld
    if dial.columns:
        # The head of a table may be on another page than its rows.
        return "[… not sent: this folder masks columns, which a part of an output does not show]"
    if before:
        # What begins on the page before is masked with it, and then goes as one.
        parts = _let_out(dial, f"{before}{_HERE}{words}").split(_HERE, 1)
        words = parts[-1]
    else:
        words = _let_out(dial, words)
    if page == pages:
        return words
    return f"{words}\n[page {page} of {pages}; the next: {uri}/{page + 1}]"


_HERE = "\n--------\n"
"""Between what stands before a page and the page: made of what a private key may hold."""
BEFORE_BYTES = 12_000


def _let_out(dial: Dial, words: str) -> str:
    told = telling.leave(dial, Told((telling.part("outputs", words),)))
    return "\n".join(str(block["text"]) for block in told.content)


def _page(file: Path, page: int) -> tuple[str, str, int] | None:
    """What stands before the page, the page, and how many there are. Pages end with a line."""
    try:
        with file.open("rb") as lines:
            size = file.stat().st_size
            start = _line_start(lines, (page - 1) * PAGE_BYTES)
            end = _line_start(lines, page * PAGE_BYTES)
            first = max(0, start - BEFORE_BYTES)
            lines.seek(first)
            data = lines.read(max(0, min(end, size) - first))
    except OSError:
        return None
    pages = max(1, -(-size // PAGE_BYTES))
    if page < 1 or page > pages:
        return None
    before, words = data[: start - first], data[start - first :]
    return before.decode("utf-8", "replace"), words.decode("utf-8", "replace"), pages


LONGEST_LINE = 8_000


def _line_start(lines: BinaryIO, at: int) -> int:
    """Where the next line begins; in the middle of a very long one right here."""
    if at <= 0:
        return 0
    lines.seek(at - 1)
    found = lines.read(LONGEST_LINE).find(b"\n")
    return at if found < 0 else at + found


class _Server:
    """The tools of one call: keeps `mcp.Server`."""

    name = SERVER
    tools = TOOLS

    def __init__(self, bond: Bond, call: Call, version: str) -> None:
        self.version = version
        self._bond = bond
        self._call = call

    @property
    def instructions(self) -> str:
        return self._bond.instructions(self._call.host.info)

    async def call(self, tool: mcp.Tool, arguments: Mapping[str, Any], meta: Json) -> mcp.Result:
        known = meta.get("claudecode/toolUseId")
        call_id = known if isinstance(known, str) else f"mcp-{secrets.token_hex(8)}"
        use = Use(self._bond, self._call, call_id, arguments)
        try:
            told = await use_tool(tool, use)
        except AgentLabError as error:
            words = [said, error.message] if (said := use.said()) else [error.message]
            told = telling.text("\n".join(words), True)
        # Asked anew: it may have been turned while the tool was at work.
        dial = await use.dial()
        if telling.size(told) > LONG_TEXT:
            return await asyncio.to_thread(telling.leave, dial, told)
        return telling.leave(dial, told)

    async def resources(self) -> Sequence[mcp.Resource]:
        return await self._bond.resources(self._call.host)

    async def read(self, uri: str) -> str | None:
        return await self._bond.read(self._call.host, uri)

"""Keep what the last cell of this kernel did, so that a question can show it to the agent.

Nothing is captured a second time: texts come from messages the kernel sends anyway (a hook on each
flush, five times a second at most, never on `write`), results from IPython's own history.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from agent_lab.kernel.involved import involved
from agent_lab.protocol.events import ContextItem

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

LIMIT = 20_000
"""Characters kept of a cell's source, output or traceback. Of a long text the end: it says why."""
CELLS_KEPT = 16
"""How many cells' texts are kept: late prints of earlier cells must not push out the last one's."""
DONE_KEPT = 64
"""How many cells can be asked about by number, by id, or as all errors."""

AGENT = "agent_lab"
"""The user name in the messages with which an agent runs code."""

Message = dict[str, Any]

# CSI, OSC (ended by BEL or ST) and the other two-character escapes.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


class Tail:
    """The last LIMIT characters of a text that comes in pieces."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._kept = 0
        self._size = 0

    def add(self, piece: str) -> None:
        self._size += len(piece)
        piece = piece[-LIMIT:]
        self._pieces.append(piece)
        self._kept += len(piece)
        if self._kept > 4 * LIMIT or len(self._pieces) > 1000:
            end = "".join(self._pieces)[-LIMIT:]
            self._pieces, self._kept = [end], len(end)

    @property
    def text(self) -> str:
        return shortened("".join(self._pieces), self._size)


class Done(Struct, frozen=True):
    """What one cell did, as texts: a kept exception would keep every variable of its frames.

    `involved`: the variables that a failed cell names. `request`: the id of the message
    that ran it.
    """

    source: str
    execution_count: int | None
    cell_id: str
    ename: str = ""
    evalue: str = ""
    traceback: str = ""
    result: str = ""
    printed: Tail | None = None
    involved: tuple[ContextItem, ...] = ()
    request: str = ""

    @property
    def kind(self) -> Literal["error", "output", "cell"]:
        if self.ename:
            return "error"
        return "output" if self.output else "cell"

    @property
    def output(self) -> str:
        printed = plain(self.printed.text) if self.printed else ""
        return "\n".join(part for part in (printed.rstrip("\n"), self.result) if part.strip())

    def item(self, kind: Literal["error", "output", "cell"] | None = None) -> ContextItem:
        """The chip that goes with a question. `kind`: as that, not as what it is."""
        kind = kind or self.kind
        names = {"error": "error in", "output": "output of", "cell": "cell"}
        place = "a cell" if self.execution_count is None else f"[{self.execution_count}]"
        return ContextItem(
            type=kind,
            label=f"{names[kind]} {place}",
            text=self.output,
            cell_id=self.cell_id,
            execution_count=self.execution_count,
            source=self.source,
            ename=self.ename,
            evalue=self.evalue,
            traceback=self.traceback,
        )


class CellEvents:
    """Hears what runs in one shell begin and end; one run may lie within another. `stop` undoes
    `start`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def start(self) -> None:
        self._shell.events.register("pre_run_cell", self._begins)
        self._shell.events.register("post_run_cell", self._ended)

    def stop(self) -> None:
        self._shell.events.unregister("pre_run_cell", self._begins)
        self._shell.events.unregister("post_run_cell", self._ended)

    def _begins(self, info: ExecutionInfo) -> None:
        """Before it runs."""

    def _ends(self, result: ExecutionResult | None) -> None:
        """After it ran."""

    def _ended(self, result: ExecutionResult | None) -> None:
        info = getattr(result, "info", None)
        if info is None or str(info.raw_cell or "").strip():
            self._ends(result)  # of an empty cell IPython runs nothing, and tells of its end alone


class Recorder(CellEvents):
    """Listens to one shell. `last` is what the last cell did that was not a question of ours."""

    # What else is told of a cell that is done, on the shell's thread.
    heard: Callable[[Done], None] | None = None

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._printed: OrderedDict[str, Tail] = OrderedDict()
        self._lock = threading.Lock()
        self._old_traceback: object = None
        self._done: deque[Done] = deque(maxlen=DONE_KEPT)

    # ------------------------------------------------------------ what is known

    @property
    def last(self) -> Done | None:
        return self._done[-1] if self._done else None

    @property
    def last_error(self) -> Done | None:
        """The last cell that failed, though others ran since."""
        return next((done for done in reversed(self._done) if done.ename), None)

    def errors(self) -> list[Done]:
        """The cells whose newest run failed, oldest first."""
        newest: dict[str, Done] = {}
        for done in self._done:
            # A cell without an id that was mended and run again is another text: all are told of.
            key = done.cell_id or done.source
            newest.pop(key, None)
            newest[key] = done
        return [done for done in newest.values() if done.ename]

    def cell(self, which: str) -> Done:
        """The newest run of a cell, by its number or its id. Raises ValueError."""
        number = int(which) if which.isascii() and which.isdecimal() else None
        for done in reversed(self._done):
            if which == done.cell_id or (number is not None and number == done.execution_count):
                return done
        found = None if number is None else self._from_history(number)
        if found is not None:
            return found
        known = ", ".join(f"[{done.execution_count}]" for done in self._done if done.source)
        raise ValueError(
            f"No cell {which} ran in this kernel since it started. "
            + (f"These did: {known}." if known else "Run it first.")
        )

    def _from_history(self, number: int) -> Done | None:
        """A cell that ran before we listened: its source and its last line's value."""
        history = self._shell.history_manager
        sources: Sequence[str] = history.input_hist_raw if history is not None else ()
        if history is None or not 0 < number < len(sources) or not sources[number].strip():
            return None
        result = plain(shortened(str(history.output_hist_reprs.get(number, ""))))
        return Done(shortened(sources[number]), number, "", result=result)

    # ------------------------------------------------------------ listening

    def start(self) -> None:
        super().start()
        self._hook("register_hook")

    def stop(self) -> None:
        super().stop()
        self._hook("unregister_hook")

    def _hook(self, verb: str) -> None:
        """ipykernel keeps hooks per thread: streams are flushed in its own, displays in this."""
        for stream in (sys.stdout, sys.stderr):
            change, thread = getattr(stream, verb, None), getattr(stream, "pub_thread", None)
            if change is not None and thread is not None:
                thread.schedule(lambda change=change: change(self._heard))
        change = getattr(self._shell.display_pub, verb, None)
        if change is not None:
            change(self._heard)

    def _heard(self, message: Message) -> Message:
        """A message on its way out: note its text, hand it on as it is."""
        kind, content = message.get("msg_type"), message.get("content") or {}
        text = None
        if kind == "stream":
            text = content.get("text")
        elif kind == "display_data":
            text = content.get("data", {}).get("text/plain")
            text = f"{text}\n" if isinstance(text, str) else None
        if isinstance(text, str):
            self._tail(str((message.get("parent_header") or {}).get("msg_id", ""))).add(text)
        return message

    def _tail(self, request: str) -> Tail:
        with self._lock:
            tail = self._printed.setdefault(request, Tail())
            self._printed.move_to_end(request)
            while len(self._printed) > CELLS_KEPT:
                self._printed.popitem(last=False)
            return tail

    def _begins(self, info: ExecutionInfo) -> None:
        self._old_traceback = getattr(self._shell, "_last_traceback", None)

    def _ends(self, result: ExecutionResult | None) -> None:
        info = getattr(result, "info", None)
        if result is None or info is None or not info.store_history:
            return  # a program's run, not a cell of the person
        source = str(info.raw_cell or "")
        error = result.error_before_exec or result.error_in_exec
        if is_question(source):
            return
        count = result.execution_count
        reprs = self._shell.history_manager.output_hist_reprs if self._shell.history_manager else {}
        request = request_of(self._shell)
        done = Done(
            source=shortened(source),
            execution_count=count,
            cell_id=str(getattr(info, "cell_id", None) or ""),
            ename=type(error).__name__ if error is not None else "",
            evalue=_said(error) if error is not None else "",
            traceback=self._traceback(error) if error is not None else "",
            result=plain(shortened(str(reprs.get(count, "")))) if count is not None else "",
            printed=self._tail(request),
            involved=involved(source, error, self._shell.user_ns) if error is not None else (),
            request=request,
        )
        self._done.append(done)
        if self.heard is not None:
            self.heard(done)

    def _traceback(self, error: BaseException) -> str:
        """As the notebook shows it. After a mere sentence the shell still holds an older one."""
        shown = getattr(self._shell, "_last_traceback", None)
        if not isinstance(shown, Sequence) or not shown or shown is self._old_traceback:
            shown = traceback.format_exception_only(error)
        return plain(shortened("\n".join(str(line) for line in shown))).strip("\n")


def parent_of(shell: InteractiveShell) -> Message:
    """The message that asked for the cell that runs; empty in a shell that is no kernel."""
    parent: Message = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return parent if parent.get("header") else {}


def by_agent(shell: InteractiveShell) -> bool:
    """Whether an agent's tool runs it."""
    return (parent_of(shell).get("header") or {}).get("username") == AGENT


def request_of(shell: InteractiveShell) -> str:
    """That message's id, or ""."""
    return str(parent_of(shell).get("header", {}).get("msg_id", ""))


def is_question(source: str) -> bool:
    """Whether a cell does nothing but ask."""
    if source.lstrip().startswith("%%agent"):
        return True
    lines = [line for line in source.splitlines() if line.strip()]
    return all(line.lstrip().startswith(("%agent", "%load_ext agent_lab")) for line in lines)


def _said(error: BaseException) -> str:
    """`str(error)`, also of errors whose own `__str__` fails."""
    found = traceback.TracebackException(type(error), error, None, lookup_lines=False, compact=True)
    return plain(shortened(str(found)))


def plain(text: str) -> str:
    """As a terminal would leave it: no colours, of an overwritten line its last state."""
    text = _ANSI.sub("", text)
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def shortened(text: str, size: int | None = None) -> str:
    """The end of a text, with a mark where the rest was. `size`: how long it was before."""
    left_out = (len(text) if size is None else size) - LIMIT
    return text if left_out <= 0 else f"[{left_out} characters left out]\n{text[-LIMIT:]}"

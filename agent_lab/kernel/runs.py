"""Tell whether the cell that runs was run by itself, or together with others.

Why: a notebook keeps its `%agent` cells. Who runs all of it wants the results again, not the
questions, which cost money and may change files. How it is recognised:
- A notebook sends "Run All" as one burst: JupyterLab's messages are dated some 10 ms apart, on a
  busy machine up to 110 ms. A person who runs cell after cell, also while one is busy, is slower
  than NEAR_SECONDS, and not MANY times in a row faster than CHAIN_SECONDS.
- Cells that are queued behind this one are seen as they arrive, before they run: ipykernel 7 reads
  them on a thread of its own, where we listen in. Older ones, without that thread, show only those
  that ran before, so the first cell of a run is not recognised there.
- Programs that execute notebooks (nbclient, papermill, nbconvert, our own `run_cell`) send one cell
  after the other, and say that nobody can be asked (`allow_stdin` false): `attended` is false.
- An editor that sends one after the other and says that it can be asked is not recognised.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent_lab.kernel.context import Message, parent_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NEAR_SECONDS = 0.08
"""Two cells sent within this time of each other were run together."""
CHAIN_SECONDS, MANY = 0.25, 3
"""So were this many, each sent within that time of the one before."""
ARRIVE_SECONDS = 0.3
"""How long the rest of a burst may take to get here after its first cell. The question waits for
that, the cell does not."""
POLL_SECONDS = 0.01
KEPT = 1000


class Seen(Struct, frozen=True):
    """One request to run a cell. `sent` is the client's clock, in seconds; `arrived` is ours."""

    client: str
    cell_id: str
    sent: float
    arrived: float


class Runs:
    """Listens to one shell's requests."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)  # ipykernel's, which tells few types
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._lock = threading.Lock()
        self._listens = False

    # ------------------------------------------------------------ listening

    def start(self) -> None:
        self._shell.events.register("pre_run_cell", self._begins)
        kernel = self._kernel
        if getattr(kernel, "shell_channel_thread", None) is None:
            return
        read = kernel.shell_channel_thread_main

        def listen(frames: Any) -> Any:
            self._arrives(frames)
            return read(frames)

        self._hear(listen)
        self._listens = True

    def stop(self) -> None:
        self._shell.events.unregister("pre_run_cell", self._begins)
        if self._listens:
            kernel = self._kernel
            del kernel.shell_channel_thread_main
            self._read_by(kernel.shell_channel_thread_main)
            self._listens = False

    def _hear(self, listen: Any) -> None:
        # A kernel that starts (we are loaded by its configuration) takes its reader from this name.
        self._kernel.shell_channel_thread_main = listen
        self._read_by(listen)

    def _read_by(self, reader: Any) -> None:
        if getattr(self._kernel, "io_loop", None) is not None:  # it has started
            stream = self._kernel.shell_stream
            stream.io_loop.add_callback(lambda: stream.on_recv(reader, copy=False))

    def _arrives(self, frames: Any) -> None:
        """A message, on the thread that reads them. What is wrong with it, ipykernel says."""
        session = self._kernel.session
        try:
            _, parts = session.feed_identities(frames, copy=False)
            header = session.unpack(parts[1].bytes)
            if header["msg_type"] == "execute_request":
                self._note({"header": header, "metadata": session.unpack(parts[3].bytes)})
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return

    def _begins(self, info: object) -> None:
        self._note(parent_of(self._shell))

    def _note(self, parent: Message) -> None:
        header = parent.get("header") or {}
        sent = _seconds(header.get("date"))
        if header.get("msg_type") != "execute_request" or sent is None:
            return
        cell_id = str((parent.get("metadata") or {}).get("cellId") or "")
        seen = Seen(str(header.get("session", "")), cell_id, sent, time.monotonic())
        with self._lock:
            self._seen.setdefault(str(header.get("msg_id", "")), seen)
            while len(self._seen) > KEPT:
                self._seen.popitem(last=False)

    # ------------------------------------------------------------ what it knows

    @property
    def attended(self) -> bool:
        """Whether whoever runs this cell could be asked something; a terminal can."""
        parent = parent_of(self._shell)
        return not parent or bool((parent.get("content") or {}).get("allow_stdin"))

    def together(self, request: str) -> bool:
        """Was that request sent together with others? Waits for ARRIVE_SECONDS at most, when it has
        just come. From any thread."""
        with self._lock:
            mine = self._seen.get(request)
        if mine is None:
            return False
        while not self._near(request, mine):
            if self._left(mine) <= 0:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def waits(self, request: str) -> bool:
        """Whether `together` would have to wait."""
        with self._lock:
            mine = self._seen.get(request)
        return mine is not None and self._left(mine) > 0 and not self._near(request, mine)

    def _left(self, mine: Seen) -> float:
        if not mine.cell_id or not self._listens:
            return 0.0
        return mine.arrived + ARRIVE_SECONDS - time.monotonic()

    def is_together(self, request: str) -> bool:
        """The same of a cell that has run: it does not wait."""
        with self._lock:
            mine = self._seen.get(request)
        return mine is not None and self._near(request, mine)

    def _near(self, request: str, mine: Seen) -> bool:
        if not mine.cell_id:  # a console has no notebook that could run as a whole
            return False
        with self._lock:
            seen = [one for id, one in self._seen.items() if id != request]
        gaps = sorted(
            one.sent - mine.sent
            for one in seen
            # Of one cell that was run twice at once the first run counts.
            if not (one.cell_id == mine.cell_id and one.sent > mine.sent)
            and one.client == mine.client
            and one.cell_id
            and abs(one.sent - mine.sent) <= MANY * CHAIN_SECONDS
        )
        before = _chain([-gap for gap in reversed(gaps) if gap <= 0])
        after = _chain([gap for gap in gaps if gap > 0])
        nearest = min((gap for gap in (*before[:1], *after[:1])), default=None)
        if nearest is not None and nearest <= NEAR_SECONDS:
            return True
        return 1 + len(before) + len(after) >= MANY


def _chain(gaps: list[float]) -> list[float]:
    """Of growing distances from one cell those that a chain of cells leads to without a break."""
    at = 0.0
    for number, gap in enumerate(gaps):
        if gap - at > CHAIN_SECONDS:
            return gaps[:number]
        at = gap
    return gaps


def _seconds(date: object) -> float | None:
    """A message's date, which ipykernel hands on as text or as a datetime."""
    if isinstance(date, str):
        try:
            date = datetime.fromisoformat(date)
        except ValueError:
            return None
    return date.timestamp() if isinstance(date, datetime) else None

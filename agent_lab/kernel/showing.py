"""Show lines and answers in whatever runs the cell: a notebook's output changes in place, a console
and a terminal only ever get more text."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from html import escape
from typing import TYPE_CHECKING, Any

from IPython.display import display

from agent_lab.kernel.context import parent_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

PATIENCE_SECONDS = 0.02
"""How long the cell waits to hear that the question arrived; later the line is updated in place."""

_display: Any = display  # untyped in IPython


def changes_in_place(shell: InteractiveShell) -> bool:
    """Whether an output of the cell that runs can change later: a cell of a notebook can, also one
    that a program runs; `jupyter console` and a terminal forget nothing and change nothing."""
    parent = parent_of(shell)
    is_cell = bool((parent.get("metadata") or {}).get("cellId"))
    return bool(parent) and (is_cell or not (parent.get("content") or {}).get("allow_stdin"))


class Line:
    """A sentence in a cell's output, and what becomes of it. From any thread."""

    def __init__(self, text: str, in_place: bool) -> None:
        self._in_place = in_place
        self._handle: Any = None
        if in_place:
            self._handle = _display(_sentence(text), raw=True, display_id=True)
        else:
            write(f"{text}\n")

    def say(self, text: str) -> None:
        if self._in_place:
            self._handle.update(_sentence(text), raw=True)
        else:
            write(f"{text}\n")


class Growing:
    """An answer in a cell's output, shown anew as it grows."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, markdown: str, plain: str) -> None:
        bundle = {"text/markdown": markdown, "text/plain": plain}
        if self._handle is None:
            self._handle = _display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def show(text: str) -> None:
    """A sentence is set like prose; lines stay in columns."""
    _display({"text/plain": text} if "\n" in text else _sentence(text), raw=True)


def show_when_known(
    check: Callable[[], object], work: Callable[[], str], in_place: bool, slow: bool
) -> None:
    """Do `check`, then `work`, in a thread, and show the sentence. The cell waits for
    PATIENCE_SECONDS only, and of `slow` work for the check alone.

    Raises AgentLabError when something failed that fast; a later failure is shown in the line.
    """
    future: Future[str] = Future()
    checked = threading.Event()
    began = time.monotonic()
    threading.Thread(
        target=_run, args=(check, checked, work, future), name="agent_lab: send", daemon=True
    ).start()
    checked.wait(PATIENCE_SECONDS)
    left = 0.0 if slow else began + PATIENCE_SECONDS - time.monotonic()
    try:
        show(future.result(max(left, 0)))
    except NotYet:
        line = Line("Sending to the agent …", in_place)

        def update(known: Future[str]) -> None:
            error = known.exception()
            line.say(str(error) if error else known.result())

        future.add_done_callback(update)


def _run(
    check: Callable[[], object],
    checked: threading.Event,
    work: Callable[[], str],
    future: Future[str],
) -> None:
    try:
        check()
        checked.set()
        future.set_result(work())
    except Exception as error:  # the thread's top: whoever waits for the future hears of it
        future.set_exception(error)
        checked.set()


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _sentence(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f"<div>{escape(text)}</div>"}

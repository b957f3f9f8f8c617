"""`%agent watch`: send one message when something happens in this kernel; nothing is sent before.

What is looked at, and when: after each cell, on the kernel's own thread. While a cell runs nothing
is evaluated: an expression that reads what a loop is just changing would be wrong or in its way.
It lives in this kernel's memory and ends with it. Cells that the agent itself runs do not count: it
sees what becomes of them anyway.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_lab.kernel.client import NoServer
from agent_lab.kernel.context import CellEvents, Done, by_agent
from agent_lab.kernel.grammar import Condition
from agent_lab.kernel.showing import Line
from agent_lab.protocol.errors import AgentLabError, Unavailable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

IDLE_SECONDS = 2.0
"""How long no cell may have run before the kernel counts as idle."""
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between attempts when the server does not answer; the same message is never two turns."""
MOST_TOLD = 5
"""Failed cells that a message about idleness tells of."""

QUESTIONS = {
    "error": "This cell failed while I was away. Explain the error and mend it.",
    "idle": "What I had running is done. Tell me briefly how it went.",
    "when": "This has come true. Tell me what it means.",
}


@dataclass(eq=False)
class Watch:
    """One thing that is waited for. `send` gets the cells to tell of and returns what to say."""

    condition: Condition
    expression: str
    question: str
    line: Line
    send: Callable[[str, Sequence[Done]], str]
    prompt_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    note: str = ""
    ran: list[Done] = field(default_factory=list)
    together: Callable[[], bool] = lambda: False
    """Did the cell that set it run together with others? Then it sends nothing. May change until
    `settle` is told."""
    instead: Sequence[Watch] = ()
    """Those that it took the place of, should it not stay."""

    @property
    def what(self) -> str:
        when = f"when {self.expression}"
        return when if self.condition == "when" else f"on {self.condition}"


class Watches(CellEvents):
    """Those of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._armed: list[Watch] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._running = 0  # cells, of which one may run within another

    def stop(self) -> None:
        super().stop()
        self.clear()

    # ------------------------------------------------------------ what a person does

    def add(self, watch: Watch) -> None:
        """Wait for it, in place of the same watch. Whether it stays is told to `settle`."""
        with self._lock:
            watch.instead = [
                one
                for one in self._armed
                if (one.what, one.question) == (watch.what, watch.question)
            ]
            self._armed = [one for one in self._armed if one not in watch.instead] + [watch]

    def settle(self, watch: Watch, stays: bool) -> None:
        """It stays: the same twice is one, a cell that is run again asks no second time. Else the
        one that was there before is waited for as before. From any thread."""
        with self._lock:
            before, watch.instead = watch.instead, ()
            if stays:
                watch.together = lambda: False
            elif watch in self._armed:
                self._armed = [one for one in self._armed if one is not watch] + [*before]
        if stays:
            for one in before:
                one.line.say("Watched by a later cell now.")

    def clear(self) -> int:
        """Wait for nothing any more; returns how many there were."""
        self._stop_timer()
        with self._lock:
            armed, self._armed = self._armed, []
        for one in armed:
            one.line.say("No longer watched.")
        return len(armed)

    def listing(self) -> str:
        with self._lock:
            armed = list(self._armed)
        if not armed:
            return "Nothing is watched. `%agent watch on error` asks as soon as a cell fails."
        lines = [
            f"  {one.what}: {' '.join(one.question.split())[:80] or QUESTIONS[one.condition]}"
            + (f"  ({one.note})" if one.note else "")
            for one in armed
        ]
        end = "Each sends one message. All end with this kernel, or with `%agent watch stop`."
        return "\n".join(("Watching", *lines, end))

    # ------------------------------------------------------------ what happens

    def _begins(self, info: ExecutionInfo) -> None:
        self._running += 1
        self._stop_timer()

    def _ends(self, result: ExecutionResult | None) -> None:
        """Of any cell: one of ours, or the agent's, has stopped the timer too."""
        self._running = max(self._running - 1, 0)
        with self._lock:
            waits = any(one.condition == "idle" and one.ran for one in self._armed)
        if waits and not self._running:
            self._start_timer()

    def heard(self, done: Done) -> None:
        """A cell of the person is done."""
        if by_agent(self._shell):
            return
        with self._lock:
            armed = list(self._armed)
        for watch in armed:
            match watch.condition:
                case "error":
                    if done.ename and done.ename not in ("KeyboardInterrupt", "Stopped"):
                        self._fire(watch, [done])
                case "when":
                    if self._is_true(watch):
                        self._fire(watch, [done])
                case "idle":
                    watch.ran = [*watch.ran[-50:], done]

    def _is_true(self, watch: Watch) -> bool:
        try:
            code = compile(watch.expression, "<watch>", "eval")
            found = bool(eval(code, self._shell.user_global_ns, self._shell.user_ns))  # noqa: S307
        except Exception as error:  # the person's expression: a name may not be there yet
            watch.note = f"not to be told yet: {type(error).__name__}"
            return False
        watch.note = ""
        return found

    def _start_timer(self) -> None:
        self._stop_timer()
        timer = threading.Timer(IDLE_SECONDS, self._idle)
        timer.name, timer.daemon = "agent_lab: idle", True
        with self._lock:
            self._timer = timer
        timer.start()

    def _stop_timer(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _idle(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # a cell has begun just now
            self._timer = None
            armed = [one for one in self._armed if one.condition == "idle" and one.ran]
        for watch in armed:
            failed = [done for done in watch.ran[:-1] if done.ename]
            self._fire(watch, [*failed[-MOST_TOLD:], watch.ran[-1]])

    def _fire(self, watch: Watch, cells: Sequence[Done]) -> None:
        """Send its message, once: whoever takes it off the list sends it."""
        with self._lock:
            if watch not in self._armed or watch.together():
                return
            self._armed.remove(watch)
        name = "agent_lab: watch"
        threading.Thread(target=_send, args=(watch, cells), name=name, daemon=True).start()


def _send(watch: Watch, cells: Sequence[Done]) -> None:
    for pause in (*RETRY_SECONDS, None):
        try:
            watch.line.say(watch.send(watch.prompt_id, cells))
            return
        except (NoServer, Unavailable) as error:  # it may be back in a moment
            if pause is None:
                watch.line.say(f"It happened, but the agent was not told: {error}")
                return
            threading.Event().wait(pause)
        except (AgentLabError, ValueError) as error:
            watch.line.say(f"It happened, but the agent was not told: {error}")
            return

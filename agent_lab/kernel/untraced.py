"""Leave `_`, `__`, `___` and `Out` to the person where an agent runs code beside the history.

IPython binds them anew for every value that is displayed, also for code that it does not count: the
value of an agent's `1 + 1` would take the place of the last one of the person's.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from agent_lab.kernel.context import CellEvents, by_agent

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

LAST = ("_", "__", "___")
_ABSENT = object()


class Untraced(CellEvents):
    """Of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._kept: list[_Kept | None] = []
        """One for each run that has begun: one may run within another."""

    def _begins(self, info: ExecutionInfo) -> None:
        beside = by_agent(self._shell) and not info.store_history
        self._kept.append(_Kept(self._shell) if beside else None)

    def _ends(self, result: ExecutionResult | None) -> None:
        kept = self._kept.pop() if self._kept else None
        if kept is not None:
            kept.put_back()


class _Kept:
    def __init__(self, shell: Any) -> None:
        # The number that a value would get; which of the two, differs between versions of IPython.
        numbers = (shell.execution_count - 1, shell.execution_count)
        names, hook = shell.user_ns, shell.displayhook
        out = names.get("_oh")
        self._places: list[tuple[MutableMapping[Any, Any], Any, Any]] = [
            (names, name, names.get(name, _ABSENT))
            for name in (*LAST, *(f"_{number}" for number in numbers))
        ]
        if isinstance(out, dict):
            self._places += [(out, number, out.get(number, _ABSENT)) for number in numbers]
        self._hook = [(hook, name, getattr(hook, name)) for name in LAST if hasattr(hook, name)]

    def put_back(self) -> None:
        for place, key, value in self._places:
            if value is _ABSENT:
                place.pop(key, None)
            else:
                place[key] = value
        for hook, name, value in self._hook:
            setattr(hook, name, value)

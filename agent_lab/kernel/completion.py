"""Complete what stands after `%agent`: options, our words, variables, ids of sessions.

Ids are the server's to tell, so they are kept for a while and asked for in a thread: the person who
types is not made to wait for more than LONGEST_SECONDS.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from agent_lab.kernel.grammar import FLAGS, VALUES, WORDS
from agent_lab.protocol.errors import AgentLabError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LONGEST_SECONDS = 0.04
FRESH_SECONDS = 10.0
SHOWN_OF_ID = 8

_LINE = re.compile(r"\s*%%?agent\s+(.*)\Z", re.DOTALL)
_WATCH = ("on error", "on idle", "when ", "stop")


class Completion:
    """The matcher of one shell. `ids` asks the server; it may raise AgentLabError."""

    def __init__(self, shell: InteractiveShell, ids: Callable[[], Sequence[str]]) -> None:
        self._shell = shell
        self._ids = _Kept(ids)
        self._matcher: Any = None

    def start(self) -> None:
        def match(context: CompletionContext) -> SimpleMatcherResult:
            return self._match(context.text_until_cursor)

        decorate: Any = context_matcher(priority=100, identifier="agent_lab")  # untyped in IPython
        self._matcher = decorate(match)
        self._matchers().append(self._matcher)

    def stop(self) -> None:
        if self._matcher in self._matchers():
            self._matchers().remove(self._matcher)

    def _matchers(self) -> list[Any]:
        completer = self._shell.Completer
        return completer.custom_matchers if completer is not None else []

    def _match(self, line: str) -> SimpleMatcherResult:
        asked = _LINE.match(line)
        if asked is None:
            return SimpleMatcherResult(completions=[])
        fragment, offered = offers(asked[1], self._shell.user_ns, self._ids.now)
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text) for text in offered],
            matched_fragment=fragment,
            # A question is prose: names of variables and files would only be in the way.
            suppress=bool(offered),
        )


def offers(
    text: str, variables: Mapping[str, Any], ids: Callable[[], Iterable[str]]
) -> tuple[str, list[str]]:
    """What the last word of a line may become, and how much of it is typed. Pure but for `ids`."""
    before, _, word = text.rpartition(" ")
    words = before.split()
    last = words[-1] if words else ""
    name, equals, value = word.partition("=")
    if equals and name in VALUES:
        last, word = name, value
    if last == "--vars":
        *done, part = word.split(",")
        names = [name for name in variables if not name.startswith("_") and name not in done]
        return part, _starting(part, names)
    if last == "--session" or words == ["resume"]:
        return word, _starting(word, [id[:SHOWN_OF_ID] for id in ids()])
    if last in VALUES:
        return word, []
    at_option = all(one.startswith("--") for one in _without_values(words))
    if word.startswith("--") and (at_option or words[-1:] == ["fix"]):
        return word, _starting(word, [*FLAGS, *VALUES])
    if words[-1:] == ["watch"] and at_option is False and len(words) == 1:
        return word, _starting(word, _WATCH)
    if at_option and (word or not words):
        return word, _starting(word, [*WORDS, *((*FLAGS, *VALUES) if not word else ())])
    return word, []


def _without_values(words: Sequence[str]) -> list[str]:
    """The words of a line that are no option's value."""
    return [word for before, word in zip(("", *words), words, strict=False) if before not in VALUES]


def _starting(part: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(part) and name != part]


class _Kept:
    """What a slow question was last answered, asked again in the background when that is old."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._known: Sequence[str] = ()
        self._at: float | None = None
        self._asking: threading.Thread | None = None

    def now(self) -> Sequence[str]:
        if self._at is None or time.monotonic() - self._at > FRESH_SECONDS:
            thread = self._asking
            if thread is None or not thread.is_alive():
                thread = threading.Thread(
                    target=self._refresh, name="agent_lab: sessions", daemon=True
                )
                self._asking = thread
                thread.start()
            thread.join(LONGEST_SECONDS)
        return self._known

    def _refresh(self) -> None:
        try:
            self._known = self._ask()
        except AgentLabError:
            self._known = ()  # no server: nothing to offer; the magic itself says why
        self._at = time.monotonic()

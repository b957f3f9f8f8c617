"""Put what waits for a person into words for a place without a panel, and read the answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent_lab.kernel.context import parent_of
from agent_lab.kernel.text import inert
from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import PermissionRequest, Question

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

LONGEST = 4000
"""Characters of what an agent wants to do that are shown; of the rest there is only its length."""

Read = Callable[[str], str]


def may_ask(shell: InteractiveShell) -> bool:
    """Can a person be asked while a cell runs? At a terminal, and where a frontend offers it."""
    if getattr(shell, "kernel", None) is not None:
        return bool((parent_of(shell).get("content") or {}).get("allow_stdin"))
    return sys.stdin is not None and sys.stdin.isatty()


def words_of(request: PermissionRequest) -> str:
    """What the agent asks, and the answers it takes, numbered."""
    parts = [f"The agent asks: {request.title}", _short(request.description)]
    if request.kind == "tool" and request.input is not None:
        parts.append(_input(request))
    for question in request.questions:
        parts.append(_question(question))
    for number, option in enumerate(request.options, 1):
        scope = f" ({option.scope})" if option.scope else ""
        parts.append(f"  {number}  {option.label}{scope}")
    return inert("\n".join(part for part in parts if part))


def decide(request: PermissionRequest, read: Read) -> AnswerPermission:
    """Read until it is an answer. Raises EOFError, KeyboardInterrupt as `read` does."""
    count = len(request.options)
    while True:
        said = read(f"Your answer, 1 to {count}: ").strip()
        if said.isascii() and said.isdecimal() and 1 <= int(said) <= count:
            break
    chosen = answer(request, int(said))
    option = request.options[int(said) - 1]
    if not request.questions or not option.kind.startswith("allow"):
        return chosen
    answers = {one.question: _answered(one, read) for one in request.questions}
    return AnswerPermission(
        request_id=request.request_id, option_id=option.option_id, answers=answers
    )


def answer(request: PermissionRequest, number: int) -> AnswerPermission:
    """The answer with this number. Raises ValueError with a sentence."""
    if not 1 <= number <= len(request.options):
        raise ValueError(f"Answer with a number from 1 to {len(request.options)}.")
    option = request.options[number - 1]
    return AnswerPermission(request_id=request.request_id, option_id=option.option_id)


def _answered(question: Question, read: Read) -> str:
    """Numbers stand for choices; anything else is the person's own words."""
    many = ", several with commas between" if question.multiple else ""
    asked = f"{inert(question.question)} A number{many}, or your own words: "
    while not (said := read(asked).strip()):
        pass
    parts = [part.strip() for part in said.split(",")] if question.multiple else [said]
    if all(part.isascii() and part.isdecimal() for part in parts):
        numbers = [int(part) for part in parts]
        if all(1 <= number <= len(question.choices) for number in numbers):
            return ", ".join(question.choices[number - 1].label for number in numbers)
    return said


def _question(question: Question) -> str:
    lines = [question.question]
    for number, choice in enumerate(question.choices, 1):
        lines.append(f"    {number}) {choice.label}")
    return "\n".join(lines)


def _input(request: PermissionRequest) -> str:
    given = request.input
    if isinstance(given, dict):
        lines = [f"  {name}: {_plain(value)}" for name, value in given.items()]
        return _short("\n".join(lines))
    return _short(_plain(given))


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", "\n      ")


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… and {len(text) - LONGEST:,} more characters"

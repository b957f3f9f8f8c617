"""Bring `%agent` and `%%agent` into IPython: parse, send the question, say what became of it."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from tokenize import DEDENT, INDENT, TokenInfo
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import EscapedCommand
from IPython.core.magic import no_var_expand
from IPython.display import display

from agent_lab.kernel import channel
from agent_lab.kernel.client import KernelClient, connect
from agent_lab.kernel.context import Done, Recorder
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

PATIENCE_SECONDS = 0.02
"""How long the cell waits to hear that the question arrived; later the line is updated in place."""

DEFAULT_QUESTIONS: Mapping[str, str] = {
    "error": "Explain this error and fix it.",
    "output": "Explain this output.",
    "cell": "Explain what this cell does.",
}


# ---------------------------------------------------------------- grammar


@dataclass(frozen=True, slots=True)
class Request:
    """What a line asks for. `question` "": the default one for what the last cell did."""

    verb: Literal["ask", "status", "stop", "help"]
    question: str = ""
    with_context: bool = True


OPTIONS: Mapping[str, str] = {
    "--no-context": "send the question alone",
    "--help": "show this help",
}


def parse(line: str, cell: str | None = None) -> Request:
    """Options first, then the question as it stands: quotes and braces are the person's own words.

    Raises ValueError with a sentence that lists the options.
    """
    found: set[str] = set()
    rest = line.strip()
    while rest.startswith("--"):
        word, *more = rest.split(maxsplit=1)
        rest = "".join(more)
        if word == "--":
            break
        if word not in OPTIONS:
            offered = ", ".join(f"{name} ({does})" for name, does in OPTIONS.items())
            raise ValueError(
                f"%agent has no option {word}. Options: {offered}. "
                "A question that starts with dashes follows a lone --."
            )
        found.add(word)
    if "--help" in found:
        return Request("help")
    if cell is None and rest == "status":
        return Request("status")
    if cell is None and rest == "stop":
        return Request("stop")
    question = "\n".join(part for part in (rest, (cell or "").strip()) if part)
    return Request("ask", question, "--no-context" not in found)


class AgentLine(EscapedCommand):
    """`%agent why?` is a question. IPython would read the end of the line as a request for help."""

    priority = 4  # before HelpEnd, which has 5

    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> AgentLine | None:
        for line in tokens_by_line:
            tokens = [token for token in line if token.type not in (INDENT, DEDENT)]
            if len(tokens) < 3 or (tokens[0].string, tokens[1].string) != ("%", "agent"):
                continue
            # `%agent?` stays a request for help
            if tokens[1].end != tokens[2].start and "?" in tokens[0].line:
                return cls(tokens[0].start)
        return None


# ---------------------------------------------------------------- the magic


class AgentMagic:
    """The magic of one shell."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @no_var_expand  # `{x}` and `$x` belong to the question
    def agent(self, line: str, cell: str | None = None) -> None:
        """Ask the agent of this notebook.

        %agent <question>   ask, and show it what the last cell did: its error, else its output
        %agent              ask it to explain that error and fix it, or to explain that output
        %%agent             the rest of the cell is the question
        %agent status       what the agent is doing
        %agent stop         cancel what it is doing

        The answer appears in the Agent panel; the cell returns at once.

        Options, before the question:
          --no-context      send the question alone
          --help            show this help
        A question that starts with dashes follows a lone --.
        """
        try:
            request = parse(line, cell)
            match request.verb:
                case "help":
                    _show(_help_text())
                case "status":
                    _show(status_text(connect().session()))
                case "stop":
                    _show(_stop(connect()))
                case "ask":
                    self._ask(connect(), request)
        except (AgentLabError, ValueError) as error:
            raise UsageError(str(error)) from None

    def _ask(self, client: KernelClient, request: Request) -> None:
        done = self._recorder.last if request.with_context else None
        question = request.question or (DEFAULT_QUESTIONS[done.kind] if done else "")
        if not question and not request.with_context:
            raise ValueError("Write a question: with --no-context there is nothing else to send.")
        if not question:
            raise ValueError(
                "There is nothing to ask about yet: no cell has run since Agent Lab was loaded. "
                "Write a question, such as `%agent What is in this folder?`"
            )
        _show_when_known(lambda: _send(client, question, done))


def _send(client: KernelClient, question: str, done: Done | None) -> str:
    context = (done.item(),) if done else ()
    sent = client.prompt(str(uuid.uuid4()), question, context)
    agent = _agent_of(client.session())
    if sent.turn_id is None:
        return f"Queued: {agent} is busy. The answer appears in the Agent panel."
    return f"Sent to {agent}. The answer appears in the Agent panel."


def _stop(client: KernelClient) -> str:
    session = client.session()
    if session is None or session.status not in ("running", "awaiting_permission", "cancelling"):
        return "Nothing is running."
    client.cancel()
    return f"Told {_agent_of(session)} to stop."


def status_text(session: Session | None) -> str:
    """A session in two or three lines."""
    if session is None:
        return "This notebook has no session yet. Ask something: %agent <question>"
    usage = session.usage
    turns = "1 turn" if usage.turns == 1 else f"{usage.turns} turns"
    facts = [session.status.replace("_", " "), session.model or "", turns]
    if usage.cost_usd is not None:
        facts.append(f"${usage.cost_usd:.2f}")
    agent = _agent_of(session)
    lines = [f"{agent[0].upper()}{agent[1:]}: {', '.join(fact for fact in facts if fact)}."]
    if session.status_reason:
        lines.append(session.status_reason)
    if session.queue:
        lines.append(f"Waiting in its queue: {len(session.queue)}.")
    for permission in session.pending_permissions:
        lines.append(f"Waiting for you in the Agent panel: {permission.title}")
    return "\n".join(lines)


def _agent_of(session: Session | None) -> str:
    if session is None or session.notebook is None:
        return "the agent of this notebook"
    return f"the agent of {PurePosixPath(session.notebook.path).name}"


def _help_text() -> str:
    text = AgentMagic.agent.__doc__ or ""
    return re.sub(r"^ {8}", "", text, flags=re.MULTILINE).strip()


# ---------------------------------------------------------------- showing


_display: Any = display  # untyped in IPython


def _bundle(text: str) -> dict[str, str]:
    """A sentence is set like prose; lines stay in columns."""
    if "\n" in text:
        return {"text/plain": text}
    return {"text/plain": text, "text/html": f"<div>{escape(text)}</div>"}


def _show(text: str) -> None:
    _display(_bundle(text), raw=True)


def _show_when_known(work: Callable[[], str]) -> None:
    """Do `work` in a thread and show its sentence. The cell waits for PATIENCE_SECONDS only.

    Raises AgentLabError when the work failed that fast; a later failure is shown in the line.
    """
    future: Future[str] = Future()
    threading.Thread(target=_run, args=(work, future), name="agent_lab: send", daemon=True).start()
    try:
        _show(future.result(PATIENCE_SECONDS))
    except NotYet:
        line = _display(_bundle("Sending to the agent …"), raw=True, display_id=True)

        def update(known: Future[str]) -> None:
            error = known.exception()
            line.update(_bundle(str(error) if error else known.result()), raw=True)

        future.add_done_callback(update)


def _run(work: Callable[[], str], future: Future[str]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # the thread's top: whoever waits for the future hears of it
        future.set_exception(error)


# ---------------------------------------------------------------- extension

_loaded: dict[int, Recorder] = {}


def load(shell: InteractiveShell) -> None:
    """`%load_ext agent_lab`. A second time changes nothing."""
    if id(shell) in _loaded:
        return
    recorder = Recorder(shell)
    recorder.start()
    _loaded[id(shell)] = recorder
    channel.install(shell)
    register: Any = shell.register_magic_function
    register(AgentMagic(recorder).agent, magic_kind="line_cell", magic_name="agent")
    shell.input_transformer_manager.token_transformers.append(AgentLine)


def unload(shell: InteractiveShell) -> None:
    """`%unload_ext agent_lab`."""
    recorder = _loaded.pop(id(shell), None)
    if recorder is None:
        return
    recorder.stop()
    channel.uninstall(shell)
    shell.input_transformer_manager.token_transformers.remove(AgentLine)
    for magics in shell.magics_manager.magics.values():
        magics.pop("agent", None)


load_ipython_extension = load
unload_ipython_extension = unload

"""Bring `%agent` and `%%agent` into IPython: gather what is asked, send it, say what became."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from tokenize import DEDENT, INDENT, TokenInfo
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import EscapedCommand
from IPython.core.magic import no_var_expand

from agent_lab.kernel import channel, own
from agent_lab.kernel.client import Door, connect
from agent_lab.kernel.completion import Completion
from agent_lab.kernel.context import Done, Recorder, parent_of, request_of
from agent_lab.kernel.deciding import answer, decide, may_ask, words_of
from agent_lab.kernel.grammar import Request, help_text, parse
from agent_lab.kernel.involved import named
from agent_lab.kernel.runs import Runs
from agent_lab.kernel.showing import Line, changes_in_place, show, show_when_known, write
from agent_lab.kernel.text import inert
from agent_lab.kernel.untraced import Untraced
from agent_lab.kernel.watching import QUESTIONS, Watch, Watches
from agent_lab.protocol.asking import Question, Sent, Sessions
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import ContextItem, PermissionRequest, Session, TextBlock

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

DEFAULT_QUESTIONS: Mapping[str, str] = {
    "error": "Explain this error and fix it.",
    "output": "Explain this output.",
    "cell": "Explain what this cell does.",
    "variable": "Tell me about these variables.",
}
FIX = "Fix this error: find its cause, mend the cell, and say briefly what was wrong."
TOGETHER = (
    "Not sent: this cell ran together with others. Run it by itself to ask; with "
    "`%agent --again …` it asks each time."
)
UNATTENDED = (
    "Not sent: a program runs this notebook, so nobody could be asked whether to send it. "
    "`%agent --again …` asks each time."
)
WATCHED_TOGETHER = (
    "Not watched: this cell ran together with others. Run it by itself to watch; with "
    "`%agent --again watch …` it watches each time."
)
HELD_MOST = 200


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


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell would have sent, had it not run together with others. Good until a cell has run
    by itself: `alone` counts those."""

    alone: int
    words: str
    context: tuple[ContextItem, ...]


class AgentMagic:
    """The magic of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.recorder = Recorder(shell)
        self.runs = Runs(shell)
        self.watches = Watches(shell)
        self._completion = Completion(shell, self._ids)
        self._parts = (self.recorder, self.runs, self.watches, self._completion, Untraced(shell))
        self._shell = shell
        self._alone = 0
        self._held: dict[str, Held] = {}
        self._session_id = ""  # chosen with `resume` where there is no notebook that remembers it

    def start(self) -> None:
        self.recorder.heard = self._heard
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in self._parts:
            part.stop()

    def _heard(self, done: Done) -> None:
        if not self.runs.is_together(done.request):
            self._alone += 1
        self.watches.heard(done)

    def _ids(self) -> Sequence[str]:
        return [one.id for one in connect().sessions().sessions]

    # ------------------------------------------------------------ what is asked for

    @no_var_expand  # `{x}` and `$x` belong to the question
    def agent(self, line: str, cell: str | None = None) -> None:
        try:
            request = parse(line, cell)
            match request.verb:
                case "help":
                    show(help_text())
                case "watch" if request.condition is None:
                    show(self.watches.listing())
                case "unwatch":
                    count = self.watches.clear()
                    show("Nothing was watched." if not count else f"Watches ended: {count}.")
                case "watch":
                    self._watch(request)
                case "status":
                    show(status_text(connect().session(self._session_id)))
                case "stop":
                    show(self._stop(connect()))
                case "sessions":
                    show(sessions_text(connect().sessions(), self._session_id))
                case "resume":
                    self._resume(connect(), request)
                case "answer":
                    show(self._answer(request.choice))
                case "trust":
                    show(self._trust(request.trust))
                case "usage":
                    show(usage_text(connect().session(self._session_id)))
                case "ask" | "fix":
                    self._ask(connect(), request, line if cell is None else f"{line}\n{cell}")
        except AgentLabError as error:
            text = str(error)
            if error.reason == "workspace_untrusted" and error.detail:  # told by our own engine
                text = untrusted_text([str(file) for file in _listed(error.detail.get("files"))])
            raise UsageError(inert(text)) from None
        except ValueError as error:
            raise UsageError(inert(str(error))) from None

    def _stop(self, client: Door) -> str:
        session = client.session(self._session_id)
        running = ("running", "awaiting_permission", "cancelling")
        if session is None or session.status not in running:
            return "Nothing is running."
        client.cancel(session.id)
        return f"Told {agent_of(_path(session))} to stop."

    def _resume(self, client: Door, request: Request) -> None:
        session = client.resume(request.session)
        self._session_id = "" if session.notebook is not None else session.id
        show(f"From now on {agent_of(_path(session))} goes on with: {_flat(session.title)}")

    # ------------------------------------------------------------ without a panel

    def _answer(self, choice: int | None) -> str:
        """What the agent asks, or what came of answering it."""
        door = _own_door("What the agent asks is answered in the Agent panel.")
        session = door.session(self._session_id)
        pending = session.pending_permissions if session is not None else ()
        if session is None or not pending:
            return "The agent asks nothing."
        if choice is None:
            return f"{words_of(pending[0])}\nAnswer with `%agent answer N`."
        door.answer(session.id, answer(pending[0], choice))
        return "Told the agent."

    def _trust(self, decision: bool | None) -> str:
        door = _own_door("Whether this folder is trusted is decided in the Agent panel.")
        files, trusted = door.trust(decision)
        if not files:
            return "Nothing in this folder would make the agent run anything by itself."
        if trusted is None:
            return untrusted_text(files)
        named = ", ".join(files)
        if trusted:
            return f"The agent obeys this folder's own settings: {named}."
        return f"The agent goes on without this folder's own settings: {named}."

    def _decide(self, session_id: str, request: PermissionRequest) -> None:
        """Have a person decide while the cell waits."""
        write(f"\n{words_of(request)}\n")
        if not may_ask(self._shell):
            write(
                "Nobody can be asked here. Interrupt this cell to stop the agent; without --wait "
                "it is answered by `%agent answer`, or in the panel that `AgentChat()` shows.\n"
            )
            return
        try:
            decided = decide(request, input)
        except EOFError:
            write("Not answered. Interrupt to stop the agent.\n")
            return
        _own_door("").answer(session_id, decided)

    # ------------------------------------------------------------ asking

    def _ask(self, client: Door, request: Request, source: str) -> None:
        words, context = self._said(request)
        message = request_of(self._shell)
        key = f"{parent_of(self._shell).get('metadata', {}).get('cellId') or ''}\n{source}"
        in_place = changes_in_place(self._shell)
        if not request.again and not self.runs.attended:
            show(UNATTENDED)
            return
        if not request.again and message:
            held = self._held.pop(key, None)
            if held is not None and held.alone == self._alone:
                words, context = held.words, held.context

        def holds() -> bool:
            if request.again or not self.runs.together(message):
                return False
            self._held[key] = Held(self._alone, words, context)
            while len(self._held) > HELD_MOST:
                self._held.pop(next(iter(self._held)))
            return True

        question = self._question(request, str(uuid.uuid4()), words, context)
        # At a terminal without a server there is no panel that could show an answer later.
        if request.wait or (client.is_own and getattr(self._shell, "kernel", None) is None):
            if holds():
                show(TOGETHER)
            else:
                from agent_lab.kernel.waiting import wait

                asks = self._decide if client.is_own else None
                with channel.attended(self._shell) as attend:
                    wait(client, question, in_place, "Queued: the agent is busy.", asks, attend)
            return
        where = "" if in_place else " `%agent --wait` shows it here."
        if client.is_own:
            where += " `AgentChat()` shows the panel."

        show_when_known(
            partial(client.session, question.session_id),  # no server: the cell fails at once
            lambda: TOGETHER if holds() else sent_text(client.prompt(question), where),
            in_place,
            slow=not request.again and self.runs.waits(message),
        )

    def _question(
        self, request: Request, prompt_id: str, words: str, context: Sequence[ContextItem]
    ) -> Question:
        chosen = "" if request.new else self._session_id
        if request.new:
            self._session_id = ""
        return Question(
            id=prompt_id,
            content=(TextBlock(words),) if words else (),
            context=tuple(context),
            session_id=request.session or chosen,
            new=request.new,
            agent=request.agent or None,
            model=request.model or None,
            plan=request.plan,
            without=() if request.with_context else ("since",),
        )

    def _said(self, request: Request) -> tuple[str, tuple[ContextItem, ...]]:
        """The words and what goes with them. Raises ValueError when there is nothing to ask."""
        if request.verb == "fix":
            return FIX, self._failure(request)
        context = self._context(request)
        if request.question or context:
            return request.question or DEFAULT_QUESTIONS[context[0].type], context
        if not request.with_context:
            raise ValueError("Write a question: with --no-context there is nothing else to send.")
        raise ValueError(
            "There is nothing to ask about yet: no cell has run since Agent Lab was loaded. "
            "Write a question, such as `%agent What is in this folder?`"
        )

    def _context(self, request: Request) -> tuple[ContextItem, ...]:
        recorder = self.recorder
        if not request.with_context:
            return ()
        if not request.names_context:
            return (recorder.last.item(),) if recorder.last is not None else ()
        found: list[ContextItem] = []
        if request.all_errors:
            failed = recorder.errors()
            if not failed:
                raise ValueError("No cell has failed that was not mended since.")
            found += [done.item() for done in failed]
        if request.cell:
            found.append(recorder.cell(request.cell).item())
        if request.out is not None:
            done = recorder.cell(str(request.out))
            if not done.output:
                raise ValueError(f"[{request.out}] has no output. --cell {request.out} sends it.")
            found.append(done.item("output"))
        return (*found, *named(request.variables, self._shell.user_ns))

    def _failure(self, request: Request) -> tuple[ContextItem, ...]:
        """The last error, or those asked for, with the variables involved."""
        recorder = self.recorder
        if request.all_errors:
            failed = recorder.errors()
        elif request.cell:
            failed = [recorder.cell(request.cell)]
        else:
            failed = [recorder.last_error] if recorder.last_error is not None else []
        failed = [done for done in failed if done.ename]
        if not failed:
            where = (
                f"cell {request.cell}" if request.cell else "any cell since Agent Lab was loaded"
            )
            raise ValueError(f"There is nothing to fix: no error in {where}.")
        asked = named(request.variables, self._shell.user_ns)
        items = [done.item() for done in failed]
        known = {item.name for item in asked}
        for done in reversed(failed):
            items += [item for item in done.involved if item.name not in known]
            known |= {item.name for item in done.involved}
        return (*items, *asked)

    # ------------------------------------------------------------ watching

    def _watch(self, request: Request) -> None:
        assert request.condition is not None
        if not request.again and not self.runs.attended:
            show(UNATTENDED)
            return
        message = "" if request.again else request_of(self._shell)
        client = connect()
        in_place = changes_in_place(self._shell)
        what = f"when {request.expression}" if request.expression else f"on {request.condition}"
        text = (
            f"Watching {what}: one message goes to the agent then. Ends with this kernel, or with "
            "`%agent watch stop`."
        )
        watch = Watch(
            condition=request.condition,
            expression=request.expression,
            question=request.question,
            line=Line(text, in_place),
            send=partial(self._send_watched, client, request),
            together=partial(self.runs.is_together, message),
        )
        self.watches.add(watch)
        if self.runs.waits(message):
            threading.Thread(
                target=self._settle, args=(watch, message), name="agent_lab: settle", daemon=True
            ).start()
        else:  # known by now
            self._settle(watch, message)

    def _settle(self, watch: Watch, message: str) -> None:
        """Those that were sent together with the cell come after it."""
        stays = not self.runs.together(message)
        self.watches.settle(watch, stays)
        if not stays:
            watch.line.say(WATCHED_TOGETHER)

    def _send_watched(
        self, client: Door, request: Request, prompt_id: str, cells: Sequence[Done]
    ) -> str:
        assert request.condition is not None
        context: list[ContextItem] = []
        if request.with_context:
            context = [done.item() for done in cells]
            if request.condition == "error":
                context += [item for done in cells for item in done.involved]
        context += named(request.variables, self._shell.user_ns)
        words = request.question or QUESTIONS[request.condition]
        if request.expression:
            words = f"{words}\n(I was waiting for `{request.expression}`.)"
        return sent_text(client.prompt(self._question(request, prompt_id, words, context)))


# ---------------------------------------------------------------- words


def sent_text(sent: Sent, where: str = "") -> str:
    agent = agent_of(sent.notebook)
    if sent.turn_id is None:
        return f"Queued: {agent} is busy. The answer appears in the Agent panel.{where}"
    return f"Sent to {agent}. The answer appears in the Agent panel.{where}"


def status_text(session: Session | None) -> str:
    """A session in two or three lines."""
    if session is None:
        return "There is no session here yet. Ask something: %agent <question>"
    usage = session.usage
    facts = [session.status.replace("_", " "), session.model or "", _turns(usage.turns)]
    if usage.cost_usd is not None:
        facts.append(f"${usage.cost_usd:.2f}")
    agent = agent_of(_path(session))
    lines = [f"{agent[0].upper()}{agent[1:]}: {', '.join(fact for fact in facts if fact)}."]
    if session.status_reason:
        lines.append(session.status_reason)
    if session.queue:
        lines.append(f"Waiting in its queue: {len(session.queue)}.")
    for permission in session.pending_permissions:
        lines.append(f"Waiting for you in the Agent panel: {_flat(permission.title)}")
    return inert("\n".join(lines))


def sessions_text(found: Sessions, chosen: str = "") -> str:
    """A table; the one that a question goes to is marked."""
    if not found.sessions:
        return "There is no session in this folder yet. Ask something: %agent <question>"
    rows = [("", "ID", "STATUS", "UPDATED", "TITLE")]
    for one in found.sessions:
        mark = "*" if one.id == (chosen or found.current) else ""
        updated = one.updated_at[:16].replace("T", " ")
        rows.append((mark, one.id[:8], one.status.replace("_", " "), updated, _flat(one.title)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return inert("\n".join((*lines, "%agent resume ID goes on with one; * is asked now.")))


def usage_text(session: Session | None) -> str:
    """What a session took, as far as its agent tells."""
    if session is None:
        return "There is no session here yet, so nothing was used."
    usage = session.usage
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    lines = [
        f"{_flat(session.title)}: {_turns(usage.turns)}",
        f"  tokens in   {usage.input_tokens:>12,}  and {cached:,} through the cache",
        f"  tokens out  {usage.output_tokens:>12,}",
    ]
    if usage.cost_usd is None:
        lines.append("  cost        not told by the agent")
    else:
        source = ", as the agent counts it" if usage.cost_source == "agent" else ", estimated"
        lines.append(f"  cost        {usage.cost_usd:>12.4f}  US dollars{source}")
    if usage.context_used is not None and usage.context_size:
        part = 100 * usage.context_used / usage.context_size
        size = f"{usage.context_size:,} tokens, {part:.0f} %"
        lines.append(f"  context     {usage.context_used:>12,}  of {size}")
    return inert("\n".join(lines))


def untrusted_text(files: Sequence[str]) -> str:
    return inert(
        f"This folder has settings that the agent would obey before your first word: "
        f"{', '.join(files)}. Look at them, then `%agent trust yes` to have it obey them, or "
        "`%agent trust no` to go on without them."
    )


def agent_of(notebook: str | None) -> str:
    if notebook is None:
        return "the agent of this folder"
    return f"the agent of {inert(PurePosixPath(notebook).name)}"


def _own_door(elsewhere: str) -> own.Door:
    """The door to the engine in this process. Raises ValueError where a server has the sessions."""
    door = connect()
    if not door.is_own or (mine := own.door()) is None:
        raise ValueError(elsewhere)
    return mine


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _path(session: Session) -> str | None:
    return session.notebook.path if session.notebook is not None else None


def _turns(count: int) -> str:
    return "1 turn" if count == 1 else f"{count} turns"


def _flat(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------- extension

_loaded: dict[int, AgentMagic] = {}


def load(shell: InteractiveShell) -> None:
    """`%load_ext agent_lab`. A second time changes nothing."""
    if id(shell) in _loaded:
        return
    magic = AgentMagic(shell)
    magic.start()
    _loaded[id(shell)] = magic
    channel.install(shell)
    register: Any = shell.register_magic_function
    register(magic.agent, magic_kind="line_cell", magic_name="agent")
    shell.input_transformer_manager.token_transformers.append(AgentLine)


def unload(shell: InteractiveShell) -> None:
    """`%unload_ext agent_lab`."""
    magic = _loaded.pop(id(shell), None)
    if magic is None:
        return
    magic.stop()
    own.end()
    channel.uninstall(shell)
    shell.input_transformer_manager.token_transformers.remove(AgentLine)
    for magics in shell.magics_manager.magics.values():
        magics.pop("agent", None)


AgentMagic.agent.__doc__ = help_text()
load_ipython_extension = load
unload_ipython_extension = unload

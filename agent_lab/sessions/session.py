"""One conversation's state machine: commands in, an agent process driven, events out.

Rules, each with a test:
- One prompt is with the agent at a time; others wait in the queue, which is part of the log.
- Every accepted prompt gets exactly one `turn_ended`: `_turns` holds those that owe one.
- `status` is derived in one place (`_status`) from what is true, never set.
- An event is stored before anyone sees it, together with how far the agent's output was applied.
- The agent's process is started when somebody looks at the session or sends a prompt, and its turn
  goes on when the server dies; `adopt` takes it up again.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Struct

from agent_lab.agents import conversations, registry
from agent_lab.agents.adapters.base import (
    Charge,
    ContextSeen,
    Fact,
    LaunchOptions,
    Reply,
    ToolMessage,
)
from agent_lab.agents.adapters.claude import ClaudeAdapter
from agent_lab.agents.environment import child_environment
from agent_lab.agents.framing import Oversize, Torn
from agent_lab.agents.process import (
    AgentError,
    AgentGone,
    AgentNotReading,
    Exit,
    Launch,
    Lease,
    LeaseHeld,
)
from agent_lab.protocol.commands import AnswerPermission, Prompt, Set
from agent_lab.protocol.errors import (
    AgentLabError,
    AgentUnavailable,
    Conflict,
    Invalid,
    NotFound,
    TooLarge,
    Unavailable,
)
from agent_lab.protocol.events import (
    AgentExited,
    AgentMessage,
    AgentOutputInvalid,
    AgentThought,
    AnyBody,
    CellChange,
    ContentBlock,
    ContextDial,
    ContextItem,
    Notebook,
    Notice,
    Origin,
    PermissionRequest,
    PermissionResolved,
    PermissionUpdated,
    QueueItem,
    QueueUpdated,
    SessionUpdated,
    SessionUsage,
    Status,
    StopReason,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    ToolContent,
    TurnEnded,
    TurnError,
    TurnStarted,
    Usage,
    UserMessage,
    decode_event,
)
from agent_lab.protocol.events import Session as SessionObject
from agent_lab.protocol.reports import ContextReport, Rule, RuleScope
from agent_lab.protocol.transcript import text_of
from agent_lab.sessions import attachments, permissions, proposals, rules
from agent_lab.sessions.account import Account, NoAccount
from agent_lab.sessions.connection import Connection, new_request_id
from agent_lab.sessions.foresight import ANSWERED, TURN_OVER, Foresight
from agent_lab.sessions.journal import Journal
from agent_lab.sessions.proposals import Decision, Proposals
from agent_lab.sessions.settings import Settings
from agent_lab.sessions.subscribers import Subscriber
from agent_lab.sessions.tools import SERVER, ToolCalls, Tools
from agent_lab.sessions.turns import Silence, Turn, Turns, added, unfinished
from agent_lab.store import catalogue
from agent_lab.store.event_log import EventLog
from agent_lab.store.ledger import ChargeRow

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

SILENCE_SECONDS = 120.0
"""Silence of a running turn after which the person is told."""
READY_SECONDS = 30.0
"""How long a starting agent may take to answer `initialize`; cold starts take about one second."""
CANCEL_SECONDS = 10.0
"""How long a cancelled turn may take to end before its process is ended; it takes milliseconds."""
REVOKE_SECONDS, REVOKE_CHECKS = 3.0, 15
"""How long the agent may take to see a change of its settings files, and looks meanwhile; claude
takes up to a second."""
NEW_TITLE = "New session"


class Accepted(Struct, frozen=True):
    """What became of a prompt: it is a turn, or it waits in the queue under its own id."""

    turn_id: str | None
    queued: str | None

    def fields(self) -> dict[str, str | None]:
        if self.turn_id is None:
            return {"queued": self.queued}
        return {"turn_id": self.turn_id}


class Trust(Protocol):
    """What a session asks of its Manager about a folder."""

    async def dial_of(self, cwd: str, /) -> ContextDial: ...

    async def is_trusted(self, cwd: Path, /) -> bool: ...
    async def grant(self, cwd: Path, rules: tuple[str, ...], session_id: str, /) -> None: ...


class Session:
    """One conversation. Made by the Manager; safe to use from one event loop only."""

    def __init__(
        self,
        log: EventLog,
        number: int,
        session: SessionObject,
        settings: Settings,
        start_task: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        trust: Trust,
        tools: Tools | None = None,
        account: Account | None = None,
    ) -> None:
        self.journal = Journal(log, number, session)
        self.journal.before_flush = self._refresh_status
        self._log = log
        self._number = number
        self._settings = settings
        self._start_task = start_task
        self._trust = trust
        self._account = account or NoAccount()
        self._next: asyncio.Task[None] | None = None
        self._folder = settings.data_dir / "run" / session.id
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._lease: Lease | None = None
        self._starting: asyncio.Task[None] | None = None
        self._agent = Connection(
            self._folder,
            self.journal,
            self._adapter(session),
            settings.max_line_bytes,
            self,
            start_task,
        )
        self._tools = tools
        self.tool_calls = None if tools is None else ToolCalls(tools, self)
        self._proposals = Proposals()
        self._foresight = (
            None if tools is None else Foresight(tools, self, self._foreseen, start_task)
        )
        self._turns = Turns()
        self._silence = Silence(SILENCE_SECONDS, self._silent)
        self._stopping = False
        self._failure: TurnError | None = None
        self._own_title = NEW_TITLE
        self._lookers: set[object] = set()
        self._ended = session.status == "ended"
        self.last_used = self._loop.time()

    # ------------------------------------------------------------ what it is

    @property
    def id(self) -> str:
        return self.journal.session.id

    @property
    def info(self) -> SessionObject:
        return self.journal.session

    @property
    def is_live(self) -> bool:
        return self._agent.is_up or self._starting is not None

    @property
    def is_running(self) -> bool:
        return bool(self._turns)

    def _status(self) -> tuple[Status, str | None]:
        if self._ended:
            return "ended", None
        if self._turns or self._next is not None:
            if self._turns.cancelling:
                return "cancelling", None
            if self.info.pending_permissions:
                return "awaiting_permission", None
            return "running", None
        if self._starting is not None:
            return "starting", None
        if self._agent.is_up:
            return "idle", None
        return ("failed", self._failure.message) if self._failure else ("stopped", None)

    def _refresh_status(self) -> None:
        status, reason = self._status()
        if (status, reason) != (self.info.status, self.info.status_reason):
            self.journal.emit(None, SessionUpdated(status=status, status_reason=reason))

    # ------------------------------------------------------------ readers

    async def subscribe(self, after: int | None = None, tail: int | None = None) -> Subscriber:
        self.last_used = self._loop.time()
        subscriber = await self.journal.subscribe(after, tail)
        if self._ended:
            subscriber.finish()
        return subscriber

    async def look(self, who: object, visible: bool) -> None:
        """Whether somebody sees the session there. What ends while nobody does is marked unseen."""
        if not visible:
            self.looks_away(who)
            return
        self._lookers.add(who)
        if self.info.unseen:
            async with self._changing():
                self.journal.emit(None, SessionUpdated(unseen=False))

    def looks_away(self, who: object) -> None:
        self._lookers.discard(who)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.last_used = self._loop.time()
        self.journal.unsubscribe(subscriber)

    # ------------------------------------------------------------ prompts

    async def prompt(self, prompt: Prompt) -> Accepted:
        """Accept a prompt: it starts a turn, or waits in the queue while one runs.

        The same id twice is one turn. Raises Conflict (session_ended, in_use), Invalid, TooLarge.
        """
        self._check_prompt(prompt)
        async with self._lock:
            seen, turn_id = await self.journal.prompt_of(prompt.id)
            if seen and turn_id is None and not self._is_queued(prompt.id):
                # Its turn may have begun while the log was asked.
                _, turn_id = await self.journal.prompt_of(prompt.id)
            if seen:
                if turn_id is None and not self._is_queued(prompt.id):
                    text = "This message was taken out of the queue. Send it as a new one."
                    raise Conflict(text, "not_queued")
                return Accepted(turn_id, None if turn_id else prompt.id)
            await self._hold()
            self.last_used = self._loop.time()
            if self._turns or self.info.queue:
                item = QueueItem(
                    prompt.id,
                    prompt.content,
                    prompt.context,
                    prompt.origin,
                    prompt.without or UNSET,
                )
                self.journal.emit(None, QueueUpdated(items=(*self.info.queue, item)))
                self.journal.prompt(prompt.id, None)
                if not self._turns:  # the queue stood still after a failure: this wakes it
                    self._send_next()
                await self.journal.stored()
                _, turn_id = await self.journal.prompt_of(prompt.id)
                return Accepted(turn_id, None if turn_id else prompt.id)
            context = await self._context_of(prompt.context, prompt.without)
            if self._ended or self._stopping:  # meanwhile
                raise Conflict("This session has ended. Resume it first.", "session_ended")
            turn = self._begin(prompt.id, prompt.content, context, prompt.origin)
            await self.journal.stored()
            return Accepted(turn.id, None)

    async def _context_of(
        self, context: tuple[ContextItem, ...], without: tuple[str, ...]
    ) -> tuple[ContextItem, ...]:
        """What goes along with a prompt now, as the folder's dial lets it out."""
        dial = await self._trust.dial_of(self.info.workspace.cwd)
        self.dialled(dial)
        return await self._account.of_prompt(self.info, dial, context, without)

    def dialled(self, dial: ContextDial) -> None:
        """From here on this dial is in force; the log says so, and so do the lists of what was
        sent."""
        if dial != (ContextDial() if self.info.dial is UNSET else self.info.dial):
            self.journal.emit(None, SessionUpdated(dial=dial))

    def _check_prompt(self, prompt: Prompt) -> None:
        if not prompt.id or len(prompt.id) > 200:
            raise Invalid("A prompt needs an id of at most 200 characters.")
        attached = prompt.context or any(not isinstance(b, TextBlock) for b in prompt.content)
        if not attached and not text_of(prompt.content).strip():
            raise Invalid("The message is empty. Write something, or attach something.")
        attachments.check(prompt.content)
        size = len(msgspec.json.encode((prompt.content, prompt.context)))
        if size > self._settings.max_message_bytes:
            limit = self._settings.max_message_bytes
            most = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit} bytes"
            raise TooLarge(f"The message is larger than {most}. Send a part of it, or a file.")

    def _begin(
        self,
        message_id: str,
        content: tuple[ContentBlock, ...],
        context: tuple[ContextItem, ...],
        origin: Origin,
    ) -> Turn:
        turn = Turn(str(uuid.uuid4()), content, context)
        journal = self.journal
        message = UserMessage(
            message_id=message_id, content=content, context=context, origin=origin
        )
        journal.emit(turn.id, message)
        journal.emit(turn.id, TurnStarted(origin=origin))
        journal.prompt(message_id, turn.id)
        if self.info.title == NEW_TITLE:
            self._own_title = title_of(content, context)
            journal.emit(None, SessionUpdated(title=self._own_title))
        self._turns.begin(turn)
        self._account.turn_began(self.info)
        self._failure = None
        self._task(self._deliver(turn), "deliver")
        return turn

    async def _deliver(self, turn: Turn) -> None:
        """Bring a turn's prompt to the agent, starting the agent when it is not there."""
        try:
            await self.journal.stored()
            await self._ensure_process()
            if self._turns.current is not turn:  # cancelled meanwhile
                return
            await self._send_prompt(turn)
        except AgentNotReading:
            text = (
                "The agent does not read its input, so the message did not reach it. Stop the "
                "session's agent (it starts again with the next message), then try again."
            )
            self._end_turn(turn.id, TurnError(text, "agent_not_reading"))
        except AgentLabError as error:
            self._end_turn(turn.id, TurnError(error.message, error.reason))
        except AgentGone:
            if turn.id in self._turns and not self._agent.is_up:
                self._end_turn(turn.id, _exit_error(None, ""))
        self.journal.schedule()

    async def _send_prompt(self, turn: Turn) -> None:
        if not self._agent.has_room(64 << 20):
            text = "Less than 64 MB of disk space are left. Free some space, then try again."
            raise Unavailable(text, "disk_full")
        message = self._agent.adapter.prompt(turn.id, turn.content, turn.context)
        turn.sent = True
        self._heard()
        await self._agent.send(message)

    def _send_next(self) -> None:
        """Start the next turn from the queue."""
        if self._next is None and self._may_send_next():
            self._next = self._task(self._begin_next(), "next")

    def _may_send_next(self) -> bool:
        return bool(self.info.queue) and not (self._turns or self._ended or self._stopping)

    async def _begin_next(self) -> None:
        """An item stays in the queue, to be changed, until what goes along with it is known."""
        try:
            while self._may_send_next():
                first = self.info.queue[0]
                context = await self._context_of(first.context, first.without or ())
                if not self._may_send_next() or self.info.queue[0].id != first.id:
                    continue
                item, *rest = self.info.queue
                self.journal.emit(None, QueueUpdated(items=tuple(rest)))
                self._begin(item.id, item.content, context, item.origin)
        finally:
            self._next = None
            self.journal.flush()

    async def queue_edit(self, item_id: str, content: tuple[ContentBlock, ...]) -> None:
        """Raises Conflict when the item is no longer in the queue."""
        self._queued(item_id)
        await self._change_queue(
            tuple(
                msgspec.structs.replace(item, content=content) if item.id == item_id else item
                for item in self.info.queue
            )
        )

    async def queue_remove(self, item_id: str) -> None:
        """Raises Conflict when the item is no longer in the queue."""
        self._queued(item_id)
        await self._change_queue(tuple(item for item in self.info.queue if item.id != item_id))

    async def queue_send_now(self, item_id: str) -> None:
        """Cancel the running turn and send this one next. Raises Conflict when it is not queued."""
        wanted = self._queued(item_id)
        rest = tuple(item for item in self.info.queue if item.id != item_id)
        await self._change_queue((wanted, *rest))
        if self._turns:
            await self.cancel()
        else:
            self._send_next()
        await self.journal.stored()

    def _is_queued(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self.info.queue)

    def _queued(self, item_id: str) -> QueueItem:
        for item in self.info.queue:
            if item.id == item_id:
                return item
        raise Conflict("This message is no longer in the queue; it was sent.", "not_queued")

    async def _change_queue(self, items: tuple[QueueItem, ...]) -> None:
        async with self._changing():
            self.journal.emit(None, QueueUpdated(items=items))

    # ------------------------------------------------------------ cancel, answer, set

    async def cancel(self) -> None:
        """Cancel the running turn; nothing runs: nothing happens."""
        if not self._turns or self._turns.cancelling:
            return
        turn = self._turns.current
        if turn is not None and not turn.sent:
            self._end_turn(turn.id, None, "cancelled")
            await self.journal.stored()
            return
        self._turns.cancelling = True
        self.journal.flush()
        self._task(self._cancel(), "cancel")
        await self.journal.stored()

    async def withdraw(self, message_id: str) -> None:
        """Take one prompt back: out of the queue, or cancel its turn. Another's goes on."""
        if any(item.id == message_id for item in self.info.queue):
            await self.queue_remove(message_id)
            return
        _, turn_id = await self.journal.prompt_of(message_id)
        current = self._turns.current
        if turn_id is not None and current is not None and current.id == turn_id:
            await self.cancel()

    async def _cancel(self) -> None:
        """Interrupt by control request; a process that does not obey is ended."""
        owed = tuple(self._turns)
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._agent.send(self._agent.adapter.cancel(new_request_id()))
                await self._turns.ended(owed)
        except (TimeoutError, AgentError):
            if not self._agent.is_up:
                return  # it went by itself, and its exit ends the turn
            text = "The agent did not stop when asked, so it was ended. The next message starts it."
            self.journal.emit(None, Notice(level="warning", code="agent_ended", text=text))
            await self._agent.close()

    async def answer(self, answer: AnswerPermission) -> None:
        """Answer a pending permission; the first answer wins.

        Raises Conflict `already_resolved`, Invalid, Unavailable when the agent cannot be told.
        """
        info = self.info
        request = permissions.pending(info, answer.request_id)
        option = permissions.check(request, answer)
        trial: str | None = None
        if answer.trial and self._foresight is not None:
            trial = await self._foresight.words(request, answer)
            permissions.pending(self.info, answer.request_id)  # it may be resolved meanwhile
        resolved = PermissionResolved(
            request_id=answer.request_id,
            outcome="selected",
            option_id=answer.option_id,
            message=answer.message,
            by="user",
            updated_input=answer.updated_input,
            answers=answer.answers,
            trial=trial,
        )
        if request.kind == "cell_change":
            await self._answer_proposal(request, resolved)
            return
        answer = msgspec.structs.replace(answer, message=resolved.said or None)
        if not self._agent.is_up:
            raise Conflict("The agent is not running any more.", "already_resolved")
        grants = self._agent.adapter.grants(answer)
        if grants and info.workspace.trusted:
            await self._trust.grant(Path(info.workspace.cwd), grants, self.id)
        try:
            message = self._agent.adapter.answer(answer)
        except KeyError:
            raise Conflict(
                "The agent does not wait for this any more.", "already_resolved"
            ) from None
        turn_id = self._turns.speaking
        self._waits_no_more(answer.request_id)
        self.journal.emit(turn_id, resolved)
        if request.tool_call_id and option.kind.startswith("allow"):
            self.journal.emit(
                turn_id, ToolCallUpdate(tool_call_id=request.tool_call_id, status="in_progress")
            )
        self._agent.state_changed()
        await self.journal.stored()
        self._heard()
        try:
            await self._agent.send(message)
        except AgentError as error:
            raise Unavailable(
                f"{error} The answer could not be delivered.", "agent_silent"
            ) from None

    async def set(self, change: Set) -> None:
        """Change title, model, permission mode or effort. Raises Invalid, Conflict, Unavailable."""
        if self._ended and (change.model or change.permission_mode or change.effort):
            raise Conflict("This session has ended. Resume it first.", "session_ended")
        async with self._changing():
            await self._set(change)

    async def _set(self, change: Set) -> None:
        self._check_change(change)
        adapter = self._agent.adapter
        if (model := change.model) is not None:
            await self._control(lambda id: adapter.set_model(id, model))
            self.journal.emit(None, SessionUpdated(model=model))
        if (mode := change.permission_mode) is not None:
            await self._control(lambda id: adapter.set_permission_mode(id, mode))
            self.journal.emit(None, SessionUpdated(permission_mode=mode))
        if (effort := change.effort) is not None:
            await self._control(lambda id: adapter.set_effort(id, effort))
            self.journal.emit(None, SessionUpdated(effort=effort))
        if change.title is not None:
            self.journal.emit(None, SessionUpdated(title=plain_title(change.title)))

    def _check_change(self, change: Set) -> None:
        """All of it before any of it is done. Raises Invalid."""
        info = self.info
        if change.title is not None and not plain_title(change.title):
            raise Invalid("A title cannot be empty.")
        if change.model is not None:
            plain_value(change.model, "model")
        modes = self._modes(info.permission_modes)
        if change.permission_mode is not None and change.permission_mode not in modes:
            raise Invalid(
                f"There is no permission mode {change.permission_mode!r}. "
                f"Offered: {', '.join(modes)}."
            )
        if change.effort is not None:
            plain_value(change.effort, "effort")
            if info.efforts and change.effort not in info.efforts:
                raise Invalid(
                    f"There is no effort {change.effort!r}. Offered: {', '.join(info.efforts)}."
                )

    def _modes(self, modes: tuple[str, ...]) -> tuple[str, ...]:
        """The permission modes offered here: the one that asks nothing where it is allowed."""
        bypass = ("bypassPermissions",) if self._settings.may_bypass else ()
        return (*(mode for mode in modes if mode != "bypassPermissions"), *bypass)

    # ------------------------------------------------------------ what the agent reports

    async def context(self) -> ContextReport:
        """What fills the agent's context. Raises Conflict `agent_not_running`, Unavailable."""
        report = self._agent.adapter.read_context(await self._report("context_usage"))
        if report is None:
            raise Unavailable("The agent does not tell what fills its context.", "agent_silent")
        return report

    async def rules(self) -> tuple[Rule, ...]:
        """What the agent may do unasked. Raises Conflict `agent_not_running`, Unavailable."""
        found = self._agent.adapter.read_rules(await self._report("rules"))
        return rules.with_files(found, self._rule_files())

    def _rule_files(self) -> Mapping[RuleScope, Path]:
        config = registry.claude_folder(self._settings.environment())
        return rules.files(config, Path(self.info.workspace.cwd))

    async def _report(self, what: Literal["context_usage", "rules"]) -> Reply:
        reply = await self._control(getattr(self._agent.adapter, what))
        if reply is None:
            text = "The agent is not running, so it cannot be asked. Send a message to start it."
            raise Conflict(text, "agent_not_running")
        return reply

    async def revoke(self, rule_id: str) -> None:
        """Take a lasting rule back. Raises NotFound, Conflict (busy, not_revocable)."""
        rule = next((rule for rule in await self.rules() if rule.id == rule_id), None)
        if rule is None:
            raise NotFound("This rule is not in force any more.")
        if not rule.revocable:
            text = f"{rule.rule!r} is not the agent's to forget; change it where it stands."
            raise Conflict(text, "not_revocable")
        if rule.file is not None:
            await asyncio.to_thread(rules.take_out, rule, Path(rule.file))
            if await self._forgot(rule_id):
                return
        if self._turns:
            text = "This rule lasts until the agent ends. Revoke it when the turn has ended."
            raise Conflict(text, "busy")
        await self.sleep()  # the rules of a process end with it; the next one has the history

    async def _forgot(self, rule_id: str) -> bool:
        """Wait until the agent, which watches its settings files, has seen that it is gone."""
        for _ in range(REVOKE_CHECKS):
            if all(rule.id != rule_id for rule in await self.rules()):
                return True
            await asyncio.sleep(REVOKE_SECONDS / REVOKE_CHECKS)
        return False

    async def rebind(self, notebook: Notebook | None) -> None:
        """The session's notebook moved, has another kernel now, or another session (None)."""
        before = self.info.notebook
        if notebook != before:
            async with self._changing():
                self.journal.emit(None, SessionUpdated(notebook=notebook))
            if isinstance(self._agent.adapter, ClaudeAdapter):
                self._agent.adapter.notebook = _shown(self.info)
            self._account.bound(self.info, before)

    async def tell(self, notice: Notice) -> None:
        """Say something about the session's notebook or kernel in the conversation.

        Raises Conflict `in_use`.
        """
        async with self._changing():
            self.journal.emit(self._turns.speaking, notice)

    async def set_dial(self, dial: ContextDial) -> None:
        """The dial of the session's folder was turned. Raises Conflict `in_use`."""
        async with self._changing():
            self.dialled(dial)

    async def _control(self, encode: Callable[[str], bytes]) -> Reply | None:
        """Ask the running agent something; None when none runs (it is told when it starts)."""
        if self._starting is not None:
            await self._ensure_process()
        if not self._agent.is_up:
            return None
        reply = await self._agent.ask(encode)
        if reply.error is not None:
            raise Invalid(f"The agent refused: {reply.error}")
        return reply

    # ------------------------------------------------------------ the process

    async def open(self) -> None:
        """Somebody looks at the session: have its agent ready. What fails is shown, not raised."""
        if self._ended:
            return
        self._task(self._open_quietly(), "open")

    async def _open_quietly(self) -> None:
        try:
            await self._ensure_process()
        except (AgentLabError, AgentError) as error:
            _log.info("agent_lab: session %s has no agent: %s", self.id, error)

    async def _ensure_process(self) -> None:
        """Have a live agent process that has answered. Raises AgentLabError with the next step."""
        if self._agent.is_up and self._starting is None:
            return
        if self._starting is None:
            self._starting = self._task(self._start(), "start")
            self._starting.add_done_callback(self._started)
            self.journal.flush()
        await asyncio.shield(self._starting)

    def _started(self, task: asyncio.Task[None]) -> None:
        if self._starting is task:
            self._starting = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AgentLabError):
            self._failure = TurnError(error.message, error.reason)
        self.journal.flush()

    async def _start(self) -> None:
        await self._hold()
        settings, info = self._settings, self.info
        command = registry.claude_command(
            settings.claude_command, settings.environment().get("PATH")
        )
        if command is None:
            text = (
                "claude is not installed here. Install it with "
                f"`{registry.CLAUDE_INSTALL}`, or name it in AgentLab.claude_command."
            )
            raise AgentUnavailable(text, "agent_not_installed")
        cwd = Path(info.workspace.cwd)
        if not await asyncio.to_thread(cwd.is_dir):
            raise NotFound(f"The session's folder {cwd} does not exist any more.")
        environment = settings.environment()
        conversation = await self.conversation()
        trusted = await self._trust.is_trusted(cwd)
        if trusted != info.workspace.trusted:
            where = msgspec.structs.replace(info.workspace, trusted=trusted)
            self.journal.emit(None, SessionUpdated(workspace=where))
        if info.permission_mode == "bypassPermissions":
            # Never remembered: a new process asks again, whoever chose it for the last one.
            self.journal.emit(None, SessionUpdated(permission_mode="default"))
        resume, fork, resume_at = (
            (info.agent_session_id or self.id, False, None)
            if conversation
            else await self._fork_of(environment)
        )
        had_history = info.usage.turns or (info.forked_from and info.forked_from.seq)
        if resume is None and had_history:
            text = (
                "The agent no longer has this conversation's history and starts anew. The "
                "transcript above stays for you; attach what it needs to know."
            )
            self.journal.emit(None, Notice(level="warning", code="history_lost", text=text))
        adapter = self._adapter(info)
        options = LaunchOptions(
            command=command,
            session_id=self.id,
            resume=resume,
            fork=fork,
            resume_at=resume_at,
            model=None if info.model == "default" else info.model,
            permission_mode=info.permission_mode,
            trusted=trusted,
            allow_bypass=settings.may_bypass,
            tools=None if self._tools is None else SERVER,
            unasked=() if self._tools is None else self._tools.unasked,
        )
        marker = str(uuid.uuid4())
        launch = Launch(
            argv=adapter.argv(options),
            env=child_environment(
                environment, marker=marker, session_id=self.id, extra=adapter.environment()
            ),
            cwd=str(cwd),
            marker=marker,
            durable=settings.durable,
        )
        await self._agent.start(adapter, launch)
        await self._greet()
        if info.effort is not None:
            effort = info.effort
            await self._agent.ask(lambda id: adapter.set_effort(id, effort))

    async def _fork_of(self, environment: Mapping[str, str]) -> tuple[str | None, bool, str | None]:
        """Of a session forked from another: (the conversation, True, the message to cut it after).

        (None, False, None): there is nothing to begin with.
        """
        origin = self.info.forked_from
        source = None if origin is None else await self._log.load(origin.session_id)
        if origin is None or source is None or not origin.seq:
            return None, False, None
        id = source.session.agent_session_id or source.session.id
        file = await asyncio.to_thread(registry.claude_conversation, environment, id)
        if file is None:
            return None, False, None
        later = await self._log.read(
            partial(catalogue.turns_after, number=source.number, seq=origin.seq)
        )
        point = await asyncio.to_thread(conversations.fork_point, file, later)
        return (None, False, None) if point == "" else (id, True, point)

    def _adapter(self, info: SessionObject) -> ClaudeAdapter:
        return ClaudeAdapter(info.workspace.cwd, _shown(info))

    def _initialize(self, request_id: str) -> bytes:
        said = (
            self._settings.instructions
            if self._tools is None
            else self._tools.instructions(self.info)
        )
        return self._agent.adapter.initialize(request_id, said)

    async def conversation(self) -> Path | None:
        """The agent's own file of this conversation, None when it has none."""
        return await asyncio.to_thread(
            registry.claude_conversation,
            self._settings.environment(),
            self.info.agent_session_id or self.id,
        )

    async def _greet(self) -> None:
        """Wait until the new process answers. Raises AgentUnavailable, Conflict."""
        try:
            await self._agent.ask(self._initialize, READY_SECONDS)
        except Unavailable:
            if self._agent.is_up:  # alive and silent
                await self._agent.close()
                text = "The agent started and does not answer. Try again, or check `claude doctor`."
                raise AgentUnavailable(text, "agent_start_failed") from None
            await self._agent.left()
            failure = self._failure or TurnError("The agent ended while starting.", "agent_exited")
            if failure.reason in ("resume_not_found", "in_use"):
                raise Conflict(failure.message, failure.reason) from None
            raise AgentUnavailable(failure.message, "agent_start_failed") from None

    async def hold(self) -> None:
        """Keep others from driving this session. Raises Conflict (session_ended, in_use)."""
        await self._hold()

    async def _hold(self) -> None:
        """Take the lease: one server drives a session. Raises Conflict (session_ended, in_use)."""
        if self._ended:
            raise Conflict("This session has ended. Resume it first.", "session_ended")
        await self._take_lease()

    async def _take_lease(self) -> None:
        if self._lease is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lease = Lease.take(self._folder)
        except LeaseHeld:
            text = (
                "Another Jupyter server, or a kernel that works by itself, is using this session. "
                "Close it there first."
            )
            raise Conflict(text, "in_use") from None
        stored = await self._log.load(self.id)
        if stored is not None and stored.session.last_seq > self.info.last_seq:
            self.journal.reload(stored.session)
            self._ended = stored.session.status == "ended"

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """A change that needs no agent: stored before it returns."""
        await self._take_lease()
        try:
            yield
            await self.journal.stored()
        finally:
            if not self.is_live and not self._turns:
                self._release()

    def _release(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    # ------------------------------------------------------------ from the agent (its Host)

    def heard(self, one: Fact | Charge | ContextSeen) -> None:
        """One thing the agent said becomes an event, a charge, or nothing new."""
        match one:
            case Fact():
                self._apply(one.turn_id, one.body)
            case Charge():
                self.journal.charge(self._charged(one))
            case ContextSeen():
                self._context(one)

    def has_read(self) -> None:
        self.journal.schedule()
        self._heard()

    def _apply(self, turn_id: str | None, body: AnyBody) -> None:
        """One fact from the adapter becomes an event, unless it says nothing new."""
        match body:
            case TurnEnded():
                self._turn_ended(turn_id, body)
                return
            case TurnStarted():
                if turn_id is not None:
                    self._turns.opened(turn_id)
            case SessionUpdated():
                if body.title is not UNSET:  # the agent's own idea; a person's title stays
                    if self.info.title not in (NEW_TITLE, self._own_title):
                        return
                    self._own_title = body.title
                if body.permission_modes is not UNSET:
                    modes = self._modes(body.permission_modes)
                    body = msgspec.structs.replace(body, permission_modes=modes)
                if body.models and self.info.model is None:
                    body = msgspec.structs.replace(body, model=body.models[0].id)
                changed = self._changes(body)
                if changed is None:
                    return
                body = changed
            case PermissionResolved():
                if all(p.request_id != body.request_id for p in self.info.pending_permissions):
                    return
                self._waits_no_more(body.request_id)
            case ToolCall() if self._foresight is not None:
                self._foresight.called(body)
            case _:
                pass
        self.journal.emit(turn_id, body)
        if isinstance(body, PermissionRequest) and self._foresight is not None:
            self._foresight.asked(body)

    def _changes(self, body: SessionUpdated) -> SessionUpdated | None:
        """Only the fields that really change; None when none does."""
        changed = {
            name: value
            for name in body.__struct_fields__
            if (value := getattr(body, name)) is not UNSET and value != getattr(self.info, name)
        }
        return SessionUpdated(**changed) if changed else None

    def _charged(self, one: Charge) -> ChargeRow:
        return ChargeRow(
            turn_id=one.turn_id,
            agent=self.info.agent,
            model=one.model,
            workspace=self.info.workspace.cwd,
            requests=one.requests,
            input_tokens=one.input_tokens,
            output_tokens=one.output_tokens,
            cache_read_tokens=one.cache_read_tokens,
            cache_write_tokens=one.cache_write_tokens,
            cost_usd=one.cost_usd,
            cost_source=None if one.cost_usd is None else "agent",
        )

    def _context(self, seen: ContextSeen) -> None:
        usage = self.info.usage
        used = usage.context_used if seen.used is None else seen.used
        size = usage.context_size if seen.size is None else seen.size
        if (used, size) != (usage.context_used, usage.context_size):
            self._emit_usage(msgspec.structs.replace(usage, context_used=used, context_size=size))

    def _emit_usage(self, usage: SessionUsage) -> None:
        self.journal.emit(None, Usage(**msgspec.structs.asdict(usage)))

    def unreadable(self, line: Oversize | Torn) -> None:
        reason = "oversize" if isinstance(line, Oversize) else "torn"
        excerpt = line.excerpt.decode("utf-8", "replace")[:2000]
        body = AgentOutputInvalid(excerpt=excerpt, reason=reason, length=line.length)
        self.journal.emit(self._turns.speaking, body)

    async def gone(self, end: Exit, expected: bool) -> None:
        """The process is gone; what it owed is settled."""
        failure = _exit_error(end.code or end.signal, end.stderr)
        if not expected:
            self._failure = failure
        # A prompt that was not sent yet is still `_deliver`'s to end, or to send to the next
        # process.
        owed = [turn_id for turn_id in self._turns if turn_id != self._turns.unsent]
        cancelled = self._turns.cancelling or expected
        await self._finish_cut_messages()
        if owed or not expected:
            body = AgentExited(
                code=end.code,
                signal=end.signal,
                expected=expected,
                stderr="" if expected else end.stderr[-4000:],
            )
            self.journal.emit(self._turns.speaking, body)
        for turn_id in owed:
            if cancelled:
                self._end_turn(turn_id, None, "cancelled")
            else:
                self._end_turn(turn_id, failure)
        if self.tool_calls is not None:
            self.tool_calls.cancel_all()
        self.journal.stream_ended()
        await self.journal.stored()
        if not self.is_live:
            self._release()

    async def _finish_cut_messages(self) -> None:
        """A message that was being streamed stays as far as it came, marked as partial."""
        await self.journal.stored()
        first = await self._log.seq_of_tail(self._number, 3)
        for message_id, kind, turn_id, text in await self._log.open_chunks(self._number, first):
            content = (TextBlock(text),)
            if kind == "agent_message_chunk":
                self.journal.emit(
                    turn_id, AgentMessage(message_id=message_id, content=content, partial=True)
                )
            else:
                self.journal.emit(
                    turn_id, AgentThought(message_id=message_id, content=content, partial=True)
                )

    # ------------------------------------------------------------ the end of a turn

    def _end_turn(
        self, turn_id: str, error: TurnError | None, stopped: StopReason = "error"
    ) -> None:
        """End a turn that the agent did not end itself."""
        self._turn_ended(turn_id, TurnEnded(stop_reason=stopped, error=error))

    def _turn_ended(self, turn_id: str | None, body: TurnEnded) -> None:
        if turn_id is None or turn_id not in self._turns:
            return  # it ended before: exactly one end for each turn
        for request in self.info.pending_permissions:
            self._waits_no_more(request.request_id, TURN_OVER)
            resolved = PermissionResolved(
                request_id=request.request_id, outcome="cancelled", by="cancel"
            )
            self.journal.emit(turn_id, resolved)
        self.journal.emit(turn_id, body)
        self._emit_usage(added(self.info.usage, body.usage))
        if not self._lookers and body.stop_reason != "cancelled":
            self.journal.emit(None, SessionUpdated(unseen=True))
        self._turns.end(turn_id)
        self._account.turn_ended(self.info)
        if not self._turns:
            self._silence.stop()
            if self.tool_calls is not None:
                self.tool_calls.cancel_all()
            if self._foresight is not None:
                self._foresight.forget_calls()
        self.last_used = self._loop.time()
        self._loop.call_soon(self._after_turn, body.stop_reason)

    def _after_turn(self, stop_reason: str) -> None:
        # After an error the queue stands still: it is not thrown at an agent that just failed.
        if stop_reason != "error":
            self._send_next()
        if self._agent.is_up:
            self._task(self._tidy_up(), "tidy")
        self.journal.schedule()

    async def _tidy_up(self) -> None:
        """Between turns: free the disk, and ask for the agent's own account of its context, which
        knows more than the last request's tokens."""
        await self._agent.forget_applied()
        try:
            reply = await self._agent.ask(self._agent.adapter.context_usage)
        except Unavailable:
            return
        report = self._agent.adapter.read_context(reply)
        if report is not None:
            self._context(ContextSeen(report.used, report.size))
            self.journal.schedule()

    # ------------------------------------------------------------ our own tools

    def called(self, message: ToolMessage) -> None:
        """The agent uses a tool of ours."""
        self._task(self._use_tool(message), "tool")

    async def _use_tool(self, message: ToolMessage, again: bool = False) -> None:
        calls = self.tool_calls
        if calls is None:
            said: object = {"jsonrpc": "2.0", "result": {}}
        else:
            # What is done must not be done twice: that it was asked for is stored before it is.
            await self._agent.keep()
            said = await calls.answer("agent", message.message, again)
        if not message.request_id or not self._agent.is_up:
            return
        try:
            await self._agent.reply_to_tool(message.request_id, said)
        except AgentError as error:
            _log.info("agent_lab: a tool's result did not reach the agent: %s", error)
        self._heard()

    def _use_tools_again(self) -> None:
        for message in self._agent.adapter.tools_waiting():
            self._task(self._use_tool(message, again=True), "tool")

    # What the tools ask of us (`tools.Host`).

    @property
    def outputs(self) -> Path:
        return self._settings.data_dir / "outputs" / self.id

    def turn(self) -> str | None:
        return self._turns.speaking

    async def dial(self) -> ContextDial:
        dial = await self._trust.dial_of(self.info.workspace.cwd)
        self.dialled(dial)
        self.journal.schedule()
        return dial

    def show(self, tool_call_id: str, content: tuple[ToolContent, ...]) -> None:
        update = ToolCallUpdate(tool_call_id=tool_call_id, content=content)
        self.journal.emit(self._turns.speaking, update)
        self.journal.schedule()
        self._heard()

    @property
    def accepts(self) -> bool:
        return self.info.permission_mode in proposals.ACCEPTING_MODES

    async def propose(self, change: CellChange, tool_call_id: str, name: str) -> Decision:
        """Ask a person about a change of a cell, unless the mode answers.

        Raises Conflict `wrong_mode` where the mode refuses it.
        """
        if self.accepts:
            return Decision(True, change)
        refusal = proposals.REFUSING_MODES.get(self.info.permission_mode)
        if refusal is not None:
            raise Conflict(refusal, "wrong_mode")
        if not self._turns:
            raise Conflict("The turn is over, so nobody can be asked.", "already_resolved")
        request = PermissionRequest(
            request_id=new_request_id(),
            kind="cell_change",
            title=proposals.title(change, name),
            options=proposals.OPTIONS,
            tool_call_id=tool_call_id,
            change=change,
        )
        turn_id = self._turns.speaking
        self.journal.emit(turn_id, ToolCallUpdate(tool_call_id=tool_call_id, status="pending"))
        self.journal.emit(turn_id, request)
        if self._foresight is not None:
            self._foresight.asked(request)
        return await self._decided(request)

    async def asked_before(self, tool_call_id: str) -> Decision | None:
        request = self._proposals.of_call(self.info, tool_call_id)
        return None if request is None else await self._decided(request)

    async def _decided(self, request: PermissionRequest) -> Decision:
        waiting = asyncio.ensure_future(self._proposals.answer(request))
        await asyncio.sleep(0)  # it can be answered as soon as it is seen
        await self.journal.stored()
        try:
            return proposals.decided(request, await waiting)
        finally:
            waiting.cancel()

    async def _answer_proposal(
        self, request: PermissionRequest, resolved: PermissionResolved
    ) -> None:
        if not self._proposals.waits(request.request_id):
            raise Conflict("The agent does not wait for this any more.", "already_resolved")
        turn_id = self._turns.speaking
        self._waits_no_more(resolved.request_id)
        self.journal.emit(turn_id, resolved)
        if request.tool_call_id:
            update = ToolCallUpdate(tool_call_id=request.tool_call_id, status="in_progress")
            self.journal.emit(turn_id, update)
        await self.journal.stored()
        self._heard()
        if resolved.option_id == proposals.ACCEPT_ALL:
            await self._accept_all(turn_id)
        self._proposals.resolve(resolved)

    async def _accept_all(self, turn_id: str | None) -> None:
        """Others that wait are not answered by it: each of them is seen."""
        try:
            await self.set(Set(permission_mode="acceptEdits"))
        except AgentLabError as error:
            text = f"The mode could not be changed, so the next change is asked about: {error}"
            self.journal.emit(turn_id, Notice(level="warning", code="mode", text=text))

    # ------------------------------------------------------------ before it is answered

    async def try_out(self, request_id: str, source: str | None = None) -> None:
        """Begin to try what a pending request would run, in a copy of the kernel; `source`: the
        person's version of a proposed cell.

        Raises Conflict `already_resolved`, `busy`; Invalid where there is nothing to try.
        """
        async with self._changing():
            request = permissions.pending(self.info, request_id)
            if self._foresight is None:
                raise Invalid("There is no kernel here to try it in.", "nothing_to_try")
            self._foresight.begin(request, source)

    async def take_back(self, change: CellChange) -> None:
        """Put a cell back as it was before that change of the agent's.

        Raises Conflict `cell_changed` where it is not what the change made of it, NotFound where
        the notebook is gone, Invalid where this cannot be taken back.
        """
        calls = self.tool_calls
        proposals.undoing(change)
        if calls is None:
            raise Invalid("There are no notebooks here.", "not_undoable")
        try:
            await calls.take_back(change)
        except (Conflict, NotFound) as error:
            if isinstance(error, NotFound) and error.reason != "cell_not_found":
                text = f"The notebook {change.notebook} is not there any more."
                raise NotFound(text, error.reason) from None
            if error.reason not in ("cell_changed", "cell_not_found"):
                raise
            text = "The cell is not what this change made of it any more, so it was left alone."
            raise Conflict(text, "cell_changed") from None

    def _foreseen(self, update: PermissionUpdated) -> None:
        """More is known about a request, if it still waits."""
        if any(p.request_id == update.request_id for p in self.info.pending_permissions):
            self.journal.emit(self._turns.speaking, update)
            self.journal.schedule()

    def _waits_no_more(self, request_id: str, why: str = ANSWERED) -> None:
        if self._foresight is not None:
            self._foresight.over(request_id, why)

    # ------------------------------------------------------------ silence

    def _heard(self) -> None:
        if self._turns:
            self._silence.heard()

    def _silent(self) -> None:
        """Nothing came for long. Waiting for a person does not count."""
        if not self._turns or self.info.pending_permissions:
            return
        text = (
            f"No output for {SILENCE_SECONDS:.0f} s. The agent may still be working; Stop ends it."
        )
        body = Notice(level="warning", code="silent", text=text, key="silent")
        self.journal.emit(self._turns.speaking, body)
        self.journal.schedule()

    # ------------------------------------------------------------ end, resume, adopt, shut down

    async def end(self, deleted: bool = False) -> None:
        """Stop the agent and everything it started; the transcript stays, read-only.

        `deleted`: it is not marked as ended in the log, so that undoing the deletion brings it back
        as it was.
        """
        if self._ended:
            return
        await self._hold()
        if self.info.queue:
            self.journal.emit(None, QueueUpdated(items=()))
        await self._stop_agent()
        if deleted:
            await self.journal.stored()
        self._ended = True
        self._failure = None
        if not deleted:
            await self.journal.stored()
        self.journal.finish_subscribers()
        self._account.forgotten(self.id)
        self._release()

    async def _stop_agent(self) -> None:
        self._stopping = True
        try:
            if self._next is not None:
                self._next.cancel()
            starting = self._starting
            if starting is not None:
                starting.cancel()
                await asyncio.wait([starting])
            await self._agent.close()
            for turn_id in self._turns:  # of a process that never came to be
                self._end_turn(turn_id, None, "cancelled")
            await self.journal.stored()
        finally:
            self._stopping = False

    async def resume(self, must_exist: bool = False) -> None:
        """Make an ended, stopped or failed session live again.

        Raises Conflict `resume_not_found` when the agent has no such conversation any more;
        `must_exist` also where this session itself never had a turn.
        """
        if self.is_live:
            return
        had_turns = must_exist or self.info.usage.turns > 0
        if had_turns and await self.conversation() is None:
            raise Conflict(
                "The agent no longer has this conversation, so it cannot go on. Its transcript "
                "stays here; start a new session to continue the work.",
                "resume_not_found",
            )
        self._ended = False
        self._failure = None
        self._account.bound(self.info, None)
        await self._ensure_process()
        await self.journal.stored()

    async def sleep(self) -> None:
        """End an idle agent to save its memory; the next prompt starts it with the history."""
        if self._turns or self._starting is not None:
            return
        await self._agent.close()

    async def adopt(self) -> None:
        """After a start of the server: take up the session's process, or say that its turn was
        cut."""
        await self._hold()
        before = await self._log.seq_before_open_turns(self._number)
        resolved: Mapping[str, PermissionResolved] = {}
        requests: Mapping[str, PermissionRequest] = {}
        if before is not None:
            events = await self._log.events(self._number, after=before, limit=100_000)
            open_turns, messages, requests, resolved = unfinished(e.json for e in events)
            self._turns.take_up(open_turns, messages)
            self._proposals.remember(requests, resolved)
            if self._foresight is not None:
                bodies = (decode_event(event.json).body for event in events)
                calls = [body for body in bodies if isinstance(body, ToolCall)]
                self._foresight.take_up(calls, self.info.pending_permissions)
        stream = await self._log.stream(self._number)
        if not await self._agent.adopt(stream, self._know_prompt):
            await self._finish_cut_messages()
            for turn_id in self._turns:
                self._end_turn(turn_id, _CUT)
            await self.journal.stored()
            self._release()
            return
        self._use_tools_again()
        self._task(self._greet_adopted(resolved), "adopt")

    def _know_prompt(self) -> None:
        """The running prompt may have been sent after the adapter's state was last stored."""
        if self._turns.current is not None:
            turn = self._turns.current
            self._agent.adapter.prompt(turn.id, turn.content, turn.context)

    async def _greet_adopted(self, resolved: Mapping[str, PermissionResolved]) -> None:
        """What may have been lost between two servers is sent again: the agent drops repeats."""
        try:
            reply = await self._agent.ask(self._initialize, READY_SECONDS)
            for request in reply.pending:
                known = resolved.get(request.request_id)
                again = None if known is None else self._agent.adapter.answer_again(known)
                if again is not None:
                    await self._agent.send(again)
            if self._turns.current is not None and self._turns.current.id in self._turns:
                await self._send_prompt(self._turns.current)
            elif not self._turns:
                self._send_next()
        except (AgentLabError, AgentError) as error:
            _log.info("agent_lab: session %s could not be taken up: %s", self.id, error)
        self.journal.schedule()

    async def shut_down(self) -> None:
        """The server stops in good order."""
        if self._agent.is_up and self._turns and self._settings.keep_running_turns:
            await self.journal.stored()
            self._agent.detach()
        else:
            await self._stop_agent()
        self._silence.stop()
        self.journal.finish_subscribers()
        await self.journal.stored()
        self._release()

    def _task(self, work: Coroutine[Any, Any, None], role: str) -> asyncio.Task[None]:
        return self._start_task(work, f"{self.id}: {role}")


# ---------------------------------------------------------------- pieces

_CUT = TurnError(
    "The server was stopped while this turn ran, and its agent ended. What it had written is kept; "
    "send the message again to go on.",
    "interrupted",
)


def _exit_error(how: int | None, stderr: str) -> TurnError:
    said = stderr.strip().splitlines()
    last = said[-1][:300] if said else ""
    if "No conversation found" in stderr:
        text = "The agent no longer has this conversation. Start a new session to continue."
        return TurnError(text, "resume_not_found", False, last)
    if "already in use" in stderr:
        text = "This conversation is in use by another agent process. End that one first."
        return TurnError(text, "in_use", False, last)
    text = (
        "The agent's process ended unexpectedly. Your next message starts it again, with the "
        "history."
    )
    return TurnError(text, "agent_exited", True, last or f"exit {how}")


def _shown(info: SessionObject) -> str:
    """The session's notebook as its titles call it."""
    return info.notebook.path.rsplit("/", 1)[-1] if info.notebook else ""


def title_of(content: tuple[ContentBlock, ...], context: tuple[ContextItem, ...]) -> str:
    """A title from a first prompt: its first line, at most 60 characters."""
    lines = [line.strip() for line in text_of(content).splitlines() if line.strip()]
    text = lines[0] if lines else (context[0].label if context else "")
    return (text if len(text) <= 60 else text[:59].rstrip() + "…") or NEW_TITLE


def plain_title(title: str) -> str:
    return " ".join(title.split())[:200]


def plain_value(value: str, what: str) -> str:
    """A value that goes into an argument list or a control request: one line, no leading dash."""
    if not value or len(value) > 200 or value.startswith("-") or not value.isprintable():
        raise Invalid(f"This is not a {what}: {value[:50]!r}.")
    return value

"""What is found out about a request while it waits for a person: what it would do, and a trial of
it.

A trial is one at a time, and ends with its request. All that is found out is in the log, so it
survives a reload; a trial does not survive the server, and is said to have failed then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.errors import AgentLabError, Conflict, Invalid
from agent_lab.protocol.events import PermissionRequest, PermissionUpdated, ToolCall, Trial
from agent_lab.sessions.tools import OURS, Asked, Host, StartTask, Tools

_log = logging.getLogger(__name__)

RESTARTED = "the server was restarted meanwhile"
ANSWERED = "it was answered before the trial ended"
TURN_OVER = "its turn ended before the trial did"


class Foresight:
    """Of one session. `emit` puts an update of a request into the log, if it still waits."""

    def __init__(
        self,
        tools: Tools,
        host: Host,
        emit: Callable[[PermissionUpdated], None],
        start_task: StartTask,
    ) -> None:
        self._tools = tools
        self._host = host
        self._emit = emit
        self._start_task = start_task
        self._names: dict[str, str] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._trial: tuple[str, asyncio.Task[None]] | None = None
        self._ending: asyncio.Task[None] | None = None
        """A trial that was called off: its copy of the kernel may still live for a moment."""

    def called(self, call: ToolCall) -> None:
        """The agent uses a tool; only ours are looked at."""
        if call.name.startswith(OURS):
            self._names[call.tool_call_id] = call.name.removeprefix(OURS)

    def _of(self, request: PermissionRequest) -> Asked | None:
        """What it is about, None: nothing of ours."""
        if request.kind == "cell_change" and request.change is not None:
            return Asked(request.change)
        name = self._names.get(request.tool_call_id or "")
        if request.kind != "tool" or name is None or not isinstance(request.input, dict):
            return None
        return Asked(None, name, request.input)

    # ------------------------------------------------------------ what it would do

    def asked(self, request: PermissionRequest) -> None:
        """Find out what it would do, beside everything else."""
        asked = self._of(request)
        if asked is not None and request.effects is None and self._tools.runs_code(asked):
            id = request.request_id
            self._reading[id] = self._start_task(self._read(id, asked), f"{id}: effects")

    async def _read(self, request_id: str, asked: Asked) -> None:
        try:
            found = await self._tools.effects(self._host, asked)
        except AgentLabError as error:
            _log.info("agent_lab: what would happen is not known: %s", error)
            return
        finally:
            self._reading.pop(request_id, None)
        self._emit(PermissionUpdated(request_id=request_id, effects=found))

    # ------------------------------------------------------------ trials

    def begin(self, request: PermissionRequest, source: str | None = None) -> None:
        """Try it; `source`: a person's version of a changed cell in place of the proposed one.

        Raises Conflict `busy`, Invalid where there is nothing that can be tried.
        """
        asked = self._of(request)
        if asked is None or not self._tools.runs_code(asked):
            raise Invalid("Only code for the notebook's kernel can be tried.", "nothing_to_try")
        change = asked.change
        if source is not None and change is None:
            raise Invalid("Only the source of a changed cell can be another one.")
        if change is not None and source not in (None, change.new_source):
            asked = Asked(replace(change, new_source=source))
        else:
            source = None
        if self._trial is not None:
            raise Conflict("A trial runs already. Wait until it has ended.", "busy")
        id = request.request_id
        self._emit(PermissionUpdated(request_id=id, trial=Trial("running", source=source)))
        self._trial = id, self._start_task(self._try(id, asked, source), f"{id}: trial")

    async def _try(self, request_id: str, asked: Asked, source: str | None) -> None:
        mine = asyncio.current_task()
        if self._ending is not None and not self._ending.done():
            await asyncio.wait({self._ending})
        try:
            trial = await self._tools.try_out(self._host, asked)
        except AgentLabError as error:
            trial = Trial("refused", error.message)
        except Exception:
            self._emit(
                PermissionUpdated(
                    request_id=request_id,
                    trial=Trial("failed", "Agent Lab itself failed; the server's log has details"),
                )
            )
            raise
        finally:
            if self._trial is not None and self._trial[1] is mine:
                self._trial = None
        self._emit(PermissionUpdated(request_id=request_id, trial=replace(trial, source=source)))

    async def words(self, request: PermissionRequest, answer: AnswerPermission) -> str:
        """The trial's outcome for the agent. Raises Conflict `no_trial`, Invalid where no message
        goes to the agent."""
        trial = request.trial
        if trial is None or trial.status == "running":
            raise Conflict("There is no trial whose outcome could be told.", "no_trial")
        if request.kind != "cell_change" and answer.option_id != "reject_once":
            raise Invalid("The agent is told something only together with a rejection.")
        return await self._tools.trial_words(self._host, trial)

    # ------------------------------------------------------------ the end

    def over(self, request_id: str, why: str = ANSWERED) -> None:
        """The request is about to be resolved."""
        reading = self._reading.pop(request_id, None)
        if reading is not None:
            reading.cancel()
        if self._trial is not None and self._trial[0] == request_id:
            _, task = self._trial
            self._trial, self._ending = None, task
            task.cancel()
            self._emit(PermissionUpdated(request_id=request_id, trial=Trial("failed", why)))

    def forget_calls(self) -> None:
        """No turn runs any more."""
        self._names.clear()

    def take_up(self, calls: Iterable[ToolCall], pending: Iterable[PermissionRequest]) -> None:
        """What an earlier server left."""
        for call in calls:
            self.called(call)
        for request in pending:
            if request.trial is not None and request.trial.status == "running":
                failed = Trial("failed", RESTARTED)
                self._emit(PermissionUpdated(request_id=request.request_id, trial=failed))
            self.asked(request)

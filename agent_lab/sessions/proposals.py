"""Cell changes that wait for a person: asked in the log, answered once, gone with their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import (
    CellChange,
    PermissionOption,
    PermissionRequest,
    PermissionResolved,
    Session,
)

ACCEPT, ACCEPT_ALL, REJECT = "accept", "accept_all", "reject_once"
ACCEPTING_MODES = ("acceptEdits", "bypassPermissions")
REFUSING_MODES: Mapping[str, str] = {
    "plan": "You are planning: put the change into the plan, and make it when that is approved.",
    "dontAsk": "Cell changes are asked about, and this session's mode is to ask nothing. Say in "
    "your answer what you would change.",
}
OPTIONS = (
    PermissionOption(ACCEPT, "allow_once", "Accept"),
    PermissionOption(
        ACCEPT_ALL,
        "allow_always",
        "Accept all in this session",
        "edits of cells and files in this session are not asked about again",
    ),
    PermissionOption(REJECT, "reject_once", "Reject"),
)


class Decision(Struct, frozen=True):
    """`change` is what shall be done, edited by the person perhaps; `message` is theirs."""

    accepted: bool
    change: CellChange
    edited: bool = False
    message: str = ""


_VERBS = {"insert": "Add", "edit": "Change", "delete": "Delete", "move": "Move"}


def title(change: CellChange, name: str = "") -> str:
    """ "Change cell [7]": `name` is what people call the cell."""
    kind = {"code": "cell", "markdown": "text cell"}.get(change.cell_type, "raw cell")
    verb = _VERBS[change.operation]
    if change.operation == "insert":
        return f"{verb} a {kind}"
    return f"{verb} {kind} {name or change.cell_id}"


def decided(request: PermissionRequest, answer: PermissionResolved | AnswerPermission) -> Decision:
    """What an answer says about the change."""
    change = request.change
    assert change is not None, "a proposal holds its change"
    option = next((o for o in request.options if o.option_id == answer.option_id), None)
    if option is None or not option.kind.startswith("allow"):
        return Decision(False, change, message=answer.message or "")
    wanted = answer.updated_input
    source = wanted.get("source") if isinstance(wanted, dict) else None
    if isinstance(source, str) and source != change.new_source:
        changed = replace(change, new_source=source)
        return Decision(True, changed, edited=True, message=answer.message or "")
    return Decision(True, change, message=answer.message or "")


class Proposals:
    """Who waits for which answer. It emits nothing: the session does."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[PermissionResolved]] = {}
        self._answered: dict[str, PermissionRequest] = {}
        self._answers: dict[str, PermissionResolved] = {}

    def waits(self, request_id: str) -> bool:
        return request_id in self._waiting

    def of_call(self, session: Session, tool_call_id: str) -> PermissionRequest | None:
        """The proposal of a call that was made before this server: it waits, or was answered."""
        for request in session.pending_permissions:
            if request.kind == "cell_change" and request.tool_call_id == tool_call_id:
                return request
        return self._answered.get(tool_call_id)

    def remember(
        self,
        requests: Mapping[str, PermissionRequest],
        resolved: Mapping[str, PermissionResolved],
    ) -> None:
        """The proposals of open turns that an earlier server saw answered."""
        for request in requests.values():
            answer = resolved.get(request.request_id)
            if request.kind == "cell_change" and request.tool_call_id and answer is not None:
                self._answered[request.tool_call_id] = request
                self._answers[request.request_id] = answer

    async def answer(self, request: PermissionRequest) -> PermissionResolved:
        """Wait for it; at once where an earlier server had it."""
        known = self._answers.pop(request.request_id, None)
        if known is not None:
            self._answered.pop(request.tool_call_id or "", None)
            return known
        waiting: asyncio.Future[PermissionResolved] = asyncio.get_running_loop().create_future()
        self._waiting[request.request_id] = waiting
        try:
            return await waiting
        finally:
            self._waiting.pop(request.request_id, None)

    def resolve(self, resolved: PermissionResolved) -> None:
        """Raises KeyError when nobody waits for it."""
        waiting = self._waiting.pop(resolved.request_id)
        if not waiting.done():
            waiting.set_result(resolved)

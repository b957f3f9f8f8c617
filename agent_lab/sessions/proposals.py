"""Cell changes that wait for a person: asked in the log, answered once, gone with their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from msgspec import UNSET, Struct
from msgspec.structs import replace

from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.events import (
    CellChange,
    CellDiffBlock,
    Event,
    PermissionOption,
    PermissionRequest,
    PermissionResolved,
    Session,
    ToolCall,
    ToolCallUpdate,
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
    """`change` is what shall be done, edited by the person perhaps; `message` is theirs, `trial`
    what the agent is told of the trial."""

    accepted: bool
    change: CellChange
    edited: bool = False
    message: str = ""
    trial: str = ""


_VERBS = {"insert": "Add", "edit": "Change", "delete": "Delete", "move": "Move"}


def title(change: CellChange, name: str = "") -> str:
    """ "Change cell [7]": `name` is what people call the cell."""
    kind = {"code": "cell", "markdown": "text cell"}.get(change.cell_type, "raw cell")
    verb = _VERBS[change.operation]
    if change.operation == "insert":
        return f"{verb} a {kind}"
    return f"{verb} {kind} {name or change.cell_id}"


def decided(request: PermissionRequest, answer: PermissionResolved) -> Decision:
    """What an answer says about the change."""
    change = request.change
    assert change is not None, "a proposal holds its change"
    option = next((o for o in request.options if o.option_id == answer.option_id), None)
    if option is None or not option.kind.startswith("allow"):
        return Decision(False, change, message=answer.message or "", trial=answer.trial or "")
    wanted = answer.updated_input
    source = wanted.get("source") if isinstance(wanted, dict) else None
    if isinstance(source, str) and source != change.new_source:
        changed = replace(change, new_source=source)
        return Decision(
            True, changed, edited=True, message=answer.message or "", trial=answer.trial or ""
        )
    return Decision(True, change, message=answer.message or "", trial=answer.trial or "")


def done_by(tool_call_id: str, events: Iterable[Event]) -> CellChange | None:
    """What a tool call did to a cell; None: nothing, or it did not come to its end."""
    change: CellChange | None = None
    completed = False
    for body in (event.body for event in events):
        if not isinstance(body, ToolCall | ToolCallUpdate) or body.tool_call_id != tool_call_id:
            continue
        if body.status is not UNSET:
            completed = body.status == "completed"
        for block in body.content or ():
            if isinstance(block, CellDiffBlock):
                change = block.change
    return change if completed else None


def undoing(change: CellChange) -> CellChange:
    """What puts the cell back as it was, where it still is what the change made of it; of a deleted
    cell the source.

    Raises Invalid `not_undoable` where the log does not say how it was.
    """
    old, new = change.old_source, change.new_source
    behind = change.old_after_cell_id
    match change.operation:
        case "edit" if old is not None:
            before, after = change.old_cell_type or change.cell_type, change.cell_type
            return replace(
                change, old_source=new, new_source=old, cell_type=before, old_cell_type=after
            )
        case "insert":
            return replace(
                change, operation="delete", old_source=new, new_source=None, after_cell_id=None
            )
        case "delete" if old is not None and behind is not None:
            return replace(
                change, operation="insert", old_source=None, new_source=old, after_cell_id=behind
            )
        case "move" if behind is not None:
            return replace(change, after_cell_id=behind, old_after_cell_id=change.after_cell_id)
    text = "How this cell was before is not known any more. The notebook's own undo may know it."
    raise Invalid(text, "not_undoable")


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

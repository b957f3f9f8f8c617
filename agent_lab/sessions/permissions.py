"""What may be answered to a pending permission request. Pure."""

from __future__ import annotations

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.errors import Conflict, Invalid
from agent_lab.protocol.events import PermissionOption, PermissionRequest, Session


def pending(session: Session, request_id: str) -> PermissionRequest:
    """The request that waits under this id. Raises Conflict `already_resolved` when none does."""
    for request in session.pending_permissions:
        if request.request_id == request_id:
            return request
    raise Conflict(
        "This question was already answered, or its turn is over. Nothing was changed.",
        "already_resolved",
    )


def check(request: PermissionRequest, answer: AnswerPermission) -> PermissionOption:
    """The option that the answer chooses. Raises Invalid when the answer does not fit the
    request."""
    for option in request.options:
        if option.option_id == answer.option_id:
            break
    else:
        offered = ", ".join(option.option_id for option in request.options)
        raise Invalid(f"There is no option {answer.option_id!r} here. Offered: {offered}.")
    if answer.updated_input is not None:
        if request.kind == "cell_change":
            _check_source(request, answer)
        elif request.kind != "tool" or not isinstance(answer.updated_input, dict):
            raise Invalid("Only the input of a tool can be changed, and it must be an object.")
        if not option.kind.startswith("allow"):
            raise Invalid("A changed input makes sense only together with an allowance.")
    if answer.answers is not None:
        known = {question.question for question in request.questions}
        strange = [asked for asked in answer.answers if asked not in known]
        if strange:
            raise Invalid(f"The agent did not ask {strange[0]!r}.")
    return option


def _check_source(request: PermissionRequest, answer: AnswerPermission) -> None:
    change, wanted = request.change, answer.updated_input
    if change is None or change.operation not in ("insert", "edit"):
        raise Invalid("This change has no source that could be edited.")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("source"), str):
        raise Invalid('A changed cell is given as {"source": "…"}.')

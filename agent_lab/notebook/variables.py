"""What is in a kernel's memory, as its own side of us tells it, or the kernel by its own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import structs

from agent_lab.notebook.kernel import PATIENCE_SECONDS, KernelManager, ask
from agent_lab.protocol.errors import NotFound, Unavailable
from agent_lab.protocol.events import Json
from agent_lab.protocol.reports import Inspection, Level, NameChanges, Variable
from agent_lab.protocol.secrets import MASKED, without_secrets

VARIABLES = "agent_lab_variables_request"
INSPECT = "agent_lab_inspect_request"
NAMES = "agent_lab_names_request"

_Told = TypeVar("_Told")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
TEXT = 20_000


async def variables(manager: KernelManager) -> list[Variable]:
    """The newest last. Raises Conflict, Unavailable."""
    reply = await ask(manager, VARIABLES, {})
    return _read(reply.get("variables"), list[Variable])


async def inspect_variable(
    manager: KernelManager, name: str, level: Level = "sample", masks: Sequence[str] = ()
) -> Inspection:
    """One value by its name, or by an expression of names, attributes and constant subscripts.

    Raises NotFound, whose sentence names what is like it, Conflict, Unavailable.
    """
    try:
        reply = await ask(manager, INSPECT, {"name": name, "level": level, "masks": list(masks)})
    except Unavailable as error:
        if error.reason != "not_offered":
            raise
        return await _by_its_own_words(manager, name, level, masks, error)
    if reply.get("status") != "ok":
        raise NotFound(str(reply.get("message") or "Nothing is known under this name."))
    return _read(reply.get("inspection"), Inspection)


async def name_changes(
    manager: KernelManager, since: str = "", seconds: float = PATIENCE_SECONDS
) -> NameChanges:
    """What became of the names since the look that returned the token `since`; "": a first look.

    Raises Conflict, Unavailable.
    """
    reply = await ask(manager, NAMES, {"since": since}, seconds)
    return _read(reply, NameChanges)


async def _by_its_own_words(
    manager: KernelManager,
    name: str,
    level: Level,
    masks: Sequence[str],
    refusal: Unavailable,
) -> Inspection:
    """Jupyter's own message, which a kernel answers in words that only its language knows."""
    inspection = Inspection(Variable(name, "", "other"), level)
    masked = (rf"(?<!\w){re.escape(one)}(?!\w)" for one in masks)
    if any(re.search(word, name, re.IGNORECASE) for word in masked):
        return structs.replace(inspection, notes=(MASKED,))
    if level == "schema":
        # Its words may hold values; which, only the kernel knows.
        note = "not told: this kernel does not keep names and values apart"
        return structs.replace(inspection, notes=(note,))
    asked = {"code": name, "cursor_pos": len(name), "detail_level": 0}
    reply = await ask(manager, "inspect_request", asked, channel="shell")
    if not reply.get("found"):
        raise refusal
    text = str((reply.get("data") or {}).get("text/plain", ""))
    words = without_secrets(_ANSI.sub("", text))[:TEXT]
    return structs.replace(inspection, text=words, notes=("in the kernel's own words",))


def _read(told: Json, kind: type[_Told]) -> _Told:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        text = f"The kernel's answer could not be read: {error}. Restart the kernel."
        raise Unavailable(text, "not_offered") from None

"""What is in a kernel's memory, as its own side of us tells it."""

from __future__ import annotations

import msgspec

from agent_lab.notebook.kernel import KernelManager, ask
from agent_lab.protocol.errors import Unavailable
from agent_lab.protocol.reports import Variable

REQUEST = "agent_lab_variables_request"


async def variables(manager: KernelManager) -> list[Variable]:
    """The newest last. Raises Conflict, Unavailable."""
    reply = await ask(manager, REQUEST, {})
    try:
        return msgspec.convert(reply.get("variables"), list[Variable])
    except (msgspec.ValidationError, AttributeError) as error:
        text = f"The kernel's answer could not be read: {error}. Restart the kernel."
        raise Unavailable(text, "not_offered") from None

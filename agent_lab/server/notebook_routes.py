"""The REST routes about a session's notebook and its kernel."""

from __future__ import annotations

from agent_lab.protocol.errors import Conflict
from agent_lab.server.rest import find_session
from agent_lab.server.routes import RouteHandler, Table, signed_in

NOTEBOOK = Table("agent-lab/api", RouteHandler, signed_in)


@NOTEBOOK.route("GET", "sessions/{session_id}/variables", "read", returns="Variables")
async def read_variables(request: RouteHandler, session_id: str) -> object:
    """What is in the memory of the session's kernel, newest last; also while a cell runs."""
    from agent_lab.notebook.variables import variables

    info = (await find_session(request, session_id)).info
    kernel_id = info.notebook.kernel_id if info.notebook else None
    kernels = request.kernel_manager
    if kernel_id is None or kernel_id not in kernels:
        text = "This session has no running kernel. Start its notebook's kernel, then try again."
        raise Conflict(text, "no_kernel")
    return {"variables": await variables(kernels.get_kernel(kernel_id))}

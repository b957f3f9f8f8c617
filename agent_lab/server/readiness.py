"""The REST routes of a first run: what a turn lacks, and the decision about a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent_lab.server.routes import RouteHandler, Table, signed_in

if TYPE_CHECKING:
    from agent_lab.sessions.readiness import KernelState

READINESS = Table("agent-lab/api", RouteHandler, signed_in)


class TrustBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A folder, relative to the server's root."""

    path: str
    trust: bool


@READINESS.route(
    "GET",
    "readiness",
    "read",
    query={
        "path": "the folder to work in",
        "notebook": "a notebook: its folder instead, and its kernel",
        "kernel_id": "the notebook's kernel, where it is known",
        "fresh": "1: look for the agent anew",
    },
    returns="Readiness",
)
async def readiness(request: RouteHandler) -> object:
    """What a first turn needs here, and what mends each thing that is missing."""
    from agent_lab.sessions.readiness import checks

    notebook, kernel_id = request.text("notebook"), request.text("kernel_id")
    manager = await request.lab.manager()
    folder = notebook.rpartition("/")[0] if notebook else request.text("path")
    files, trusted = await manager.trust_of(folder)
    agent = (await manager.agents(fresh=request.flag("fresh")))[0]
    kernel = await _kernel(request, notebook, kernel_id) if notebook or kernel_id else None
    return {"checks": checks(agent, files, trusted, kernel)}


async def _kernel(request: RouteHandler, notebook: str, kernel_id: str) -> KernelState:
    kernels: Any = request.settings["kernel_manager"]  # jupyter_server's, which tells no types
    if kernel_id not in kernels:
        running = await request.settings["session_manager"].list_sessions()
        kernel_id = next(
            (one["kernel"]["id"] for one in running if one["path"] == notebook and one["kernel"]),
            "",
        )
    if kernel_id not in kernels:
        return "missing"
    state = getattr(kernels.get_kernel(kernel_id), "execution_state", "idle")
    return "dead" if state == "dead" else "running"


@READINESS.route("POST", "trust", "execute", body=TrustBody, status=204)
async def trust(request: RouteHandler) -> object:
    """Decide whether agents obey a folder's own settings, from their next start."""
    body = request.body(TrustBody)
    manager = await request.lab.manager()
    await manager.decide_trust(body.path, body.trust)
    return None

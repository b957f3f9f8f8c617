"""The REST routes for what a person does with a whole conversation.

Fork it, undo its deletion, look at its context, revoke its rules, find files beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from msgspec import Struct

from agent_lab.protocol.reports import ContextReport, Rule
from agent_lab.server.rest import find_session
from agent_lab.server.routes import MAX_SEQ, Answer, RouteHandler, Table, signed_in

if TYPE_CHECKING:
    from agent_lab.sessions.files import File

CONVERSATIONS = Table("agent-lab/api", RouteHandler, signed_in)
MOST_FILES = 200
MOST_IDS = 100


class ForkBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`at_seq` null: from where it is now."""

    at_seq: int | None = None


class Forgotten(Struct, frozen=True):
    ids: list[str]


class Rules(Struct, frozen=True):
    rules: tuple[Rule, ...]


@CONVERSATIONS.route(
    "POST",
    "sessions/{session_id}/fork",
    "write",
    body=ForkBody,
    returns="Session",
    status=201,
)
async def fork_session(request: RouteHandler, session_id: str) -> object:
    """A new session with this one's history up to a seq, cut at the end of a turn."""
    body = request.body(ForkBody)
    at_seq = None if body.at_seq is None else min(max(body.at_seq, 0), MAX_SEQ)
    manager = await request.lab.manager()
    return Answer((await manager.fork(session_id, at_seq)).info, 201)


@CONVERSATIONS.route("POST", "sessions/{session_id}/restore", "write", returns="Session")
async def restore_session(request: RouteHandler, session_id: str) -> object:
    """Take a deletion back, within a day."""
    manager = await request.lab.manager()
    return (await manager.restore(session_id)).info


@CONVERSATIONS.route(
    "GET",
    "forgotten",
    "read",
    query={"ids": f"ids of sessions, with commas between, at most {MOST_IDS}"},
    returns="Forgotten",
)
async def read_forgotten(request: RouteHandler) -> object:
    """Which of these sessions were deleted for good: nothing need be kept for them any more."""
    ids = [each for each in request.text("ids").split(",", MOST_IDS)[:MOST_IDS] if each]
    return Forgotten(await (await request.lab.manager()).forgotten(ids))


@CONVERSATIONS.route("GET", "sessions/{session_id}/context", "read", returns="ContextReport")
async def read_context(request: RouteHandler, session_id: str) -> object:
    """What fills the agent's context, by its own account."""
    report: ContextReport = await (await find_session(request, session_id)).context()
    return report


@CONVERSATIONS.route("GET", "sessions/{session_id}/rules", "read", returns="Rules")
async def read_rules(request: RouteHandler, session_id: str) -> object:
    """What the agent may do unasked, must ask, or may not, and where each rule stands."""
    return Rules(await (await find_session(request, session_id)).rules())


@CONVERSATIONS.route("DELETE", "sessions/{session_id}/rules/{rule_id}", "write", status=204)
async def revoke_rule(request: RouteHandler, session_id: str, rule_id: str) -> object:
    """Take a lasting rule back."""
    await (await find_session(request, session_id)).revoke(unquote(rule_id))
    return None


@CONVERSATIONS.route(
    "GET",
    "sessions/{session_id}/files",
    "read",
    query={
        "q": "letters of the path, in their order",
        "limit": f"how many, 20 unless told, at most {MOST_FILES}",
    },
    returns="Files",
)
async def find_files(request: RouteHandler, session_id: str) -> object:
    """Files and folders below the session's folder whose path matches, best first."""
    session = await find_session(request, session_id)
    limit = request.whole("limit", 1, MOST_FILES) or 20
    manager = await request.lab.manager()
    found: list[File] = await manager.find_files(session, request.text("q")[:200], limit)
    return {"files": found}

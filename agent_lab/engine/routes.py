"""The part of the REST interface that a panel asks for, answered without HTTP.

The addresses, answers and refusals are those of `server/`; what is not offered here says so.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from agent_lab.protocol.commands import Set, parse
from agent_lab.protocol.errors import AgentLabError, Invalid, NotFound, Unavailable
from agent_lab.protocol.events import encode
from agent_lab.protocol.reports import Variable
from agent_lab.sessions.manager import Manager
from agent_lab.sessions.readiness import checks

Variables: TypeAlias = Callable[[], list[Variable]]
"""What is in this process's memory."""
DEFAULT_PAGE = 500
LARGEST_PAGE = 2000
MOST_FILES = 200


class Asked(Struct, frozen=True):
    """`query` has the last value of each name."""

    manager: Manager
    query: Mapping[str, str]
    body: bytes
    variables: Variables | None

    def whole(self, name: str, most: int = 1 << 32) -> int | None:
        text = self.query.get(name, "")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
            raise Invalid(f"{name!r} must be a whole number up to {most}.")
        return int(text)


class Answered(Struct, frozen=True):
    status: int
    body: bytes = b""


class ForkBody(Struct, frozen=True, forbid_unknown_fields=True):
    at_seq: int | None = None


class TrustBody(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    trust: bool


class ChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    title: str | None = None
    model: str | None = None
    permission_mode: str | None = None
    effort: str | None = None


_Route: TypeAlias = Callable[..., Awaitable[object]]
_ROUTES: list[tuple[str, re.Pattern[str], _Route]] = []


def _route(method: str, path: str) -> Callable[[_Route], _Route]:
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

    def enter(run: _Route) -> _Route:
        _ROUTES.append((method, pattern, run))
        return run

    return enter


async def respond(
    manager: Manager, method: str, address: str, body: str, variables: Variables | None
) -> Answered:
    """`address` is what comes after `agent-lab/api/`. A refusal is an answer, not an exception."""
    parts = urlsplit(address)
    try:
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        asked = Asked(manager, query, body.encode(), variables)
        for known, pattern, run in _ROUTES:
            found = pattern.fullmatch(parts.path)
            if known == method and found is not None:
                ids = {name: unquote(id) for name, id in found.groupdict().items()}
                value = await run(asked, **ids)
                if value is None:
                    return Answered(204)
                return Answered(200, value if isinstance(value, bytes) else encode(value))
        text = "This is offered only where Agent Lab runs in a Jupyter server."
        raise NotFound(text, "not_offered")
    except AgentLabError as error:
        said = {**error.detail, "message": error.message, "reason": error.reason}
        return Answered(error.http_status, encode(said))
    except (ValueError, RecursionError) as error:
        said = {"message": f"The request could not be understood: {error}.", "reason": "invalid"}
        return Answered(400, encode(said))


# ---------------------------------------------------------------- one session


@_route("GET", "sessions/{session_id}")
async def read_session(asked: Asked, session_id: str) -> object:
    session = await asked.manager.get(session_id)
    cost = {
        "by_turn": await asked.manager.charges("turn", session_id),
        "by_model": await asked.manager.charges("model", session_id),
    }
    return b'%b,"cost":%b}' % (encode(session.info)[:-1], encode(cost))


@_route("PATCH", "sessions/{session_id}")
async def change_session(asked: Asked, session_id: str) -> object:
    body = parse(asked.body, ChangeBody)
    session = await asked.manager.get(session_id)
    await session.set(
        Set(
            title=body.title,
            model=body.model,
            permission_mode=body.permission_mode,
            effort=body.effort,
        )
    )
    return session.info


@_route("DELETE", "sessions/{session_id}")
async def delete_session(asked: Asked, session_id: str) -> object:
    await asked.manager.delete(session_id)
    return None


@_route("POST", "sessions/{session_id}/restore")
async def restore_session(asked: Asked, session_id: str) -> object:
    return (await asked.manager.restore(session_id)).info


@_route("POST", "sessions/{session_id}/end")
async def end_session(asked: Asked, session_id: str) -> object:
    session = await asked.manager.get(session_id)
    await session.end()
    return session.info


@_route("POST", "sessions/{session_id}/resume")
async def resume_session(asked: Asked, session_id: str) -> object:
    session = await asked.manager.get(session_id)
    await session.resume()
    return session.info


@_route("POST", "sessions/{session_id}/fork")
async def fork_session(asked: Asked, session_id: str) -> object:
    return (await asked.manager.fork(session_id, parse(asked.body, ForkBody).at_seq)).info


@_route("GET", "sessions/{session_id}/events")
async def read_events(asked: Asked, session_id: str) -> object:
    session = await asked.manager.get(session_id)
    limit = asked.whole("limit", LARGEST_PAGE) or DEFAULT_PAGE
    after, before = asked.whole("after") or 0, asked.whole("before")
    events = await asked.manager.events(session, after, before, limit + 1)
    backwards = before is not None and not after
    more = len(events) > limit
    kept = events[-limit:] if backwards else events[:limit]
    found = b",".join(event.json for event in kept)
    return b'{"events":[%b],"more":%b}' % (found, b"true" if more else b"false")


@_route("GET", "sessions/{session_id}/context")
async def read_context(asked: Asked, session_id: str) -> object:
    return await (await asked.manager.get(session_id)).context()


@_route("GET", "sessions/{session_id}/rules")
async def read_rules(asked: Asked, session_id: str) -> object:
    return {"rules": await (await asked.manager.get(session_id)).rules()}


@_route("DELETE", "sessions/{session_id}/rules/{rule_id}")
async def revoke_rule(asked: Asked, session_id: str, rule_id: str) -> object:
    await (await asked.manager.get(session_id)).revoke(rule_id)
    return None


@_route("GET", "sessions/{session_id}/files")
async def find_files(asked: Asked, session_id: str) -> object:
    session = await asked.manager.get(session_id)
    limit = asked.whole("limit", MOST_FILES) or 20
    words = asked.query.get("q", "")[:200]
    return {"files": await asked.manager.find_files(session, words, limit)}


@_route("GET", "sessions/{session_id}/variables")
async def read_variables(asked: Asked, session_id: str) -> object:
    await asked.manager.get(session_id)
    if asked.variables is None:
        raise Unavailable("What is in memory cannot be read here.", "not_offered")
    return {"variables": asked.variables()}


@_route("GET", "sessions/{session_id}/since")
async def read_since(asked: Asked, session_id: str) -> object:
    """Nobody watches the kernel here, so there is nothing to tell."""
    await asked.manager.get(session_id)
    return {"item": None, "on": False}


# ---------------------------------------------------------------- beside it


@_route("GET", "forgotten")
async def read_forgotten(asked: Asked) -> object:
    ids = [each for each in asked.query.get("ids", "").split(",", 100)[:100] if each]
    return {"ids": await asked.manager.forgotten(ids)}


@_route("GET", "readiness")
async def readiness(asked: Asked) -> object:
    manager = asked.manager
    files, trusted = await manager.trust_of(asked.query.get("path", ""))
    agent = (await manager.agents(fresh=asked.query.get("fresh") == "1"))[0]
    return {"checks": checks(agent, files, trusted, None)}


@_route("POST", "trust")
async def trust(asked: Asked) -> object:
    body = parse(asked.body, TrustBody)
    await asked.manager.decide_trust(body.path, body.trust)
    return None


@_route("GET", "health")
async def health(asked: Asked) -> object:
    log = await asked.manager.log_problem() or "ok"
    return {"status": "ok", "durable_turns": False, "log": log}

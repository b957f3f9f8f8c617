"""Read what claude reports about itself: `get_context_usage` and `list_permission_rules`. Pure.

Shapes seen with claude 2.1.329; what is missing or odd is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast

from agent_lab.agents.adapters.claude_tools import OURS, TASK_TOOLS
from agent_lab.protocol.events import Json
from agent_lab.protocol.reports import ContextDetail, ContextPart, ContextReport, Rule, RuleScope

_KINDS = ("used", "deferred", "buffer", "free")
_LISTS: Mapping[str, tuple[str, str]] = {
    "memoryFiles": ("Memory files", "path"),
    "mcpTools": ("MCP tools", "name"),
    "agents": ("Agents", "agentType"),
}
_SCOPES: Mapping[str, RuleScope] = {
    "session": "session",
    "cliArg": "session",
    "command": "session",
    "localSettings": "folder",
    "projectSettings": "project",
    "userSettings": "user",
    "policySettings": "managed",
    "flagSettings": "other",
}


def context_report(payload: Json) -> ContextReport | None:
    """None when it is not a report."""
    if not isinstance(payload, dict):
        return None
    used, size = payload.get("totalTokens"), payload.get("maxTokens")
    if not isinstance(used, int) or not isinstance(size, int):
        return None
    automatic = payload.get("isAutoCompactEnabled") is not False
    threshold = payload.get("autoCompactThreshold")
    parts = (
        ContextPart(part["name"], part["tokens"], _kind(part.get("kind")))
        for part in _objects(payload.get("categories"))
        if isinstance(part.get("name"), str) and isinstance(part.get("tokens"), int)
    )
    detail = (
        ContextDetail(group, one[key], one["tokens"])
        for field, (group, key) in _LISTS.items()
        for one in _objects(payload.get(field))
        if isinstance(one.get(key), str) and isinstance(one.get("tokens"), int)
    )
    return ContextReport(
        used,
        size,
        threshold if automatic and isinstance(threshold, int) else None,
        tuple(parts),
        tuple(detail),
    )


def rules(payload: Json) -> tuple[Rule, ...]:
    """The rules in force, as claude names them. Those of a process end with it."""
    state = payload.get("state") if isinstance(payload, dict) else None
    found = []
    for one in _objects(state.get("rules") if isinstance(state, dict) else None):
        rule, behavior, source = one.get("rule"), one.get("behavior"), one.get("source")
        if not isinstance(rule, str) or behavior not in ("allow", "ask", "deny"):
            continue
        if source == "cliArg" and (rule in TASK_TOOLS or rule.startswith(OURS)):
            continue  # how the adapter gives claude its to-do list and our tools; no grant
        said = one.get("description")
        said = said if isinstance(said, dict) else {}
        words = "".join(_text(said.get(part)) for part in ("prefix", "emphasis", "suffix"))
        found.append(
            Rule(
                id=f"{source}:{behavior}:{rule}",
                rule=rule,
                behavior=behavior,
                scope=_SCOPES.get(_text(source), "other"),
                words=words,
                revocable=source in ("session", "localSettings", "userSettings"),
            )
        )
    return tuple(found)


def _kind(kind: Json) -> Literal["used", "deferred", "buffer", "free"]:
    return cast("Literal['used', 'deferred', 'buffer', 'free']", kind if kind in _KINDS else "used")


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""

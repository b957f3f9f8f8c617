"""A session as lists and notifications show it. Pure."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from agent_lab.protocol.events import PermissionOption, PermissionRequest, Session


class BriefPermission(Struct, frozen=True):
    """A question that waits, with the answers that need no form."""

    request_id: str
    kind: str
    title: str
    options: tuple[PermissionOption, ...]


class Brief(Struct, frozen=True, kw_only=True):
    """A session as a list shows it."""

    id: str
    title: str
    agent: str
    model: str | None
    status: str
    status_reason: str | None
    unseen: bool
    path: str
    cwd: str
    notebook: str | None
    cost_usd: float | None
    cost_source: str | None
    parent_id: str | None
    pending_permissions: tuple[BriefPermission, ...]
    updated_at: str


class Deleted(Struct, frozen=True):
    id: str


Change: TypeAlias = Brief | Deleted


def brief(session: Session) -> Brief:
    return Brief(
        id=session.id,
        title=session.title,
        agent=session.agent,
        model=session.model,
        status=session.status,
        status_reason=session.status_reason,
        unseen=session.unseen,
        path=session.workspace.path,
        cwd=session.workspace.cwd,
        notebook=session.notebook.path if session.notebook else None,
        cost_usd=session.usage.cost_usd,
        cost_source=session.usage.cost_source,
        parent_id=session.parent_id,
        pending_permissions=tuple(_permission(one) for one in session.pending_permissions),
        updated_at=session.updated_at,
    )


def _permission(request: PermissionRequest) -> BriefPermission:
    return BriefPermission(request.request_id, request.kind, request.title, request.options)

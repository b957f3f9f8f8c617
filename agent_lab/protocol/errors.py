"""Our own faults: one exception tree, each with a stable reason and a sentence that names the next
step.

An agent's fault is an event; ours is one of these. They become HTTP answers and WebSocket rejects
in one place in `server/`.
"""

from __future__ import annotations

from typing import ClassVar


class AgentLabError(Exception):
    """`message` is for a person; `reason` is for programs and never changes; `detail` is JSON."""

    http_status: ClassVar[int] = 500
    default_reason: ClassVar[str] = "internal"

    def __init__(
        self, message: str, reason: str | None = None, detail: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.detail = detail or {}


class Invalid(AgentLabError):
    http_status = 400
    default_reason = "invalid"


class Forbidden(AgentLabError):
    http_status = 403
    default_reason = "forbidden"


class NotFound(AgentLabError):
    http_status = 404
    default_reason = "not_found"


class Conflict(AgentLabError):
    """Reasons: busy, wrong_mode, resume_not_found, session_ended, workspace_untrusted,
    already_resolved, in_use."""

    http_status = 409
    default_reason = "conflict"


class TooLarge(AgentLabError):
    http_status = 413
    default_reason = "too_large"


class AgentUnavailable(AgentLabError):
    """Reasons: agent_not_installed, agent_not_signed_in, agent_start_failed."""

    http_status = 424
    default_reason = "agent_not_installed"


class TooMany(AgentLabError):
    http_status = 429
    default_reason = "too_many"


class Unavailable(AgentLabError):
    """Reasons: agent_not_reading, agent_silent, storage."""

    http_status = 503
    default_reason = "unavailable"

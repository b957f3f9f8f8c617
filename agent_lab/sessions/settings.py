"""What the configuration says about sessions, as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """Plain values of the configuration. `agent_environment` is added to what agents see."""

    data_dir: Path
    root_dir: Path
    claude_command: tuple[str, ...] = ()
    default_agent: str = "claude"
    default_model: str | None = None
    default_permission_mode: str = "default"
    max_sessions: int = 1000
    max_message_bytes: int = 32 << 20
    max_line_bytes: int = 32 << 20
    idle_timeout: float = 1800.0
    allow_bypass_permissions: bool = False
    keep_running_turns: bool = False
    agent_environment: Mapping[str, str] = {}
    demo: bool = False

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.agent_environment}

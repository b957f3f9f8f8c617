"""What the configuration says about sessions, as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    """Plain values of the configuration. `agent_environment` is added to what agents see.

    `durable`: whether an agent goes on when this process is killed, to be taken up by the next.
    `instructions`: added to the agent's system prompt where it is given no tools of ours.
    """

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
    durable: bool = True
    instructions: str = ""

    @property
    def may_bypass(self) -> bool:
        """Is the mode that asks nothing offered? Also where it is allowed, claude refuses to start
        with it as root outside a sandbox."""
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        in_sandbox = self.environment().get("IS_SANDBOX") == "1"
        return self.allow_bypass_permissions and (in_sandbox or not is_root)

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.agent_environment}

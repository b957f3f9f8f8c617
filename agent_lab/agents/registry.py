"""Which agents exist here: where their programs are, their versions, whether they are signed in."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from agent_lab.agents.environment import visible_environment

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")


class Agent(Struct, frozen=True, kw_only=True):
    """One agent as `GET agents` shows it. `signed_in` None: it cannot be told without asking it."""

    id: str
    name: str
    installed: bool
    version: str | None = None
    signed_in: bool | None = None
    capabilities: tuple[str, ...] = ()
    install: str = ""
    sign_in: str = ""
    problem: str | None = None


CLAUDE_INSTALL = "pip install 'agent-lab[claude]'"
CLAUDE_MINIMUM = (2, 1, 0)


def claude_command(setting: tuple[str, ...], path: str | None = None) -> tuple[str, ...] | None:
    """The setting, else `claude` on PATH, else the one inside the package claude-agent-sdk.

    None: there is none. The path is absolute: the agent starts in a workspace, where a relative one
    would mean the workspace's own file. The package is located, never imported: importing it takes
    half a second.
    """
    found = shutil.which(setting[0] if setting else "claude", path=path)
    if found is not None:
        return (str(Path(found).absolute()), *setting[1:])
    if setting:
        return None
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    name = "claude.exe" if os.name == "nt" else "claude"
    bundled = Path(spec.origin).parent / "_bundled" / name
    return (str(bundled),) if bundled.is_file() else None


def claude(setting: tuple[str, ...], environment: Mapping[str, str]) -> Agent:
    """What is known of claude without starting a session. Runs `claude --version`: call in a
    thread."""
    command = claude_command(setting, environment.get("PATH"))
    base = Agent(
        id="claude",
        name="Claude",
        installed=False,
        capabilities=("resume", "models", "modes", "effort", "questions", "plans", "usage", "cost"),
        install=CLAUDE_INSTALL,
        sign_in="claude /login",
    )
    if command is None:
        return base
    version, problem = _version(command, environment)
    return Agent(
        id=base.id,
        name=base.name,
        installed=True,
        version=version,
        signed_in=_signed_in(environment),
        capabilities=base.capabilities,
        install=base.install,
        sign_in=shlex.join((*command, "/login")),
        problem=problem,
    )


def _version(
    command: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[str | None, str | None]:
    asking = (*command, "--version")
    try:
        said = subprocess.run(
            asking,
            env=visible_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return None, f"It could not be started: {error}. Try `{shlex.join(asking)}`."
    found = re.search(r"[0-9]+(\.[0-9]+)+", said.stdout)
    if found is None:
        return None, f"`{shlex.join(asking)}` did not name a version. Reinstall it."
    version = found.group()
    if tuple(int(part) for part in version.split(".")[:3]) < CLAUDE_MINIMUM:
        needed = ".".join(str(part) for part in CLAUDE_MINIMUM)
        return version, f"Version {needed} or later is needed. Update it: {CLAUDE_INSTALL}"
    return version, None


def _signed_in(environment: Mapping[str, str]) -> bool | None:
    """True where a key or a stored sign-in is seen. macOS keeps it in the keychain: None."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"):
        if environment.get(name):
            return True
    if any(name.startswith("CLAUDE_CODE_USE_") and environment[name] for name in environment):
        return True
    try:
        (claude_folder(environment) / ".credentials.json").stat()
    except OSError:
        return None if sys.platform == "darwin" else False
    return True


def claude_folder(environment: Mapping[str, str]) -> Path:
    configured = environment.get("CLAUDE_CONFIG_DIR")
    if configured:
        return Path(configured)
    return Path(environment.get("HOME") or Path.home()) / ".claude"


def claude_conversation(environment: Mapping[str, str], session_id: str) -> Path | None:
    """The file of a conversation claude can resume, whatever folder it was made in; else None.

    Source: `<config>/projects/<folder>/<session id>.jsonl`, made at the first message.
    """
    if not UUID.match(session_id):
        return None
    projects = claude_folder(environment) / "projects"
    for file in projects.glob(f"*/{session_id}.jsonl"):
        if file.is_file() and file.stat().st_size > 0:
            return file
    return None

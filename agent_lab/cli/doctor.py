"""Look at everything a session needs on this machine, and name the command that mends it."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agent_lab.agents import registry
from agent_lab.cli.text import say

PYTHON_MINIMUM = (3, 11)
LAB_EXTENSION = "@agent-lab/labextension"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `ok` None: it works, but less well than it could."""

    ok: bool | None
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Configured:
    """What Jupyter's configuration files say of us."""

    claude_command: tuple[str, ...]
    data_dir: Path


def doctor() -> int:
    """Print each check; 1 when something is broken."""
    broken = 0
    for check in _checks():
        mark = {True: "✓", False: "✗", None: "!"}[check.ok]
        say(f"{mark} {check.found}")
        if check.mend:
            say(f"    {check.mend}")
        broken += check.ok is False
    if broken:
        say(f"\n{broken} of these must be mended.")
    return 1 if broken else 0


def _checks() -> Iterator[Check]:
    yield _python()
    yield _package("jupyter_server", "Jupyter Server", "pip install jupyter_server", needed=True)
    if find_spec("jupyter_server") is not None:
        yield _server_extension()
    yield _package("jupyterlab", "JupyterLab", "pip install 'agent-lab[lab]'", needed=True)
    if find_spec("jupyterlab_server") is not None:
        yield _lab_extension()
    yield _package("ipykernel", "ipykernel, for %agent", "pip install ipykernel", needed=False)
    configured = _configured()
    yield from _claude(configured.claude_command)
    yield from _data(configured.data_dir)


def _python() -> Check:
    found = f"Python {sys.version.split()[0]}"
    if sys.version_info >= PYTHON_MINIMUM:
        return Check(True, found)
    wanted = ".".join(str(part) for part in PYTHON_MINIMUM)
    return Check(False, f"{found} is too old", f"Use Python {wanted} or later.")


def _package(module: str, name: str, mend: str, *, needed: bool) -> Check:
    try:
        return Check(True, f"{name} {version(module)}")
    except PackageNotFoundError:
        return Check(False if needed else None, f"{name}: not installed", mend)


def _server_extension() -> Check:
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    manager: Any = ExtensionConfigManager(read_config_path=jupyter_config_path())
    if manager.get_jpserver_extensions().get("agent_lab"):
        return Check(True, "The server extension is enabled")
    return Check(
        False,
        "The server extension is not enabled",
        "jupyter server extension enable --sys-prefix agent_lab",
    )


def _lab_extension() -> Check:
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions, get_page_config

    folders = jupyter_path("labextensions")
    if LAB_EXTENSION not in get_federated_extensions(folders):
        return Check(
            False,
            "The JupyterLab extension is not installed",
            "pip install --force-reinstall agent-lab",
        )
    if LAB_EXTENSION in get_page_config(folders).get("disabledExtensions", ()):
        return Check(
            False,
            "The JupyterLab extension is disabled",
            f"jupyter labextension enable {LAB_EXTENSION}",
        )
    return Check(True, "The JupyterLab extension is enabled")


def _configured() -> Configured:
    from jupyter_core.application import JupyterApp
    from jupyter_core.paths import jupyter_data_dir

    reader: Any = JupyterApp(config_file_name="jupyter_server_config")
    reader.load_config_file()
    ours = reader.config.AgentLab
    data_dir = ours.get("data_dir") or Path(jupyter_data_dir()) / "agent_lab"
    return Configured(_words(ours.get("claude_command", ())), Path(data_dir).expanduser())


def _words(command: str | list[str]) -> tuple[str, ...]:
    """As the server reads it: a list, a path that may contain spaces, or one line."""
    if not isinstance(command, str):
        return tuple(str(word) for word in command)
    if Path(command).is_file():
        return (command,)
    try:
        return tuple(shlex.split(command))
    except ValueError:  # a quote without its end
        return (command,)


def _claude(command: tuple[str, ...]) -> Iterator[Check]:
    agent = registry.claude(command, os.environ)
    if not agent.installed:
        where = f": {command[0]} (AgentLab.claude_command)" if command else ""
        yield Check(False, f"claude was not found{where}", agent.install)
        return
    yield Check(not agent.problem, f"claude {agent.version or ''}".strip(), agent.problem or "")
    if agent.signed_in is False:
        yield Check(False, "claude is not signed in", agent.sign_in)
    elif agent.signed_in is None:
        yield Check(None, "It cannot be seen here whether claude is signed in", agent.sign_in)
    else:
        yield Check(True, "claude is signed in, or has a key")


def _data(folder: Path) -> Iterator[Check]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as probe:
            (Path(probe) / "probe").write_bytes(b"probe")
            durable = _tried(lambda: os.mkfifo(Path(probe) / "fifo")) and _tried(
                lambda: _lock(Path(probe) / "lock")
            )
    except OSError as error:
        yield Check(
            False,
            f"{folder} cannot be written: {error.strerror or error}",
            "Make it writable, or set AgentLab.data_dir to another folder.",
        )
        return
    yield Check(True, f"Sessions are kept in {folder}")
    if durable:
        yield Check(True, "A turn goes on while the server restarts")
    else:
        yield Check(
            None,
            "A turn ends with the server: this file system has no named pipes or no locks",
            "Set AgentLab.data_dir to a folder on a local disk.",
        )


def _tried(step: Callable[[], None]) -> bool:
    try:
        step()
    except (AttributeError, ImportError, OSError):  # Windows has neither of the two
        return False
    return True


def _lock(path: Path) -> None:
    import fcntl

    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

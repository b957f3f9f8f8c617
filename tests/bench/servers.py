"""The processes under measurement: a Jupyter server with or without Agent Lab, the model."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_path

from agent_lab.agents import registry
from agent_lab.demo.sample import claude_environment

PROJECT = Path(__file__).parents[2]
FAKE_AGENT = (sys.executable, str(PROJECT / "tests" / "fakes" / "fake_agent.py"))
LAB_EXTENSION = "@agent-lab/labextension"
OURS = ("@agent-lab",)
WIDGETS = ("@jupyter-widgets", "anywidget")
"""Lab extensions of packages that ours depends on."""
TOKEN = "not-a-secret"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.005


class Missing(Exception):
    """A part that the measure needs is not here; the text says how to get it."""


def scratch_environment(folder: Path) -> dict[str, str]:
    """Ours, with every folder of Jupyter, claude and the fake agent below `folder`."""
    private = ("AGENT_LAB_", "JPY_", "JUPYTER_", "ANTHROPIC_", "CLAUDE")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    conversations = folder / "home" / ".claude" / "projects" / "fake"
    conversations.mkdir(parents=True, exist_ok=True)
    return {
        **ours,
        "PYTHONPATH": str(PROJECT),
        "HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "CLAUDE_CONFIG_DIR": str(folder / "home" / ".claude"),
        "FAKE_AGENT_HOME": str(conversations),
    }


def claude_program() -> tuple[str, ...]:
    """Raises Missing."""
    command = registry.claude_command(())
    if command is None:
        raise Missing(f"claude is not installed here: {registry.CLAUDE_INSTALL}")
    return command


def claude_surroundings(folder: Path, model_url: str) -> dict[str, str]:
    """The environment of a claude that talks to the scripted model at `model_url` only."""
    environment = scratch_environment(folder)
    return environment | claude_environment(model_url, folder / "home")


@dataclass(frozen=True)
class Server:
    """`url` ends in a slash. `start_seconds`: from its start to the first 200 of /api/status."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    start_seconds: float = 0.0

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")


@asynccontextmanager
async def jupyter(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    agent: Sequence[str] = FAKE_AGENT,
    lab: bool = False,
    extension: bool = True,
    front_end: Path | None = None,
    widgets: bool = True,
    beside: str = "",
) -> AsyncIterator[Server]:
    """A server of its own in `folder`, ended with all it started.

    `extension` False: the same without ours. `front_end`: our built lab extension, to be seen by
    the page. `widgets` False: a page without those of the packages that ours brings along.
    `beside`: a further server extension.
    """
    root = folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    port = free_port()
    extensions = {"agent_lab": extension} | ({beside: True} if beside else {})
    command = [
        sys.executable, "-m", "jupyterlab" if lab else "jupyter_server",
        f"--ServerApp.root_dir={root}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", "--ServerApp.open_browser=False",
        "--ServerApp.allow_root=True", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.jpserver_extensions={extensions}",
    ]  # fmt: skip
    if lab:
        seen = _lab_extensions(folder / "labextensions", front_end, widgets)
        command += [
            "--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            f"--LabApp.labextensions_path={seen}",
        ]  # fmt: skip
    if extension:
        command += [
            f"--AgentLab.data_dir={folder / 'sessions'}",
            f"--AgentLab.claude_command={list(agent)}",
        ]
    env = dict(environment or scratch_environment(folder))
    began = time.perf_counter()
    process = _start([*command, *options], folder, env)
    server = Server(f"http://127.0.0.1:{port}/", folder, process)
    try:
        await _answers(server)
        yield replace(server, start_seconds=time.perf_counter() - began)
    finally:
        await asyncio.to_thread(_end, process)


def _start(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def built_front_end(production: bool = False) -> Path:
    """Where our built lab extension lies: in the checkout, else where it was installed.

    `production`: only a minified one will do. Raises Missing.
    """
    places = [PROJECT / "agent_lab" / "labextension"]
    places += [Path(folder) / LAB_EXTENSION for folder in jupyter_path("labextensions")]
    for place in places:
        if not (place / "package.json").is_file():
            continue
        if not production or not any(place.glob("static/*.js.map")):
            return place
    raise Missing("the lab extension is not built: cd labextension && jlpm && jlpm build:prod")


def bundle() -> bytes:
    """The panel's one file. Raises Missing."""
    file = PROJECT / "agent_lab" / "static" / "chat.js"
    if not file.is_file():
        raise Missing("the panel is not built: cd labextension && jlpm && jlpm build:esm")
    return file.read_bytes()


def _lab_extensions(target: Path, front_end: Path | None, widgets: bool) -> Path:
    """A folder with what is installed here but ours, and ours only when it is given."""
    for folder in map(Path, reversed(jupyter_path("labextensions"))):
        for manifest in [*folder.glob("*/package.json"), *folder.glob("@*/*/package.json")]:
            name = manifest.parent.relative_to(folder)
            if name.parts[0] not in (*OURS, *(() if widgets else WIDGETS)):
                _link(target / name, manifest.parent)
    if front_end is not None:
        _link(target / LAB_EXTENSION, front_end)
    target.mkdir(exist_ok=True)
    return target


def _link(link: Path, to: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(to.resolve(), target_is_directory=True)


async def _answers(server: Server) -> None:
    """Return at the first 200 of /api/status. Asked often: the time of it is a figure."""
    async with asyncio.timeout(START_SECONDS):
        while server.process.poll() is None:
            try:
                if await _status(server.port) == b"200":
                    return
            except OSError:
                await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"the server ended while starting:\n{server.log()[-2000:]}")


async def _status(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET /api/status HTTP/1.0\r\nAuthorization: token {TOKEN}\r\n\r\n"
        writer.write(head.encode())
        line = await reader.readline()
    finally:
        writer.close()
    return line.split(b" ")[1] if line else b""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@asynccontextmanager
async def scripted_model(script: str = "tests") -> AsyncIterator[str]:
    """The scripted model in a process of its own; gives its address. `script`: a name or a file."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent_lab.demo.model", "--script", script,
        cwd=PROJECT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        yield url
    finally:
        process.terminate()
        await process.wait()

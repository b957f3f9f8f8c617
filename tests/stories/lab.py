"""The processes a story plays on: a JupyterLab to be killed and started again, a scripted model."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from agent_lab.demo.sample import claude_environment
from tests.kernel.jupyter_process import scratch_environment
from tests.sessions.living import carrying

TOKEN = "not-a-secret"
PATIENCE_SECONDS = 60.0
SETTINGS = {
    # Else a question about news covers a corner of the page, and asks for the network.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # A terminal draws on a canvas; for screen readers, and for stories, its lines are text too.
    "terminal-extension/plugin": {"screenReaderMode": True},
}

Json = Any
_T = TypeVar("_T")


def until(wanted: Callable[[], _T]) -> _T:
    """The first true value; for what another process does without telling anybody."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while not (found := wanted()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        pause.wait(0.02)
    return found


def written(file: Path) -> str:
    """What a line typed in a terminal wrote there, once it did."""
    return until(lambda: file.read_text() if file.exists() else "").strip()


def surroundings(folder: Path) -> dict[str, str]:
    """A shell in which what is installed here can be used, with scratch folders below `folder`."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    environment = scratch_environment(folder)
    # What is installed is under test, not the checkout.
    environment.pop("PYTHONPATH")
    programs = str(Path(sys.executable).parent)
    return {
        **environment,
        "PATH": os.pathsep.join([programs, environment["PATH"]]),
        "SHELL": "/bin/bash",
        "PS1": "$ ",
    }


@contextmanager
def scripted_model(folder: Path, script: str | Path = "tests") -> Iterator[str]:
    """The address of a model in a process of its own; `script` is a name or a file."""
    with subprocess.Popen(
        [sys.executable, "-m", "agent_lab.demo.model", "--script", str(script)],
        cwd=folder, env=surroundings(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@dataclass
class Lab:
    """JupyterLab on a folder of its own; it keeps port, sessions and settings over a restart."""

    folder: Path
    port: int
    base_url: str = "/"
    packages: Path | None = None
    """What this JupyterLab has installed besides."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    def page(self, workspace: str, document: str = "") -> str:
        """The address of JupyterLab with a layout of that name."""
        tree = f"/tree/{document}" if document else ""
        return f"{self.url}lab/workspaces/{workspace}{tree}?token={TOKEN}"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", "--no-browser"],
                cwd=self.folder, env=self._surroundings(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self._answers)

    def _surroundings(self) -> dict[str, str]:
        more = {"PYTHONPATH": str(self.packages)} if self.packages else {}
        return {**surroundings(self.folder), **more}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
        try:
            self.call("GET", "api/status")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()  # left behind it would slow down all that follows
            raise

    def call(self, method: str, route: str, body: Json = None) -> Json:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(
                method,
                self.base_url + route,
                None if body is None else json.dumps(body),
                {"Authorization": f"token {TOKEN}"},
            )
            with connection.getresponse() as response:
                data = response.read()
                assert response.status < 300, (method, route, response.status, data)
        finally:
            connection.close()
        return json.loads(data) if data else None

    def forget_layout(self, workspace: str) -> None:
        if workspace in self.call("GET", "lab/api/workspaces")["workspaces"]["ids"]:
            self.call("DELETE", f"lab/api/workspaces/{workspace}")

    def sessions(self) -> list[Json]:
        """The newest first."""
        found: list[Json] = self.call("GET", "agent-lab/api/sessions")["sessions"]
        return found

    def events(self, session_id: str) -> list[Json]:
        route = f"agent-lab/api/sessions/{session_id}/events?after=0&limit=1000"
        found: list[Json] = self.call("GET", route)["events"]
        return found

    def agents(self, session_id: str) -> list[psutil.Process]:
        """The agent's processes: its own first."""
        found = carrying("AGENT_LAB_SESSION", session_id)
        return sorted(found, key=lambda process: process.create_time())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_lab(
    folder: Path,
    agent_environment: Mapping[str, str],
    *,
    base_url: str = "/",
    packages: Path | None = None,
    **settings: Json,
) -> Iterator[Lab]:
    """`settings` are traits of AgentLab."""
    lab = Lab(folder, free_port(), base_url, packages)
    lab.root.mkdir(parents=True, exist_ok=True)
    _configure(lab, {"agent_environment": dict(agent_environment), **settings})
    lab.start()
    try:
        yield lab
    finally:
        lab.stop()


def with_model(folder: Path, url: str) -> dict[str, str]:
    """The environment of a claude whose model is at `url`."""
    return claude_environment(url, folder / "home")


def _configure(lab: Lab, agent_lab: Json) -> None:
    config = lab.folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "jupyter_server_config.json").write_text(
        json.dumps(
            {
                "ServerApp": {
                    "root_dir": str(lab.root),
                    "ip": "127.0.0.1",
                    "port": lab.port,
                    "port_retries": 0,
                    "base_url": lab.base_url,
                    "allow_root": True,
                },
                "IdentityProvider": {"token": TOKEN},
                "LabApp": {"extension_manager": "readonly", "expose_app_in_browser": True},
                "AgentLab": {"data_dir": str(lab.folder / "sessions"), **agent_lab},
            }
        )
    )
    settings = config / "lab" / "user-settings" / "@jupyterlab"
    for name, setting in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(setting))

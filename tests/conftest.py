"""Fixtures for all tests: a fake agent's home, session settings, a Jupyter server with us in it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from agent_lab.sessions.settings import Settings
from tests.server.lab import Server

pytest_plugins = ["pytest_jupyter.jupyter_server"]

FAKE_AGENT = Path(__file__).parent / "fakes" / "fake_agent.py"


@pytest.fixture
def agent_environment(tmp_path: Path) -> dict[str, str]:
    """What a fake agent sees: its conversations lie where those of claude would."""
    home = tmp_path / "claude" / "projects" / "fake"
    home.mkdir(parents=True)
    return {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude"), "FAKE_AGENT_HOME": str(home)}


@pytest.fixture
def settings(tmp_path: Path, agent_environment: dict[str, str]) -> Settings:
    """Sessions with the fake agent, without any server."""
    root = tmp_path / "root"
    root.mkdir()
    return Settings(
        data_dir=tmp_path / "data",
        root_dir=root,
        claude_command=(sys.executable, str(FAKE_AGENT)),
        agent_environment=agent_environment,
    )


@pytest.fixture
def lab_config(tmp_path: Path, agent_environment: dict[str, str]) -> dict[str, Any]:
    """The traits of AgentLab; a test changes them before it asks for the server."""
    return {
        "data_dir": str(tmp_path / "agent_lab"),
        "claude_command": [sys.executable, str(FAKE_AGENT)],
        "agent_environment": agent_environment,
    }


@pytest.fixture
def jp_server_config(lab_config: dict[str, Any]) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"agent_lab": True}}, "AgentLab": lab_config}


@pytest.fixture
def server(
    jp_serverapp: ServerApp,
    http_server: object,
    jp_http_port: int,
    jp_base_url: str,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Server:
    """A real server on a port; fixtures that change `lab_config` come before it."""
    start: Any = jp_serverapp._post_start  # it tells no types
    jp_asyncio_loop.run_until_complete(start())
    token = jp_serverapp.identity_provider.token
    return Server(
        f"http://127.0.0.1:{jp_http_port}{jp_base_url}", {"Authorization": f"token {token}"}
    )


@pytest.fixture(autouse=True)
def jp_server_cleanup(
    request: pytest.FixtureRequest, jp_asyncio_loop: asyncio.AbstractEventLoop
) -> Iterator[None]:
    """Stop the server where a test had one; pytest-jupyter's own makes one after every test."""
    yield
    if "jp_configurable_serverapp" in request.fixturenames and ServerApp.initialized():
        app = ServerApp.instance()
        jp_asyncio_loop.run_until_complete(app._cleanup())
        app.kernel_manager.context.destroy()
        ServerApp.clear_instance()

"""Loading, starting and stopping the extension."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_lab.server.app import command
from tests.server.lab import Server, processes_of, text

LOADING = """
import json, sys, time
import jupyter_server.serverapp, jupyter_server.extension.application

def resident():
    import psutil
    return psutil.Process().memory_info().rss

before, memory, start = set(sys.modules), resident(), time.perf_counter()
import agent_lab
for point in agent_lab._jupyter_server_extension_points():
    point["app"]()
seconds, memory = time.perf_counter() - start, resident() - memory
print(json.dumps([seconds, memory, sorted(set(sys.modules) - before)]))
"""


def test_loading_is_cheap_and_brings_nothing_heavy() -> None:
    said = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, check=True)
    seconds, memory, modules = json.loads(said.stdout)
    assert seconds < 0.5  # 0.05 on an idle machine
    assert memory < 15_000_000
    heavy = ("agent_lab.sessions.", "agent_lab.agents", "agent_lab.store", "IPython", "anywidget")
    light = {"agent_lab.sessions.asking", "agent_lab.sessions.commanding"}  # they load no session
    assert not [name for name in modules if name.startswith(heavy) and name not in light]


def test_importing_the_package_brings_nothing() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, agent_lab; print([*sys.modules])"],
        capture_output=True,
        check=True,
        text=True,
    )
    for name in ("tornado", "jupyter_server", "msgspec", "IPython", "anywidget"):
        assert f"'{name}'" not in said.stdout


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ([], ()),
        ("", ()),
        (["claude", "--x y"], ("claude", "--x y")),
        ("claude --x 'y z'", ("claude", "--x", "y z")),
        ("['claude', '--x y']", ("claude", "--x y")),
    ],
)
def test_the_command_is_a_list_or_a_line(setting: Any, wanted: tuple[str, ...]) -> None:
    assert command(setting) == wanted


def test_a_command_may_have_spaces_in_its_path(tmp_path: Path) -> None:
    program = tmp_path / "my claude"
    program.touch()
    assert command(str(program)) == (str(program),)


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


async def test_nothing_is_opened_before_the_first_request(
    server: Server, lab_config: dict[str, Any]
) -> None:
    data = Path(lab_config["data_dir"])
    assert names(data) == []
    await server.call("GET", "sessions")
    assert "sessions.sqlite" in names(data)


@pytest.fixture
def left_behind(lab_config: dict[str, Any]) -> Iterator[Any]:
    """What a server that died leaves: the folder of an agent's run, watched for its removal."""
    inotify = pytest.importorskip("inotify_simple")
    runs = Path(lab_config["data_dir"]) / "run"
    (runs / "unknown").mkdir(parents=True)
    with inotify.INotify() as watch:
        watch.add_watch(runs, inotify.flags.DELETE)
        yield watch


async def test_agents_left_by_an_earlier_server_are_looked_at_on_start(
    left_behind: Any, server: Server
) -> None:
    removed = await asyncio.to_thread(left_behind.read, timeout=10_000)
    assert [event.name for event in removed] == ["unknown"]


@pytest.fixture
def data_dir_is_a_file(lab_config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lab_config["data_dir"] = str(tmp_path / "file")


@pytest.mark.usefixtures("data_dir_is_a_file")
async def test_a_folder_that_cannot_be_used_is_said_and_tried_again(
    server: Server, lab_config: dict[str, Any]
) -> None:
    health = await server.call("GET", "health")
    assert health.status == 200
    assert "AgentLab.data_dir" in health.json["log"]
    refused = await server.call("GET", "sessions")
    assert (refused.status, refused.json["reason"]) == (503, "storage")
    await asyncio.to_thread(Path(lab_config["data_dir"]).unlink)
    mended = await server.call("GET", "sessions")
    assert (mended.status, mended.json["sessions"]) == (200, [])


@pytest.fixture
def data_dir_from_home(left_behind: Any, lab_config: dict[str, Any], jp_home_dir: Path) -> Any:
    """The folder that an earlier server left, named from the person's home."""
    up = os.path.relpath(lab_config["data_dir"], jp_home_dir)
    lab_config["data_dir"] = f"~/{up}"
    return left_behind


async def test_a_folder_named_from_home_is_looked_at_too(
    data_dir_from_home: Any, server: Server
) -> None:
    removed = await asyncio.to_thread(data_dir_from_home.read, timeout=10_000)
    assert [event.name for event in removed] == ["unknown"]


@pytest.fixture
def unreadable_command(lab_config: dict[str, Any]) -> None:
    lab_config["claude_command"] = "claude 'half a quote"


@pytest.mark.usefixtures("unreadable_command")
async def test_a_command_that_cannot_be_read_is_said(server: Server) -> None:
    refused = await server.call("GET", "sessions")
    assert (refused.status, refused.json["reason"]) == (503, "configuration")
    assert "AgentLab.claude_command" in refused.json["message"]


async def test_kernels_are_told_and_others_are_not_after_the_stop(
    server: Server, jp_serverapp: Any
) -> None:
    assert os.environ["AGENT_LAB_URL"] == jp_serverapp.connection_url
    assert len(os.environ["AGENT_LAB_KERNEL_SECRET"]) >= 32
    await jp_serverapp.web_app.settings["agent_lab"].stop_extension()
    assert "AGENT_LAB_URL" not in os.environ
    assert "AGENT_LAB_KERNEL_SECRET" not in os.environ


async def test_stop_ends_all_agents_and_their_children_and_may_be_called_twice(
    server: Server, jp_serverapp: Any, tmp_path: Path
) -> None:
    app = jp_serverapp.web_app.settings["agent_lab"]
    assert app.current_activity() is None
    sessions = [(await server.create())["id"] for _ in range(3)]
    chats = [await server.chat(session, tail=1) for session in sessions]
    for number, chat in enumerate(chats):
        started = tmp_path / str(number)
        os.mkfifo(started)
        child = f"echo yes > {started}; sleep 600"
        await chat.send("prompt", content=text(f"!bash {shlex.quote(child)}"))
        assert await asyncio.to_thread(started.read_text) == "yes\n"
    assert app.current_activity() == {"running_turns": 3}
    assert len(processes_of(*sessions)) >= 6
    await app.stop_extension()
    assert processes_of(*sessions) == []
    await app.stop_extension()
    for chat in chats:
        assert await chat.closed() == 1001
    late = await server.call("GET", "sessions")
    assert (late.status, late.json["reason"]) == (503, "stopping")

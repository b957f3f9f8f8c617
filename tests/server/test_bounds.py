"""What a client's strings cannot reach: paths, arguments, settings that run things, secrets."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.server.lab import Server, ends, processes_of


def files_called(name: str, folder: Path) -> list[Path]:
    return list(folder.rglob(name))


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("..", 403),
        ("../", 403),
        ("a/../..", 403),
        ("../root_dir2", 403),
        ("/../root_dir2", 403),
        ("out", 403),
        ("out/deeper", 403),
        ("a/up", 403),
        ("/etc", 404),
        ("//etc", 404),
        ("~", 404),
        ("file://etc", 404),
        ("a\0b", 400),
        ("..%2f", 404),
        ("a\n", 404),
    ],
)
async def test_no_path_leads_out(server: Server, jp_root_dir: Path, path: str, status: int) -> None:
    outside = jp_root_dir.parent / "root_dir2"
    (outside / "deeper").mkdir(parents=True)
    (jp_root_dir / "a").mkdir()
    (jp_root_dir / "out").symlink_to(outside)
    (jp_root_dir / "a" / "up").symlink_to("../..")
    for new in ({"path": path}, {"notebook": f"{path}/eda.ipynb"}):
        answer = await server.call("POST", "sessions", new)
        assert answer.status == status, answer.body
    listed = await server.call("GET", "sessions", workspace=path)
    assert listed.status == (403 if status == 403 else 200)
    assert listed.status == 403 or listed.json["sessions"] == []
    assert (await server.call("GET", "sessions")).json["sessions"] == []


async def test_a_folder_swapped_for_a_link_is_not_entered(
    server: Server, jp_root_dir: Path
) -> None:
    outside = jp_root_dir.parent / "outside"
    outside.mkdir()
    work = jp_root_dir / "work"
    work.mkdir()
    session = await server.create(path="work")
    work.rmdir()
    work.symlink_to(outside)
    turn = await server.ask(session["id"], f"!bash {shlex.quote('pwd > ran')}")
    assert ends(turn) == ["error"]
    assert turn[-1]["error"]["reason"] == "forbidden"
    assert processes_of(session["id"]) == []
    assert list(outside.iterdir()) == []


# ---------------------------------------------------------------- argument lists


@pytest.mark.parametrize(
    "value", ["--dangerously-skip-permissions", "-p", "", "a\nb", "a\0b", "x" * 300, "\x1b[2J"]
)
async def test_values_that_look_like_flags_are_refused(server: Server, value: str) -> None:
    session = await server.create()
    for name in ("model", "permission_mode"):
        made = await server.call("POST", "sessions", {name: value})
        assert (made.status, made.json["reason"]) == (400, "invalid")
    for name in ("model", "permission_mode", "effort"):
        changed = await server.call("PATCH", f"sessions/{session['id']}", {name: value})
        assert (changed.status, changed.json["reason"]) == (400, "invalid")
    resumed = await server.call("POST", "sessions", {"resume": value})
    assert (resumed.status, resumed.json["reason"]) == (409, "resume_not_found")


async def test_odd_values_are_single_arguments(server: Server, jp_root_dir: Path) -> None:
    model = "m'\"; touch $(echo ran) `id` && x"
    folder = jp_root_dir / "-rf; touch ran"
    folder.mkdir()
    session = await server.create(title="--help\n$(touch ran)", model=model, path=folder.name)
    assert session["title"] == "--help $(touch ran)"
    assert ends(await server.ask(session["id"], "--version")) == ["end_turn"]
    (agent,) = processes_of(session["id"])
    line = agent.cmdline()
    assert f"--model={model}" in line
    assert session["title"] not in line
    assert files_called("ran", jp_root_dir) == []


# ---------------------------------------------------------------- settings that run things


async def test_a_folder_that_runs_things_is_asked_about(server: Server, jp_root_dir: Path) -> None:
    (jp_root_dir / ".claude").mkdir()
    hooks = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "touch ran"}]}]}}
    (jp_root_dir / ".claude" / "settings.json").write_text(json.dumps(hooks))
    (jp_root_dir / ".mcp.json").write_text("{}")
    asked = await server.call("POST", "sessions", {})
    assert (asked.status, asked.json["reason"]) == (409, "workspace_untrusted")
    assert asked.json["files"] == [".claude/settings.json", ".mcp.json"]
    assert (await server.call("GET", "sessions")).json["sessions"] == []

    wary = await server.create(trust=False)
    assert wary["workspace"]["trusted"] is False
    await server.ask(wary["id"], "hello")
    (agent,) = processes_of(wary["id"])
    line = agent.cmdline()
    assert "--setting-sources=user" in line
    assert "--strict-mcp-config" in line

    trusting = await server.create(trust=True)
    assert trusting["workspace"]["trusted"] is True
    again = await server.create()
    assert again["workspace"]["trusted"] is True
    (jp_root_dir / ".mcp.json").write_text('{"mcpServers": {}}')
    changed = await server.call("POST", "sessions", {})
    assert (changed.status, changed.json["reason"]) == (409, "workspace_untrusted")


# ---------------------------------------------------------------- the environment


@pytest.fixture
def secrets_around(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    withheld = {
        "JUPYTER_TOKEN": "s1",
        "JUPYTERHUB_API_TOKEN": "s2",
        "JPY_API_TOKEN": "s3",
        "CONFIGPROXY_AUTH_TOKEN": "s4",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_SESSION_ID": "s5",
    }
    for name, value in withheld.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the person's own")
    return withheld


async def test_what_an_agent_sees_of_our_environment(
    secrets_around: dict[str, str], server: Server, jp_serverapp: Any, tmp_path: Path
) -> None:
    session = await server.create()
    seen = tmp_path / "seen"
    turn = await server.ask(session["id"], f"!bash {shlex.quote(f'env -0 > {seen}')}")
    assert ends(turn) == ["end_turn"]
    environment = dict(
        line.split("=", 1) for line in seen.read_bytes().decode().split("\0") if line
    )
    # What it has of those names, the agent's own program has set for its children.
    strange = {
        name: value
        for name, value in environment.items()
        if name.startswith(("JUPYTER", "JPY_", "CONFIGPROXY", "AGENT_LAB_"))
    }
    assert set(strange) == {"AGENT_LAB_MARKER", "AGENT_LAB_SESSION"}
    assert not set(secrets_around.values()) - {"1"} & set(environment.values())
    assert jp_serverapp.web_app.settings["agent_lab"].kernel_secret not in environment.values()
    assert environment["ANTHROPIC_API_KEY"] == "the person's own"

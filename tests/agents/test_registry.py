"""What is found of claude on a machine, with real programs in its place."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from agent_lab.agents import registry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts are POSIX")


def program(path: Path, says: str) -> Path:
    """A program that prints that, whatever it is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_setting_then_path_then_the_package(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin" / "claude", "2.1.0")
    mine = program(tmp_path / "mine", "2.1.0")
    search = str(on_path.parent)
    assert registry.claude_command((str(mine), "--x"), search) == (str(mine), "--x")
    assert registry.claude_command(("claude",), search) == (str(on_path),)
    assert registry.claude_command((), search) == (str(on_path),)
    bundled = registry.claude_command((), str(tmp_path))
    assert bundled is not None
    assert "claude_agent_sdk" in bundled[0]
    assert registry.claude_command((str(tmp_path / "none"),), search) is None


@pytest.mark.parametrize("setting", [("bin/claude",), ("claude",), ()])
def test_a_workspace_cannot_put_its_program_in_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: tuple[str, ...]
) -> None:
    """The agent starts in the workspace: a relative path would mean the workspace's file there."""
    ours = program(tmp_path / "server" / "bin" / "claude", "2.1.0")
    monkeypatch.chdir(tmp_path / "server")
    assert registry.claude_command(setting, "bin") == (str(ours),)


def test_hints_name_the_whole_command(tmp_path: Path) -> None:
    """A command may have words of its own, and its path may hold spaces."""
    path = program(tmp_path / "my programs" / "launcher", "2.1.0 (Claude Code)")
    agent = registry.claude((str(path), "--profile", "a b"), {"PATH": os.environ["PATH"]})
    assert (agent.installed, agent.version, agent.problem) == (True, "2.1.0", None)
    assert agent.sign_in == f"'{path}' --profile 'a b' /login"
    program(path, "no number")
    agent = registry.claude((str(path), "--profile", "a b"), {"PATH": os.environ["PATH"]})
    assert agent.problem is not None
    assert f"`'{path}' --profile 'a b' --version`" in agent.problem


@pytest.mark.parametrize(
    ("says", "version", "problem"),
    [
        ("2.1.0 (Claude Code)", "2.1.0", None),
        ("10.0", "10.0", None),
        ("2.0.99", "2.0.99", "Version 2.1.0 or later is needed"),
        ("", None, "did not name a version"),
        ("\\377\\376 2.1.3", "2.1.3", None),  # no UTF-8
    ],
)
def test_versions(tmp_path: Path, says: str, version: str | None, problem: str | None) -> None:
    path = program(tmp_path / "claude", says)
    agent = registry.claude((str(path),), {"PATH": os.environ["PATH"]})
    assert agent.installed
    assert agent.version == version
    assert (problem or "") in (agent.problem or "")
    assert (agent.problem is None) == (problem is None)


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    path = tmp_path / "claude"
    path.write_text("#!/nowhere/interpreter\n")
    path.chmod(0o755)
    agent = registry.claude((str(path),), {})
    assert agent.installed
    assert agent.problem is not None
    assert "could not be started" in agent.problem


def test_asking_for_the_version_gives_no_secret_away(tmp_path: Path) -> None:
    path = tmp_path / "claude"
    path.write_text(
        f"#!{sys.executable} -IS\nimport json, os, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(json.dumps(dict(os.environ)))\n"
        "print('2.1.0')\n"
    )
    path.chmod(0o755)
    parent = {
        "PATH": "/bin",
        "JUPYTER_TOKEN": "secret",
        "CLAUDECODE": "1",
        "ANTHROPIC_API_KEY": "k",
    }
    assert registry.claude((str(path),), parent).version == "2.1.0"
    seen = json.loads((tmp_path / "seen").read_text())
    assert set(seen) - {"LC_CTYPE"} == {"PATH", "ANTHROPIC_API_KEY"}


def test_signed_in(tmp_path: Path) -> None:
    path = str(program(tmp_path / "claude", "2.1.0"))
    home = tmp_path / "home"

    def signed_in(**environment: str) -> bool | None:
        return registry.claude((path,), {"HOME": str(home), **environment}).signed_in

    unknown = None if sys.platform == "darwin" else False
    assert signed_in() is unknown
    assert signed_in(ANTHROPIC_API_KEY="") is unknown
    assert signed_in(ANTHROPIC_API_KEY="k") is True
    assert signed_in(CLAUDE_CODE_USE_BEDROCK="1") is True
    assert signed_in(CLAUDE_CONFIG_DIR="/" + "x" * 5000) is unknown  # what cannot be looked at
    (home / ".claude").mkdir(parents=True)
    (home / ".claude" / ".credentials.json").touch()
    assert signed_in() is True


def test_conversations_that_can_be_resumed(tmp_path: Path) -> None:
    known, empty = "0" * 8 + "-0000-0000-0000-" + "0" * 12, "1" * 8 + "-0000-0000-0000-" + "0" * 12
    folder = tmp_path / "projects" / "-a-folder"
    folder.mkdir(parents=True)
    (folder / f"{known}.jsonl").write_text("{}\n")
    (folder / f"{empty}.jsonl").touch()
    (tmp_path / "secret.jsonl").write_text("{}\n")
    environment = {"CLAUDE_CONFIG_DIR": str(tmp_path)}
    found = registry.claude_conversation(environment, known)
    assert found == folder / f"{known}.jsonl"
    for name in (empty, known[:-1] + "1", "../../secret", "*", known + "\n", "--x"):
        assert registry.claude_conversation(environment, name) is None

"""`doctor` on a machine where things are missing, and on one where all is well."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from tests.kernel.jupyter_process import FAKE_AGENT, scratch_environment


def doctor(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent_lab.cli", "doctor"],
        env={**scratch_environment(folder), **more},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def configure(folder: Path, line: str) -> None:
    write(folder / "config" / "jupyter_server_config.py", f"{line}\n")


def test_all_is_well(tmp_path: Path) -> None:
    write(
        tmp_path / "config" / "jupyter_server_config.d" / "agent_lab.json",
        json.dumps({"ServerApp": {"jpserver_extensions": {"agent_lab": True}}}),
    )
    write(
        tmp_path / "data" / "labextensions" / "@agent-lab" / "labextension" / "package.json",
        json.dumps({"name": "@agent-lab/labextension", "version": "1", "jupyterlab": {}}),
    )
    configure(tmp_path, f"c.AgentLab.claude_command = {[sys.executable, str(FAKE_AGENT)]}")
    ran = doctor(tmp_path, ANTHROPIC_API_KEY="not-a-key")

    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "✗" not in ran.stdout
    assert "claude 2.1.327" in ran.stdout
    assert f"Sessions are kept in {tmp_path / 'data' / 'agent_lab'}" in ran.stdout
    assert "not-a-key" not in ran.stdout


def test_each_fault_has_its_command(tmp_path: Path) -> None:
    write(
        tmp_path / "config" / "jupyter_server_config.d" / "agent_lab.json",
        json.dumps({"ServerApp": {"jpserver_extensions": {"agent_lab": False}}}),
    )
    write(
        tmp_path / "data" / "labextensions" / "@agent-lab" / "labextension" / "package.json",
        json.dumps({"name": "@agent-lab/labextension", "version": "1", "jupyterlab": {}}),
    )
    write(
        tmp_path / "config" / "labconfig" / "page_config.json",
        json.dumps({"disabledExtensions": {"@agent-lab/labextension": True}}),
    )
    write(tmp_path / "file", "")
    configure(
        tmp_path,
        "c.AgentLab.claude_command = '/no/such/claude --flag'\n"
        f"c.AgentLab.data_dir = {str(tmp_path / 'file' / 'below')!r}",
    )
    # Where we are installed, the environment enables us; here the person's own word shall count.
    ran = doctor(tmp_path, JUPYTER_PREFER_ENV_PATH="0")
    lines = ran.stdout.splitlines()
    mended = {line: below.strip() for line, below in pairwise(lines) if line.startswith("✗")}

    assert (ran.returncode, ran.stderr) == (1, "")
    assert mended == {
        "✗ The server extension is not enabled": (
            "jupyter server extension enable --sys-prefix agent_lab"
        ),
        "✗ The JupyterLab extension is disabled": (
            "jupyter labextension enable @agent-lab/labextension"
        ),
        "✗ claude was not found: /no/such/claude (AgentLab.claude_command)": (
            "pip install 'agent-lab[claude]'"
        ),
        f"✗ {tmp_path / 'file' / 'below'} cannot be written: Not a directory": (
            "Make it writable, or set AgentLab.data_dir to another folder."
        ),
    }


def test_a_command_is_read_as_the_server_reads_it(tmp_path: Path) -> None:
    program = tmp_path / "my claude"
    write(program, f'#!/bin/sh\nexec {sys.executable} {FAKE_AGENT} "$@"\n')
    program.chmod(0o755)
    configure(tmp_path, f"c.AgentLab.claude_command = {str(program)!r}")
    with_spaces = doctor(tmp_path)
    configure(tmp_path, 'c.AgentLab.claude_command = "claude \'half a quote"')
    half = doctor(tmp_path)

    assert "claude 2.1.327" in with_spaces.stdout
    assert (half.returncode, half.stderr) == (1, "")
    assert "claude was not found: claude 'half a quote" in half.stdout


def test_not_signed_in(tmp_path: Path) -> None:
    configure(tmp_path, f"c.AgentLab.claude_command = {[sys.executable, str(FAKE_AGENT)]}")
    ran = doctor(tmp_path)

    assert ran.returncode == 1
    sign_in = shlex.join([sys.executable, str(FAKE_AGENT), "/login"])
    assert f"✗ claude is not signed in\n    {sign_in}\n" in ran.stdout

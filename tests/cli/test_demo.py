"""`demo` from start to Ctrl-C, with the real claude and its scripted model."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.kernel.jupyter_process import scratch_environment


def status_of(address: str) -> int:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("own_folder", [False, True])
def test_from_start_to_ctrl_c(tmp_path: Path, own_folder: bool) -> None:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "README.md").write_text("mine")
    environment = {**scratch_environment(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    options = ["--workspace", str(kept)] if own_folder else []
    with subprocess.Popen(
        [sys.executable, "-m", "agent_lab.cli", "demo", "--no-browser", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line.strip())
                if line.startswith("Ctrl-C"):
                    break
            address = next(line for line in said if line.startswith("http://"))
            root = next(line for line in said if line.startswith("The sample")).split()[-1]
            answer = subprocess.run(
                [sys.executable, "-m", "agent_lab.cli", "send", "--follow", "What is here?"],
                env=environment,
                cwd=root,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            page, refused = status_of(address), status_of(address.partition("?")[0])
            children = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read() if process.stdout else ""
            code = process.wait(30)

    assert answer.returncode == 0, answer.stderr
    assert "orders.csv" in answer.stdout
    assert "ls -l" in answer.stderr
    assert address.endswith("/lab/tree/analysis.ipynb?token=" + address[-48:])
    assert (page, refused) == (200, 302)
    assert code == 0, rest
    assert children
    assert not any(child.is_running() for child in children)
    assert list((tmp_path / "tmp").glob("agent-lab-demo-*")) == []
    assert not (tmp_path / "home" / ".claude").exists()
    assert (kept / "README.md").read_text() == "mine"
    assert (kept / "report.py").exists() == own_folder


def test_without_claude(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['claude_agent_sdk'] = None\n"
        "from agent_lab.cli import main\n"
        "sys.exit(main(['demo', '--no-browser']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**scratch_environment(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("The demo drives the real claude program, and there is none")
    assert "pip install 'agent-lab[claude]'" in ran.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = subprocess.run(
        [sys.executable, "-m", "agent_lab.cli", "demo", "--workspace", str(tmp_path / "file")],
        env=scratch_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("The sample cannot be put into")

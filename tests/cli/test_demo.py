"""`demo` from start to Ctrl-C, with the real claude and its scripted model."""

from __future__ import annotations

import fcntl
import http.client
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
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


def surroundings(folder: Path) -> dict[str, str]:
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return {**scratch_environment(folder), "TMPDIR": str(folder / "tmp")}


def type_ctrl_c(terminal: int) -> None:
    os.write(terminal, b"\x03")


@pytest.mark.parametrize("end", [type_ctrl_c, os.close])
def test_it_ends_with_its_terminal(tmp_path: Path, end: Callable[[int], None]) -> None:
    """In a terminal of its own, where Ctrl-C is typed, or which is closed like a window."""
    environment = surroundings(tmp_path)
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "agent_lab.cli", "demo", "--no-browser"],
        env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:  # fmt: skip
        os.close(its)
        children: list[psutil.Process] = []
        try:
            said = b""
            while b"Ctrl-C ends" not in said:
                said += os.read(ours, 1 << 16)
            root = said.partition(b"The sample is in ")[2].split()[0].decode()
            asked = [sys.executable, "-m", "agent_lab.cli", "send", "--follow", "What is here?"]
            subprocess.run(asked, env=environment, cwd=root, capture_output=True, check=True)
            children = psutil.Process(process.pid).children(recursive=True)
            end(ours)
            code = process.wait(30)
            left = [child for child in children if child.is_running()]
        finally:
            process.kill()
            for child in children:
                if child.is_running():
                    child.kill()
            if end is not os.close:
                os.close(ours)

    assert code == 0
    assert children
    assert left == []
    assert list((tmp_path / "tmp").glob("agent-lab-demo-*")) == []


@pytest.mark.parametrize("own_folder", [False, True])
def test_from_start_to_ctrl_c(tmp_path: Path, own_folder: bool) -> None:
    environment = surroundings(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "README.md").write_text("mine")
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
    assert next(line for line in said if line) == "Agent Lab demo"  # and no warning
    assert rest.strip() == "Ending the demo …"
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

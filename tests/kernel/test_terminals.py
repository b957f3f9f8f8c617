"""`%agent` in `jupyter console` and in a terminal's IPython, as a person types there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # it tells no types
import pytest

from tests.kernel.jupyter_process import PROJECT, Jupyter, scratch_environment

PATIENCE_SECONDS = 60
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()=>][A-Z0-9]?)|\r")


class Terminal:
    """A program at a terminal; `ask` types a line and returns what is shown up to a pattern."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def until(self, pattern: str) -> str:
        """What is on the screen up to there; colours and moves between words do not matter."""
        shown = ""
        while True:
            try:
                self.program.expect(r".+", timeout=PATIENCE_SECONDS)
            except pexpect.TIMEOUT:
                raise AssertionError(f"{pattern} never came after {shown!r}") from None
            shown += _ESCAPES.sub("", self.program.match.group(0))
            if re.search(pattern, shown, re.DOTALL):
                return shown

    def type(self, line: str) -> None:
        self.program.send(line + "\r")


@contextmanager
def terminal(
    jupyter: Jupyter,
    home: Path,
    cwd: Path,
    *command: str,
    door: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    """A program of this environment, as started in a terminal of that server."""
    cwd.mkdir(exist_ok=True)
    (home / "home").mkdir(exist_ok=True)
    seen = scratch_environment(home) | {"PYTHONPATH": str(PROJECT), "TERM": "dumb"}
    if door:
        kernel = jupyter.notebook(f"door-{cwd.name}.ipynb")
        url, secret = kernel.run(
            "import os; print(os.environ['AGENT_LAB_URL'], os.environ['AGENT_LAB_KERNEL_SECRET'])"
        ).text.split()
        seen |= {"AGENT_LAB_URL": url, "AGENT_LAB_KERNEL_SECRET": secret}
    program = pexpect.spawn(
        sys.executable,
        ["-m", *command],
        env=seen | dict(variables or {}),
        cwd=str(cwd),
        encoding="utf-8",
        dimensions=(50, 200),
    )
    try:
        yield Terminal(program)
    finally:
        program.close(force=True)


PROGRAMS = {
    "ipython": ("IPython", "--no-banner", "--simple-prompt", "--ext=agent_lab"),
    "console": ("jupyter_console", "--simple-prompt", "--no-confirm-exit"),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_in_a_terminal(jupyter: Jupyter, tmp_path: Path, name: str) -> None:
    place = jupyter.root / f"in-{name}"
    with terminal(jupyter, tmp_path, place, *PROGRAMS[name]) as shell:
        shell.until(r"In \[1\]:")
        shell.type("%load_ext agent_lab")
        shell.until(r"In \[2\]:")
        shell.type("1/0")
        shell.until(r"ZeroDivisionError: division by zero.*In \[3\]:")
        shell.type("%agent --wait what is wrong")
        waited = shell.until(r"Answer to: .*In \[4\]:")
        shell.type("%agent fix")
        sent = shell.until(r"In \[5\]:")
        shell.type("%agent --wait --no-context !tokens 4000 rate 50")
        sent += shell.until(r"w20\W")  # a console shows what came late with its next cell
        shell.program.sendintr()
        stopped = shell.until(r"Stopped.*In \[6\]:")
        shell.type("%agent status")
        status = shell.until(r"(idle|running|stopped).*In \[7\]:")
    (session,) = jupyter.call("GET", f"agent-lab/api/sessions?workspace=in-{name}")["sessions"]
    message = jupyter.turn(session["id"], "what is wrong")[0]
    jupyter.turn(session["id"], "Fix this error")

    assert "Answer to: what is wrong" in waited
    assert message["context"][0]["ename"] == "ZeroDivisionError"
    assert "the agent of this folder" in sent
    assert "`%agent --wait` shows it here" in sent
    assert "so was the agent" in stopped
    assert "Traceback" not in stopped
    assert "The agent of this folder: " in status
    assert jupyter.turn(session["id"], "!tokens")[-1]["stop_reason"] == "cancelled"


def test_without_any_server(jupyter: Jupyter, tmp_path: Path) -> None:
    command = PROGRAMS["ipython"]
    # Neither is there an agent that could be started: a package without its program is found first.
    hidden = tmp_path / "hidden" / "claude_agent_sdk"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    variables = {"PYTHONPATH": f"{hidden.parent}:{PROJECT}", "PATH": "/usr/bin:/bin"}
    with terminal(
        jupyter, tmp_path, tmp_path / "alone", *command, door=False, variables=variables
    ) as shell:
        shell.until(r"In \[1\]:")
        shell.type("%agent why?")
        shown = shell.until(r"UsageError.*In \[2\]:")

    assert "start `jupyter lab`" in " ".join(shown.split())
    assert "Traceback" not in shown

"""Which questions are held back: those of a notebook that runs as a whole, in a real kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.kernel.jupyter_process import Jupyter, Kernel, Ran, scratch_environment

HELD = "Not sent: this cell ran together with others."


def said(kernel: Kernel, ran: Ran) -> str:
    assert ran.status == "ok", ran.text
    return kernel.updated() if ran.text.startswith("Sending") else ran.text


def prompts(jupyter: Jupyter, kernel: Kernel) -> list[str]:
    """The questions that reached the session of this notebook."""
    found = jupyter.call("GET", "agent-lab/api/sessions")["sessions"]
    mine = [one["id"] for one in found if (one["notebook"] or {}).get("path") == kernel.path]
    if not mine:
        return []
    events = jupyter.call("GET", f"agent-lab/api/sessions/{mine[0]}/events?limit=2000")["events"]
    return [one["content"][0]["text"] for one in events if one["type"] == "user_message"]


@pytest.mark.parametrize("place", ["first", "middle", "last", "only with one behind it"])
@pytest.mark.parametrize("wait", ["", "--wait "])
def test_a_run_of_the_whole_notebook_sends_nothing(
    jupyter: Jupyter, kernel: Kernel, place: str, wait: str
) -> None:
    cells = {
        "first": ("%agent {}why?", "x = 1", "y = 2"),
        "middle": ("x = 1", "import time; time.sleep(0.3)", "%agent {}why?", "y = 2"),
        "last": ("x = 1", "y = 2", "%agent {}why?"),
        "only with one behind it": ("%agent {}why?", "x = 1"),
    }[place]
    ran = kernel.run_all(*(cell.format(wait) for cell in cells))
    (asked,) = (one for one, cell in zip(ran, cells, strict=True) if "agent" in cell)
    line = said(kernel, asked)

    assert line.startswith(HELD)
    assert "--again" in line
    assert prompts(jupyter, kernel) == []


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_busy_browser_sends_them_a_while_apart(
    jupyter: Jupyter, kernel: Kernel, place: int
) -> None:
    """As measured with Run All in JupyterLab on a machine that had too much to do."""
    cells = ["import time; time.sleep(0.2)", "x = 1", "y = 2"]
    cells.insert(place, "%agent why?")
    sent = [kernel.send(code, pause=0.11 if at else 1.0) for at, code in enumerate(cells)]
    ran = [kernel.result_of(one) for one in sent]

    assert said(kernel, ran[place]).startswith(HELD)
    assert prompts(jupyter, kernel) == []


def test_two_cells_in_quick_succession_are_a_persons(jupyter: Jupyter, kernel: Kernel) -> None:
    first = kernel.send("1/1")
    asked = kernel.send("%agent what is it?", pause=0.15)
    kernel.result_of(first)

    assert said(kernel, kernel.result_of(asked)).startswith("Sent")
    assert prompts(jupyter, kernel) == ["what is it?"]


def test_each_cell_behind_another_by_a_persons_hand_is_sent(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    """Cells that wait behind a busy one were not sent at once: they were sent a while apart."""
    busy = kernel.send("import time; time.sleep(0.5)")
    asked = kernel.send("%agent what is going on?", pause=0.4)
    after = kernel.send("x = 1", pause=0.4)
    for one in (busy, after):
        assert kernel.result_of(one).status == "ok"
    line = said(kernel, kernel.result_of(asked))

    assert line.startswith("Sent")
    assert prompts(jupyter, kernel) == ["what is going on?"]


def test_a_lone_cell_is_sent_with_what_it_would_have_sent(jupyter: Jupyter, kernel: Kernel) -> None:
    cells = ("'of the cell above'", "%agent what is this?", "'of a later cell'")
    sent = [
        kernel.send(code, f"c{number}", pause=0.001 if number else 1.0)
        for number, code in enumerate(cells)
    ]
    held = said(kernel, [kernel.result_of(one) for one in sent][1])
    alone = said(kernel, kernel.run("%agent what is this?", "c1"))
    (chip,) = jupyter.asked(kernel, "what is this?")[0]["context"]
    kernel.run("'newer'")
    again = said(kernel, kernel.run("%agent what is this, now?", "c1"))
    sent_later = jupyter.asked(kernel, "now?")[0]["context"]
    (newer,) = [item for item in sent_later if item["type"] != "since"]

    assert held.startswith(HELD)
    assert alone.startswith("Sent")
    assert again.startswith("Sent")
    assert chip["text"] == "'of the cell above'"
    assert newer["text"] == "'newer'"


def test_once_another_cell_ran_by_itself_what_is_newest_is_sent(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    cells = ("'old'", "%agent what is this?")
    sent = [
        kernel.send(code, f"c{number}", pause=0.001 if number else 1.0)
        for number, code in enumerate(cells)
    ]
    assert said(kernel, [kernel.result_of(one) for one in sent][1]).startswith(HELD)
    kernel.run("'new'", "c0")
    said(kernel, kernel.run("%agent what is this?", "c1"))
    (chip,) = jupyter.asked(kernel, "what is this?")[0]["context"]

    assert chip["text"] == "'new'"


def test_again_asks_also_then(jupyter: Jupyter, kernel: Kernel) -> None:
    ran = kernel.run_all("x = 1", "%agent --again --no-context each time?", "y = 2")
    line = said(kernel, ran[1])

    assert line.startswith("Sent")
    assert prompts(jupyter, kernel) == ["each time?"]


def test_a_cell_that_is_run_twice_at_once_asks_once(jupyter: Jupyter, kernel: Kernel) -> None:
    line = "%agent --no-context twice?"
    sent = [kernel.send(line, "same"), kernel.send(line, "same", pause=0.01)]
    ran = [kernel.result_of(one) for one in sent]
    lines = sorted(said(kernel, one) for one in ran)  # which is known first is open

    assert lines[0].startswith(HELD)
    assert lines[1].startswith("Sent")
    assert prompts(jupyter, kernel) == ["twice?"]


def test_after_a_restart_and_with_a_failing_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    """Restart and run all: the kernel loads us as it starts, and the first cells come at once."""
    config = jupyter.folder / "ipython" / "profile_default"
    config.mkdir(parents=True, exist_ok=True)
    file = config / "ipython_kernel_config.json"
    file.write_text(json.dumps({"InteractiveShellApp": {"extra_extensions": ["agent_lab"]}}))
    try:
        fresh = jupyter.notebook("restarted/it.ipynb")
    finally:
        file.unlink()
    ran = fresh.run_all("%agent why?", "1/0", "x = 1")
    line = said(fresh, ran[0])

    assert line.startswith(HELD)
    assert [one.status for one in ran] == ["ok", "error", "aborted"]
    assert prompts(jupyter, fresh) == []


@pytest.mark.parametrize("line", ["%agent why?", "%agent --wait why?", "%agent watch on error"])
def test_a_program_that_runs_cells_sends_nothing(
    jupyter: Jupyter, kernel: Kernel, line: str
) -> None:
    ran = kernel.run(line, attended=False)
    watched = kernel.run("%agent watch", attended=False)

    assert ran.text.startswith("Not sent: a program runs this notebook")
    assert watched.text.startswith("Nothing is watched.")
    assert prompts(jupyter, kernel) == []


def test_nbconvert(jupyter: Jupyter, tmp_path: Path) -> None:
    """As papermill does it too. The kernel is its own, in a folder that our server serves."""
    place = jupyter.root / "papers"
    place.mkdir()
    own = jupyter.notebook("own.ipynb")
    own.run("import os")
    door = own.run(
        "print(os.environ['AGENT_LAB_URL'], os.environ['AGENT_LAB_KERNEL_SECRET'])"
    ).text.split()
    cells = (
        "%load_ext agent_lab", "%agent --no-context held?", "%agent --again --no-context sent?",
        "%agent --again --wait --no-context shown?",
    )  # fmt: skip
    new: Any = nbformat.v4  # untyped
    file = place / "it.ipynb"
    nbformat.write(new.new_notebook(cells=[new.new_code_cell(one) for one in cells]), file)  # type: ignore[no-untyped-call]
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "notebook", "--inplace", "--execute", file],
        env=scratch_environment(tmp_path)
        | {"AGENT_LAB_URL": door[0], "AGENT_LAB_KERNEL_SECRET": door[1]},
        check=True,
        capture_output=True,
    )
    document = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    _, held, sent, shown = (cell.outputs for cell in document.cells)
    (session,) = jupyter.call("GET", "agent-lab/api/sessions?workspace=papers")["sessions"]
    jupyter.turn(session["id"], "shown?")

    assert held[0].data["text/plain"].startswith("Not sent: a program runs this notebook")
    assert sent[0].data["text/plain"].startswith(("Sent", "Sending"))
    assert shown[-1].data["text/markdown"] == "Answer to: shown?"

"""`%agent watch` in a real kernel: one message when it happens, none before and none after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kernel.jupyter_process import Jupyter, Kernel
from tests.kernel.relay import relay


def prompts(jupyter: Jupyter, kernel: Kernel) -> list[dict[str, Any]]:
    """The messages that reached the session of this notebook, where it has one."""
    found = jupyter.call("GET", "agent-lab/api/sessions")["sessions"]
    mine = [one["id"] for one in found if (one["notebook"] or {}).get("path") == kernel.path]
    if not mine:
        return []
    events = jupyter.call("GET", f"agent-lab/api/sessions/{mine[0]}/events?limit=2000")["events"]
    return [one for one in events if one["type"] == "user_message"]


def test_an_error_is_told_of_once_with_its_variables(jupyter: Jupyter, kernel: Kernel) -> None:
    armed = kernel.run("%agent watch on error what broke?")
    kernel.run("rows = 0")
    before = prompts(jupyter, kernel)
    kernel.run("1 / rows", "bad")
    line = kernel.updated()
    kernel.run("int('x')")
    listed = kernel.run("%agent watch")
    (message,) = prompts(jupyter, kernel)
    error, variable = message["context"]

    assert armed.text.startswith("Watching on error: one message goes to the agent then.")
    assert "Ends with this kernel" in armed.text
    assert before == []
    assert line.startswith("Sent to the agent of it.ipynb.")
    assert message["content"][0]["text"] == "what broke?"
    assert (error["ename"], error["cell_id"]) == ("ZeroDivisionError", "bad")
    assert variable["text"] == "rows: int, 0"
    assert listed.text.startswith("Nothing is watched.")


def test_an_expression_is_looked_at_after_each_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent --vars loss watch when loss < 0.1 -- converging?")
    kernel.run("x = 1")
    early = kernel.run("%agent watch").text
    kernel.run("loss = 0.5")
    later = kernel.run("%agent watch").text
    kernel.run("while loss > 0.05:\n    loss /= 2")
    line = kernel.updated()
    kernel.run("loss = 0.01")
    (message,) = prompts(jupyter, kernel)

    assert "when loss < 0.1: converging?  (not to be told yet: NameError)" in early
    assert "NameError" not in later
    assert line.startswith("Sent")
    assert message["content"][0]["text"].startswith("converging?\n")
    assert "`loss < 0.1`" in message["content"][0]["text"]
    assert message["context"][-1]["name"] == "loss"


def test_an_expression_that_exits_or_prints_leaves_the_cell_alone(kernel: Kernel) -> None:
    kernel.run("import sys\nclass Odd:\n    def __bool__(self): raise RuntimeError('odd')")
    kernel.run("%agent watch when Odd()")
    ran = kernel.run("1 + 1")
    listed = kernel.run("%agent watch").text

    assert (ran.status, ran.result) == ("ok", "2")
    assert len(ran.outputs) == 1
    assert "RuntimeError" in listed


def test_idle_is_when_nothing_runs_any_more(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("import agent_lab.kernel.watching as w\nw.IDLE_SECONDS = 0.4")
    kernel.run("%agent watch on idle")
    for one in kernel.run_all("1/0", "x = 1"):
        assert one.status in ("error", "aborted")
    for one in kernel.run_all("import time; time.sleep(0.6)", "y = 2", "'the last'"):
        assert one.status == "ok"
    line = kernel.updated()
    kernel.run("z = 3")
    (message,) = prompts(jupyter, kernel)

    assert line.startswith("Sent")
    assert [chip["type"] for chip in message["context"]] == ["error", "output"]
    assert message["context"][1]["text"] == "'the last'"


@pytest.mark.parametrize("who", ["%agent status", "the agent"])
def test_idle_comes_also_after_a_cell_of_ours(jupyter: Jupyter, kernel: Kernel, who: str) -> None:
    kernel.run("import agent_lab.kernel.watching as w\nw.IDLE_SECONDS = 1.0")
    kernel.run("%agent watch on idle")
    kernel.run("'the last'")
    if who == "the agent":
        kernel.client.session.username = "agent_lab"
        kernel.run("mine = 1")
        kernel.client.session.username = ""
    else:
        kernel.run(who)
    line = kernel.updated()
    (message,) = prompts(jupyter, kernel)

    assert line.startswith("Sent")
    assert [chip["text"] for chip in message["context"]] == ["'the last'"]


def test_a_cell_within_another_does_not_make_it_idle(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("import time, agent_lab.kernel.watching as w\nw.IDLE_SECONDS = 0.4")
    kernel.run("%agent watch on idle")
    kernel.run("'before'")
    kernel.run(
        "get_ipython().run_cell('1')\nget_ipython().run_cell('')\ntime.sleep(1.2)\n'the last'"
    )
    line = kernel.updated()
    (message,) = prompts(jupyter, kernel)

    assert line.startswith("Sent")
    assert message["context"][-1]["text"].endswith("'the last'")


WATCHES = "%agent watch on error"
NOT_WATCHED = "Not watched: this cell ran together with others."


def run_all(kernel: Kernel, before: str, after: str, *, late: bool) -> str:
    """A notebook that watches between two cells runs as a whole; what the cell that watches says in
    the end. `late`: the rest gets here when that cell has run."""
    if late:
        # It is looked at again when the others have run, too.
        kernel.run("import agent_lab.kernel.runs as runs\nruns.POLL_SECONDS = 0.25")
        watches = kernel.send(WATCHES)
        kernel.first_output(watches)
        kernel.result_of(kernel.send(after, pause=0.001))
        kernel.result_of(watches)
    else:
        kernel.run_all(before, WATCHES, after)
    return kernel.updated()


@pytest.mark.parametrize("late", [False, True])
def test_running_all_watches_nothing(jupyter: Jupyter, kernel: Kernel, late: bool) -> None:
    line = run_all(kernel, "x = 1", "1/0", late=late)
    listed = kernel.run("%agent watch").text
    kernel.run("1/0")

    assert line.startswith(NOT_WATCHED)
    assert listed.startswith("Nothing is watched.")
    assert prompts(jupyter, kernel) == []


@pytest.mark.parametrize("late", [False, True])
def test_running_all_keeps_a_watch_that_was_set(
    jupyter: Jupyter, kernel: Kernel, late: bool
) -> None:
    alone = kernel.run(WATCHES).text
    line = run_all(kernel, "x = 1", "y = 2", late=late)
    listed = kernel.run("%agent watch").text
    kernel.run("1/0")
    sent = kernel.updated()

    assert alone.startswith("Watching on error")
    assert line.startswith(NOT_WATCHED)
    assert listed.count("on error: ") == 1
    assert sent.startswith("Sent")
    assert len(prompts(jupyter, kernel)) == 1


def test_again_watches_also_then(jupyter: Jupyter, kernel: Kernel) -> None:
    ran = kernel.run_all("x = 1", "%agent --again watch on error", "1/0")
    line = kernel.updated()

    assert ran[1].text.startswith("Watching")
    assert line.startswith("Sent")
    assert len(prompts(jupyter, kernel)) == 1


def test_the_same_watch_twice_is_one(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent watch on error why?")
    kernel.run("%agent watch on error why?")
    first = kernel.updated()
    kernel.run("1/0")
    line = kernel.updated()

    assert first == "Watched by a later cell now."
    assert line.startswith("Sent")
    assert len(prompts(jupyter, kernel)) == 1


def test_stopped_watches_send_nothing(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent watch on error")
    kernel.run("%agent watch when True")
    # That expression is true after the very cell that follows.
    assert kernel.run("%agent watch stop").text == "Watches ended: 2."
    assert {kernel.updated(), kernel.updated()} == {"No longer watched."}
    kernel.run("1/0")

    assert kernel.run("%agent watch stop").text == "Nothing was watched."
    assert prompts(jupyter, kernel) == []


def test_an_interrupted_cell_is_no_error(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent watch on error")
    kernel.run("raise KeyboardInterrupt")
    still = kernel.run("%agent watch").text

    assert still.startswith("Watching")
    assert prompts(jupyter, kernel) == []


def test_cells_that_the_agent_runs_do_not_count(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent watch on error")
    kernel.client.session.username = "agent_lab"
    kernel.run("1/0")
    kernel.client.session.username = "ada"
    still = kernel.run("%agent watch").text

    assert still.startswith("Watching")
    assert prompts(jupyter, kernel) == []


def test_a_message_that_could_not_be_sent_is_sent_once_when_it_can(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    with relay(jupyter.url) as between:
        kernel.run(f"import os\nos.environ['AGENT_LAB_URL'] = '{between.url}user/ada/'")
        kernel.run("%agent watch on error again?")
        between.pause()
        kernel.run("1/0")
        between.resume()
        line = kernel.updated()
    messages = prompts(jupyter, kernel)

    assert line.startswith(("Sent", "Queued"))
    assert len(messages) == 1


@pytest.mark.parametrize("line", ["%agent watch on error", "%agent watch when x"])
def test_without_a_server_a_watch_says_so_at_once(
    kernel: Kernel, line: str, tmp_path: Path
) -> None:
    # Nor is there an agent to start here: a package without its program is found first.
    (tmp_path / "claude_agent_sdk").mkdir()
    (tmp_path / "claude_agent_sdk" / "__init__.py").touch()
    kernel.run(
        "import os, sys\ndel os.environ['AGENT_LAB_URL']\nos.environ['PATH'] = '/nowhere'\n"
        f"sys.path.insert(0, {str(tmp_path)!r})"
    )
    ran = kernel.run(line)

    assert ran.status == "error"
    assert "start `jupyter lab`" in ran.text

"""`%agent` in real kernels of a real server, with the fake agent at the far end."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.jupyter_process import (
    Jupyter,
    Kernel,
    Ran,
    jupyter_server,
    scratch_environment,
)

LOAD = "%load_ext agent_lab"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), "/user/ada/") as running:
        yield running


def loaded(server: Jupyter, path: str) -> Kernel:
    kernel = server.notebook(path)
    assert kernel.run(LOAD).status == "ok"
    return kernel


def said(kernel: Kernel, ran: Ran) -> str:
    """What the cell says in the end: a slow server's answer comes in place of the first line."""
    assert ran.status == "ok", ran.text
    return kernel.updated() if ran.text.startswith("Sending") else ran.text


def test_a_question_goes_with_the_last_error(server: Jupyter) -> None:
    kernel = loaded(server, "work/eda.ipynb")
    kernel.run("{}['region']", cell_id="cell-1")

    line = said(kernel, kernel.run("%agent why isn't {it} in $HOME?", cell_id="cell-2"))
    session = server.session_of("work/eda.ipynb")
    message, *_, ended = server.turn(session["id"], "why")

    assert line == "Sent to the agent of eda.ipynb. The answer appears in the Agent panel."
    assert message["origin"] == "magic"
    assert message["content"] == [{"type": "text", "text": "why isn't {it} in $HOME?"}]
    (chip,) = message["context"]
    assert chip["type"] == "error"
    assert chip["cell_id"] == "cell-1"
    assert chip["source"] == "{}['region']"
    assert chip["ename"] == "KeyError"
    assert "\x1b" not in chip["traceback"]
    assert ended["stop_reason"] == "end_turn"
    assert session["workspace"]["path"] == "work"


def test_without_a_question_the_default_one_is_asked(server: Jupyter) -> None:
    kernel = loaded(server, "default.ipynb")
    kernel.run("1/0")
    said(kernel, kernel.run("%agent"))
    session = server.session_of("default.ipynb")["id"]
    error = server.turn(session, "Explain this error and fix it.")[0]
    kernel.run("40 + 2")
    said(kernel, kernel.run("%agent"))
    output = server.turn(session, "Explain this output.")[0]

    assert error["context"][0]["ename"] == "ZeroDivisionError"
    assert output["context"][0]["text"] == "42"


def test_the_cell_is_the_question(server: Jupyter) -> None:
    kernel = loaded(server, "cell.ipynb")
    kernel.run("x = 5")
    said(kernel, kernel.run("%%agent --no-context\nFirst {line}\n  second?\n"))
    message = server.turn(server.session_of("cell.ipynb")["id"], "First")[0]

    assert message["content"][0]["text"] == "First {line}\n  second?"
    assert message["context"] == []


def test_nothing_to_ask_about(server: Jupyter) -> None:
    ran = loaded(server, "empty.ipynb").run("%agent")

    assert ran.status == "error"
    assert "Write a question" in ran.text


def test_without_context_there_must_be_a_question(server: Jupyter) -> None:
    kernel = loaded(server, "nothing.ipynb")
    kernel.run("1/0")
    ran = kernel.run("%agent --no-context")

    assert ran.status == "error"
    assert "there is nothing else to send" in ran.text


def test_what_is_no_unicode_is_shown_by_its_code(server: Jupyter) -> None:
    """A file's name that is not UTF-8 has lone surrogates in Python, which JSON cannot carry."""
    kernel = loaded(server, "names.ipynb")
    kernel.run("raise ValueError('caf\\udce9.csv')")
    said(kernel, kernel.run("%agent why?"))
    message = server.turn(server.session_of("names.ipynb")["id"], "why?")[0]

    assert message["context"][0]["evalue"] == "caf\\udce9.csv"


def test_a_renamed_notebook_keeps_its_agent(server: Jupyter) -> None:
    kernel = loaded(server, "old.ipynb")
    said(kernel, kernel.run("%agent first"))
    before = server.session_of("old.ipynb")["id"]
    server.turn(before, "first")
    (open_now,) = (
        each for each in server.call("GET", "api/sessions") if each["path"] == "old.ipynb"
    )
    server.call("PATCH", "api/contents/old.ipynb", {"path": "new.ipynb"})
    server.call("PATCH", f"api/sessions/{open_now['id']}", {"path": "new.ipynb"})

    said(kernel, kernel.run("%agent second"))
    events = server.turn(before, "second")

    assert events[-1]["type"] == "turn_ended"


def test_status_queue_and_stop(server: Jupyter) -> None:
    kernel = loaded(server, "busy.ipynb")
    none = kernel.run("%agent status")
    idle = kernel.run("%agent stop")
    said(kernel, kernel.run("%agent --no-context !hang"))
    session = server.session_of("busy.ipynb")["id"]
    queued = said(kernel, kernel.run("%agent --no-context second"))
    running = kernel.run("%agent status")
    stopped = kernel.run("%agent stop")
    hung = server.turn(session, "!hang")
    second = server.turn(session, "second")
    again = kernel.run("%agent stop")

    assert none.text == "There is no session here yet. Ask something: %agent <question>"
    assert idle.text == again.text == "Nothing is running."
    assert queued.startswith("Queued: the agent of busy.ipynb is busy.")
    assert running.text.startswith("The agent of busy.ipynb: running, ")
    assert running.text.endswith("Waiting in its queue: 1.")
    assert stopped.text == "Told the agent of busy.ipynb to stop."
    assert hung[-1]["stop_reason"] == "cancelled"
    assert second[-1]["stop_reason"] == "end_turn"


def test_status_names_what_waits_for_an_answer(server: Jupyter) -> None:
    kernel = loaded(server, "asks.ipynb")
    said(kernel, kernel.run("%agent --no-context !permission"))
    session = server.session_of("asks.ipynb")["id"]
    events = server.events(session, lambda event: event["type"] == "permission_request")
    status = kernel.run("%agent status")
    kernel.run("%agent stop")
    server.turn(session, "!permission")

    assert "awaiting permission" in status.text
    assert f"Waiting for you in the Agent panel: {events[-1]['title']}" in status.text


def test_a_folder_that_would_run_things_is_named(server: Jupyter) -> None:
    settings = server.root / "strange" / ".mcp.json"
    settings.parent.mkdir()
    settings.write_text('{"mcpServers": {}}')
    ran = loaded(server, "strange/it.ipynb").run("%agent hello")
    failed = ran.text if ran.status == "error" else server.kernels[-1].updated()

    assert ".mcp.json" in failed
    assert "Open the Agent panel" in failed


def test_a_server_that_is_slow_does_not_hold_up_the_cell(server: Jupyter) -> None:
    kernel = loaded(server, "slow.ipynb")
    server.process.send_signal(signal.SIGSTOP)
    try:
        ran = kernel.run("%agent are you there?")
    finally:
        server.process.send_signal(signal.SIGCONT)
    line = kernel.updated()

    assert ran.text == "Sending to the agent …"
    assert line == "Sent to the agent of slow.ipynb. The answer appears in the Agent panel."
    assert server.turn(server.session_of("slow.ipynb")["id"], "there")[-1]["type"] == "turn_ended"


def test_it_returns_at_once(server: Jupyter) -> None:
    kernel = loaded(server, "quick.ipynb")
    said(kernel, kernel.run("%agent start"))
    seconds = []
    for number in range(9):
        ran = kernel.run(
            "import time\n"
            "begun = time.perf_counter()\n"
            f"get_ipython().run_line_magic('agent', 'question {number}')\n"
            "time.perf_counter() - begun"
        )
        seconds.append(float(ran.result))

    assert statistics.median(seconds) <= 0.030, seconds


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("os.environ['AGENT_LAB_URL'] = 'http://127.0.0.1:9/'", "cannot be reached"),
        ("os.environ['AGENT_LAB_KERNEL_SECRET'] = 'wrong'", "Restart the kernel."),
        ("del os.environ['AGENT_LAB_KERNEL_SECRET']", "start `jupyter lab`"),
    ],
)
def test_no_way_to_the_server(server: Jupyter, change: str, expected: str) -> None:
    kernel = loaded(server, f"lost-{len(expected)}.ipynb")
    kernel.run(f"import os\n{change}")
    asked = kernel.run("%agent why?")
    status = kernel.run("%agent status")

    assert asked.status == status.status == "error"
    assert expected in asked.text
    assert expected in status.text
    assert "Traceback" not in asked.text + status.text


def test_help(server: Jupyter) -> None:
    kernel = loaded(server, "help.ipynb")
    shown = kernel.run("%agent?").reply["payload"][0]["data"]["text/plain"]
    printed = kernel.run("%agent --help").text

    for text in (shown, printed):
        assert "%agent <question>" in text
        assert "--no-context" in text


def test_loading_twice_and_unloading(server: Jupyter) -> None:
    kernel = loaded(server, "twice.ipynb")
    kernel.run("%reload_ext agent_lab")
    kernel.run("'seen once'")
    said(kernel, kernel.run("%agent look?"))
    message = server.turn(server.session_of("twice.ipynb")["id"], "look")[0]
    kernel.run("%unload_ext agent_lab")
    gone = kernel.run("%agent look")

    assert message["context"][0]["text"] == "'seen once'"
    assert "not found" in gone.text


def test_the_panel_in_a_cell_shows_this_notebooks_session(server: Jupyter) -> None:
    kernel = loaded(server, "panel.ipynb")
    ran = kernel.run(
        "from agent_lab import AgentChat\n"
        "chat = AgentChat()\n"
        "print(chat.session_id, chat.notebook, chat.base_url, chat.kernel_id)"
    )
    again = kernel.run("AgentChat().session_id == chat.session_id")
    shown = kernel.run("chat")
    session = server.session_of("panel.ipynb")

    assert ran.status == "ok", ran.text
    assert ran.text.split() == [
        session["id"], "panel.ipynb", "/user/ada/", session["notebook"]["kernel_id"]
    ]  # fmt: skip
    assert again.result == "True"
    assert "application/vnd.jupyter.widget-view+json" in shown.outputs[-1]["data"]


def test_the_kernels_side_is_imported_fast(tmp_path: Path) -> None:
    code = (
        "import time, IPython, IPython.display, ipykernel.ipkernel\n"
        "begun = time.perf_counter()\n"
        "import agent_lab.kernel.magics\n"
        "print(time.perf_counter() - begun)\n"
    )
    taken = []
    for _ in range(3):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=scratch_environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        taken.append(float(ran.stdout))

    assert min(taken) <= 0.100, taken


def test_the_kernels_side_imports_nothing_of_the_servers(tmp_path: Path) -> None:
    code = (
        "import sys, agent_lab.kernel.magics\n"
        "print(*sorted(name for name in sys.modules if name.startswith('agent_lab.')))\n"
        "heavy = {'tornado', 'anywidget', 'jupyter_server'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**scratch_environment(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    ours, others = ran.stdout.splitlines()

    assert {name.split(".")[1] for name in ours.split()} == {"kernel", "protocol"}
    assert others == "[]"

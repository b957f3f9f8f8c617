"""`--wait` in a real kernel of a real server: the answer grows in the cell until the turn ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from agent_lab.agents import registry
from agent_lab.demo.sample import claude_environment
from tests.kernel.jupyter_process import (
    PATIENCE_SECONDS,
    PROJECT,
    Jupyter,
    Kernel,
    jupyter_server,
)
from tests.kernel.relay import Relay, relay
from tests.stories.lab import scripted_model


def pid_of(kernel: Kernel) -> int:
    return int(kernel.run("import os; print(os.getpid())").text)


def test_the_answer_grows_in_place_at_most_ten_times_a_second(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    began = time.monotonic()
    ran = kernel.run("%agent --wait --no-context !tokens 60 rate 40")
    taken = time.monotonic() - began
    shown = [ran.outputs[0]["data"], *kernel.updates]
    last = shown[-1]

    assert ran.status == "ok", ran.text
    assert 3 <= len(shown) <= 10 * taken + 2
    assert [len(one["text/markdown"]) for one in shown] == sorted(
        len(one["text/markdown"]) for one in shown
    )
    assert last["text/plain"].count("w") == 60
    assert last["text/markdown"] == last["text/plain"]
    assert jupyter.asked(kernel, "!tokens 60")[-1]["stop_reason"] == "end_turn"


def test_a_console_gets_the_text_as_it_comes(kernel: Kernel) -> None:
    ran = kernel.run("%agent --wait --no-context !tokens 40 rate 40", "")
    pieces = [one["text"] for one in ran.outputs if "text" in one]

    assert len(pieces) >= 3
    assert "".join(pieces).count("w") == 40
    assert "".join(pieces).endswith("\n")
    assert kernel.updates == []


def test_tools_are_short_lines_and_a_permission_says_where_to_answer_it(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    asked = kernel.send("%agent --wait --no-context !permission")
    first = kernel.first_output(asked)
    while "Waiting for you" not in first["text/markdown"]:
        first = kernel.update()
    session = jupyter.session_of(kernel.path)
    (pending,) = session["pending_permissions"]
    option = next(one for one in pending["options"] if one["kind"] == "allow_once")
    jupyter.call(
        "POST",
        f"agent-lab/api/sessions/{session['id']}/permissions/{pending['request_id']}",
        {"option_id": option["option_id"]},
    )
    ran = kernel.result_of(asked)
    last = kernel.updates[-1]["text/markdown"]

    assert ran.status == "ok", ran.text
    assert "**Waiting for you in the Agent panel:**" in first["text/markdown"]
    assert "Waiting for you" not in last
    assert "\n- " in f"\n{last}"


def test_an_interrupt_cancels_the_turn_and_no_other(jupyter: Jupyter, kernel: Kernel) -> None:
    pid = pid_of(kernel)
    asked = kernel.send("%agent --wait --no-context !tokens 4000 rate 50")
    after = kernel.send("x = 1", pause=1.0)
    kernel.first_output(asked)
    os.kill(pid, signal.SIGINT)
    began = time.monotonic()
    ran = kernel.result_of(asked)
    seconds = time.monotonic() - began

    assert ran.status == "error"
    assert ran.reply["ename"] == "Stopped"
    assert "Stopped: so was the agent." in "\n".join(ran.reply["traceback"])
    assert "site-packages" not in str(ran.reply["traceback"])
    assert seconds < 5
    assert kernel.result_of(after).status == "aborted"
    assert jupyter.asked(kernel, "!tokens 4000")[-1]["stop_reason"] == "cancelled"


def test_an_interrupt_takes_a_queued_question_back(jupyter: Jupyter, kernel: Kernel) -> None:
    pid = pid_of(kernel)
    kernel.run("%agent --no-context !hang")
    kernel.updated()
    session = jupyter.session_of(kernel.path)["id"]
    asked = kernel.send("%agent --wait --no-context second")
    queued = kernel.first_output(asked)
    os.kill(pid, signal.SIGINT)
    ran = kernel.result_of(asked)
    now = jupyter.session_of(kernel.path)
    kernel.run("%agent stop")
    events = jupyter.turn(session, "!hang")

    assert "Queued" in queued["text/plain"]
    assert ran.reply["ename"] == "Stopped"
    assert now["status"] == "running"
    assert now["queue"] == []
    assert events[-1]["stop_reason"] == "cancelled"


def test_a_queued_question_that_is_taken_out_ends_the_cell(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    kernel.run("%agent --no-context !hang")
    kernel.updated()
    asked = kernel.send("%agent --wait --no-context second")
    kernel.first_output(asked)
    session = jupyter.session_of(kernel.path)
    (item,) = session["queue"]
    jupyter.command(session["id"], {"type": "queue_remove", "item_id": item["id"]})
    ran = kernel.result_of(asked)
    kernel.run("%agent stop")

    assert ran.status == "error"
    assert "taken out of the queue" in ran.text


def test_a_question_that_waited_is_answered_in_its_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent --no-context !tokens 30 rate 30")
    ran = kernel.run("%agent --wait --no-context second")

    assert ran.status == "ok", ran.text
    assert kernel.updates[-1]["text/markdown"] == "Answer to: second"


def test_a_turn_that_fails_is_an_error_of_the_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    ran = kernel.run("%agent --wait --no-context !crash-after 5")
    error = jupyter.asked(kernel, "!crash-after")[-1]["error"]

    assert ran.status == "error"
    assert error["message"] in ran.text
    assert "Traceback" not in ran.text


def test_a_stop_from_elsewhere_ends_the_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    asked = kernel.send("%agent --wait --no-context !tokens 4000 rate 50")
    kernel.first_output(asked)
    session = jupyter.session_of(kernel.path)["id"]
    jupyter.call("POST", f"agent-lab/api/sessions/{session}/cancel")
    ran = kernel.result_of(asked)

    assert ran.status == "error"
    assert "The agent was stopped." in ran.text


def by_way_of(kernel: Kernel, between: Relay) -> None:
    kernel.run(f"import os\nos.environ['AGENT_LAB_URL'] = '{between.url}user/ada/'")


def test_a_cut_of_the_connection_loses_and_repeats_nothing(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    with relay(jupyter.url) as between:
        by_way_of(kernel, between)
        asked = kernel.send("%agent --wait --no-context !tokens 120 rate 40")
        kernel.first_output(asked)
        for _ in range(4):
            before = len(kernel.updates)
            between.cut()
            while len(kernel.updates) < before + 2:
                kernel.next_update()
        ran = kernel.result_of(asked)
    events = jupyter.asked(kernel, "!tokens 120")
    (message,) = (one for one in events if one["type"] == "agent_message")

    assert ran.status == "ok", ran.text
    assert kernel.updates[-1]["text/markdown"] == message["content"][0]["text"]


def test_a_server_that_is_gone_ends_the_cell(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("import agent_lab.kernel.waiting as waiting\nwaiting.LOST_SECONDS = 1.0")
    with relay(jupyter.url) as between:
        by_way_of(kernel, between)
        asked = kernel.send("%agent --wait --no-context !tokens 4000 rate 50")
        kernel.first_output(asked)
        between.close()
        ran = kernel.result_of(asked)
    session = jupyter.session_of(kernel.path)
    jupyter.call("POST", f"agent-lab/api/sessions/{session['id']}/cancel")

    assert ran.status == "error"
    assert "cannot be reached" in ran.text
    assert session["status"] == "running"  # the turn goes on without us


def test_the_real_program(tmp_path: Path) -> None:
    """`%agent fix --wait` with nobody's browser: claude runs a command and says how it went."""
    program = registry.claude_command(())
    assert program is not None
    with (
        scripted_model(tmp_path) as model,
        jupyter_server(
            tmp_path, agent=program, variables=claude_environment(model, tmp_path / "home")
        ) as server,
    ):
        kernel = server.notebook("real.ipynb")
        kernel.run("%load_ext agent_lab")
        echoed = kernel.run("%agent --wait --no-context echo: one **two**")
        final = (kernel.updates or [echoed.outputs[0]["data"]])[-1]
        ran = kernel.run("%agent --wait --no-context bash: echo from the shell")
        last = kernel.updates[-1]["text/markdown"]

    assert final["text/markdown"] == "one **two**"
    assert ran.status == "ok", ran.text
    assert "from the shell" in last
    assert "- " in last


def allow(jupyter: Jupyter, kernel: Kernel, words: str) -> None:
    """Say yes, this once, to what the turn that was asked for with these words asks."""
    session = jupyter.session_of(kernel.path)["id"]
    turns = set()

    def asks(event: Any) -> bool:
        if event["type"] == "user_message" and words in str(event["content"]):
            turns.add(event["turn_id"])
        return event["type"] == "permission_request" and event["turn_id"] in turns

    request = jupyter.events(session, asks)[-1]
    route = f"agent-lab/api/sessions/{session}/permissions/{request['request_id']}"
    jupyter.call("POST", route, {"option_id": "allow_once"})


def test_what_the_agent_runs_meanwhile_runs_and_stops_with_the_cell(tmp_path: Path) -> None:
    """Real claude runs code in the very kernel whose cell waits for its answer."""
    program = registry.claude_command(())
    assert program is not None
    with (
        scripted_model(tmp_path, PROJECT / "tests" / "notebook" / "model.toml") as model,
        jupyter_server(
            tmp_path, agent=program, variables=claude_environment(model, tmp_path / "home")
        ) as server,
    ):
        kernel = server.notebook("runs.ipynb")
        kernel.run("%load_ext agent_lab\nx = 41")
        pid = pid_of(kernel)
        asked = kernel.send("%agent --wait --no-context run: print('inner'); x += 1; x")
        kernel.first_output(asked)
        allow(server, kernel, "inner")
        ran = kernel.result_of(asked)
        shown = kernel.updates[-1]["text/markdown"]
        after = kernel.run("x")

        looping = kernel.send(
            "%%agent --wait --no-context\nrun: print('begun', flush=True)\nwhile True: x += 1"
        )
        kernel.first_output(looping)
        allow(server, kernel, "while True")
        until_printed(kernel, "begun")
        os.kill(pid, signal.SIGINT)
        stopped = kernel.result_of(looping)
        ended = server.asked(kernel, "while True")[-1]
        still = [kernel.run("x").result for _ in range(2)]

    assert ran.status == "ok", ran.text
    assert all("text" not in one for one in ran.outputs)  # nothing was printed here
    assert "It said:" in shown
    assert "42" in shown
    assert after.result == "42"
    assert (stopped.reply["ename"], ended["stop_reason"]) == ("Stopped", "cancelled")
    assert still[0] == still[1]


def until_printed(kernel: Kernel, text: str) -> None:
    """By whatever runs in the kernel."""
    while True:
        message = kernel.client.get_iopub_msg(timeout=PATIENCE_SECONDS)
        kernel.others.append(message)
        if message["msg_type"] == "stream" and text in message["content"]["text"]:
            return

"""The same in a kernel that a client alone started, and the panel over the widget's connection."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import psutil

from tests.engine.alone import Alone, Widget, wait_until

LOAD = "%load_ext agent_lab"


def test_ask_interrupt_and_shut_down(alone: Alone) -> None:
    with alone.kernel() as (kernel, process):
        kernel.run(LOAD)
        answered = kernel.run("%agent --wait ask: one")
        mine = kernel.send("%agent --wait long")
        kernel.first_output(mine)
        os.killpg(process.pid, signal.SIGINT)  # as a notebook's frontend does
        stopped = kernel.result_of(mine)
        after = kernel.run("%agent --wait ask: two")
        kernel.client.shutdown()
        process.wait(30)

        assert answered.status == "ok", answered.text
        assert any("Answer to: one" in shown["text/plain"] for shown in kernel.updates)
        assert stopped.status == "error"
        assert "so was the agent" in stopped.text
        assert after.status == "ok", after.text
        assert process.returncode == 0
        assert alone.agents() == []


def test_a_kernel_that_is_killed_takes_its_agent_along(alone: Alone) -> None:
    with alone.kernel() as (kernel, process):
        kernel.run(LOAD)
        assert kernel.run("%agent --wait ask: one").status == "ok"
        (agent, *_) = alone.agents()
        process.kill()
        process.wait(30)
        wait_until(lambda: not psutil.pid_exists(agent))
        assert alone.agents() == []

    with alone.kernel() as (kernel, process):
        kernel.run(LOAD)
        assert kernel.run("%agent --wait ask: two").status == "ok"
        assert "2 turns" in kernel.run("%agent usage").text


def test_importing_the_kernels_side_brings_no_engine(alone: Alone) -> None:
    with alone.kernel() as (kernel, _):
        kernel.run(LOAD)
        known = kernel.run(
            "import sys\n[m for m in sys.modules if m.startswith(('agent_lab.engine',"
            " 'agent_lab.sessions', 'agent_lab.store', 'agent_lab.agents'))]"
        )
    assert known.result == "[]"


def events(message: Any) -> list[Any]:
    return [json.loads(frame) for frame in message["data"]]


def test_the_panel_over_the_widget(alone: Alone) -> None:
    with alone.kernel() as (kernel, _):
        kernel.run(LOAD)
        kernel.run("frame = list(range(7))")
        widget = Widget(kernel)
        session_id, over_widget = kernel.run(
            "print(chat.session_id, chat.over_widget)"
        ).text.split()
        assert over_widget == "True"

        widget.tell(kind="open", socket=1, session_id=session_id, tail=20)
        hello = events(widget.until(lambda one: one["kind"] == "frames"))[0]
        prompt = {
            "type": "prompt", "id": "p1", "content": [{"type": "text", "text": "bash: touch it"}],
        }  # fmt: skip
        widget.tell(kind="frame", socket=1, data=json.dumps(prompt))
        seen: list[Any] = []

        def has(kind: str) -> Any:
            def look(one: Any) -> bool:
                if one["kind"] == "frames" and one["socket"] == 1:
                    seen.extend(events(one))
                return any(each["type"] == kind for each in seen)

            if not look({"kind": ""}):
                widget.until(look)
            return next(each for each in seen if each["type"] == kind)

        assert has("ack")["id"] == "p1"
        asked = has("permission_request")
        answer = {
            "type": "answer_permission", "id": "a1",
            "request_id": asked["request_id"], "option_id": "allow_once",
        }  # fmt: skip
        widget.tell(kind="frame", socket=1, data=json.dumps(answer))
        ended = has("turn_ended")
        variables = widget.request("GET", f"sessions/{session_id}/variables", id=2)
        page = widget.request("GET", f"sessions/{session_id}/events?limit=3", id=3)
        strange = widget.request("GET", "sessions/nobody/events", id=4)
        missing = widget.request("GET", "usage", id=5)
        widget.tell(kind="frame", socket=1, data="{")
        reject = events(widget.until(lambda one: one["kind"] == "frames"))[-1]
        widget.tell(kind="nonsense")
        widget.tell(kind="open", socket=2, session_id="nobody", tail=1)
        closed = widget.until(lambda one: one["kind"] == "closed")

    assert hello["type"] == "hello"
    assert hello["session"]["id"] == session_id
    assert ended["stop_reason"] == "end_turn"
    assert (alone.work / "it").exists()
    seqs = [each["seq"] for each in seen if "seq" in each]
    assert seqs == sorted(set(seqs))
    names = [one["name"] for one in json.loads(variables["body"])["variables"]]
    assert "frame" in names
    found = json.loads(page["body"])
    assert (len(found["events"]), found["more"]) == (3, True)
    assert strange["status"] == 404
    assert (missing["status"], json.loads(missing["body"])["reason"]) == (404, "not_offered")
    assert reject["type"] == "reject"
    assert (closed["socket"], closed["code"]) == (2, 4404)


def test_an_answer_by_magic_where_no_cell_waits(alone: Alone) -> None:
    with alone.kernel() as (kernel, _):
        kernel.run(LOAD)
        assert kernel.run("%agent bash: touch made.txt").status == "ok"
        wait_until(lambda: "Allow once" in kernel.run("%agent answer").text)
        assert not (alone.work / "made.txt").exists()
        wrong = kernel.run("%agent answer 9")
        told = kernel.run("%agent answer 1")
        wait_until((alone.work / "made.txt").exists)
        after = kernel.run("%agent answer")

    assert "number from 1 to" in wrong.text
    assert told.text == "Told the agent."
    assert "asks nothing" in after.text

"""`%agent fix --wait` where no tab is open: asked in a kernel, decided over HTTP. Real claude."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent_lab.agents import registry
from agent_lab.demo.sample import claude_environment
from tests.kernel.jupyter_process import Jupyter, Kernel, jupyter_server
from tests.stories.lab import scripted_model

SCRIPT = Path(__file__).parents[1] / "stories" / "whole.toml"
CELLS = (
    'import pandas as pd\norders = pd.DataFrame({"region": ["north", "south", "north"], '
    '"price": [1.0, 2.0, 4.0]})',
    'orders["price"].sum()',
    'totals = orders.groupby("regoin")[["price"]].sum()\ntotals',
    "%agent fix --wait",
)
MENDED = 'totals = orders.groupby("region")[["price"]].sum()\ntotals'


def write(jupyter: Jupyter, path: str, *sources: str) -> None:
    cells: list[Any] = [
        {
            "cell_type": "code", "id": f"c{number}", "metadata": {}, "source": source,
            "execution_count": None, "outputs": [],
        }
        for number, source in enumerate(sources)
    ]  # fmt: skip
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (jupyter.root / path).write_text(json.dumps(notebook))


def cell(jupyter: Jupyter, path: str, number: int) -> Any:
    found = json.loads((jupyter.root / path).read_text())["cells"][number]
    return {**found, "source": "".join(found["source"])}


def shown_until(kernel: Kernel, asked: str, words: str) -> str:
    """What the cell that waits shows, once it says so."""
    data = kernel.first_output(asked)
    while words not in data["text/markdown"]:
        data = kernel.update()
    return str(data["text/markdown"])


def test_a_failed_cell_is_fixed_with_no_tab_open(tmp_path: Path) -> None:
    program = registry.claude_command(())
    assert program is not None
    with (
        scripted_model(tmp_path, SCRIPT) as model,
        jupyter_server(
            tmp_path, agent=program, variables=claude_environment(model, tmp_path / "home")
        ) as jupyter,
    ):
        kernel = jupyter.notebook("sales.ipynb")
        write(jupyter, "sales.ipynb", *CELLS)
        kernel.run("%load_ext agent_lab", "")
        for number in range(2):
            assert kernel.run(CELLS[number], f"c{number}").status == "ok"
        failed = kernel.run(CELLS[2], "c2")
        assert failed.reply["ename"] == "KeyError"

        asked = kernel.send(CELLS[3], "c3")
        waits = shown_until(kernel, asked, "Waiting for you")
        session = jupyter.session_of("sales.ipynb")
        (request,) = session["pending_permissions"]

        # The agent has looked into memory before it proposed, and the cell says what it waits for.
        events = jupyter.events(session["id"], lambda e: e["type"] == "permission_request")
        (sent,) = (e for e in events if e["type"] == "user_message")
        assert [item["type"] for item in sent["context"]] == ["error", "variable"]
        assert "KeyError: 'regoin'" in json.dumps(sent["context"][0])
        assert CELLS[2] == sent["context"][0]["source"]
        looked = {e["name"].split("__")[-1] for e in events if e["type"] == "tool_call"}
        assert looked == {"list_variables", "inspect_variable", "edit_cell"}
        results = json.dumps([e for e in events if e["type"] == "tool_call_update"])
        assert "orders: pandas.DataFrame, 3 x 2" in results
        assert "- region: str, 0 null, unique 2" in results
        assert "in the Agent panel" in waits
        assert "Change cell" in waits
        assert (request["kind"], request["change"]["cell_id"]) == ("cell_change", "c2")
        assert cell(jupyter, "sales.ipynb", 2)["source"] == CELLS[2]

        # The kernel's own cell only waits: what is in memory can be copied all the same.
        route = f"agent-lab/api/sessions/{session['id']}"
        asks = f"{route}/permissions/{request['request_id']}"
        jupyter.call("POST", f"{asks}/trial")
        trial = tried(jupyter, session["id"])
        assert trial["status"] == "done", trial
        assert (trial["before"]["status"], trial["after"]["status"]) == ("error", "ok")
        assert "KeyError" in trial["before"]["error"]
        (table,) = trial["after"]["outputs"]
        assert table["output_type"] == "execute_result"
        assert "north     5.0" in table["data"]["text/plain"]
        assert "<table" in table["data"]["text/html"]
        assert cell(jupyter, "sales.ipynb", 2)["source"] == CELLS[2]

        jupyter.call("POST", asks, {"option_id": "accept"})
        ran = kernel.result_of(asked)
        shown = kernel.updates[-1]["text/markdown"]
        assert ran.status == "ok", ran.text
        assert "misspelt column" in shown
        assert "Changed cell c2 in sales.ipynb" in shown
        assert "Waiting for you" not in shown
        # No trial has left anything in memory, and what was accepted has not been run.
        assert kernel.run("'totals' in globals()").result == "False"

        mended = cell(jupyter, "sales.ipynb", 2)
        assert mended["source"] == MENDED
        assert mended["metadata"]["agent_lab"]["session"] == session["id"]
        assert kernel.run(mended["source"], "c2").status == "ok"

        call = request["tool_call_id"]
        jupyter.call("POST", f"{route}/changes/{call}/undo")
        undone = cell(jupyter, "sales.ipynb", 2)
        assert undone["source"] == CELLS[2]
        assert "agent_lab" not in undone["metadata"]
        with jupyter.open("POST", f"{route}/changes/{call}/undo") as refused:
            assert refused.status == 409
            assert json.loads(refused.read())["reason"] == "cell_changed"
        assert cell(jupyter, "sales.ipynb", 2)["source"] == CELLS[2]


def tried(jupyter: Jupyter, session: str) -> Any:
    """The outcome of the trial that was begun."""

    def outcome(event: Any) -> Any:
        found = event.get("trial") if event["type"] == "permission_updated" else None
        return found if found and found["status"] != "running" else None

    return outcome(jupyter.events(session, lambda event: outcome(event) is not None)[-1])

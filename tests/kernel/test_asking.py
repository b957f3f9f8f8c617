"""What goes with a question, whom it goes to, and what the other words of `%agent` say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.jupyter_process import Jupyter, Kernel, Ran


def said(kernel: Kernel, ran: Ran) -> str:
    """What the cell says in the end."""
    assert ran.status == "ok", ran.text
    return kernel.updated() if ran.text.startswith("Sending") else ran.text


def sent(jupyter: Jupyter, kernel: Kernel, line: str, words: str) -> list[dict[str, Any]]:
    """Ask, and return the chips that went along."""
    assert said(kernel, kernel.run(line)).startswith("Sent to the agent of it.ipynb.")
    chips: list[dict[str, Any]] = jupyter.asked(kernel, words)[0]["context"]
    return chips


def test_a_cell_by_number_by_id_and_before_we_were_loaded(jupyter: Jupyter) -> None:
    kernel = jupyter.notebook("cells/it.ipynb")
    kernel.run("'of old'")
    kernel.run("%load_ext agent_lab")
    kernel.run("print('first')", "cell-a")
    kernel.run("'second'", "cell-b")
    kernel.run("'third'")

    (old,) = sent(jupyter, kernel, "%agent --cell 1 old?", "old?")
    (first,) = sent(jupyter, kernel, "%agent --cell 3 number?", "number?")
    (second,) = sent(jupyter, kernel, "%agent --cell cell-b id?", "id?")
    unknown = kernel.run("%agent --cell 99 why?")

    assert (old["source"], old["text"]) == ("'of old'", "'of old'")
    assert (first["source"], first["text"], first["cell_id"]) == (
        "print('first')", "first", "cell-a"
    )  # fmt: skip
    assert second["execution_count"] == 4
    assert unknown.status == "error"
    assert "No cell 99 ran in this kernel" in unknown.text
    assert "[3], [4], [5]" in unknown.text


def test_an_output_alone(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("print('seen')\n1/0")
    kernel.run("x = 1")

    (chip,) = sent(jupyter, kernel, "%agent --out 2 what?", "what?")
    silent = kernel.run("%agent --out 3 what?")

    assert (chip["type"], chip["text"]) == ("output", "seen")
    assert "[3] has no output" in silent.text


def test_variables_are_told_of_and_never_their_secrets(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run(
        "import pandas as pd\n"
        "df = pd.DataFrame({'region': ['N', 'S'], 'amount': [1.5, 2.5]})\n"
        "api_key = 'sk-not-to-be-seen'\n"
        "n = 3"
    )

    chips = sent(jupyter, kernel, "%agent --vars df,api_key,n so?", "so?")
    missing = kernel.run("%agent --vars df,nothing so?")

    assert [(chip["type"], chip["name"]) for chip in chips] == [
        ("variable", "df"), ("variable", "api_key"), ("variable", "n")
    ]  # fmt: skip
    frame, key, number = (chip["text"] for chip in chips)
    assert frame.splitlines()[0].startswith("df: DataFrame 2 \N{MULTIPLICATION SIGN} 2")
    assert "  amount: float64" in frame
    assert "not-to-be-seen" not in key
    assert number == "n: int, 3"
    assert "There is no variable nothing" in missing.text


def test_fix_sends_the_error_and_the_variables_it_involves(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    kernel.run(
        "import json\n"
        "orders = [{'region': 'N'}, {}]\n"
        "limit, unused, password = 10, 11, 'hunter2'\n"
        "def total(rows):\n    part = 0\n    for row in rows:\n        part += row['amount']\n"
        "    return part + limit"
    )
    kernel.run("json.dumps(password)\ntotal(orders)", "bad-cell")
    kernel.run("'a cell in between'")

    error, *involved = sent(jupyter, kernel, "%agent fix", "Fix this error")
    names = {chip["name"]: chip["text"] for chip in involved}

    assert (error["type"], error["cell_id"], error["ename"]) == ("error", "bad-cell", "KeyError")
    assert "row['amount']" in error["traceback"]
    assert list(names)[:3] == ["rows", "part", "row"]  # where it failed comes first
    assert {"orders", "limit", "password"} <= set(names)
    assert not {"unused", "json", "total"} & set(names)
    assert names["part"] == "part: int, 0"
    assert "hunter2" not in str(involved)


def test_fix_of_what_is_no_python(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("steps = 3")
    kernel.run("for i in range(steps)\n    pass")

    error, *involved = sent(jupyter, kernel, "%agent --vars steps fix", "Fix this error")

    assert error["ename"] == "SyntaxError"
    assert [chip["name"] for chip in involved] == ["steps"]


def test_nothing_to_fix(kernel: Kernel) -> None:
    kernel.run("x = 1")
    ran = kernel.run("%agent fix")

    assert ran.status == "error"
    assert "There is nothing to fix" in ran.text


def test_all_errors_are_those_not_mended_since(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("1/0", "a")
    kernel.run("missing", "b")
    kernel.run("int('x')", "c")
    kernel.run("present = 1", "b")

    chips = sent(jupyter, kernel, "%agent --all-errors explain", "explain")
    kernel.run("1/1", "a")
    kernel.run("int('1')", "c")
    none = kernel.run("%agent --all-errors explain")

    assert [chip["ename"] for chip in chips] == ["ZeroDivisionError", "ValueError"]
    assert "No cell has failed" in none.text


def test_a_new_session_takes_the_place_and_the_old_one_can_be_resumed(
    jupyter: Jupyter, kernel: Kernel
) -> None:
    said(kernel, kernel.run("%agent --no-context one"))
    first = jupyter.session_of(kernel.path)["id"]
    jupyter.turn(first, "one")
    said(kernel, kernel.run("%agent --new --model opus --no-context two"))
    second = jupyter.session_of(kernel.path)
    jupyter.turn(second["id"], "two")
    listed = kernel.run("%agent sessions").text
    resumed = kernel.run(f"%agent resume {first[:8]}")
    said(kernel, kernel.run("%agent --no-context three"))
    jupyter.turn(first, "three")
    said(kernel, kernel.run(f"%agent --session {second['id'][:8]} --no-context four"))
    jupyter.turn(second["id"], "four")
    now = jupyter.session_of(kernel.path)["id"]
    unknown = kernel.run("%agent resume 0000-0000")

    assert second["id"] != first
    assert second["model"] == "opus"
    rows = {line.split()[-1]: line for line in listed.splitlines()[1:-1]}
    assert rows["two"].startswith("*")
    assert rows["two"].split()[1] == second["id"][:8]
    assert rows["one"].split()[0] == first[:8]
    assert "goes on with: one" in resumed.text
    assert now == first
    assert "has no session '0000-0000'" in unknown.text


def test_a_session_that_ended_is_live_again_when_resumed(jupyter: Jupyter, kernel: Kernel) -> None:
    said(kernel, kernel.run("%agent --no-context one"))
    first = jupyter.session_of(kernel.path)["id"]
    jupyter.turn(first, "one")
    jupyter.call("POST", f"agent-lab/api/sessions/{first}/end")
    resumed = kernel.run(f"%agent resume {first[:6]}")
    said(kernel, kernel.run("%agent --no-context recall"))

    assert resumed.status == "ok", resumed.text
    assert jupyter.turn(first, "recall")[-1]["stop_reason"] == "end_turn"


def test_a_plan_first_and_another_model_when_nothing_runs(jupyter: Jupyter, kernel: Kernel) -> None:
    said(kernel, kernel.run("%agent --no-context one"))
    jupyter.asked(kernel, "one")
    said(kernel, kernel.run("%agent --plan --model haiku --no-context !hang"))
    planned = jupyter.session_of(kernel.path)
    busy = kernel.run("%agent --model opus --no-context three")
    refused = busy.text if busy.status == "error" else kernel.updated()
    kernel.run("%agent stop")
    jupyter.asked(kernel, "!hang")
    other = kernel.run("%agent --agent codex --no-context four")
    unlike = other.text if other.status == "error" else kernel.updated()

    assert (planned["permission_mode"], planned["model"]) == ("plan", "haiku")
    assert "The agent is busy" in refused
    assert "There is no agent 'codex' here" in unlike


def test_there_is_no_yes(kernel: Kernel) -> None:
    ran = kernel.run("%agent --yes delete everything")

    assert ran.status == "error"
    assert "There is no --yes" in ran.text
    assert "Agent panel" in ran.text


def test_usage(jupyter: Jupyter, kernel: Kernel) -> None:
    none = kernel.run("%agent usage")
    said(kernel, kernel.run("%agent --no-context one"))
    jupyter.asked(kernel, "one")
    used = kernel.run("%agent usage").text

    assert none.text == "There is no session here yet, so nothing was used."
    assert used.startswith("one: 1 turn\n")
    assert "tokens out" in used
    assert "US dollars, as the agent counts it" in used


@pytest.mark.parametrize("folder", ["inside", "outside"])
def test_a_kernel_without_a_notebook_asks_the_agent_of_its_folder(
    jupyter: Jupyter, folder: str
) -> None:
    """As `jupyter console` in a terminal of JupyterLab: its kernel is not the server's."""
    place = (jupyter.root / "consoles") if folder == "inside" else jupyter.folder
    place.mkdir(exist_ok=True)
    kernel = jupyter.notebook(f"home-{folder}.ipynb")
    kernel.run(f"import os\nos.chdir({str(place)!r})")
    kernel.run("%load_ext agent_lab")
    kernel.run("import agent_lab.kernel.client as client\nclient.kernel_id = lambda: '12345'")
    ran = kernel.run("%agent --no-context hello from a console", "")
    if folder == "outside":
        assert ran.status == "error"
        assert "lies outside of" in ran.text
        return
    kernel.run("%agent --no-context hello again", "")
    (session,) = jupyter.call("GET", "agent-lab/api/sessions?workspace=consoles")["sessions"]

    jupyter.turn(session["id"], "hello from a console")
    jupyter.turn(session["id"], "hello again")
    assert session["notebook"] is None
    assert session["workspace"]["path"] == "consoles"
    assert "Sent to the agent of this folder." in ran.text

"""What is in memory: in a real kernel, idle and busy, with values that misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_lab.protocol.secrets import HIDDEN
from tests.kernel.jupyter_process import Jupyter, Kernel, jupyter_server

REQUEST, REPLY = "agent_lab_variables_request", "agent_lab_variables_reply"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture
def kernel(server: Jupyter, tmp_path: Path) -> Kernel:
    kernel = server.notebook(f"{tmp_path.name}.ipynb")
    assert kernel.run("%load_ext agent_lab").status == "ok"
    return kernel


def told(kernel: Kernel) -> dict[str, Any]:
    message = kernel.client.session.msg(REQUEST, {})
    kernel.client.control_channel.send(message)
    while True:
        reply = kernel.client.get_control_msg(timeout=10)
        if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            assert reply["msg_type"] == REPLY
            return {one["name"]: one for one in reply["content"]["variables"]}


def test_what_a_person_made_is_told(kernel: Kernel) -> None:
    kernel.run(
        "import math\nx = 41\nname = 'Ada'\nnumbers = list(range(1000))\n"
        "pairs = {'a': 1, 'b': [2]}\nclass Thing: pass\nthing = Thing()\n"
        "def area(width, height): return width * height\n_private = 1"
    )
    found = told(kernel)
    assert list(found) == ["math", "x", "name", "numbers", "pairs", "Thing", "thing", "area"]
    assert found["x"] == {"name": "x", "type": "int", "kind": "number", "value": "41"}
    assert (found["name"]["value"], found["name"]["length"]) == ("'Ada'", 3)
    assert (found["numbers"]["length"], found["numbers"]["value"]) == (
        1000,
        "[int, int, int, int, int, …]",
    )
    assert found["pairs"]["value"] == "{'a': int, 'b': list}"
    assert (found["thing"]["type"], found["thing"]["kind"]) == ("Thing", "other")
    assert found["area"]["value"] == "area(width, height)"


def test_tables_and_arrays_tell_their_shape(kernel: Kernel) -> None:
    ran = kernel.run(
        "import numpy, pandas, polars\n"
        "array = numpy.zeros((3, 4), 'f4')\n"
        "frame = pandas.DataFrame({'region': ['N', 'S'], 'amount': [1.5, 2.5]})\n"
        "column = frame['amount']\n"
        "lazy = polars.DataFrame({'k': [1, 2, 3]})"
    )
    assert ran.status == "ok", ran.text
    found = told(kernel)
    assert (found["array"]["shape"], found["array"]["dtype"], found["array"]["size"]) == (
        [3, 4], "float32", 48,
    )  # fmt: skip
    frame = found["frame"]
    assert (frame["type"], frame["kind"], frame["shape"]) == ("pandas.DataFrame", "table", [2, 2])
    assert [name for name, _ in frame["columns"]] == ["region", "amount"]
    assert dict(frame["columns"])["amount"] == "float64"
    assert (found["column"]["shape"], found["column"]["dtype"]) == ([2], "float64")
    assert (found["lazy"]["shape"], found["lazy"]["columns"]) == ([3, 1], [["k", "Int64"]])


def test_it_leaves_no_trace(kernel: Kernel) -> None:
    kernel.run("x = 1\nx")
    before = kernel.run("print((len(In), sorted(Out), _))").text
    assert told(kernel) == told(kernel)
    after = kernel.run("print((len(In) - 1, sorted(Out), _))").text
    assert before == after == "(4, [2], 1)"


def test_nothing_of_the_person_runs_for_it(kernel: Kernel) -> None:
    ran = kernel.run(
        "import time\n"
        "class Bad:\n"
        "    def __repr__(self): time.sleep(60)\n"
        "    __class__ = property(lambda self: 1 / 0)\n"
        "    def __getattribute__(self, name): raise SystemExit\n"
        "class Frame(dict):\n"
        "    def __len__(self): time.sleep(60)\n"
        "bad, frame, list_ = Bad(), Frame(), [Bad()]\n"
        "class DataFrame:\n"
        "    shape = property(lambda self: 1 / 0)\n"
        "DataFrame.__module__ = 'pandas.core'\nfake = DataFrame()\n"
        "class Meta(type):\n"
        "    __module__ = property(lambda self: time.sleep(60))\n"
        "    __eq__ = lambda self, other: time.sleep(60)\n"
        "    __hash__ = lambda self: time.sleep(60)\n"
        "class Odd(metaclass=Meta): pass\n"
        "odd, more = Odd(), [Odd()]"
    )
    assert ran.status == "ok", ran.text
    found = told(kernel)
    assert found["bad"]["kind"] == found["fake"]["kind"] == "other"
    assert (found["frame"]["kind"], found["frame"]["length"]) == ("collection", 0)
    assert found["list_"]["value"] == "[Bad]"
    assert (found["odd"]["type"], found["more"]["value"]) == ("Odd", "[Odd]")


def test_secrets_are_not_shown(kernel: Kernel) -> None:
    kernel.run(
        "api_key = 'abc123'\nplain = 'sk-not-really'\nDB_PASSWORD = 'x'\n"
        "jwt = 'eyJhbGciOi.x'\nword = 'harmless'"
    )
    found = told(kernel)
    for name in ("api_key", "plain", "DB_PASSWORD", "jwt"):
        assert found[name]["value"] == HIDDEN
    assert found["word"]["value"] == "'harmless'"


def test_a_busy_kernel_answers(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("".join(f"v{n} = {n}\n" for n in range(200)))
    enough = tmp_path / "enough"
    client = kernel.client
    client.execute(f"import os, time\nwhile not os.path.exists({str(enough)!r}): time.sleep(0.01)")
    assert len(told(kernel)) >= 200  # it did not wait for the cell
    enough.touch()
    while client.get_shell_msg(timeout=10)["content"].get("status") != "ok":
        pass


def session_of(server: Jupyter, notebook: str) -> Any:
    """A session beside the notebook's kernel."""
    running = server.call("GET", "api/sessions")
    kernel_id = next(one["kernel"]["id"] for one in running if one["path"] == notebook)
    new = {"notebook": notebook, "kernel_id": kernel_id}
    return server.call("POST", "agent-lab/api/sessions", new)


def test_the_server_tells_it_of_a_sessions_kernel(server: Jupyter) -> None:
    kernel = server.notebook("asked.ipynb")
    kernel.run("%load_ext agent_lab\nx = 41")
    session = session_of(server, "asked.ipynb")
    route = f"agent-lab/api/sessions/{session['id']}/variables"
    (x,) = server.call("GET", route)["variables"]
    assert (x["name"], x["value"]) == ("x", "41")
    server.call("DELETE", f"api/kernels/{session['notebook']['kernel_id']}")
    with server.open("GET", route) as response:
        assert response.status == 409
        assert b"no_kernel" in response.read()


def test_a_kernel_without_our_part_says_so(server: Jupyter) -> None:
    kernel = server.notebook("plain.ipynb")
    kernel.run("%load_ext agent_lab\n%unload_ext agent_lab")
    session = session_of(server, "plain.ipynb")
    with server.open("GET", f"agent-lab/api/sessions/{session['id']}/variables") as response:
        assert response.status == 503
        assert b"not_offered" in response.read()

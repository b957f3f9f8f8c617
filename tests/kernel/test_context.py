"""What the recorder keeps of a cell, in a real kernel that no server started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.kernel.jupyter_process import Kernel, scratch_environment

LISTEN = """
import msgspec
from agent_lab.kernel.context import Recorder
recorder = Recorder(get_ipython())
recorder.start()
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    for name in ("home", "runtime"):
        (folder / name).mkdir()
    manager = KernelManager(connection_file=str(folder / "runtime" / "kernel-alone.json"))
    manager.start_kernel(env=scratch_environment(folder), cwd=str(folder))
    kernel = Kernel(Path(manager.connection_file))
    assert kernel.run(LISTEN).status == "ok"
    yield kernel
    kernel.close()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def item_after(kernel: Kernel, code: str, cell_id: str = "") -> dict[str, Any]:
    """The chip that a question right after this cell would carry."""
    kernel.run(code, cell_id)
    # Empty `silent` cells leave no trace: this look is not the last cell.
    said = kernel.client.execute_interactive(
        "",
        silent=True,
        user_expressions={"item": "msgspec.json.encode(recorder.last.item()).decode()"},
        timeout=30,
    )
    item = said["content"]["user_expressions"]["item"]
    text = eval(item["data"]["text/plain"])  # the repr of a text
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_error(kernel: Kernel) -> None:
    item = item_after(kernel, "def f(x):\n    return 1 / x\nprint('before')\nf(0)", "cell-a")

    count = item["execution_count"]
    assert item["type"] == "error"
    assert item["label"] == f"error in [{count}]"
    assert item["cell_id"] == "cell-a"
    assert item["source"].endswith("f(0)")
    assert (item["ename"], item["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert "----> 2     return 1 / x" in item["traceback"]
    assert "\x1b" not in item["traceback"]
    assert item["text"] == "before"


def test_a_syntax_error(kernel: Kernel) -> None:
    item = item_after(kernel, "x = = 1")

    assert item["ename"] == "SyntaxError"
    assert "x = = 1" in item["traceback"]


def test_an_error_that_is_a_sentence_does_not_carry_an_older_traceback(kernel: Kernel) -> None:
    item_after(kernel, "raise KeyError('older')")
    item = item_after(kernel, "%no_such_magic")

    assert item["ename"] == "UsageError"
    assert "no_such_magic" in item["traceback"]
    assert "older" not in item["traceback"]


def test_an_error_that_cannot_be_printed(kernel: Kernel) -> None:
    item = item_after(
        kernel,
        "class Mute(Exception):\n    def __str__(self):\n        raise KeyError('no')\nraise Mute",
    )

    assert item["type"] == "error"
    assert item["ename"] in ("Mute", "KeyError")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("40 + 2", "42"),
        ("print('one')\nimport sys\nprint('two', file=sys.stderr)\n3", "one\ntwo\n3"),
        ("from IPython.display import display\ndisplay({'a': 1})", "{'a': 1}"),
        ("import asyncio\nprint('a')\nawait asyncio.sleep(0)\nprint('b')", "a\nb"),
        ("!echo from a shell", "from a shell"),
        ("print('\\x1b[31mred\\x1b[0m')", "red"),
        ("print('10%\\r50%\\r100%')", "100%"),
    ],
)
def test_an_output(kernel: Kernel, code: str, text: str) -> None:
    item = item_after(kernel, code)

    assert (item["type"], item["text"]) == ("output", text)
    assert item["label"] == f"output of [{item['execution_count']}]"


def test_a_cell_that_said_nothing(kernel: Kernel) -> None:
    item = item_after(kernel, "y = 5")

    assert (item["type"], item["source"], item.get("text", "")) == ("cell", "y = 5", "")


def test_of_a_flood_the_end_is_kept_and_all_of_it_is_shown(kernel: Kernel) -> None:
    ran = kernel.run("for number in range(200_000):\n    print(number)\n1/0")
    item = item_after(kernel, "for number in range(200_000):\n    print(number)")

    shown = "".join(output.get("text", "") for output in ran.outputs)
    assert shown == "".join(f"{number}\n" for number in range(200_000))
    assert item["text"].endswith("\n199999")
    assert item["text"].startswith("[1268890 characters left out]\n")
    assert len(item["text"]) < 20_100


def test_a_long_error_and_a_long_result_are_cut(kernel: Kernel) -> None:
    error = item_after(kernel, "raise ValueError('x' * 1_000_000)")
    result = item_after(kernel, "'y' * 1_000_000")

    assert len(error["traceback"]) < 20_100
    assert len(error["evalue"]) < 20_100
    assert len(result["text"]) < 20_100


@pytest.mark.parametrize(
    "code", ["", "   \n", "%agent why?", "%agent status\n\n%agent why?\n", "%%agent\nwhy?"]
)
def test_what_is_no_cell_of_the_person_leaves_the_last_one(kernel: Kernel, code: str) -> None:
    item_after(kernel, "'kept'")
    item = item_after(kernel, code)

    assert item["text"] == "'kept'"


def test_a_programs_run_leaves_the_last_one(kernel: Kernel) -> None:
    item_after(kernel, "'kept'")
    kernel.client.execute_interactive("print('hidden')\n1/0", store_history=False, timeout=30)
    item = item_after(kernel, "")

    assert item["text"] == "'kept'"


def test_no_variable_of_a_failed_cell_is_kept_alive(kernel: Kernel) -> None:
    kernel.run(
        "import gc, weakref\n"
        "class Big: pass\n"
        "def fail():\n    big = Big()\n    global seen\n    seen = weakref.ref(big)\n    1/0"
    )
    item_after(kernel, "fail()")
    # IPython keeps the last error for `%debug`: that of an unrecorded run takes its place.
    kernel.client.execute_interactive("raise KeyError", store_history=False, timeout=30)
    item = item_after(kernel, "%agent --help")
    freed = kernel.run("gc.collect()\nseen() is None")

    assert item["source"] == "fail()"
    assert freed.result == "True"

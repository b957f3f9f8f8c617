"""What TAB offers after `%agent`: through IPython's own completer, in a real kernel."""

from __future__ import annotations

import signal
import time

import pytest

from agent_lab.kernel.completion import offers
from agent_lab.kernel.grammar import FLAGS, VALUES, WORDS
from tests.kernel.jupyter_process import PATIENCE_SECONDS, Jupyter, Kernel


def completed(kernel: Kernel, code: str) -> tuple[list[str], str]:
    """What the kernel offers at the end of the code, and the text that it would replace."""
    kernel.client.complete(code, len(code))
    while True:
        reply = kernel.client.get_shell_msg(timeout=PATIENCE_SECONDS)
        if reply["msg_type"] == "complete_reply":
            content = reply["content"]
            return content["matches"], code[content["cursor_start"] : content["cursor_end"]]


@pytest.mark.parametrize(
    ("text", "fragment", "offered"),
    [
        ("--", "--", [*FLAGS, *VALUES]),
        ("--wa", "--wa", ["--wait"]),
        ("--wait --pl", "--pl", ["--plan"]),
        ("--vars a,b --ne", "--ne", ["--new"]),
        ("fix --w", "--w", ["--wait"]),
        ("sta", "sta", ["status"]),
        ("--wait f", "f", ["fix"]),
        ("", "", [*WORDS, *FLAGS, *VALUES]),
        ("--vars ", "", ["df", "other"]),
        ("--vars d", "d", ["df"]),
        ("--vars=d", "d", ["df"]),
        ("--vars df,o", "o", ["other"]),
        ("--vars df,d", "d", []),
        ("--session 3", "3", ["3f2a0000"]),
        ("resume ", "", ["3f2a0000", "77aa0000"]),
        ("watch on", "on", ["on error", "on idle"]),
        ("--model op", "op", []),
        ("why does the --", "--", []),
        ("why sta", "sta", []),
    ],
)
def test_what_is_offered(text: str, fragment: str, offered: list[str]) -> None:
    ids = ["3f2a0000-0000", "77aa0000-0000"]

    assert offers(text, {"df": 1, "other": 2, "_hidden": 3}, lambda: ids) == (fragment, offered)


def test_in_a_kernel(kernel: Kernel) -> None:
    kernel.run("df, other = 1, 2")

    assert completed(kernel, "%agent --wai") == (["--wait"], "--wai")
    assert completed(kernel, "%%agent --all") == (["--all-errors"], "--all")
    assert completed(kernel, "x = 1\n%agent --vars df,ot") == (["other"], "ot")
    assert "df" in completed(kernel, "d")[0]
    assert "--wait" not in completed(kernel, "d")[0]


def test_sessions_are_offered_and_never_waited_for(jupyter: Jupyter, kernel: Kernel) -> None:
    kernel.run("%agent --no-context hello")
    kernel.updated()
    session = jupyter.session_of(kernel.path)["id"]
    jupyter.turn(session, "hello")
    # The first time may be too short for the answer; it is there a moment later.
    until = time.monotonic() + PATIENCE_SECONDS
    while not (offered := completed(kernel, "%agent resume ")[0]):
        assert time.monotonic() < until
    kernel.run(
        "import time\n"
        "matcher = get_ipython().Completer.custom_matchers[-1]\n"
        "from agent_lab.kernel import completion\n"
        "completion.FRESH_SECONDS = 0.0\n"
        "from IPython.core.completer import CompletionContext\n"
        "line = '%agent --session '\n"
        "context = CompletionContext(token='', full_text=line, cursor_position=len(line),"
        " cursor_line=0, limit=100)"
    )
    jupyter.process.send_signal(signal.SIGSTOP)
    try:
        taken = kernel.run(
            "began = time.perf_counter()\nmatcher(context)\ntime.perf_counter() - began"
        )
    finally:
        jupyter.process.send_signal(signal.SIGCONT)

    assert offered == [session[:8]]
    assert float(taken.result) <= 0.100

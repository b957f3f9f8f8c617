"""`%agent` in a terminal's IPython that no server started: the agent runs in that very process."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.engine.alone import Alone, wait_until


def test_ask_and_leave(alone: Alone) -> None:
    with alone.terminal() as shell:
        shell.until(r"In \[1\]:")
        assert not alone.data.exists(), "an engine runs before anything was asked"
        shell.type("%agent ask: one")
        answered = shell.until(r"Answer to: one.*In \[2\]:")
        shell.type("%agent status")
        status = shell.until(r"agent of this folder: .*In \[3\]:")
        running = alone.agents()
        shell.type("exit()")
        wait_until(lambda: not shell.program.isalive())

    assert "Agent panel" not in answered
    assert "idle" in status
    assert len(running) == 1
    assert alone.agents() == []
    runs = [json.loads(file.read_bytes()) for file in alone.data.glob("run/*/meta.json")]
    assert [run["ended"] for run in runs] == [True], "it was not ended in good order"


def test_what_the_agent_asks_is_answered_where_it_was_asked(alone: Alone) -> None:
    with alone.terminal() as shell:
        shell.until(r"In \[1\]:")
        shell.type("%agent bash: touch made.txt")
        asked = shell.until(r"Your answer, 1 to \d: ")
        shell.type("77")
        shell.until(r"Your answer, 1 to \d: ")
        assert not (alone.work / "made.txt").exists()
        shell.type("1")
        shell.until(r"It said: .*In \[2\]:")
        shell.type("%agent bash: touch unwanted.txt")
        again = shell.until(r"Your answer, 1 to \d: ")
        shell.type(rejection(again))
        shell.until(r"In \[3\]:")

    assert "touch made.txt" in asked
    assert "Allow once" in asked
    assert (alone.work / "made.txt").exists()
    assert not (alone.work / "unwanted.txt").exists()


def rejection(asked: str) -> str:
    found = re.search(r"(\d)  Reject", asked)
    assert found is not None, asked
    return found[1]


def test_an_interrupt_stops_the_agent(alone: Alone) -> None:
    with alone.terminal() as shell:
        shell.until(r"In \[1\]:")
        shell.type("%agent long")
        shell.until(r"word word")
        shell.program.sendintr()
        stopped = shell.until(r"In \[2\]:")
        shell.type("%agent bash: touch never.txt")
        shell.until(r"Your answer, 1 to \d: ")
        shell.program.sendintr()
        asked = shell.until(r"In \[3\]:")
        shell.type("%agent ask: still there")
        shell.until(r"Answer to: still there.*In \[4\]:")

    assert "Stopped: so was the agent." in stopped
    assert "Stopped: so was the agent." in asked
    assert "Traceback" not in stopped + asked


def test_a_folder_that_runs_things_is_never_trusted_by_itself(alone: Alone) -> None:
    settings = alone.work / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(hook(alone.work / "ran.txt")))
    with alone.terminal() as shell:
        shell.until(r"In \[1\]:")
        shell.type("%agent ask: one")
        refused = shell.until(r"UsageError.*In \[2\]:")
        shell.type("%agent trust no")
        shell.until(r"goes on without.*In \[3\]:")
        shell.type("%agent ask: two")
        shell.until(r"Answer to: two.*In \[4\]:")
        assert not (alone.work / "ran.txt").exists()
        shell.type("%agent trust yes")
        shell.until(r"agent obeys.*In \[5\]:")
        shell.type("%agent --new ask: three")
        shell.until(r"Answer to: three.*In \[6\]:")
        assert (alone.work / "ran.txt").exists()

    assert ".claude/settings.json" in refused
    assert "%agent trust yes" in refused


def hook(file: Path) -> object:
    command = {"type": "command", "command": f"touch {file}"}
    return {"hooks": {"UserPromptSubmit": [{"hooks": [command]}]}}


def test_two_processes_in_one_folder_have_a_session_each(alone: Alone) -> None:
    with alone.terminal() as one, alone.terminal() as other:
        one.until(r"In \[1\]:")
        other.until(r"In \[1\]:")
        one.type("%agent ask: one")
        one.until(r"Answer to: one.*In \[2\]:")
        other.type("%agent ask: other")
        other.until(r"Answer to: other.*In \[2\]:")
        one.type("%agent ask: one more")
        one.until(r"Answer to: one more.*In \[3\]:")
        one.type("%agent sessions")
        listed = one.until(r"goes on with one.*In \[4\]:")

    assert len(re.findall(r"ask: one\b", listed)) == 1
    assert len(re.findall(r"ask: other\b", listed)) == 1


def test_unloading_ends_it_and_loading_begins_anew(alone: Alone) -> None:
    with alone.terminal() as shell:
        shell.until(r"In \[1\]:")
        shell.type("%agent ask: one")
        shell.until(r"Answer to: one.*In \[2\]:")
        shell.type("%unload_ext agent_lab")
        shell.until(r"In \[3\]:")
        assert alone.agents() == []
        shell.type("%load_ext agent_lab")
        shell.until(r"In \[4\]:")
        shell.type("%agent ask: two")
        shell.until(r"Answer to: two.*In \[5\]:")
        shell.type("%agent usage")
        usage = shell.until(r"tokens out.*In \[6\]:")

    assert "2 turns" in usage, "the conversation of the folder goes on"

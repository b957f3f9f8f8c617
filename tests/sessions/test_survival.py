"""Kill the server again and again: every turn is completed exactly once. Fault 2 in its strong
form.

The agent is the real claude against the scripted model; the server is a process of its own that is
killed with SIGKILL at random moments of streaming turns, permission waits and tool runs.
"""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_lab.agents.registry import claude_command
from agent_lab.demo.sample import claude_environment
from agent_lab.demo.script import deltas_of
from tests.sessions.living import carrying

ROOT = Path(__file__).parents[2]
KILLS = 50
DEADLINE = 60.0


class Owner:
    """One life of the server."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        command = claude_command(())
        assert command is not None
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.sessions.owner",
                str(folder),
                json.dumps(command),
                json.dumps(environment),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.session_id = json.loads(self._lines.get(timeout=DEADLINE))["ready"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def say(self, **order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for event in self.events:
            if wanted(event):
                return event
        while line := self._lines.get(timeout=DEADLINE):
            event = json.loads(line)
            self.events.append(event)
            if wanted(event):
                return self.events[-1]
        raise AssertionError("the server ended")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def scripted_model() -> Iterator[str]:
    """The endpoint as a process of its own; yields its URL."""
    script = ROOT / "agent_lab" / "demo" / "scripts" / "tests.toml"
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_lab.demo.model", "--script", str(script), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def prompt_of(kind: str, number: int) -> tuple[str, str]:
    """A prompt, and the words its turn must end with."""
    if kind == "stream":
        return "stream 120 tokens at 200/s", "".join(deltas_of({"words": 120})).strip()
    if kind == "permission":
        return f"bash: echo {number} >> made.txt", "The command said: "
    return f"bash: sleep 0.7; echo {number} >> made.txt; echo done", "The command said: done"


@pytest.mark.timeout(900)
def test_every_turn_is_completed_exactly_once_through_fifty_kills(tmp_path: Path) -> None:
    chance = random.Random(20261120)
    (tmp_path / "root").mkdir()
    kills = 0
    with scripted_model() as url:
        environment = claude_environment(url, tmp_path / "home")
        owner = Owner(tmp_path, environment)
        try:
            number = 0
            while kills < KILLS:
                kind = ("stream", "permission", "tool")[number % 3]
                text, _ = prompt_of(kind, number)
                name = f"p{number}"
                owner.say(do="prompt", id=name, text=text)
                turn = owner.until(message_with(name))["turn_id"]
                for _ in range(2):
                    strike(owner, kind, turn, chance)
                    owner.kill()
                    kills += 1
                    owner = Owner(tmp_path, environment)
                finish(owner, turn)
                number += 1
            check(owner, tmp_path, number)
            owner.say(do="stop")
            owner.process.wait(timeout=DEADLINE)
            assert carrying("AGENT_LAB_SESSION", owner.session_id) == []
        finally:
            owner.kill()
            for process in carrying("AGENT_LAB_SESSION", owner.session_id):
                process.kill()  # only after a failure: its agent would wait for a server for ever


def message_with(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda e: bool(e["type"] == "user_message" and e["message_id"] == name)


def strike(owner: Owner, kind: str, turn: str, chance: random.Random) -> None:
    """Go on to a random moment of the turn."""
    moments = {
        "stream": ["turn_started", "agent_message_chunk", "agent_message_chunk"],
        "permission": ["turn_started", "tool_call", "permission_request", "answered"],
        "tool": ["permission_request", "answered", "answered"],
    }[kind]
    moment = chance.choice(moments)
    wanted = "permission_request" if moment == "answered" else moment

    def reached(event: dict[str, Any]) -> bool:
        return bool(event["turn_id"] == turn and event["type"] in (wanted, "turn_ended"))

    event = owner.until(reached)
    if moment == "agent_message_chunk" and event["type"] == moment:
        last = event["seq"] + chance.randrange(40)
        owner.until(
            lambda e: e["turn_id"] == turn and (e["seq"] >= last or e["type"] == "turn_ended")
        )
    if moment == "answered" and event["type"] == "permission_request":
        owner.say(do="answer")
        if chance.random() < 0.5:
            owner.until(
                lambda e: (
                    e["turn_id"] == turn and e["type"] in ("permission_resolved", "turn_ended")
                )
            )


def finish(owner: Owner, turn: str) -> None:
    """Answer what is still asked and see the turn end."""

    def needs(event: dict[str, Any]) -> bool:
        if event["turn_id"] != turn:
            return False
        return event["type"] in ("turn_ended", "permission_request")

    event = owner.until(needs)
    if event["type"] == "permission_request":
        owner.say(do="answer")
    owner.until(lambda e: e["turn_id"] == turn and e["type"] == "turn_ended")


def check(owner: Owner, folder: Path, turns: int) -> None:
    owner.until(lambda e: e["type"] == "usage" and e["turns"] == turns)
    events = owner.events
    ends = [e for e in events if e["type"] == "turn_ended"]
    assert [e["stop_reason"] for e in ends] == ["end_turn"] * turns
    messages = {e["message_id"]: e["turn_id"] for e in events if e["type"] == "user_message"}
    assert list(messages) == [f"p{number}" for number in range(turns)]
    assert sorted(messages.values()) == sorted(e["turn_id"] for e in ends)
    for number in range(turns):
        turn = messages[f"p{number}"]
        kind = ("stream", "permission", "tool")[number % 3]
        said = [e for e in events if e["turn_id"] == turn and e["type"] == "agent_message"]
        words = said[-1]["content"][0]["text"].strip()
        expected = prompt_of(kind, number)[1]
        if kind == "stream":
            assert words == expected
        else:
            assert words.startswith(expected)
        assert len({e["message_id"] for e in said}) == len(said)
        calls = [e for e in events if e["turn_id"] == turn and e["type"] == "permission_resolved"]
        assert len(calls) == (0 if kind == "stream" else 1)
    ran = (folder / "root" / "made.txt").read_text().split()
    assert ran == [str(number) for number in range(turns) if number % 3]
    seqs = [e["seq"] for e in events]
    assert seqs == sorted(set(seqs))

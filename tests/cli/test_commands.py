"""The commands that talk to a running server, as a person types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from agent_lab.cli import client, commands
from agent_lab.protocol import events
from agent_lab.protocol.errors import Unavailable
from tests.kernel.jupyter_process import TOKEN, Jupyter, jupyter_server, scratch_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), "/user/ada/") as running:
        (running.root / "work").mkdir()
        yield running


def started(server: Jupyter, *words: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent_lab.cli", *words],
        env=dict(server.environment),
        cwd=cwd or server.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(server: Jupyter, *words: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = started(server, *words, cwd=cwd)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_no_server(tmp_path: Path) -> None:
    for words in (["agents"], ["sessions"], ["send", "hello"], ["export", "an-id"]):
        ran = subprocess.run(
            [sys.executable, "-m", "agent_lab.cli", *words],
            env=scratch_environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert ran.stdout == ""
        assert ran.stderr == "No Jupyter server is running here. Start one with `jupyter lab`.\n"


def test_agents(server: Jupyter) -> None:
    code, out, _ = run(server, "agents")

    assert code == 0
    assert out.splitlines()[1].startswith("claude")


def test_send_then_find_then_follow_then_export(server: Jupyter, tmp_path: Path) -> None:
    code, out, _ = run(server, "send", "remember the osprey", cwd=server.root / "work")
    session = out.strip()
    first = server.turn(session, "osprey")
    followed = run(server, "send", "--session", session, "--follow", "and now this")
    found = run(server, "sessions", "osprey")
    _, exported, _ = run(server, "export", session)
    file = tmp_path / "transcript.jsonl"
    written = run(server, "export", session, "-o", str(file))

    assert code == 0
    assert first[-1]["stop_reason"] == "end_turn"
    assert followed[:2] == (0, "Answer to: and now this\n")
    header, row = found[1].splitlines()
    assert header.split() == ["ID", "STATUS", "UPDATED", "FOLDER", "TITLE"]
    assert row.startswith(session)
    assert row.endswith("work    remember the osprey")
    events = [json.loads(line) for line in exported.splitlines()]
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    assert [event["type"] for event in events].count("turn_ended") == 2
    assert written[:2] == (0, "")
    assert file.read_text().startswith(exported)  # an idle agent may have said more since


@pytest.mark.parametrize(
    ("streamed", "message", "printed"),
    [
        ([], "an answer", "an answer\n"),
        (["an ", "ans"], "an answer", "an answer\n"),
        (["an ", "answer"], "an answer", "an answer\n"),
        (["an ans"], "", "an ans\n"),
        ([], "", ""),
        (["an ans"], "another", "an ans\nanother\n"),
    ],
)
def test_a_message_that_was_streamed_in_part(
    streamed: list[str], message: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chunks that the log had not taken when the message was finished are never sent."""
    bodies: list[events.AnyBody] = [
        events.AgentMessageChunk(message_id="m1", text=text) for text in streamed
    ]
    content = (events.TextBlock(text=message),) if message else ()
    bodies.append(events.AgentMessage(message_id="m1", content=content))
    bodies.append(events.TurnEnded(stop_reason="end_turn"))
    lines = [
        b"data: " + events.join_event(n, "s", "t", "2026-01-01T00:00:00.000Z", events.encode(body))
        for n, body in enumerate(bodies, 1)
    ]

    code = commands._print_turn(BytesIO(b"\n".join(lines)))  # type: ignore[arg-type]  # lines

    assert (code, capsys.readouterr().out) == (0, printed)


def test_nothing_found(server: Jupyter) -> None:
    assert run(server, "sessions", "no-such-word") == (
        0,
        "No session matches 'no-such-word'.\n",
        "",
    )


@pytest.mark.parametrize(
    "words", [["export", "no-such-id"], ["send", "--session", "no-such-id", "hello"]]
)
def test_an_unknown_session(server: Jupyter, words: list[str]) -> None:
    code, out, err = run(server, *words)

    assert (code, out) == (1, "")
    assert err.startswith("There is no such session.")


def test_a_folder_outside_of_the_server(server: Jupyter, tmp_path: Path) -> None:
    code, _, err = run(server, "send", "--path", str(tmp_path), "hello")

    assert code == 1
    assert "lies outside of" in err


def test_a_turn_that_fails(server: Jupyter) -> None:
    code, out, err = run(server, "send", "--follow", "!tokens 5 crash-after 3 rate 0")

    assert code == 1
    assert out.startswith("w0")
    assert "The agent" in err


def test_what_an_agent_says_does_not_drive_the_terminal(server: Jupyter) -> None:
    code, out, err = run(server, "send", "--follow", "!ansi")

    assert code == 0
    assert "red" in out
    assert not {char for char in out + err if ord(char) < 32 or 127 <= ord(char) < 160} - {"\n"}


def test_ctrl_c_stops_following_and_not_the_turn(server: Jupyter) -> None:
    process = started(server, "send", "--follow", "!hang")
    assert process.stderr is not None
    session = process.stderr.readline().split()[-1]
    server.events(session, lambda event: event["type"] == "turn_started")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    status = server.call("GET", f"agent-lab/api/sessions/{session}")["status"]
    server.call("POST", f"agent-lab/api/sessions/{session}/cancel")

    assert process.returncode == 130
    assert "The turn goes on" in err
    assert status == "running"


def test_a_server_that_says_nothing_any_more_is_not_followed_for_ever(
    server: Jupyter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.5)
    here = client.Server(server.url, TOKEN, server.root)
    session = run(server, "send", "!hang")[1].strip()

    def follow() -> None:
        route = f"sessions/{session}/events?follow=1"
        with here.open("GET", route, accept="text/event-stream") as response:
            server.process.send_signal(signal.SIGSTOP)
            response.read()

    try:
        with pytest.raises(Unavailable, match="timed out"):
            follow()
    finally:
        server.process.send_signal(signal.SIGCONT)
    server.call("POST", f"agent-lab/api/sessions/{session}/cancel")


def test_a_reader_that_has_seen_enough(server: Jupyter) -> None:
    _, out, _ = run(server, "send", "!tokens 3000 rate 0")
    server.turn(out.strip(), "!tokens")
    process = started(server, "export", out.strip())
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(30) == 0
    assert err == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("{url}?token=wrong", "give its token"),
        ("http://127.0.0.1:9/", "cannot be reached"),
        ("localhost", "no server's address"),
        ("ftp://localhost/", "no server's address"),
        ("http://localhost:port/", "no server's address"),
        ("http://[::1", "no server's address"),
    ],
)
def test_an_address_that_does_not_work(server: Jupyter, address: str, expected: str) -> None:
    code, out, err = run(server, "agents", "--server", address.format(url=server.url))

    assert (code, out) == (1, "")
    assert expected in err


def test_two_servers_of_which_one_is_without_agent_lab(server: Jupyter, tmp_path: Path) -> None:
    other_root = server.root / "work" / "of another"  # the innermost that serves a folder counts
    other_root.mkdir()
    with jupyter_server(server.folder, root=other_root, agent_lab=False) as other:
        here = run(server, "agents", cwd=server.root / "work")
        there = run(server, "agents", cwd=other_root)
        nowhere = run(server, "agents", cwd=tmp_path)
        named = run(server, "agents", "--server", server.url, cwd=tmp_path)

    assert here[0] == named[0] == 0
    assert there[0] == 1
    assert "runs without Agent Lab" in there[2]
    assert nowhere[0] == 1
    assert server.url in nowhere[2]
    assert other.url in nowhere[2]


def test_nothing_to_send_makes_no_session(server: Jupyter) -> None:
    before = run(server, "sessions")
    code, out, err = run(server, "send", " ")

    assert (code, out) == (1, "")
    assert "nothing to send" in err
    assert run(server, "sessions") == before


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["export"],
        ["send"],
        ["send", "caf\udce9"],
        ["sessions", "caf\udce9"],
        ["export", "caf\udce9"],
        ["demo", "--port", "x"],
        ["demo", "--port", "65536"],
        ["demo", "--port=-1"],
    ],
)
def test_wrong_arguments(tmp_path: Path, words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "agent_lab.cli", *words],
        env=scratch_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "usage: jupyter agent-lab" in ran.stderr

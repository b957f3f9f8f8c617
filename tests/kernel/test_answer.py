"""A turn's events as a cell shows them, from recorded turns and from hostile words. Pure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_lab.kernel.answer import Answer, harmless
from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    AnyBody,
    Event,
    Notice,
    PermissionRequest,
    PermissionResolved,
    Session,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    TurnEnded,
    TurnError,
    UserMessage,
    Workspace,
    decode_event,
)

FOLD = Path(__file__).parents[1] / "transcripts" / "fold"


def session() -> Session:
    return Session(
        id="s", title="t", agent="claude", agent_session_id=None,
        workspace=Workspace(path="", cwd="/"), created_at="", updated_at="",
    )  # fmt: skip


def answered(*bodies: AnyBody, turn: str = "t") -> Answer:
    answer = Answer(session(), "p", turn)
    for seq, body in enumerate(bodies, 1):
        answer.push(Event(seq, "s", turn, "2026-01-01T00:00:00.000Z", body))
    return answer


def said(text: str) -> AgentMessage:
    return AgentMessage(message_id="m", content=(TextBlock(text),))


def tool(status: str = "pending", title: str = "Read orders.csv") -> ToolCall:
    return ToolCall(tool_call_id="c", title=title, name="Read", status=status)  # type: ignore[arg-type]


def test_only_the_turn_of_this_prompt_is_shown() -> None:
    answer = Answer(session(), "mine")
    log: list[tuple[str | None, AnyBody]] = [
        ("other", AgentMessage(message_id="a", content=(TextBlock("not mine"),))),
        ("other", TurnEnded(stop_reason="end_turn")),
        ("turn", UserMessage(message_id="mine", content=())),
        ("turn", AgentMessage(message_id="b", content=(TextBlock("mine"),))),
        (None, Notice(level="error", code="x", text="of the session")),
        ("turn", TurnEnded(stop_reason="end_turn")),
    ]
    for seq, (turn, body) in enumerate(log, 1):
        answer.push(Event(seq, "s", turn, "", body))

    assert answer.markdown() == answer.plain() == "mine"
    assert answer.ended is not None
    assert answer.failure == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLD.glob("claude_*.jsonl")))
def test_what_comes_piece_by_piece_is_what_is_there_in_the_end(name: str) -> None:
    """Each message of a recorded turn is printed whole and once, whatever its chunks were."""
    events = [decode_event(line) for line in (FOLD / f"{name}.jsonl").read_bytes().splitlines()]
    for prompt in [e for e in events if isinstance(e.body, UserMessage)]:
        assert isinstance(prompt.body, UserMessage)
        answer = Answer(session(), prompt.body.message_id)
        printed = ""
        for event in events:
            answer.push(event)
            printed += answer.news()
        for message in answer.plain().split("\n"):
            if message.startswith(("* ", "?")):
                continue  # a tool's line says later how it ended
            assert message in printed
        assert answer.news() == ""


def test_text_that_grows_is_printed_once() -> None:
    answer = Answer(session(), "p", "t")
    pieces = []
    bodies: tuple[AnyBody, ...] = (
        AgentMessageChunk(message_id="m", text="one "),
        AgentMessageChunk(message_id="m", text="two"),
        tool(),
        ToolCallUpdate(tool_call_id="c", status="completed"),
        said("one two"),
        AgentMessageChunk(message_id="n", text="three"),
        TurnEnded(stop_reason="end_turn"),
    )
    for seq, body in enumerate(bodies, 1):
        answer.push(Event(seq, "s", "t", "", body))
        pieces.append(answer.news())

    assert pieces == ["one ", "two", "\n* Read orders.csv", "", "", "\nthree", "\n"]


def test_tools_and_permissions() -> None:
    asks = PermissionRequest(request_id="r", kind="tool", title="Run `rm -r *`", options=())
    waiting = answered(said("I will."), tool(), asks)
    done = answered(
        said("I will."), tool(), asks,
        PermissionResolved(request_id="r", outcome="selected"),
        ToolCallUpdate(tool_call_id="c", status="failed"),
        TurnEnded(stop_reason="end_turn"),
    )  # fmt: skip

    assert waiting.markdown() == (
        "I will.\n\n- Read orders.csv …\n\n"
        r"**Waiting for you in the Agent panel:** Run \`rm \-r \*\`"
    )
    assert done.markdown() == "I will.\n\n- Read orders.csv (failed)"


@pytest.mark.parametrize(
    ("ended", "failure", "shown"),
    [
        (TurnEnded(stop_reason="end_turn"), "", "x"),
        (TurnEnded(stop_reason="cancelled"), "The agent was stopped.", "x"),
        (TurnEnded(stop_reason="error", error=TurnError("No key.", "auth")), "No key.", "x"),
        (TurnEnded(stop_reason="max_tokens"), "", "longest that the model may write"),
    ],
)
def test_how_a_turn_ends(ended: TurnEnded, failure: str, shown: str) -> None:
    answer = answered(said("x"), ended)

    assert answer.failure == failure
    assert shown in answer.markdown()
    assert shown in answer.plain()


@pytest.mark.parametrize(
    "markdown",
    [
        "![x](http://127.0.0.1:9/leak)",
        "![x][ref]\n\n[ref]: http://127.0.0.1:9/leak",
        "<img src=http://127.0.0.1:9/leak>",
        "<IMG\nsrc=http://127.0.0.1:9/leak>",
        "```\n![x](http://127.0.0.1:9/leak)\n```",
        "<svg><image href=http://127.0.0.1:9/leak></svg>",
        "<video src=x></video>",
        "<table background=http://127.0.0.1:9/leak>",
    ],
)
def test_nothing_that_a_page_would_fetch_is_left(markdown: str) -> None:
    shown = harmless(markdown)

    assert "![" not in shown
    assert not any(f"<{tag}" in shown.lower() for tag in ("img", "svg", "image", "video", "table"))
    assert shown.replace("\N{WORD JOINER}", "") == markdown


def test_what_means_nothing_stays_as_it_is() -> None:
    text = "a < b, `List<int>`, [link](https://example.org), wow! [ref], <b>bold</b>\n- x"

    assert harmless(text) == text


def test_hostile_words_drive_nothing() -> None:
    corpus = Path(__file__).parents[1] / "stories" / "hostile.json"
    words = [str(one) for one in _texts(json.loads(corpus.read_text("utf-8")))]
    assert len(words) > 100
    for text in (*words, "\x1b]52;c;ZmFrZQ==\x07", "\ud800", "\x9b31m"):
        answer = answered(said(text), tool(title=text))
        for shown in (answer.markdown(), answer.plain(), answer.news()):
            assert not any(char in shown for char in "\x1b\x07\x9b\x00")
            shown.encode()
        assert "<img" not in answer.markdown().lower()


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]

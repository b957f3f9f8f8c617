"""The list of what was sent as a fold: our tools' results, answers, and a log read in two goes."""

from __future__ import annotations

from agent_lab.notebook.sent import Fold, to_csv, to_markdown
from agent_lab.protocol.events import (
    AnyBody,
    ContextDial,
    ContextItem,
    Event,
    ImageBlock,
    PermissionResolved,
    SessionUpdated,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    TurnStarted,
    UserMessage,
)


def folded(*bodies: AnyBody) -> Fold:
    fold = Fold()
    for seq, body in enumerate(bodies, 1):
        fold.push(Event(seq, "s", "t1", "2026-01-05T10:00:00.000Z", body))
    return fold


CALL = ToolCall(tool_call_id="c", title="Run code", name="mcp__agent_lab__run_code")
DONE = ToolCallUpdate(
    tool_call_id="c",
    status="completed",
    content=(
        TextBlock(
            '12 [masked: token] [… not sent: the context dial of this folder is at "sample"]'
        ),
        ImageBlock("image/png", "aGVsbG8="),
    ),
)


def test_a_result_of_our_tools_is_listed_once_with_its_level() -> None:
    fold = folded(
        SessionUpdated(dial=ContextDial(read="summary"), model="m"),
        TurnStarted(),
        UserMessage(message_id="m", content=(TextBlock("hi"),)),
        CALL,
        DONE,
        ToolCallUpdate(tool_call_id="c", status="completed"),
        SessionUpdated(dial=ContextDial(read="full")),
    )
    [turn] = fold.turns()
    _, image, result = turn.parts
    assert (turn.model, turn.dial.read) == ("m", "summary")
    assert (image.bytes, image.level, image.by) == (5, "summary", "tool")
    assert (result.level, result.masked, result.withheld) == ("summary", {"token": 1}, True)
    assert turn.characters == 2 + result.characters


def test_the_level_is_that_of_the_moment() -> None:
    fold = folded(CALL, SessionUpdated(dial=ContextDial(read="off")), DONE)
    assert fold.turns()[0].parts[-1].level == "off"


def test_what_a_person_answers_leaves_too() -> None:
    fold = folded(
        PermissionResolved(request_id="r", outcome="selected", message="no, use b"),
        PermissionResolved(request_id="q", outcome="selected", answers={"which?": "the red one"}),
        PermissionResolved(request_id="x", outcome="cancelled", by="cancel", message="not sent"),
    )
    assert [(part.kind, part.characters) for part in fold.turns()[0].parts] == [
        ("answer", 9),
        ("answer", 11),
    ]


def test_what_happened_since_is_the_servers_doing() -> None:
    item = ContextItem(type="since", label="since: 1 cell ran", text="x", notebook="a.ipynb")
    fold = folded(UserMessage(message_id="m", content=(), context=(item,)))
    [part] = fold.turns()[0].parts
    assert (part.by, part.level, part.where) == ("agent_lab", "sample", "a.ipynb")


def test_documents_of_nothing_are_documents() -> None:
    assert folded(TurnStarted()).turns() == []
    assert to_csv([]).count("\n") == 1
    assert to_markdown([], "a | b").startswith("# What was sent: a \\| b")

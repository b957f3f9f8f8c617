"""Recordings of the real claude (`transcripts/claude`) turned into the events a session would
log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent_lab.agents.adapters.base import Fact
from agent_lab.agents.adapters.claude import ClaudeAdapter
from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import (
    AnyBody,
    Event,
    PermissionResolved,
    TextBlock,
    TurnStarted,
    UserMessage,
)

FOLDER = Path(__file__).parent / "transcripts"
CLAUDE = FOLDER / "claude"
FOLD = FOLDER / "fold"
_START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def recordings() -> list[str]:
    return sorted(file.stem for file in CLAUDE.glob("*.jsonl"))


def lines(name: str) -> Iterator[dict[str, Any]]:
    """The lines of one recording: {"t": seconds, "dir": "in" | "out" | "err", "msg": …}."""
    for line in (CLAUDE / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def events_of(name: str) -> list[Event]:
    """What the adapter makes of a recording, with our side of the conversation added."""
    adapter = ClaudeAdapter(f"$LAB/ws/{name}")
    events: list[Event] = []
    prompts = 0

    def add(seconds: float, turn_id: str | None, body: AnyBody) -> None:
        time = (_START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
        events.append(Event(len(events) + 1, name, turn_id, time.replace("+00:00", "Z"), body))

    for line in lines(name):
        message, at = line["msg"], line["t"]
        if not isinstance(message, dict):
            continue
        if line["dir"] == "out":
            for one in adapter.decode(json.dumps(message).encode()):
                if isinstance(one, Fact):
                    add(at, one.turn_id, one.body)
        elif message.get("type") == "user":
            prompts += 1
            turn = message.get("uuid") or str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}{prompts}"))
            content = message["message"].get("content")
            text = content if isinstance(content, str) else json.dumps(content)
            adapter.prompt(turn, (TextBlock(text),), ())
            add(at, turn, UserMessage(message_id=f"p{prompts}", content=(TextBlock(text),)))
            add(at, turn, TurnStarted())
        elif message.get("type") == "control_request":
            if message["request"]["subtype"] == "interrupt":
                adapter.cancel("interrupt")
        elif message.get("type") == "control_response":
            _answered(adapter, message["response"], lambda body, at=at: add(at, None, body))
    return events


def _answered(adapter: ClaudeAdapter, response: dict[str, Any], add: Any) -> None:
    id, said = response["request_id"], response.get("response") or {}
    option = "allow_once" if said.get("behavior") == "allow" else "reject_once"
    try:
        adapter.answer(AnswerPermission(request_id=id, option_id=option))
    except KeyError:
        return
    add(PermissionResolved(request_id=id, outcome="selected", option_id=option))

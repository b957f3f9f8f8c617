"""Write what the adapter makes of every recording and the Python fold of every fixture: `python -m
tests.protocol.regenerate`.

Adapter and both folds are compared with these files. Read the difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from agent_lab.protocol.events import Json, Session, decode_event, encode, encode_event
from agent_lab.protocol.transcript import fold
from tests.recordings import events_of, recordings

FIXTURES = Path(__file__).parent.parent / "transcripts" / "fold"


def fixtures() -> list[Path]:
    return sorted(FIXTURES.glob("*.jsonl"))


def recorded_file(name: str) -> Path:
    """The events of a recording of the real claude."""
    return FIXTURES / f"claude_{name}.jsonl"


def recorded_events(name: str) -> bytes:
    return b"".join(encode_event(event) + b"\n" for event in events_of(name))


def expected_file(fixture: Path) -> Path:
    return fixture.with_suffix(".expected.json")


def folded(fixture: Path) -> Json:
    """The transcript of a fixture's events, as JSON."""
    session = msgspec.json.decode((FIXTURES / "session.json").read_bytes(), type=Session)
    events = (decode_event(line) for line in fixture.read_text().splitlines() if line.strip())
    return json.loads(encode(fold(session, events)))


def main() -> None:
    for name in recordings():
        recorded_file(name).write_bytes(recorded_events(name))
    for fixture in fixtures():
        text = json.dumps(folded(fixture), ensure_ascii=False, indent=1) + "\n"
        expected_file(fixture).write_text(text)


if __name__ == "__main__":
    main()

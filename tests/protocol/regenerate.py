"""Write what the Python fold makes of every fixture: `python -m tests.protocol.regenerate`.

Both folds are compared with these files. Read the difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from agent_lab.protocol.events import Json, Session, decode_event, encode
from agent_lab.protocol.transcript import fold

FIXTURES = Path(__file__).parent.parent / "transcripts" / "fold"


def fixtures() -> list[Path]:
    return sorted(FIXTURES.glob("*.jsonl"))


def expected_file(fixture: Path) -> Path:
    return fixture.with_suffix(".expected.json")


def folded(fixture: Path) -> Json:
    """The transcript of a fixture's events, as JSON."""
    session = msgspec.json.decode((FIXTURES / "session.json").read_bytes(), type=Session)
    events = (decode_event(line) for line in fixture.read_text().splitlines() if line.strip())
    return json.loads(encode(fold(session, events)))


def main() -> None:
    for fixture in fixtures():
        text = json.dumps(folded(fixture), ensure_ascii=False, indent=1) + "\n"
        expected_file(fixture).write_text(text)


if __name__ == "__main__":
    main()

"""The Python fold on the fixtures that its TypeScript twin reads too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_lab.protocol.events import AnyBody, decode_event, type_of
from tests.protocol.regenerate import expected_file, fixtures, folded


@pytest.mark.parametrize("fixture", fixtures(), ids=lambda path: str(path.stem))
def test_fold_is_as_recorded(fixture: Path) -> None:
    assert folded(fixture) == json.loads(expected_file(fixture).read_text())


def test_every_event_type_has_a_fixture() -> None:
    seen = {
        type_of(decode_event(line).body)
        for fixture in fixtures()
        for line in fixture.read_text().splitlines()
        if line.strip()
    }
    known = {str(kind.__struct_config__.tag) for kind in AnyBody.__args__}
    assert seen == known

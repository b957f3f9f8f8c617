"""Code in a real kernel through the tools: what comes back, and what does not get in the way."""

from __future__ import annotations

from tests.notebook.conftest import Bind
from tests.notebook.lab import Bonded


async def test_a_value_comes_back(lab: Bonded) -> None:
    assert "42" in (await lab.fine("run_code", code="print('x'); 6 * 7")).text


async def test_what_the_person_has_seen_last_stays(bind: Bind) -> None:
    lab = await bind("'person'", "[_, dict(Out)]")
    last = "[_, __, ___, dict(Out)]"
    await lab.fine("run_cell", cell_id="c0")
    told = "['person', '', '', {1: 'person'}]"
    assert told in (await lab.fine("run_code", code=last)).text
    await lab.fine("run_code", code="for _ in range(3): pass\n1 + 1")
    await lab.tool("run_code", code="2 + 2; 1 / 0")
    await lab.fine("run_code", code=" ")
    assert told in (await lab.fine("run_code", code=last)).text
    seen = (await lab.fine("run_cell", cell_id="c1")).text
    assert "['person', {1: 'person'}]" in seen

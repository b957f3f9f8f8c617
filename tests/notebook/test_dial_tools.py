"""Every tool's result leaves through the folder's dial, and says what stayed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.conftest import Bind
from tests.notebook.lab import Bonded

FRAME = (
    "import pandas as pd\n"
    "people = pd.DataFrame({'region': ['North', 'South'], 'salary': [91000 + 234, 81000 + 234]})\n"
    "word = 'a private sentence'\n"
)


@pytest.fixture
def jp_server_config(lab_config: dict[str, Any]) -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"agent_lab": True}},
        "AgentLab": lab_config,
    }


async def made(bind: Bind) -> Bonded:
    lab = await bind(FRAME + "print(word)", "people", "1 / 0", "%load_ext agent_lab")
    await lab.dial(level="full")
    for cell in ("c3", "c0", "c1"):
        await lab.fine("run_cell", cell_id=cell)
    await lab.failed("run_cell", cell_id="c2")
    return lab


async def all_told(lab: Bonded) -> str:
    told = [
        await lab.tool("run_cell", cell_id="c0"),
        await lab.tool("run_cell", cell_id="c1"),
        await lab.tool("run_code", code="people"),
        await lab.tool("read_notebook"),
        await lab.tool("read_cell", cell_id="c1"),
        await lab.tool("list_variables"),
        await lab.tool("inspect_variable", name="people"),
        await lab.tool("inspect_variable", name="word"),
    ]
    sources = "word = 'a private sentence'\nprint(word)"
    return "\n".join(one.text for one in told).replace(sources, "").replace(FRAME, "")


async def test_levels_hold_for_every_tool(bind: Bind) -> None:
    lab = await made(bind)
    full = await all_told(lab)
    assert "91234" in full
    assert "a private sentence" in full
    for level, values, shapes in (("off", False, False), ("schema", False, True),
                                  ("summary", False, True), ("sample", True, True)):  # fmt: skip
        await lab.dial(level=level)
        told = await all_told(lab)
        rows = await lab.fine("run_code", code="people")
        assert ("91234" in rows.text) is values, level
        assert ("2 x 2" in told) is shapes, level
        if not values:
            assert "a private sentence" not in told, level
            assert "not sent: the context dial" in told, level


async def test_errors_leave_by_their_level(bind: Bind) -> None:
    lab = await made(bind)
    await lab.dial(level="schema")
    said = await lab.failed("run_cell", cell_id="c2")
    assert "ZeroDivisionError" in said
    assert "division by zero" not in said
    await lab.dial(level="summary")
    assert "division by zero" in await lab.failed("run_cell", cell_id="c2")
    await lab.dial(level="off")
    assert "ZeroDivisionError" not in await lab.failed("run_cell", cell_id="c2")


async def test_masked_columns_and_patterns_leave_nowhere(bind: Bind) -> None:
    lab = await made(bind)
    await lab.dial(columns=["salary"], masks=["private \\w+"])
    told = await all_told(lab)
    for value in ("91234", "81234", "private sentence"):
        assert value not in told
    assert "[masked: column]" in told or "masked column" in told
    assert "[masked: " in told
    assert "North" in told


async def test_every_mask_that_the_dial_takes_holds_for_a_column_alone(bind: Bind) -> None:
    lab = await made(bind)
    await lab.fine("run_code", code="wages = people['salary']; other = people['salary'] * 1")
    others = [f"column {number}".ljust(200, "*") for number in range(199)]
    path = f"sessions/{lab.session.id}/dial"
    refused = await lab.server.call("PATCH", path, {"columns": [*others, "salary", "one more"]})
    assert refused.status == 400
    assert "200 masked columns; these are 201" in refused.json["message"]
    await lab.dial(columns=[*others, "salary"])
    told = [
        await lab.tool("inspect_variable", name="wages"),
        await lab.tool("inspect_variable", name="other"),
        await lab.tool("inspect_variable", name="people['salary']"),
        await lab.tool("inspect_variable", name="people"),
        await lab.tool("run_code", code="wages"),
        await lab.tool("list_variables"),
    ]
    assert not any("1234" in one.text for one in told)
    assert all("masked" in one.text for one in told[:4])


async def test_pages_of_long_outputs_leave_by_the_dial(bind: Bind) -> None:
    lab = await made(bind)
    # A private key whose beginning is on one page and whose end on the next.
    key = (
        "key = ['-----BEGIN PRIVATE KEY-----', *['Q2FuIHlvdSByZWFkIHRoaXM' * 2] * 9,"
        " '-----END PRIVATE KEY-----']\n"
        "lines = ['x' * 99] * 3995\n"
        "lines[478:478] = key\n"
        "print('\\n'.join(lines))"
    )
    told = await lab.fine("run_code", code=key)
    (one,) = (await lab.message("resources/list"))["result"]["resources"]
    assert one["uri"] in told.text

    async def page(number: int) -> str:
        read = await lab.message("resources/read", {"uri": f"{one['uri']}/{number}"})
        return str(read["result"]["contents"][0]["text"])

    pages = [await page(1), await page(2)]
    assert all("Q2Fu" not in text for text in pages)
    assert any("[masked: private key]" in text for text in pages)
    await lab.dial(level="sample")
    assert "xxx" not in await page(2)
    assert "not sent: the context dial" in await page(2)
    await lab.dial(level="full", columns=["salary"])
    assert "xxx" not in await page(2)


async def test_our_runs_are_known_as_ours_with_their_cell(bind: Bind) -> None:
    lab = await made(bind)
    watch = lab.app.web_app.settings["agent_lab"].watching.account.watch
    record = watch.record(lab.kernel_id)
    assert record is not None
    run = record.runs()[-1]
    assert (run.session_id, run.cell_id, run.by_agent) == (lab.session.id, "c2", True)

"""Code in a real kernel through the tools: what comes back, and what does not get in the way."""

from __future__ import annotations

import statistics
import time

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


async def test_it_is_about_as_fast_as_a_bare_client(lab: Bonded) -> None:
    await lab.fine("run_code", code="1+1")
    client = lab.kernels.get_kernel(lab.kernel_id).client()
    client.start_channels(stdin=False, hb=False)
    await client.wait_for_ready(timeout=20)
    bare, ours = [], []
    for _ in range(30):
        began = time.perf_counter()
        id = client.execute("1+1", store_history=False)
        while True:
            message = await client.get_iopub_msg(timeout=10)
            idle = message["content"].get("execution_state") == "idle"
            if message["parent_header"].get("msg_id") == id and idle:
                break
        await client.get_shell_msg(timeout=10)
        bare.append(time.perf_counter() - began)
        began = time.perf_counter()
        await lab.tool("run_code", code="1+1")
        ours.append(time.perf_counter() - began)
    client.stop_channels()
    bare_ms, ours_ms = statistics.median(bare) * 1000, statistics.median(ours) * 1000
    assert ours_ms <= 2 * bare_ms + 10, f"{ours_ms:.1f} ms, bare {bare_ms:.1f} ms"

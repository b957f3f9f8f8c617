"""What it costs to follow a kernel while its cell prints, beside one that nobody follows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import psutil
from jupyter_client.blocking.client import BlockingKernelClient

from .clients import API, call
from .measures import Run
from .report import Figure, median
from .servers import Server, jupyter, scratch_environment

LINES_A_SECOND = 1000
MOST_CPU = 1.0
MOST_SLOWER = 1.03
"""Two kernels that nobody follows differ by as much."""
PRINTING = """
import sys, time
_began = time.perf_counter()
for _i in range({count}):
    sys.stdout.write(f"line {{_i}} of the output of a cell that says much\\n")
    sys.stdout.flush()
    time.sleep(max(0.0, _began + _i / {rate} - time.perf_counter()))
"""
WORKING = """
import time
_began = time.perf_counter()
for _i in range(20_000):
    print(_i)
sum(_i * _i for _i in range(1_000_000))
_took = time.perf_counter() - _began
"""


class Kernel:
    """A kernel of the server, and a client of its own that reads no output."""

    def __init__(self, server: Server, model: dict[str, dict[str, str]]) -> None:
        self.id = model["kernel"]["id"]
        file = server.folder / "runtime" / f"kernel-{self.id}.json"
        self.client = BlockingKernelClient(connection_file=str(file))
        self.client.load_connection_file()
        self.client.start_channels(iopub=False, stdin=False, hb=False, control=False)

    def run(self, code: str, expression: str = "None") -> str:
        """Run a cell to its end, and then say what an expression is."""
        asked = self.client.execute(code, user_expressions={"said": expression})
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == asked:
                assert reply["content"]["status"] == "ok", reply["content"]
                return str(reply["content"]["user_expressions"]["said"]["data"]["text/plain"])


async def kernel_output(run: Run) -> AsyncIterator[Figure]:
    """A cell prints in a kernel with a session and in one without, in turns, in one server."""
    rounds, seconds = run.pick(6, 2), run.pick(4.0, 2.0)
    environment = scratch_environment(run.folder)
    async with jupyter(run.folder, environment=environment) as server:
        kernels = {}
        for name in ("followed", "alone"):
            new = {
                "path": f"{name}.ipynb", "name": "", "type": "notebook",
                "kernel": {"name": "python3"},
            }  # fmt: skip
            kernel = Kernel(server, await call(server.url, "POST", "api/sessions", new))
            await asyncio.to_thread(kernel.run, "pass")
            kernels[name] = kernel
        followed = {"notebook": "followed.ipynb", "kernel_id": kernels["followed"].id}
        session = await call(server.url, "POST", f"{API}/sessions", followed)
        since = f"{API}/sessions/{session['id']}/since"
        await asyncio.sleep(3.0)  # until its kernel has been asked what there is to ask
        await asyncio.to_thread(kernels["followed"].run, "followed = True")
        await asyncio.sleep(1.0)
        said = await call(server.url, "GET", since)
        assert "followed = True" in said["item"]["text"], said
        cpu: dict[str, list[float]] = {name: [] for name in kernels}
        took: dict[str, list[float]] = {name: [] for name in kernels}
        printing = PRINTING.format(count=int(LINES_A_SECOND * seconds), rate=LINES_A_SECOND)
        for turn in range(rounds):
            for name in sorted(kernels, reverse=bool(turn % 2)):
                cpu[name].append(await _share(server, kernels[name], printing))
                seconds_taken = await asyncio.to_thread(kernels[name].run, WORKING, "_took")
                took[name].append(float(seconds_taken) * 1000)
    yield Figure(
        what=f"following a kernel, {LINES_A_SECOND:,} lines/s",
        here=median(cpu["followed"]),
        baseline=median(cpu["alone"]),
        baseline_is="the same server, a kernel without a session",
        unit="% CPU",
        how="added",
        target=MOST_CPU,
        note=f"{rounds} rounds of {seconds:.0f} s, {os.cpu_count()} cores",
    )
    yield Figure(
        what="a cell that prints 20,000 lines in a kernel that is followed",
        here=median(took["followed"]),
        baseline=median(took["alone"]),
        baseline_is="the same cell in a kernel without a session",
        unit="ms",
        how="ratio",
        target=MOST_SLOWER,
        digits=0,
        note=f"{rounds} rounds",
    )


async def _share(server: Server, kernel: Kernel, code: str) -> float:
    """Per cent of a core that the server took while a cell ran."""
    process = psutil.Process(server.process.pid)
    before, began = process.cpu_times(), time.perf_counter()
    await asyncio.to_thread(kernel.run, code)
    after, seconds = process.cpu_times(), time.perf_counter() - began
    used = after.user + after.system - before.user - before.system
    return 100 * used / seconds

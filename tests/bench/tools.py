"""What the tools cost: `run_code` through MCP, a look into a kernel's memory, a trial's fork."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.notebook.live import live_kernel

from .clients import API, call
from .measures import Run
from .report import Figure, median, percentile
from .servers import Server, jupyter, scratch_environment
from .telling import NAME

VARIABLES = 200
IDLE_MS, BUSY_MS = 50.0, 150.0
HELD_MS = 22.0
MORE_MS = 10.0

MANY = """
import numpy, pandas
_kinds = (
    lambda n: n, lambda n: f"text {n}" * 20, lambda n: [n] * 1000, lambda n: {str(n): n},
    lambda n: numpy.zeros((100, n + 1)), lambda n: pandas.DataFrame({"a": range(n + 1), "b": "x"}),
)
for _n in range(200):
    globals()[f"v{_n}"] = _kinds[_n % len(_kinds)](_n)
"""
BUSY = """
import time
_end = time.monotonic() + {seconds}
while time.monotonic() < _end:
    sum(_i * _i for _i in range(10_000))
"""


class _Door:
    """One agent's connection to the tools over HTTP."""

    def __init__(self, server: Server, session_id: str, secret: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._address = f"/agent-lab/mcp/{session_id}"
        self._head = {
            "Authorization": f"Bearer {secret}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }

    def run_code(self, code: str) -> str:
        asked = {
            "jsonrpc": "2.0", "id": str(uuid.uuid4()), "method": "tools/call",
            "params": {"name": "run_code", "arguments": {"code": code}},
        }  # fmt: skip
        self._connection.request("POST", self._address, json.dumps(asked), self._head)
        with self._connection.getresponse() as answer:
            told = json.loads(answer.read())
        assert not told["result"].get("isError"), told
        return str(told["result"]["content"])


def _bare(client: BlockingKernelClient) -> None:
    """As jupyter_client itself runs a cell: until it is idle again."""
    said: list[Any] = []
    client.execute_interactive("1+1", store_history=False, output_hook=said.append, timeout=60)
    assert any("2" in str(message["content"]) for message in said)


async def running(run: Run) -> AsyncIterator[Figure]:
    """`run_code("1+1")` over HTTP and by jupyter_client in the same kernel, in turns."""
    environment = scratch_environment(run.folder)
    here, there = list[float](), list[float]()
    async with jupyter(run.folder, environment=environment, beside=NAME) as server:
        new = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        (server.root / "a.ipynb").write_text(
            '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        )
        kernel_id = (await call(server.url, "POST", "api/sessions", new))["kernel"]["id"]
        file = server.folder / "runtime" / f"kernel-{kernel_id}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        await asyncio.to_thread(client.wait_for_ready, 60)
        bound = {"notebook": "a.ipynb", "kernel_id": kernel_id}
        session = await call(server.url, "POST", f"{API}/sessions", bound)
        secret = (await call(server.url, "GET", f"bench/secret/{session['id']}"))["secret"]
        door = _Door(server, session["id"], secret)
        assert "2" in await asyncio.to_thread(door.run_code, "1+1")

        def both() -> None:
            for _ in range(run.pick(100, 20)):
                for took, work in ((there, lambda: _bare(client)),
                                   (here, lambda: door.run_code("1+1"))):  # fmt: skip
                    began = time.perf_counter()
                    work()
                    took.append(1000 * (time.perf_counter() - began))

        await asyncio.to_thread(both)
        client.stop_channels()
    bare = median(there)
    yield Figure(
        what='run_code("1+1") through MCP',
        here=median(here),
        baseline=bare,
        baseline_is="jupyter_client's execute_interactive in the same kernel",
        unit="ms",
        target=2 * bare + MORE_MS,
        note=f"p95 {percentile(here, 95):.1f} ms, {len(here)} calls in turns; target 2 x + 10 ms",
    )


def _looks(run: Run) -> dict[str, list[float]]:
    from agent_lab.notebook.kernel import HARMLESS, ask
    from agent_lab.notebook.variables import variables

    took: dict[str, list[float]] = {name: [] for name in ("bare", "idle", "bare busy", "busy")}
    held = took.setdefault("held", [])
    plain = took.setdefault("plain", [])
    with live_kernel(run.folder) as kernel:
        kernel.run(MANY)

        def timed(name: str, work: Any) -> Any:
            began = time.perf_counter()
            told = kernel.do(work)
            took[name].append(1000 * (time.perf_counter() - began))
            return told

        for _ in range(run.pick(40, 10)):
            timed("bare", ask(kernel.manager, HARMLESS, {}))
            assert len(timed("idle", variables(kernel.manager))) >= VARIABLES
        seconds = run.pick(20.0, 6.0)
        kernel.begin(BUSY.format(seconds=seconds))
        until = time.monotonic() + seconds * 0.8
        kernel.do(asyncio.sleep(0.5))
        while time.monotonic() < until:
            timed("bare busy", ask(kernel.manager, HARMLESS, {}))
            assert len(timed("busy", variables(kernel.manager))) >= VARIABLES
        kernel.run("pass")
        for _ in range(run.pick(20, 5)):
            began = time.perf_counter()
            kernel.run("pass")
            plain.append(1000 * (time.perf_counter() - began))
            asked = {"id": str(uuid.uuid4()), "code": "v0", "seconds": 20.0, "memory": 1 << 30}
            began = time.perf_counter()
            started = kernel.do(ask(kernel.manager, "agent_lab_trial_request", asked, 10, "shell"))
            held.append(1000 * (time.perf_counter() - began))
            assert started["status"] == "started", started
            done = {"id": asked["id"]}
            while True:
                kernel.do(asyncio.sleep(0.05))
                told = kernel.do(ask(kernel.manager, "agent_lab_trial_result_request", done))
                if told["state"] == "done":
                    break
    return took


async def memory(run: Run) -> AsyncIterator[Figure]:
    """A list of 200 variables while the kernel is idle and while a cell runs; a trial's fork."""
    took = await asyncio.to_thread(_looks, run)
    for name, beside, target in (("idle", "bare", IDLE_MS), ("busy", "bare busy", BUSY_MS)):
        when = "the kernel is idle" if name == "idle" else "a cell computes"
        yield Figure(
            what=f"{VARIABLES} variables while {when}",
            here=median(took[name]),
            baseline=median(took[beside]),
            baseline_is="an empty request on the same channel",
            unit="ms",
            target=target,
            note=f"p95 {percentile(took[name], 95):.1f} ms, {len(took[name])} looks",
        )
    yield Figure(
        what="a trial: until the kernel goes on",
        here=median(took["held"]),
        baseline=median(took["plain"]),
        baseline_is="an empty cell",
        unit="ms",
        how="added",
        target=HELD_MS,
        note=f"p95 {percentile(took['held'], 95):.1f} ms, {len(took['held'])} trials",
    )

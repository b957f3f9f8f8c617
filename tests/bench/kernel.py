"""What `%agent` costs in the kernel: the time it holds the cell, the time it takes to import."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.kernel.jupyter_process import Kernel, jupyter_server

from .measures import Run
from .report import Figure, median, percentile
from .servers import scratch_environment

RETURN_MS = 30.0
IMPORT_MS = 100.0

_PLAIN = """
import time
from IPython.core.magic import register_line_magic
@register_line_magic
def nothing(line):
    display({"text/plain": "a line"}, raw=True)
def timed(magic, line):
    began = time.perf_counter()
    get_ipython().run_line_magic(magic, line)
    return 1000 * (time.perf_counter() - began)
"""


def _asked(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds in the kernel of a question and of a magic that shows a line, in turns."""
    here, there = list[float](), list[float]()
    with jupyter_server(folder) as server:
        kernel = server.notebook("asking.ipynb")
        kernel.run("%load_ext agent_lab")
        kernel.run(_PLAIN)
        kernel.run("%agent --no-context the first one makes the session")
        kernel.updated()
        for number in range(rounds):
            here.append(_timed(kernel, "agent", f"--no-context question {number}"))
            kernel.updated()
            there.append(_timed(kernel, "nothing", ""))
    return here, there


def _timed(kernel: Kernel, magic: str, line: str) -> float:
    return float(kernel.run(f"timed({magic!r}, {line!r})").result)


async def asking(run: Run) -> AsyncIterator[Figure]:
    """A question whose session is there, beside a magic that does nothing but show a line."""
    here, there = await asyncio.to_thread(_asked, run.folder, run.pick(60, 15))
    yield Figure(
        what="%agent returns to the kernel, p50",
        here=median(here),
        baseline=median(there),
        baseline_is="a magic that shows one line",
        unit="ms",
        target=RETURN_MS,
        note=f"p95 {percentile(here, 95):.1f} ms, {len(here)} questions",
    )


def _imported(environment: dict[str, str], what: str) -> float:
    code = (
        "import time, IPython, IPython.display, ipykernel.ipkernel\n"
        "began = time.perf_counter()\n"
        f"{what}\n"
        "print(1000 * (time.perf_counter() - began))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(ran.stdout)


async def importing(run: Run) -> AsyncIterator[Figure]:
    """The kernel's side, in a fresh interpreter that has ipykernel; beside msgspec alone."""
    environment = scratch_environment(run.folder)
    here, there = list[float](), list[float]()
    for _ in range(run.pick(15, 5)):
        there.append(await asyncio.to_thread(_imported, environment, "import msgspec"))
        here.append(
            await asyncio.to_thread(_imported, environment, "import agent_lab.kernel.magics")
        )
    yield Figure(
        what="import of the kernel's side",
        here=median(here),
        baseline=median(there),
        baseline_is="msgspec alone",
        unit="ms",
        target=IMPORT_MS,
        note=f"median of {len(here)}; best {min(here):.1f} ms",
    )

"""What the extension costs a server that nobody uses it on: start-up time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil

from .measures import Run
from .report import Figure, median
from .servers import jupyter

IDLE_SECONDS = 3.0
MB = 1 << 20


async def startup(run: Run) -> AsyncIterator[Figure]:
    """JupyterLab with and without the extension, in turns; a first start of each is thrown away."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    memory: dict[bool, list[float]] = {False: [], True: []}
    for number in range(run.pick(7, 2) + 1):
        for extension in (False, True):
            folder = run.room(str(extension))
            async with jupyter(folder, lab=True, extension=extension) as server:
                if number:
                    seconds[extension].append(server.start_seconds)
                    await asyncio.sleep(IDLE_SECONDS)  # the figure is about a server left alone
                    rss = psutil.Process(server.process.pid).memory_info().rss
                    memory[extension].append(rss / MB)
    spread = max(seconds[False]) - min(seconds[False])
    yield Figure(
        what="server start to the first /api/status",
        here=median(seconds[True]),
        baseline=median(seconds[False]),
        baseline_is="JupyterLab without the extension",
        unit="s",
        how="added",
        target=0.15,
        note=f"median of {len(seconds[True])} starts; the baseline's differ by {spread:.2f} s",
    )
    yield Figure(
        what="memory of the idle server (RSS)",
        here=median(memory[True]),
        baseline=median(memory[False]),
        baseline_is="JupyterLab without the extension",
        unit="MB",
        how="added",
        target=15.0,
        digits=1,
        note=f"{IDLE_SECONDS:.0f} s after the start",
    )

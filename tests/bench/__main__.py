"""Runs the measures one after the other and prints their figures: `python -m tests.bench`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import (
    conversation,
    kernel,
    keys,
    latency,
    load,
    page,
    startup,
    throughput,
    tools,
    volume,
    watching,
)
from .measures import Measure, Run
from .report import HEADINGS, Figure, columns, say
from .servers import Missing, claude_program

MEASURES: dict[str, Measure] = {
    "latency": latency.token_to_socket,
    "sessions": load.many_sessions,
    "history": latency.history,
    "bytes": volume.answer,
    "status": load.status,
    "startup": startup.startup,
    "page": page.weight,
    "open": page.open_session,
    "first": page.first_paint,
    "dom": page.token_to_dom,
    "answer": conversation.long_answer,
    "scroll": conversation.scrolled,
    "typing": keys.typing,
    "bundle": volume.panel_bundle,
    "lines": throughput.lines,
    "kernel": watching.kernel_output,
    "asking": kernel.asking,
    "import": kernel.importing,
    "tools": tools.running,
    "memory": tools.memory,
}


def surroundings() -> dict[str, str]:
    """What the figures depend on besides the code."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {os.cpu_count()} cores",
    }
    for name in ("jupyterlab", "jupyter_server", "playwright"):
        found[name] = version(name)
    try:
        programs = {"claude": claude_program()[0], "chromium": shutil.which("chromium") or ""}
    except Missing:
        programs = {}
    for name, program in programs.items():
        if program:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=30, check=False
            )
            found[name] = said.stdout.strip()
    return found


async def measure(names: list[str], quick: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def show(name: str, figure: Figure, began: float) -> None:
        say(figure.row())
        load_average = os.getloadavg()[0]
        seconds = round(time.monotonic() - began, 1)
        found.append(
            {"measure": name, **figure.as_json(), "load": load_average, "seconds": seconds}
        )

    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(
            prefix=f"bench-{name}-", ignore_cleanup_errors=True
        ) as folder:
            try:
                async for figure in MEASURES[name](Run(Path(folder), quick)):
                    show(name, figure, began)
            except Missing as reason:
                say(f"{name}: not measured, {reason}")
                found.append({"measure": name, "not_measured": str(reason)})
            except Exception as error:  # the figures of the others are still wanted
                say(f"{name}: FAILED, {type(error).__name__}: {error}")
                found.append({"measure": name, "failed": f"{type(error).__name__}: {error}"})
    return found


def main() -> int:
    """The exit code says whether everything could be measured, not whether it was reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME",
                        help=f"of: {', '.join(MEASURES)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()

    around = surroundings()
    say(", ".join(f"{name} {said}" for name, said in around.items()))
    say(f"load average {os.getloadavg()[0]:.1f} at the start\n")
    say(columns(HEADINGS).rstrip())
    figures = asyncio.run(measure(options.only or list(MEASURES), options.quick))
    held = [figure for figure in figures if figure.get("reached") is not None]
    say(f"\n{sum(f['reached'] for f in held)} of {len(held)} targets reached")
    if options.json:
        record = {"quick": options.quick, "around": around, "figures": figures}
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return 1 if any("failed" in figure for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())

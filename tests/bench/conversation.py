"""What the panel's conversation costs the page: a long answer, a long history, its memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import CDPSession

from . import panel
from .browser import LastingPage, go_to_lab, lasting_page, watched_tasks
from .clients import new_session
from .history import LAST_WORDS, lay
from .measures import Run
from .page import MB
from .report import Figure, median, percentile
from .servers import FAKE_AGENT, built_front_end, bundle, jupyter

ANSWER = 200_000  # characters
RATE = 3_000  # the model's words a second; the server puts those of a frame into one piece
THE_END = "That is the end of it."
SAMPLE = (
    "The **means** are back for all regions, `region_x` too. "
    * 6
    + "\n\n- one point, and a *second* one\n- another\n\n"
    '```python\ndf.groupby("region").mean()  # all of it\nprint(1)\n```\n\n'
)
PERIOD_MS = 1000 / 60
LOG = ".al-log"

LONG_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver(list => list.getEntries().forEach(
    entry => window.longTasks.push(entry.duration))).observe({ type: 'longtask' });
}"""

# Turns a wheel over the conversation until its first message is there, and times the frames. What
# the page draws follows from scroll events, as under a hand.
SCROLL = """
async ([step, most]) => {
  const log = [...document.querySelectorAll('.al-log')].find(each => each.checkVisibility());
  const frames = [];
  const nothing = [];
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const began = performance.now();
  let last = await frame();
  while (frames.length < most) {
    const older = log.querySelector('.al-older');
    if (log.scrollTop <= 0 && !older) break;
    const waits = log.scrollTop <= 0;
    log.scrollTop -= step;
    const now = await frame();
    // At the top the next page is awaited: that is the server's time, not a frame's.
    if (!waits) frames.push(now - last);
    last = now;
    const box = log.getBoundingClientRect();
    const there = document.elementFromPoint(box.left + 60, box.top + box.height / 2);
    if (there?.closest('.al-far')) nothing.push(frames.length);
  }
  return { frames, blank: nothing.length, seconds: (performance.now() - began) / 1000,
    chunks: log.querySelectorAll('[data-chunk]').length, top: log.scrollTop,
    nodes: log.querySelectorAll('*').length, height: log.scrollHeight };
}
"""

IDLE = """
async () => {
  const frames = [];
  for (let last = 0; frames.length < 200; ) {
    const now = await new Promise(done => requestAnimationFrame(done));
    if (last) frames.push(now - last);
    last = now;
  }
  return frames;
}
"""


async def long_answer(run: Run) -> AsyncIterator[Figure]:
    """200 kB of markdown from the real claude, word by word, into an open panel."""
    size = run.pick(ANSWER, ANSWER // 8)
    script = run.folder / "long.toml"
    answer = (SAMPLE * (size // len(SAMPLE) + 1))[:size] + f"\n\n{THE_END}"
    script.write_text(
        f"[[scene]]\nmatch = ''\n[[scene.step]]\nrate = {RATE}\ntext = {json.dumps(answer)}\n"
    )
    async with panel.with_claude(run, str(script)) as (page, box):
        await box.fill("Tell me all.")
        await page.evaluate(LONG_TASKS)
        devtools = await page.context.new_cdp_session(page)
        # Ticks of the page's own thread: what other programs take does not count.
        await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = await metrics(devtools)
        async with watched_tasks(page) as tasks:
            await box.press("Enter")
            ended = f"document.querySelector('{LOG}').textContent.includes('{THE_END}')"
            await page.wait_for_function(ended, polling=1000, timeout=300_000)
            await page.wait_for_timeout(1000)
        after = await metrics(devtools)
        long: list[float] = await page.evaluate("window.longTasks")
    yield Figure(
        what=f"an answer of {len(answer) / 1000:.0f} kB, {len(answer.split()):,} words: script",
        here=after["ScriptDuration"] - before["ScriptDuration"],
        unit="s",
        target=1.0,
        note=f"layout {after['LayoutDuration'] - before['LayoutDuration']:.2f} s, "
        f"style {after['RecalcStyleDuration'] - before['RecalcStyleDuration']:.2f} s",
    )
    yield Figure(
        what="    longest task of the page meanwhile",
        here=max(tasks),
        unit="ms",
        target=50.0,
        digits=0,
        note=f"of the page's thread's own time; by the clock, with what other programs took, "
        f"{max(long, default=0.0):.0f} ms, {len(long)} over 50",
    )


async def scrolled(run: Run) -> AsyncIterator[Figure]:
    """A long history read from its end to its beginning, and what the page holds of it then."""
    front_end = built_front_end()
    bundle()
    for messages in (run.pick(10_000, 1_000), run.pick(5_000, 500)):
        room = run.room(str(messages))
        (room / "root").mkdir()
        past = await lay(room / "sessions", room / "root", messages=messages)
        async with (
            lasting_page(room) as lasting,
            jupyter(room, lab=True, front_end=front_end, agent=FAKE_AGENT) as server,
        ):
            page = lasting.page
            await go_to_lab(page, server)
            await panel.show(page, await new_session(server.url))
            await page.evaluate(IDLE)
            empty = await memory(lasting)
            page = lasting.page
            await panel.close(page)
            await panel.painted(page, past.session_id, LAST_WORDS)
            devtools = await page.context.new_cdp_session(page)
            await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            idle: list[float] = await page.evaluate(IDLE)
            before = await metrics(devtools)
            seen: dict[str, Any] = await page.evaluate(SCROLL, [400, 200_000])
            after = await metrics(devtools)
            idle += await page.evaluate(IDLE)
            full = await memory(lasting)
        frames = seen["frames"]
        own = (after["TaskDuration"] - before["TaskDuration"]) * 1000 / len(frames)
        yield Figure(
            what=f"scroll through {messages:,} messages: frame, p95",
            here=percentile(frames, 95),
            baseline=percentile(idle, 95),
            baseline_is="frames of the same page while nothing moves, p95",
            unit="ms",
            # Frames come one or two periods after the last: this says 95 of 100 come after one.
            target=1.5 * PERIOD_MS,
            digits=1,
            note=f"p50 {median(frames):.1f}, p99 {percentile(frames, 99):.0f} ms, "
            f"{len(frames):,} frames, {seen['blank']} showed nothing; {own:.1f} ms of each on the "
            f"page's own thread; {seen['nodes']:,} elements at the end",
        )
        yield Figure(
            what="    memory of the page then",
            here=full[0],
            baseline=empty[0],
            baseline_is="an empty session's panel in the same page",
            unit="MB",
            how="added",
            target=60.0 if messages == run.pick(5_000, 500) else None,
            digits=0,
            note=f"script's heap {full[1] - empty[1]:+.0f} MB; {past.bytes / MB:.0f} MB of history",
        )


async def metrics(devtools: CDPSession) -> dict[str, float]:
    found = await devtools.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


async def memory(lasting: LastingPage) -> tuple[float, float]:
    """MB of the page's process that nobody shares with it, and of its script's heap.

    Private memory, since shared pages belong to the browser's programs, whichever page is open. Of
    that what remains after the garbage was collected and free memory was given back: the rest is
    the browser's to use, not the page's. And with the tools attached afresh: these keep each
    answer from the server a second time in the page's process, 27 MB after 13 MB of history.
    """
    page = await lasting.afresh()
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("HeapProfiler.enable")
    for _ in range(3):
        await devtools.send("HeapProfiler.collectGarbage")
        await devtools.send("Memory.simulatePressureNotification", {"level": "critical"})
        await asyncio.sleep(0.3)
    usage = await devtools.send("Runtime.getHeapUsage")
    return private(await lasting.process()) / MB, usage["usedSize"] / MB


def private(process: psutil.Process) -> int:
    """As psutil's own, for a process of another kind of sandbox too."""
    smaps = Path(f"/proc/{process.pid}/smaps_rollup")
    found = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", smaps.read_text(), re.M)
    return sum(map(int, found)) * 1024

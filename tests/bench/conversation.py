"""What the panel's conversation costs the page: a long answer, a long history, its memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, CDPSession

from .browser import chromium, open_lab
from .clients import new_session
from .history import LAST_WORDS, lay
from .measures import Run
from .page import CLOSE, MB, OPEN, PAINTED_MS
from .report import Figure, median, percentile
from .servers import (
    FAKE_AGENT,
    built_front_end,
    bundle,
    claude_program,
    claude_surroundings,
    jupyter,
    scripted_model,
)

ANSWER = 200_000  # characters
RATE = 3_000  # the model's words a second; the server puts those of a frame into one piece
THE_END = "That is the end of it."
SAMPLE = (
    "The **means** are back for all regions, `region_x` too. "
    * 6
    + "\n\n- one point, and a *second* one\n- another\n\n"
    '```python\ndf.groupby("region").mean()  # all of it\nprint(1)\n```\n\n'
)
SHOW = "session => void window.jupyterapp.commands.execute('agent-lab:open', { session })"
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

# Fetches a history and forgets it: the browser under test keeps answers for its developer tools.
FETCH = """
async id => {
  const { baseUrl } = JSON.parse(
    document.getElementById('jupyter-config-data').textContent);
  for (let before = 1_000_000_000, more = true; more; ) {
    const url = `${baseUrl}agent-lab/api/sessions/${id}/events?before=${before}&limit=500`;
    const answer = await fetch(url);
    const page = await answer.json();
    more = page.more;
    before = page.events[0].seq;
  }
}
"""


async def long_answer(run: Run) -> AsyncIterator[Figure]:
    """200 kB of markdown from the real claude, word by word, into an open panel."""
    front_end, program = built_front_end(), claude_program()
    bundle()
    size = run.pick(ANSWER, ANSWER // 8)
    script = run.folder / "long.toml"
    answer = (SAMPLE * (size // len(SAMPLE) + 1))[:size] + f"\n\n{THE_END}"
    script.write_text(
        f"[[scene]]\nmatch = ''\n[[scene.step]]\nrate = {RATE}\ntext = {json.dumps(answer)}\n"
    )
    async with scripted_model(str(script)) as model, chromium() as browser:
        environment = claude_surroundings(run.folder, model)
        async with jupyter(
            run.folder, environment=environment, agent=program, lab=True, front_end=front_end
        ) as server:
            page, traffic = await open_lab(browser, server)
            await traffic.quiet()
            await page.evaluate(SHOW, await new_session(server.url))
            box = page.get_by_role("textbox", name="Message the agent")
            await box.fill("Tell me all.")
            await page.evaluate(LONG_TASKS)
            devtools = await page.context.new_cdp_session(page)
            # Ticks of the page's own thread: what other programs take does not count.
            await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = await metrics(devtools)
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
        here=max(long, default=0.0),
        unit="ms",
        target=50.0,
        digits=0,
        note=f"{len(long)} tasks over 50 ms" if long else "0: none over 50 ms was reported",
    )


async def scrolled(run: Run) -> AsyncIterator[Figure]:
    """A long history read from its end to its beginning."""
    front_end = built_front_end()
    bundle()
    for messages in (run.pick(10_000, 1_000), run.pick(5_000, 500)):
        folder = run.room(str(messages))
        (folder / "root").mkdir()
        past = await lay(folder / "sessions", folder / "root", messages=messages)
        async with (
            chromium() as browser,
            jupyter(folder, lab=True, front_end=front_end, agent=FAKE_AGENT) as server,
        ):
            page, traffic = await open_lab(browser, server)
            await traffic.quiet()
            await page.evaluate(SHOW, await new_session(server.url))
            await page.get_by_role("textbox", name="Message the agent").wait_for()
            await traffic.quiet()
            devtools = await page.context.new_cdp_session(page)
            await page.evaluate(FETCH, past.session_id)
            empty = await memory(browser, devtools)
            await page.evaluate(CLOSE)
            async with asyncio.timeout(PAINTED_MS / 1000):
                await page.evaluate(OPEN, [past.session_id, LAST_WORDS])
            seen: dict[str, Any] = await page.evaluate(SCROLL, [400, 200_000])
            full = await memory(browser, devtools)
        frames = seen["frames"]
        yield Figure(
            what=f"scroll through {messages:,} messages: frame, p95",
            here=percentile(frames, 95),
            baseline=median(frames),
            baseline_is="its median frame",
            unit="ms",
            target=2 * 16.7,
            digits=1,
            note=f"p99 {percentile(frames, 99):.0f} ms, {len(frames):,} frames, "
            f"{seen['blank']} showed nothing; {seen['nodes']:,} elements at the end",
        )
        yield Figure(
            what="    memory of the page then",
            here=full[0],
            baseline=empty[0],
            baseline_is="an empty session in the same page, the history fetched and forgotten",
            unit="MB",
            how="added",
            target=60.0 if messages == run.pick(5_000, 500) else None,
            digits=0,
            note=f"script's heap {full[1] - empty[1]:+.0f} MB; {past.bytes / MB:.0f} MB of history",
        )


async def metrics(devtools: CDPSession) -> dict[str, float]:
    found = await devtools.send("Performance.getMetrics")
    return {metric["name"]: metric["value"] for metric in found["metrics"]}


async def memory(browser: Browser, devtools: CDPSession) -> tuple[float, float]:
    """MB of the page's process that nobody shares with it, and of its script's heap."""
    await devtools.send("HeapProfiler.enable")
    for _ in range(3):
        await devtools.send("HeapProfiler.collectGarbage")
        # What is free but kept for the next page is no page's memory.
        await devtools.send("Memory.simulatePressureNotification", {"level": "critical"})
        await asyncio.sleep(0.3)
    usage = await devtools.send("Runtime.getHeapUsage")
    system = await browser.new_browser_cdp_session()
    processes = (await system.send("SystemInfo.getProcessInfo"))["processInfo"]
    own = [psutil.Process(each["id"]) for each in processes if each["type"] == "renderer"]
    most = max(uss(process) for process in own)
    return most / MB, usage["usedSize"] / MB


def uss(process: psutil.Process) -> int:
    """As psutil's own, for a process of another kind of sandbox too."""
    smaps = Path(f"/proc/{process.pid}/smaps_rollup")
    found = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", smaps.read_text(), re.M)
    return sum(map(int, found)) * 1024

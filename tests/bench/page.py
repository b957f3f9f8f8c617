"""What a person at the browser feels: page weight, opening a session, token to screen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Locator, Page

from . import panel
from .browser import READY_MS, Traffic, chromium, clock_offset, open_lab
from .clients import API, call
from .history import LAST_WORDS, Past, lay
from .measures import Run
from .report import Figure, median, percentile
from .servers import (
    FAKE_AGENT,
    built_front_end,
    bundle,
    jupyter,
)

MB = 1e6
FRAME_MS = 16.0
LONG_TASK_MS = 50.0

# Each change of the document is searched for the stamps after the last one seen. Text that was
# drawn before is not read again: the search goes on where it stopped, in the live message only.
WATCH = """
() => {
  const seen = { tokens: [], long: [], frames: [] };
  window.seen = seen;
  const before = document.querySelectorAll('.al-say').length;
  let next = 0;
  const stamp = /w(\\d+)«t=(\\d+)»/g;
  const look = () => {
    const now = performance.now();
    const says = document.querySelectorAll('.al-say');
    const text = says.length > before ? says[says.length - 1].textContent : '';
    stamp.lastIndex = Math.max(0, text.indexOf(`w${next}«`, look.from));
    for (let found; (found = stamp.exec(text)); ) {
      if (Number(found[1]) === next) {
        seen.tokens.push([next, Number(found[2]) / 1e6, now]);
        look.from = found.index;
        next += 1;
      }
    }
  };
  look.from = 0;
  new MutationObserver(look).observe(document.body,
    { subtree: true, childList: true, characterData: true });
  new PerformanceObserver(list => list.getEntries().forEach(
    entry => seen.long.push([entry.startTime, entry.duration]))).observe({ type: 'longtask' });
  let last = 0;
  const frame = time => {
    if (last) seen.frames.push(time - last);
    last = time;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
"""


# Two moments of a page that comes up with a chat in its layout: JupyterLab's own word that its
# layout is back, and the frame that shows the conversation.
MOMENTS = """
words => {
  let app;
  Object.defineProperty(window, 'jupyterapp', {
    get: () => app,
    set: made => {
      app = made;
      void made.restored.then(() => performance.mark('shell'));
    }
  });
  const watch = new MutationObserver(() => {
    const log = document.querySelector('.al-log');
    if (log?.checkVisibility() && !performance.getEntriesByName('panel').length) {
      performance.mark('panel');
    }
    if (log?.checkVisibility() && log.textContent.includes(words)) {
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => performance.mark('chat')));
    }
  });
  watch.observe(document, { subtree: true, childList: true, characterData: true });
}
"""
MOMENT = """
() => Object.fromEntries(['shell', 'panel', 'chat'].map(
  name => [name, performance.getEntriesByName(name)[0]?.startTime]))
"""


async def weight(run: Run) -> AsyncIterator[Figure]:
    """JupyterLab with and without our extension, each time in a fresh browser profile."""
    front_end = built_front_end(production=True)
    bare = await loaded(run, "bare", extension=False, widgets=False)
    plain = await loaded(run, "plain", extension=False)
    ours = await loaded(run, "ours", front_end=front_end)
    what = "JupyterLab's page, no panel open"
    yield Figure(
        what=what, here=ours[0], baseline=plain[0],
        baseline_is="the page without the extension", unit="MB", how="added", target=0.1, digits=3,
        note=f"{ours[1]} over {plain[1]} requests",
    )  # fmt: skip
    yield Figure(
        what="    with ipywidgets and anywidget, which come along",
        here=ours[0], baseline=bare[0], baseline_is="the page without these either",
        unit="MB", how="added", target=0.1, digits=3, note=f"{ours[1]} over {bare[1]} requests",
    )  # fmt: skip


async def loaded(run: Run, name: str, **variant: Any) -> tuple[float, int]:
    """(MB, requests) of one variant of JupyterLab's page until nothing more comes, medians."""
    found: list[Traffic] = []
    async with chromium() as browser, jupyter(run.room(name), lab=True, **variant) as server:
        for _ in range(run.pick(3, 1)):
            page, traffic = await open_lab(browser, server)
            await traffic.quiet()
            found.append(traffic)
            await page.context.close()
    return median([each.bytes / MB for each in found]), found[-1].requests


async def open_session(run: Run) -> AsyncIterator[Figure]:
    """Sessions that the server has not yet read either, opened in turns in one page."""
    front_end = built_front_end()
    bundle()
    many = run.pick(10_000, 2_000)
    rounds = run.pick(5, 2)
    sizes: dict[int, list[float]] = {10: [], many: []}
    pasts: list[Past] = []
    for number in range(rounds + 1):
        for size in sizes:
            if number or size == 10:  # the first one only warms the page up
                pasts.append(await lay(run.folder / "sessions", run.room("root"), messages=size))
    async with (
        chromium() as browser,
        jupyter(run.folder, lab=True, front_end=front_end, agent=FAKE_AGENT) as server,
    ):
        page, traffic = await open_lab(browser, server)
        await traffic.quiet()
        for number, past in enumerate(pasts):
            took = await panel.painted(page, past.session_id, LAST_WORDS)
            if number:
                sizes[past.messages].append(took)
            await panel.close(page)
            await call(server.url, "POST", f"{API}/sessions/{past.session_id}/end", {})
    yield Figure(
        what=f"open a session of {many:,} messages to painted",
        here=median(sizes[many]),
        baseline=median(sizes[10]),
        baseline_is="a session of 10 messages",
        unit="ms",
        how="ratio",
        target=2.0,
        digits=0,
        note=f"in JupyterLab, terminal beside it; {rounds} of each, {pasts[-1].bytes / MB:.0f} MB",
    )


async def first_paint(run: Run) -> AsyncIterator[Figure]:
    """JupyterLab comes up with the chat in its layout, again and again."""
    front_end = built_front_end(production=True)
    bundle()
    past = await lay(run.folder / "sessions", run.room("root"), messages=10)
    after: list[float] = []
    shell: list[float] = []
    async with (
        chromium() as browser,
        jupyter(run.folder, lab=True, front_end=front_end, agent=FAKE_AGENT) as server,
    ):
        page, traffic = await open_lab(browser, server)
        await traffic.quiet()
        await panel.painted(page, past.session_id, LAST_WORDS)
        await traffic.quiet()  # the layout is saved a moment later
        await page.add_init_script(f"({MOMENTS})({json.dumps(LAST_WORDS)})")
        for number in range(run.pick(9, 3) + 1):
            await page.reload()
            await page.wait_for_function(
                "() => ['shell', 'chat'].every(name => performance.getEntriesByName(name).length)",
                timeout=READY_MS,
            )
            await traffic.quiet()
            moments = await page.evaluate(MOMENT)
            if number:  # the first one only fills the browser's cache
                after.append(moments["chat"] - moments["shell"])
                shell.append(moments["shell"])
    yield Figure(
        what="JupyterLab's layout is back → the chat in it is painted",
        here=median(after),
        unit="ms",
        target=150.0,
        digits=0,
        note=f"{min(after):.0f} to {max(after):.0f} ms in {len(after)} reloads; the layout itself "
        f"is back after {median(shell):.0f} ms",
    )


async def token_to_dom(run: Run) -> AsyncIterator[Figure]:
    """1,500 stamped tokens of the real claude, seen when they change the page's document."""
    count = run.pick(1500, 300)
    async with panel.with_claude(run) as (page, box):
        for rate in (50, 200):
            prompt = f"stream {count} tokens at {rate}/s, stamped"
            seen, offset, doubt = await watched(page, box, prompt)
            for figure in drawn(seen, offset, doubt, count, rate):
                yield figure


async def watched(page: Page, box: Locator, prompt: str) -> tuple[dict[str, Any], float, float]:
    """Send a prompt by hand; what WATCH saw until its turn was over, and the clocks' offset."""
    await box.fill(prompt)
    offset, doubt = await clock_offset(page)
    await page.evaluate(WATCH)
    await box.press("Enter")
    wait = "count => window.seen.tokens.length >= count"
    count = int(prompt.split()[1])
    await page.wait_for_function(wait, arg=count, polling=250, timeout=120_000)
    seen: dict[str, Any] = await page.evaluate("window.seen")
    return seen, offset, doubt


def drawn(seen: dict[str, Any], offset: float, doubt: float, count: int, rate: int) -> list[Figure]:
    tokens = seen["tokens"]
    ages = [now + offset - made for _, made, now in tokens]
    begin, end = tokens[0][2], tokens[-1][2]
    long = [duration for start, duration in seen["long"] if begin <= start <= end]
    frame = median(seen["frames"])
    return [
        Figure(
            what=f"model token → document, p50, {count:,} at {rate}/s",
            here=median(ages),
            baseline=frame,
            baseline_is="one frame of the same page",
            unit="ms",
            # Faster than frames, tokens wait for one on the server and one in the page.
            target=FRAME_MS if rate < 1000 / FRAME_MS else None,
            digits=1,
            note=f"p95 {percentile(ages, 95):.1f} ms, all one paragraph; "
            f"clocks agree to ± {doubt:.1f} ms",
        ),
        Figure(
            what="    longest task of the page meanwhile",
            here=max(long, default=0.0),
            unit="ms",
            target=LONG_TASK_MS,
            digits=0,
            note=f"{len(long)} tasks over 50 ms" if long else "0: none over 50 ms was reported",
        ),
    ]

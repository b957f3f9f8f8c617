"""What a person at the browser feels: page weight, opening a session, token to screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Page

from .browser import Traffic, chromium, clock_offset, open_lab
from .clients import API, call, new_session
from .history import LAST_WORDS, Past, lay
from .measures import Run
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

MB = 1e6
FRAME_MS = 16.0
LONG_TASK_MS = 50.0
PAINTED_MS = 60_000

# Opens a session as its card in the launcher does, and tells when its last words were painted: two
# frames after they came into the document, the first one draws them.
OPEN = """
async ([session, words]) => {
  const shown = () => [...document.querySelectorAll('.al-log')].some(
    log => log.checkVisibility() && log.textContent.includes(words));
  const frame = () => new Promise(done => requestAnimationFrame(done));
  await frame();
  const began = performance.now();
  const painted = new Promise(done => {
    const look = () => {
      if (shown()) {
        watch.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
      }
    };
    const watch = new MutationObserver(look);
    watch.observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  void window.jupyterapp.commands.execute('agent-lab:open', { session });
  return await painted;
}
"""
CLOSE = """
async () => {
  for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
    if (widget.id.startsWith('agent-lab-')) widget.dispose();
  }
  await new Promise(done => setTimeout(done, 500));
}
"""
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
            async with asyncio.timeout(PAINTED_MS / 1000):
                took = await page.evaluate(OPEN, [past.session_id, LAST_WORDS])
            if number:
                sizes[past.messages].append(float(took))
            await page.evaluate(CLOSE)
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


async def token_to_dom(run: Run) -> AsyncIterator[Figure]:
    """1,500 stamped tokens of the real claude, seen when they change the page's document."""
    front_end, program = built_front_end(), claude_program()
    bundle()
    count = run.pick(1500, 300)
    async with scripted_model() as model, chromium() as browser:
        environment = claude_surroundings(run.folder, model)
        async with jupyter(
            run.folder, environment=environment, agent=program, lab=True, front_end=front_end
        ) as server:
            session = await new_session(server.url)
            page, traffic = await open_lab(browser, server)
            await traffic.quiet()
            await page.evaluate(
                "session => window.jupyterapp.commands.execute('agent-lab:open', { session })",
                session,
            )
            for rate in (50, 200):
                seen, offset, doubt = await watched(
                    page, f"stream {count} tokens at {rate}/s, stamped"
                )
                for figure in drawn(seen, offset, doubt, count, rate):
                    yield figure


async def watched(page: Page, prompt: str) -> tuple[dict[str, Any], float, float]:
    """Send a prompt by hand; what WATCH saw until its turn was over, and the clocks' offset."""
    chat = page.get_by_role("region", name="Agent chat")
    box = chat.get_by_role("textbox", name="Message the agent")
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

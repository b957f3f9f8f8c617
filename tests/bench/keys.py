"""What typing feels like while the agent writes: from a key to the frame that shows its letter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from playwright.async_api import Locator, Page

from . import panel
from .measures import Run
from .report import Figure, median, percentile

ADDED_MS = 16.0
KEYS_APART_SECONDS = 0.08
LETTERS = "the quick brown fox jumps over the lazy dog "
TOKENS_A_SECOND = 100

# A key's own time is when the browser got it. Its letter is on the screen with the frame after the
# one in which the field has changed; a message sent from that frame is handled when it is drawn.
WATCH = """
box => {
  window.typed = [];
  box.addEventListener('keydown', event => {
    const began = event.timeStamp;
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => window.typed.push(performance.now() - began);
      drawn.port2.postMessage(null);
    });
  });
}
"""


async def typing(run: Run) -> AsyncIterator[Figure]:
    """The same keys in the same composer, while nothing happens and while 2,000 tokens stream."""
    count = run.pick(2000, 500)
    async with panel.with_claude(run) as (page, box):
        await box.fill("echo: warm")
        await box.press("Enter")
        state = page.locator(".al-state")
        await state.get_by_text("Idle").wait_for()
        await box.evaluate(WATCH)
        seconds = count / TOKENS_A_SECOND
        await typed(page, box, 2)
        idle = await typed(page, box, seconds * 0.8)
        await box.fill(f"stream {count} tokens at {TOKENS_A_SECOND}/s")
        await box.press("Enter")
        await state.get_by_text("Writing").wait_for()
        busy = await typed(page, box, seconds * 0.8)
        still = await state.get_by_text("Writing").count()
    yield Figure(
        what=f"key → its letter on the screen, p95, {count:,} tokens at {TOKENS_A_SECOND}/s",
        here=percentile(busy, 95),
        baseline=percentile(idle, 95),
        baseline_is="the same keys while nothing happens",
        unit="ms",
        how="added",
        target=ADDED_MS,
        digits=1,
        note=f"{len(busy)} keys, p50 {median(busy):.1f} ms against {median(idle):.1f} ms idle"
        + ("" if still else "; the answer ended before the typing"),
    )


async def typed(page: Page, box: Locator, seconds: float) -> list[float]:
    """Milliseconds of each key; what was typed is taken away again."""
    await page.evaluate("window.typed.length = 0")
    keys = int(seconds / KEYS_APART_SECONDS)
    for number in range(keys):
        await page.keyboard.type(LETTERS[number % len(LETTERS)])
        await asyncio.sleep(KEYS_APART_SECONDS)
    await page.wait_for_function("keys => window.typed.length >= keys", arg=keys)
    found: list[float] = await page.evaluate("window.typed")
    await box.fill("")
    return found

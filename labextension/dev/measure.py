"""Prints how fast the panel draws what arrives: `python labextension/dev/measure.py`.

Token to DOM is measured in the page, from a frame's `message` event to the change of the document.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import threading

from playwright.sync_api import Browser, CDPSession, sync_playwright
from serve import application

PORT = 8896
WATCH = """
(() => {
  const long = [];
  window.figures = { shown: [], long };
  new PerformanceObserver(list => list.getEntries().forEach(e => long.push(e.duration)))
    .observe({ entryTypes: ['longtask'] });
  addEventListener('load', () => new MutationObserver(() => console.info(document.title))
    .observe(document.querySelector('title'), { childList: true }));
})()
"""
TOKENS = """
(() => {
  const arrived = [];
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', event => {
        if (String(event.data).includes('agent_message_chunk')) arrived.push(performance.now());
      });
    }
  };
  addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
    const now = performance.now();
    arrived.splice(0).forEach(time => figures.shown.push(now - time));
  }).observe(document.body, { subtree: true, childList: true, characterData: true }));
})()
"""


def serve() -> None:
    async def run() -> None:
        application().listen(PORT, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(run())


def durations(cdp: CDPSession) -> dict[str, float]:
    found = cdp.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in found}


def stream(browser: Browser, chunks: int, gap: float, tokens: bool) -> None:
    """`tokens`: time each token too, which costs script time of its own."""
    page = browser.new_page(viewport={"width": 760, "height": 860})
    page.add_init_script(WATCH)
    if tokens:
        page.add_init_script(TOKENS)
    cdp = page.context.new_cdp_session(page)
    # Ticks of the page's own thread: what other programs take of the machine does not count.
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(f"http://127.0.0.1:{PORT}/?scene=empty{chunks}")
    box = page.get_by_role("textbox", name="Message the agent")
    box.fill(json.dumps({"chunks": chunks, "gap": gap}))
    before = durations(cdp)
    # Waiting for an element would have Playwright look at the page in each frame that is measured.
    with page.expect_console_message(lambda said: said.text.endswith(": Idle"), timeout=300_000):
        box.press("Enter")
    after = durations(cdp)
    figures: dict[str, list[float]] = page.evaluate("figures")
    shown = sorted(figures["shown"])
    script, layout, style = (
        after[key] - before[key]
        for key in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    )
    half, most = len(shown) // 2, len(shown) * 99 // 100
    drawn = (
        f"token to DOM p50 {shown[half]:.1f} ms, p99 {shown[most]:.1f} ms"
        if shown
        else f"script {script:.2f} s, layout {layout:.2f} s, style {style:.2f} s"
    )
    long = figures["long"]
    sys.stdout.write(
        f"{chunks} chunks of 25 characters, {gap * 1000:g} ms apart: {drawn}; "
        f"tasks over 50 ms: {len(long)}, longest {max(long, default=0):.0f} ms\n"
    )
    page.close()


def main() -> None:
    threading.Thread(target=serve, daemon=True, name="scenes").start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        stream(browser, 1500, 0.01, tokens=True)
        stream(browser, 8000, 0.001, tokens=False)
        browser.close()


if __name__ == "__main__":
    main()

"""Real Chromium on a real JupyterLab page, and what is watched inside it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from .servers import TOKEN, Missing, Server

READY_MS = 60_000
QUIET_SECONDS = 1.5
CALIBRATIONS = 60

# Nothing of the browser's own may load, sync or ask while figures are taken.
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Raises Missing."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise Missing("Chromium is not installed here (`apt-get install chromium`)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


class Traffic:
    """What came over the network to one page, in bytes as they were on the wire, heads included."""

    def __init__(self) -> None:
        self.bytes = 0
        self.requests = 0
        self._came = asyncio.Event()

    async def watch(self, page: Page) -> None:
        session = await page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", self._finished)
        await session.send("Network.enable")

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes += int(event["encodedDataLength"])
        self.requests += 1
        self._came.set()

    async def quiet(self) -> None:
        """Return when nothing has come for a while."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._came.clear()
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._came.wait()


async def open_lab(browser: Browser, server: Server) -> tuple[Page, Traffic]:
    """JupyterLab in a profile of its own (nothing cached), when its start screen is gone."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    traffic = Traffic()
    await traffic.watch(page)
    await page.goto(f"{server.url}lab?token={TOKEN}")
    await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=READY_MS)
    await page.wait_for_selector(".jp-LauncherCard", timeout=READY_MS)
    await page.evaluate("window.jupyterapp.restored.then(() => true)")
    return page, traffic


async def clock_offset(page: Page) -> tuple[float, float]:
    """(ms to add to the page's `performance.now()` to have CLOCK_MONOTONIC, uncertainty in ms).

    From the fastest of many round trips: the page read its clock somewhere inside it.
    """
    best: tuple[float, float] | None = None
    for _ in range(CALIBRATIONS):
        before = time.monotonic_ns() / 1e6
        inside = await page.evaluate("performance.now()")
        after = time.monotonic_ns() / 1e6
        if best is None or after - before < 2 * best[1]:
            best = ((before + after) / 2 - float(inside), (after - before) / 2)
    assert best is not None
    return best

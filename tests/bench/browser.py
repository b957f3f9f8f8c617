"""Real Chromium on a real JupyterLab page, and what is watched inside it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, Page, Playwright, async_playwright

from .servers import TOKEN, Missing, Server

READY_MS = 60_000
QUIET_SECONDS = 1.5
CALIBRATIONS = 60
TASKS = "disabled-by-default-devtools.timeline"
WIDTH, HEIGHT = 1280, 900

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


def program() -> str:
    """Raises Missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise Missing("Chromium is not installed here (`apt-get install chromium`)")
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Raises Missing."""
    command = program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=command, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


class LastingPage:
    """A page that stays when its developer tools let go.

    Tools that watch a page's network keep a copy of all that came in the page's own process: it
    would be counted as the page's memory.
    """

    def __init__(self, playwright: Playwright, port: int) -> None:
        self._playwright = playwright
        self._address = f"http://127.0.0.1:{port}"
        self.browser: Browser
        self.page: Page

    async def attach(self) -> Page:
        self.browser = await self._playwright.chromium.connect_over_cdp(self._address)
        self.page = self.browser.contexts[0].pages[0]
        return self.page

    async def afresh(self) -> Page:
        """Let go and take hold again: what the tools had kept is gone."""
        await self.browser.close()
        return await self.attach()

    async def process(self) -> psutil.Process:
        """The page's own: of all pages' processes the largest."""
        system = await self.browser.new_browser_cdp_session()
        processes = (await system.send("SystemInfo.getProcessInfo"))["processInfo"]
        own = [psutil.Process(each["id"]) for each in processes if each["type"] == "renderer"]
        return max(own, key=lambda process: process.memory_info().rss)


@asynccontextmanager
async def lasting_page(folder: Path) -> AsyncIterator[LastingPage]:
    """An empty page in a Chromium with its profile in `folder`. Raises Missing."""
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        program(), "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}",
        *FLAGS, f"--window-size={WIDTH},{HEIGHT}", "about:blank",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await asyncio.to_thread(_port, profile / "DevToolsActivePort")
        async with async_playwright() as playwright:
            lasting = LastingPage(playwright, port)
            await lasting.attach()
            yield lasting
    finally:
        process.terminate()
        await process.wait()


def _port(file: Path) -> int:
    """Where the browser with that profile can be reached, as soon as it says so."""
    for _ in range(READY_MS // 50):
        port, end, _rest = (file.read_text() if file.exists() else "").partition("\n")
        if end:
            return int(port)
        time.sleep(0.05)
    raise TimeoutError(f"the browser wrote no {file.name}")


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
    context = await browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = await context.new_page()
    traffic = Traffic()
    await traffic.watch(page)
    await go_to_lab(page, server)
    return page, traffic


async def go_to_lab(page: Page, server: Server) -> None:
    """JupyterLab with its launcher, when its start screen is gone."""
    await page.goto(f"{server.url}lab?token={TOKEN}")
    await page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=READY_MS)
    await page.wait_for_selector(".jp-LauncherCard", timeout=READY_MS)
    await page.evaluate("window.jupyterapp.restored.then(() => true)")


@asynccontextmanager
async def watched_tasks(page: Page) -> AsyncIterator[list[float]]:
    """Fills the list, at the end, with the milliseconds that each task of the page's thread took.

    Of that thread's own clock, as script times are: a task that had to wait for other programs is
    no longer one for that. The page's thread is the one that was busiest.
    """
    browser = page.context.browser
    assert browser is not None
    system = await browser.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    complete = asyncio.Event()
    system.on("Tracing.dataCollected", lambda said: events.extend(said["value"]))
    system.on("Tracing.tracingComplete", lambda _said: complete.set())
    config = {"includedCategories": [TASKS], "excludedCategories": ["*"]}
    await system.send("Tracing.start", {"traceConfig": config, "transferMode": "ReportEvents"})
    tasks: list[float] = []
    yield tasks
    await system.send("Tracing.end")
    await complete.wait()
    threads: dict[tuple[int, int], list[float]] = {}
    main: set[tuple[int, int]] = set()
    for event in events:
        thread = event["pid"], event["tid"]
        if event["name"] == "RunTask" and "tdur" in event:
            threads.setdefault(thread, []).append(event["tdur"] / 1000)
        elif event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain":
            main.add(thread)
    tasks += max((threads.get(thread, []) for thread in main), key=sum)


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

"""One session's panel in JupyterLab: how every measure of a page opens it and talks in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Locator, Page

from .browser import chromium, open_lab
from .clients import new_session
from .measures import Run
from .servers import (
    built_front_end,
    bundle,
    claude_program,
    claude_surroundings,
    jupyter,
    scripted_model,
)

PAINTED_SECONDS = 60.0

# Opens a session as its card in the launcher does, and tells when its last words were painted: two
# frames after they came into the document, the first one draws them.
_OPEN = """
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
_CLOSE = """
async () => {
  for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
    if (widget.id.startsWith('agent-lab-')) widget.dispose();
  }
  await new Promise(done => setTimeout(done, 500));
}
"""
_SHOW = "session => void window.jupyterapp.commands.execute('agent-lab:open', { session })"


async def show(page: Page, session_id: str) -> Locator:
    """The session's panel in front; gives the field one writes in."""
    await page.evaluate(_SHOW, session_id)
    box = page.get_by_role("textbox", name="Message the agent")
    await box.wait_for()
    return box


async def painted(page: Page, session_id: str, words: str) -> float:
    """Open a session's panel; milliseconds from the command until these words of it are painted."""
    async with asyncio.timeout(PAINTED_SECONDS):
        return float(await page.evaluate(_OPEN, [session_id, words]))


async def close(page: Page) -> None:
    """Close all sessions' panels."""
    await page.evaluate(_CLOSE)


@asynccontextmanager
async def with_claude(run: Run, script: str = "tests") -> AsyncIterator[tuple[Page, Locator]]:
    """A new session's panel in JupyterLab, and its field: the real claude, whose model plays a
    script. Raises Missing.
    """
    front_end, program = built_front_end(), claude_program()
    bundle()
    async with scripted_model(script) as model, chromium() as browser:
        environment = claude_surroundings(run.folder, model)
        async with jupyter(
            run.folder, environment=environment, agent=program, lab=True, front_end=front_end
        ) as server:
            page, traffic = await open_lab(browser, server)
            await traffic.quiet()
            yield page, await show(page, await new_session(server.url))

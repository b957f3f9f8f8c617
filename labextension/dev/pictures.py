"""Pictures of each scene, light and dark, wide and narrow: `python pictures.py FOLDER [SCENE…]`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright
from scenes import SCENES
from serve import application

WIDTHS = {"wide": (760, 860), "narrow": (400, 800)}
PORT = 8898


def serve() -> None:
    async def run() -> None:
        application().listen(PORT, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(run())


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=serve, daemon=True, name="scenes").start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for theme in ("light", "dark"):
            for width, (w, h) in WIDTHS.items():
                context = browser.new_context(
                    viewport={"width": w, "height": h}, color_scheme=theme, reduced_motion="reduce"
                )
                page = context.new_page()
                page.on("pageerror", lambda error: sys.exit(f"page error: {error}"))
                for name in names:
                    page.goto(f"http://127.0.0.1:{PORT}/?scene={name}")
                    page.get_by_role("button", name="Send", exact=True).wait_for()
                    page.wait_for_function("document.title !== 'The panel alone'")
                    page.screenshot(path=folder / f"{name}-{width}-{theme}.png")
                context.close()
        browser.close()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2:] or [name for name in SCENES if name not in ("history", "hostile")],
    )

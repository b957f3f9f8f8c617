"""Pictures of what takes a real JupyterLab: split, side bar, cell, notifications, gate, page."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
THEMES = {
    "light": "JupyterLab Light",
    "dark": "JupyterLab Dark",
    "contrast": "JupyterLab Dark High Contrast",
}
PROMPT = "markdown"
Taken = tuple[str, str, list[str]]


@dataclass
class Stage:
    """One browser at one JupyterLab, in a theme."""

    browser: Browser
    folder: Path
    theme: str
    lab: Lab

    def page(self, address: str, width: int = 1400, height: int = 850) -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="light" if self.theme == "light" else "dark",
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(address)
        if "/lab/" in address:
            page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
            page.evaluate(
                "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
                THEMES[self.theme],
            )
            page.locator(f"body[data-jp-theme-name='{THEMES[self.theme]}']").wait_for(
                state="attached"
            )
        return page

    def shot(self, page: Page, name: str) -> str:
        page.wait_for_timeout(800)  # what waits for an answer takes none in its first moment
        file = f"{name}-{self.theme}.png"
        page.screenshot(path=self.folder / file)
        page.context.close()
        for session in self.lab.sessions():  # what waits would be told in the next picture
            if session["status"] == "awaiting_permission":
                self.lab.call("POST", f"agent-lab/api/sessions/{session['id']}/end", {})
        return file


def split(stage: Stage) -> Page:
    page = stage.page(stage.lab.page(f"split-{stage.theme}"))
    open_session(page, make_session(stage.lab, "Why does the last cell fail?"))
    panel = Panel(page.locator(".al-Split"))
    panel.ask("Why does the last cell fail? Fix it.")
    panel.button("Allow once").wait_for()
    page.locator(".al-Split .xterm-screen").click()
    page.keyboard.type("python3 report.py 2>&1 | tail -3\n")
    panel.log.hover()
    return page


def side_bar(stage: Stage) -> Page:
    page = notebook(stage, f"beside-{stage.theme}", "import math\nmath.sqrt(2)")
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Agent").click()
    panel = Panel(page.locator(".al-Sidebar"))
    panel.ask(PROMPT)
    panel.status("Idle")
    return page


def cell(stage: Stage) -> Page:
    source = "from agent_lab import AgentChat\nAgentChat()"
    page = notebook(stage, f"cell-{stage.theme}", source)
    page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
    page.keyboard.press("Control+Enter")
    panel = Panel(page.locator(".jp-CodeCell").first)
    panel.ask("hello")
    panel.status("Idle")
    return page


def notebook_7(stage: Stage) -> Page:
    name = f"seven-{stage.theme}"
    write_notebook(stage.lab, name, "import math")
    page = stage.page(f"{stage.lab.url}notebooks/{name}.ipynb?token={TOKEN}")
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Agent").click()
    panel = Panel(page.locator(".al-Sidebar"))
    panel.ask("hello")
    panel.status("Idle")
    return page


def sessions(stage: Stage) -> Page:
    page = stage.page(stage.lab.page(f"list-{stage.theme}"))
    open_list(page)
    page.locator(".al-row").first.wait_for()
    return page


def notifications(stage: Stage) -> Page:
    page = stage.page(stage.lab.page(f"told-{stage.theme}"))
    rows = open_list(page)
    for title, prompt in (
        ("Plot it", "bash: pip install pyarrow"),
        ("Why so high?", "hello"),
        ("Backfill", "fail: 400"),
    ):
        made = make_session(stage.lab, title)
        rows.opener(title).first.wait_for()
        ask_in(stage.lab, made, prompt, wait=False)
        page.locator(".Toastify__toast").filter(has_text=title).wait_for()
    return page


def gate(stage: Stage) -> Page:
    folder = stage.lab.root / "theirs"
    folder.mkdir(exist_ok=True)
    (folder / ".mcp.json").write_text('{"mcpServers": {"theirs": {"command": "true"}}}')
    page = stage.page(stage.lab.page(f"gate-{stage.theme}"))
    run(page, "agent-lab:open", {"cwd": "theirs"})
    page.get_by_role("button", name="Trust").wait_for()
    return page


def settings(stage: Stage) -> Page:
    page = stage.page(stage.lab.page(f"settings-{stage.theme}"))
    run(page, "settingeditor:open", {"query": "Agent"})
    page.get_by_text("Voice input").wait_for()
    return page


def page_wide(stage: Stage) -> Page:
    made = make_session(stage.lab, "On the page", PROMPT)
    page = stage.page(f"{stage.lab.url}agent-lab/sessions/{made}?token={TOKEN}")
    Panel(page).status("Idle")
    return page


def page_alone(stage: Stage) -> Page:
    page = stage.page(f"{stage.lab.url}agent-lab/sessions?token={TOKEN}")
    page.locator(".al-row").first.wait_for()
    return page


def phone_list(stage: Stage) -> Page:
    page = stage.page(f"{stage.lab.url}agent-lab/sessions?token={TOKEN}", 400, 780)
    page.locator(".al-row").first.wait_for()
    return page


def phone_session(stage: Stage) -> Page:
    made = make_session(stage.lab, "On the way", "think then answer")
    ask_in(stage.lab, made, "bash: pip install pyarrow", wait=False)
    page = stage.page(f"{stage.lab.url}agent-lab/sessions/{made}?token={TOKEN}", 400, 780)
    Panel(page).button("Allow once").wait_for()
    return page


def notebook(stage: Stage, name: str, source: str) -> Page:
    write_notebook(stage.lab, name, source)
    page = stage.page(stage.lab.page(name, f"{name}.ipynb"))
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    return page


def write_notebook(lab: Lab, name: str, source: str) -> None:
    code = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": source}
    kernel = {"name": "python3", "display_name": "Python 3"}
    made = {
        "cells": [{**code, "execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (lab.root / f"{name}.ipynb").write_text(json.dumps(made))


def run(page: Page, command: str, args: dict[str, str]) -> None:
    page.evaluate(
        "([command, args]) => { void window.jupyterapp.commands.execute(command, args); }",
        [command, args],
    )


def open_session(page: Page, session: str) -> None:
    run(page, "agent-lab:open-session", {"session": session})
    Panel(page.locator(".al-Split")).box.wait_for()


STATES: dict[str, tuple[str, Callable[[Stage], Page], tuple[str, ...]]] = {
    "split": ("Chat and terminal in JupyterLab", split, ("light", "dark", "contrast")),
    "side-bar": ("Beside a notebook", side_bar, ("light", "dark", "contrast")),
    "cell": ("AgentChat() in a cell", cell, ("light", "dark")),
    "notebook-7": ("Notebook 7", notebook_7, ("light",)),
    "sessions": ("The list in the side bar", sessions, ("light", "dark", "contrast")),
    "notifications": ("JupyterLab's notifications", notifications, ("light", "dark")),
    "gate": ("A folder that would run something", gate, ("light", "dark", "contrast")),
    "settings": ("JupyterLab's settings editor", settings, ("light", "dark")),
    "page": ("The page without JupyterLab, a session", page_wide, ("light", "dark")),
    "page-list": ("The page, no session chosen", page_alone, ("light", "dark")),
    "phone-list": ("A phone, the list", phone_list, ("light", "dark")),
    "phone-session": ("A phone, a session that waits", phone_session, ("light", "dark")),
}


def take(browser: Browser, folder: Path, names: list[str]) -> Iterator[Taken]:
    wanted = [name for name in STATES if not names or name in names]
    if "split" in wanted:
        yield from _on_a_stage(browser, folder, ["split"], "demo")
    rest = [name for name in wanted if name != "split"]
    if rest:
        yield from _on_a_stage(browser, folder, rest, "tests")


def _on_a_stage(browser: Browser, folder: Path, names: list[str], script: str) -> Iterator[Taken]:
    """One JupyterLab whose model follows this script."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with (
            scripted_model(place, script) as url,
            running_lab(place, with_model(place, url)) as lab,
        ):
            shutil.copytree(ROOT / "agent_lab/demo/workspace", lab.root, dirs_exist_ok=True)
            for name in names:
                says, act, themes = STATES[name]
                stages = [Stage(browser, folder, theme, lab) for theme in themes]
                yield name, says, [stage.shot(act(stage), name) for stage in stages]


sys.path.insert(0, str(ROOT))
from tests.stories.lab import TOKEN, Lab, running_lab, scripted_model, with_model  # noqa: E402
from tests.stories.panel import Panel  # noqa: E402
from tests.stories.sessions_panel import ask_in, make_session, open_list  # noqa: E402

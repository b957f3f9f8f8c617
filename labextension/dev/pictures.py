"""Pictures of the panel's states, a page to look at them all: `python pictures.py FOLDER [NAME…]`.

Scripted sessions stand for a server (`serve.py`), each light and dark, wide and narrow; what needs
a real JupyterLab comes from `lab_pictures.py` and takes the `test` extra; `--scenes` leaves it out.
"""

from __future__ import annotations

import asyncio
import html
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from serve import application

WIDTHS = {"wide": (760, 860), "narrow": (400, 800)}
LIST = {"wide": (340, 780)}
THEMES = ("light", "dark")
PORT = 8898
Act = Callable[[Page], object]


@dataclass(frozen=True)
class State:
    name: str
    says: str
    """What the picture shows, for the page of all."""
    query: str
    act: Act | None = None
    widths: dict[str, tuple[int, int]] | None = None


def scene(name: str, says: str, of: str = "", act: Act | None = None, kind: str = "") -> State:
    return State(name, says, f"scene={of or name}&kind={kind}", act)


def rows(name: str, says: str, of: str = "full", act: Act | None = None, kind: str = "") -> State:
    return State(f"list-{name}", says, f"list={of}&kind={kind or of}", act, LIST)


def press(name: str) -> Act:
    return lambda page: page.get_by_role("button", name=name).first.click()


def menu(item: str = "") -> Act:
    def act(page: Page) -> None:
        page.get_by_role("button", name="Session menu").click()
        if item:
            page.get_by_role("menuitem", name=item).click()

    return act


def figure(name: str) -> Act:
    return lambda page: page.get_by_role("status", name=name).get_by_role("button").click()


def typed(words: str, then: str = "") -> Act:
    def act(page: Page) -> None:
        page.get_by_role("textbox", name="Message the agent").press_sequentially(words)
        if then:
            page.locator(then).first.wait_for()

    return act


def pasted(page: Page) -> None:
    page.get_by_role("textbox", name="Message the agent").focus()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData('text/plain', 'region,orders\\n'.repeat(80));
          document.activeElement.dispatchEvent(
            new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
        }"""
    )
    page.locator(".al-chip").first.wait_for()


def commented(page: Page) -> None:
    page.get_by_role("button", name="Comment").nth(1).click()
    page.get_by_role("textbox", name="Comment").first.fill("Keep the rows, mark them instead.")


def to_end(page: Page) -> None:
    page.get_by_role("log").evaluate("node => { node.scrollTop = node.scrollHeight; }")


def open_all(page: Page) -> None:
    closed = page.locator(".al-log [aria-expanded=false], [role=log] [aria-expanded=false]")
    for _ in range(min(12, closed.count())):
        if closed.count():
            closed.first.click()


def searched(words: str) -> Act:
    def act(page: Page) -> None:
        page.get_by_role("searchbox").fill(words)
        page.get_by_text("found", exact=False).first.wait_for()

    return act


def row_menu(page: Page) -> None:
    page.locator(".al-row").nth(3).hover()
    page.locator("[data-more]").nth(3).click()


STATES: tuple[State, ...] = (
    scene("work", "A turn in full swing, a message queued, a to-do list"),
    scene("work-open", "The same with every card open", "work", open_all),
    scene(
        "todo", "The to-do list unfolded", "work", lambda p: p.locator(".al-plan button").click()
    ),
    scene("thinking", "Thinking, two messages queued"),
    scene("finished", "An hour later: steps in a line, costs beneath"),
    scene("markdown", "Markdown, code, table, formula, an image that waits for a click"),
    scene("permission", "A permission for a command"),
    scene("edit", "A permission for a change to a file; a command with hidden characters"),
    scene("change", "A proposed change of a cell, with what it would do"),
    scene("change-edited", "The same, edited before it is accepted", "change", press("Edit…")),
    scene("change-tried", "It was tried: before and after", act=to_end),
    scene("changes", "Several proposals wait"),
    scene("changed", "Proposals that were answered", act=open_all),
    scene("run", "A permission to run code, which could not be tried"),
    scene("question", "Questions as a form"),
    scene("plan", "A plan to approve"),
    scene("plan-comments", "A plan with a comment", "plan", commented),
    scene("fork", "A fork"),
    scene("bypass", "Nothing is asked: said all the time"),
    scene("menu", "The session's menu", "finished", menu()),
    scene("shortcuts", "The keys", "finished", menu("Keyboard shortcuts")),
    scene("rules", "Lasting grants, to be revoked", "finished", menu("Permissions…")),
    scene("context", "What fills the context", "finished", figure("Context")),
    scene("cost", "What each turn and model cost", "finished", figure("Cost")),
    scene("commands", "The agent's commands", "finished", typed("/", "[role=option]")),
    scene("mentions", "What can be attached", "finished", typed("@", "[role=option]")),
    scene("paste", "A long paste is a chip", "finished", pasted),
    scene("empty", "An empty session where all is well"),
    scene("ready-new", "The first run: nothing is there", "empty", kind="new"),
    scene("ready-signed-out", "Not signed in", "empty", kind="signed_out"),
    scene("ready-untrusted", "A folder that is not trusted", "empty", kind="untrusted"),
    scene("ready-still", "No kernel", "empty", kind="still"),
    scene("failing", "Retried, failed, cut off, unreadable"),
    scene("limits", "Budget, disk, context and rate limit"),
    scene("signed-out", "The page is no longer signed in", "signed_out"),
    scene("gone", "The session was deleted elsewhere"),
    rows("full", "All sessions: waiting, working, unseen, failed, ended"),
    rows("search", "A search with its hits", act=searched("merge")),
    rows("nothing", "A search that finds nothing", act=searched("walrus")),
    rows("menu", "What can be done with one", act=row_menu),
    rows("new", "A new session", act=press("New")),
    rows("cli", "Also made in the CLI", act=press("Also made in the CLI")),
    rows("loading", "Loading", "loading"),
    rows("failing", "The sessions cannot be read", "failing"),
    rows("empty", "No sessions yet, all is well", "empty"),
    rows("first", "No sessions yet, the first run", "first", kind="new"),
)


README = ("split-light", "work-wide-light", "list-full-wide-light")
"""What the README shows is taken with the rest: `--readme` puts it there."""


def serve() -> None:
    async def run() -> None:
        application().listen(PORT, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(run())


def take(browser: Browser, folder: Path, state: State) -> Iterator[str]:
    for theme in THEMES:
        for width, (w, h) in (state.widths or WIDTHS).items():
            context = browser.new_context(
                viewport={"width": w, "height": h}, color_scheme=theme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.set_default_timeout(8000)
            page.on("pageerror", lambda error: sys.exit(f"page error: {error}"))
            page.goto(f"http://127.0.0.1:{PORT}/?{state.query}")
            page.wait_for_function("document.title !== 'The panel alone'")
            page.wait_for_timeout(250)
            if state.act:
                state.act(page)
            # What waits for an answer takes none in its first moment.
            page.wait_for_timeout(
                800 if "scene=p" in state.query or "=edit" in state.query else 150
            )
            name = f"{state.name}-{width}-{theme}.png"
            page.screenshot(path=folder / name)
            yield name
            context.close()


def index(folder: Path, taken: list[tuple[str, str, list[str]]]) -> None:
    """One page with all of them."""
    said = "\n".join(
        f"<section><h2>{html.escape(name)}</h2><p>{html.escape(says)}</p>"
        + "".join(
            f'<a href="{file}"><img loading="lazy" src="{file}" alt="{file}"></a>' for file in files
        )
        + "</section>"
        for name, says, files in taken
    )
    style = (
        "body{font:14px system-ui;margin:16px;background:#ddd}section{margin:0 0 32px}"
        "h2,p{margin:4px 0}img{max-height:560px;max-width:48%;margin:4px;border:1px solid #888}"
    )
    (folder / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pictures</title>'
        f"<style>{style}</style><h1>Agent Lab, state by state</h1>\n{said}\n</html>\n"
    )


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=serve, daemon=True, name="scenes").start()
    taken: list[tuple[str, str, list[str]]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for state in STATES:
            if not names or state.name in names:
                taken.append((state.name, state.says, list(take(browser, folder, state))))
                index(folder, taken)
        if "--scenes" not in sys.argv:
            import lab_pictures

            for one in lab_pictures.take(browser, folder, names):
                taken.append(one)
                index(folder, taken)
        browser.close()
    if "--readme" in sys.argv:
        for name in README:
            shutil.copy(folder / f"{name}.png", Path(__file__).parents[1] / "pictures")


if __name__ == "__main__":
    wanted = [name for name in sys.argv[2:] if not name.startswith("--")]
    main(Path(sys.argv[1]), wanted)

"""The panel and the page around it as a person finds them: by roles and accessible names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab

SIDE_BAR = ".al-Sidebar"


@dataclass(frozen=True)
class Panel:
    """One chat. `place` is the page, or the part of it that holds this chat."""

    place: Page | Locator

    @property
    def region(self) -> Locator:
        return self.place.get_by_role("region", name="Agent chat")

    @property
    def log(self) -> Locator:
        return self.region.get_by_role("log", name="Conversation")

    @property
    def box(self) -> Locator:
        return self.region.get_by_role("textbox", name="Message the agent")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.region.get_by_role("button", name=name, exact=isinstance(name, str))

    @property
    def queue(self) -> Locator:
        return self.region.get_by_role("list", name="Queued messages")

    def status(self, words: str) -> None:
        """Wait until the header says so."""
        expect(self.region.locator(".al-state")).to_contain_text(words)

    def ask(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Enter")

    def says(self, text: str | re.Pattern[str], times: int = 1) -> None:
        """Wait until the conversation holds exactly this, so often."""
        expect(self.log.get_by_text(text, exact=True)).to_have_count(times)

    def answers(self, prompt: str) -> None:
        self.ask(prompt)
        self.says(f"Answer to: {prompt}")

    def a_b_c(self) -> None:
        """What every mishap is followed by: ask A, B, C and see the answers, each once."""
        self.status("Idle")
        for letter in "ABC":
            self.answers(letter)
        self.status("Idle")

    def tool(self, title: str) -> Locator:
        return self.log.get_by_role("group", name=f"Tool call: {title}")

    def choose(self, option: str) -> None:
        """Answer the pending permission as soon as its buttons work."""
        self.button(option).click()


def open_lab(page: Page, lab: Lab, workspace: str, document: str = "") -> None:
    if page.url == "about:blank":
        # A story that is told once more begins where it began, not where it failed.
        lab.forget_layout(workspace)
    page.goto(lab.page(workspace, document))
    settle(page)


def settle(page: Page) -> None:
    """JupyterLab's splash screen is gone and its layout is back."""
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")


def beside(page: Page) -> Panel:
    """The chat in the side bar, which belongs to the notebook that is looked at."""
    return Panel(page.locator(SIDE_BAR))


def open_beside(page: Page) -> Panel:
    """By the notebook's button."""
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Agent").click()
    return beside(page)


def open_split(page: Page) -> Panel:
    """By the launcher's card."""
    page.locator(".jp-LauncherCard", has_text=re.compile("^Agent$")).click()
    panel = Panel(page.locator(".al-Split"))
    expect(panel.box).to_be_visible()
    return panel


def terminal_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Terminal")


def type_in_terminal(page: Page, line: str) -> None:
    """Type a line and press Enter. What is typed before the shell reads is kept for it."""
    terminal_of(page).locator(".xterm-screen").click()
    page.keyboard.type(f"{line}\n")

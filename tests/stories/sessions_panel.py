"""The list of sessions as a person finds it: by roles and accessible names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import TOKEN, Lab, until
from tests.stories.panel import Panel


@dataclass(frozen=True)
class Sessions:
    """One list. `place` is the page, or the part of it that holds the list."""

    place: Page | Locator

    @property
    def nav(self) -> Locator:
        return self.place.get_by_role("navigation", name="Agent sessions")

    @property
    def search(self) -> Locator:
        return self.nav.get_by_role("searchbox", name="Search titles and text")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.nav.get_by_role("button", name=name, exact=isinstance(name, str))

    def row(self, title: str) -> Locator:
        return self.nav.get_by_role("listitem").filter(
            has=self.nav.page.locator(".al-row-title", has_text=re.compile(f"^{re.escape(title)}$"))
        )

    def opener(self, title: str) -> Locator:
        return self.row(title).locator(".al-row-open")

    def titles(self) -> list[str]:
        return self.nav.locator(".al-row-title").all_inner_texts()

    def choose(self, title: str, action: str) -> None:
        """By the row's menu."""
        self.row(title).hover()
        self.row(title).get_by_role("button", name=f"Actions for {title}").click()
        self.nav.get_by_role("menuitem", name=re.compile(f"^{action}")).click()


def open_page(page: Page, lab: Lab, session_id: str = "") -> tuple[Sessions, Panel]:
    """The page without JupyterLab."""
    rest = f"/{session_id}" if session_id else ""
    page.goto(f"{lab.url}agent-lab/sessions{rest}?token={TOKEN}")
    found = Sessions(page)
    page.locator(".al-sessions").wait_for(state="attached")
    return found, Panel(page)


def open_list(page: Page) -> Sessions:
    """The side bar of JupyterLab."""
    page.get_by_role("tab", name="Agent sessions").click()
    found = Sessions(page)
    expect(found.search).to_be_visible()
    return found


def make_session(lab: Lab, title: str, *prompts: str, **new: object) -> str:
    """A session in which these turns have ended; by its title."""
    session = lab.call("POST", "agent-lab/api/sessions", {"path": "", "title": title, **new})
    for prompt in prompts:
        ask_in(lab, session["id"], prompt)
    return str(session["id"])


def ask_in(lab: Lab, session_id: str, prompt: str, wait: bool = True) -> None:
    """One more turn, as another client asks for it."""
    body = {"content": [{"type": "text", "text": prompt}]}
    route = f"agent-lab/api/sessions/{session_id}"
    turn = lab.call("POST", f"{route}/prompt", body)["turn_id"]
    if wait:
        until(
            lambda: [
                event
                for event in lab.events(session_id)
                if event["type"] == "turn_ended" and event["turn_id"] == turn
            ]
        )

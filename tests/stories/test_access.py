"""For everybody: no violation that axe-core finds, in each theme, with every kind of card on
screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import Lab
from tests.stories.panel import Panel, open_lab, open_split

pytestmark = pytest.mark.story

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")


def set_theme(page: Page, theme: str) -> None:
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_be_attached()


def violations(page: Page, place: str) -> list[str]:
    """What axe says of a part of the page, a line for each element."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    found: dict[str, Any] = page.evaluate(
        "([place, values]) => axe.run(place, { runOnly: { type: 'tag', values } })", [place, TAGS]
    )
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def in_each_theme(page: Page, place: str) -> None:
    said = []
    for theme in THEMES:
        set_theme(page, theme)
        said += [f"{theme}: {line}" for line in violations(page, place)]
    assert not said, "\n".join(said)


def test_axe_would_tell(lab: Lab, page: Page) -> None:
    """The scan finds what is planted, so an empty answer means something."""
    open_lab(page, lab, "axe-control")
    open_split(page)
    page.evaluate(
        """() => document.querySelector('.al').insertAdjacentHTML('beforeend',
        '<div style="color:#999;background:#aaa">pale</div><button></button>')"""
    )
    said = " ".join(violations(page, ".al"))
    assert "color-contrast" in said
    assert "button-name" in said


def test_nothing_shuts_anybody_out(lab: Lab, page: Page) -> None:
    (lab.root / "notes.txt").write_text("alpha\nbeta\n")
    open_lab(page, lab, "axe")
    panel = open_split(page)
    panel.status("Idle")
    in_each_theme(page, ".al-Split")  # empty

    for prompt, shown in (
        ("markdown", "Answer"),
        ("think then answer", "Thought"),
        ("read: notes.txt", "notes.txt"),
        ("fail: 401", "Sign in"),
    ):
        panel.ask(prompt)
        expect(panel.log).to_contain_text(shown)
        expect(panel.region.locator(".al-state")).to_contain_text("Idle")
    for group in panel.log.locator("[aria-expanded=false]").all():
        group.click()
    in_each_theme(page, ".al-Split")

    panel.ask("edit: notes.txt alpha => gamma")
    expect(panel.button("Allow once")).to_be_enabled()
    panel.ask("and then this")
    expect(panel.queue).to_contain_text("and then this")
    in_each_theme(page, ".al-Split")
    panel.choose("Allow once")
    panel.status("Idle")

    panel.ask("ask: Which one?")
    expect(panel.log.get_by_role("radio").first).to_be_visible()
    in_each_theme(page, ".al-Split")
    panel.button("Stop").click()
    panel.status("Idle")
    panel.ask("plan: # First\n\n1. this\n2. that")
    expect(panel.log).to_contain_text("that")
    in_each_theme(page, ".al-Split")


def test_everything_is_reached_by_keyboard(lab: Lab, page: Page) -> None:
    """Every control of the panel takes the focus in the order of the page, and shows that it
    has it."""
    open_lab(page, lab, "keyboard")
    panel = open_split(page)
    panel.status("Idle")
    panel.answers("hello")
    panel.box.focus()
    wanted = panel.region.locator(
        "button:visible:not([disabled]):not([tabindex='-1']), select:visible, textarea:visible"
    )
    names = {one.evaluate("e => e.outerHTML.slice(0, 120)") for one in wanted.all()}
    assert len(names) > 5
    reached: set[str] = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
            return { html: e.outerHTML.slice(0, 120), inside: !!e.closest('.al'),
              shown: s.outlineStyle !== 'none' || s.boxShadow !== 'none' } }"""
        )
        if at["inside"] and at["html"] not in reached:
            reached.add(at["html"])
            assert at["shown"], f"no sign of focus on {at['html']}"
        if names <= reached:
            return
    raise AssertionError(f"not reached: {names - reached}")

"""For everybody: no violation that axe-core finds, in each theme, with every kind of card on
screen."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import TOKEN, Lab
from tests.stories.panel import open_lab, open_split

pytestmark = pytest.mark.story

_found = importlib.util.find_spec("axe_playwright_python")
assert _found is not None
assert _found.origin is not None
AXE = Path(_found.origin).with_name("axe.min.js")
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
        page.evaluate(AXE.read_text())  # a script element would be refused by the page
    found: dict[str, Any] = page.evaluate(
        "([place, values]) => axe.run(place, { runOnly: { type: 'tag', values } })", [place, TAGS]
    )
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def pale(page: Page, place: str) -> list[str]:
    """Words whose contrast is below WCAG's AA. In JupyterLab axe finds no text to look at."""
    found: list[str] = page.evaluate(PALE, place)
    return found


PALE = """place => {
  const parse = colour => {
    const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    c.fillStyle = colour; c.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = c.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = c => {
    const [r, g, b] = c.map(v => v / 255).map(v =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const said = [];
  for (const e of document.querySelectorAll(`${place} *`)) {
    const words = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('').trim();
    const style = getComputedStyle(e);
    const off = e.closest('[disabled], [aria-disabled=true], .al-unseen, .xterm');
    const shown = e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!/[\\p{L}\\p{N}]/u.test(words) || off || !shown) continue;
    let faint = 1;
    for (let at = e; at; at = at.parentElement) faint *= Number(getComputedStyle(at).opacity);
    const back = behind(e), colour = parse(style.color);
    const [high, low] = [light(over([...colour.slice(0, 3), colour[3] * faint], back)), light(back)]
      .sort((x, y) => y - x);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.01) {
      said.push(`contrast ${ratio.toFixed(2)}: .${e.className}: ${words.slice(0, 60)}`);
    }
  }
  return said;
}"""


def in_each_theme(page: Page, place: str) -> None:
    said = []
    for theme in THEMES:
        set_theme(page, theme)
        said += [f"{theme}: {line}" for line in (*violations(page, place), *pale(page, place))]
    assert not said, "\n".join(dict.fromkeys(said))


def test_the_scans_would_tell(lab: Lab, page: Page) -> None:
    """They find what is planted, so an empty answer means something."""
    open_lab(page, lab, "axe-control")
    open_split(page)
    page.evaluate(
        """() => document.querySelector('.al-foot').insertAdjacentHTML('afterbegin',
        '<p style="color:#999;background:#aaa">pale words</p><button></button>')"""
    )
    assert "button-name" in " ".join(violations(page, ".al"))
    assert any("pale words" in line for line in pale(page, ".al"))


def test_nothing_shuts_anybody_out(lab: Lab, page: Page) -> None:
    (lab.root / "notes.txt").write_text("alpha\nbeta\n")
    open_lab(page, lab, "axe")
    panel = open_split(page)
    panel.status("Idle")
    in_each_theme(page, ".al-Split")  # empty

    for prompt, shown in (
        ("markdown", "A heading"),
        ("think then answer", "Thought"),
        ("read: notes.txt", "notes.txt"),
        ("fail: 401", "sign in"),
    ):
        panel.ask(prompt)
        expect(panel.log).to_contain_text(re.compile(shown, re.IGNORECASE))
        expect(panel.region.locator(".al-state")).to_contain_text("Idle")
    closed = panel.log.locator("button[aria-expanded=false]")
    for _ in range(closed.count()):
        closed.first.click()
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


# A figure's title changes with the figure.
NAMED = """(e => e.outerHTML.replace(/ title="[^"]*"/, '').slice(0, 120))"""


def test_everything_is_reached_by_keyboard(lab: Lab, page: Page) -> None:
    """Every control of the panel takes the focus in the order of the page, and shows that it
    has it."""
    open_lab(page, lab, "keyboard")
    panel = open_split(page)
    panel.status("Idle")
    panel.answers("hello")
    wanted = panel.region.locator(
        "button:visible:not([disabled]):not([tabindex='-1']), select:visible, textarea:visible"
    )
    wanted.first.focus()
    names = set(wanted.evaluate_all(f"all => all.map({NAMED})"))
    assert len(names) > 5
    reached: set[str] = set()
    for _ in range(60):
        at = page.evaluate(
            """named => { const e = document.activeElement; const s = getComputedStyle(e);
            return { html: eval(named)(e), inside: !!e.closest('.al'),
              shown: s.outlineStyle !== 'none' || s.boxShadow !== 'none' ||
                getComputedStyle(e.parentElement.closest(':focus-within')).boxShadow !== 'none' }
            }""",
            NAMED,
        )
        if at["inside"] and at["html"] not in reached:
            reached.add(at["html"])
            assert at["shown"], f"no sign of focus on {at['html']}"
        if names <= reached:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"not reached: {names - reached}")


def test_less_motion_where_less_is_asked_for(lab: Lab, page: Page) -> None:
    moving = "() => document.querySelector('.al').getAnimations({ subtree: true }).length"
    open_lab(page, lab, "motion")
    panel = open_split(page)
    panel.ask("stream 400 tokens at 40/s")
    panel.status("Writing")
    page.wait_for_function(f"({moving})() > 0")  # something moves where nobody minds
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"({moving})() === 0")
    panel.button("Stop").click()
    panel.status("Idle")


def test_words_from_right_to_left(lab: Lab, page: Page) -> None:
    """Each paragraph has its own direction; what could disguise a command is made visible."""
    open_lab(page, lab, "right-to-left")
    panel = open_split(page)
    panel.ask("echo: שלום עולם, this is mixed\n\nplain words")
    answer = panel.log.locator(".al-say p", has_text="שלום עולם")
    expect(answer).to_be_visible()
    direction = "e => getComputedStyle(e).direction"
    assert answer.evaluate(direction) == "rtl"
    assert panel.log.locator(".al-say p", has_text="plain words").evaluate(direction) == "ltr"
    panel.box.fill("مرحبا")
    assert panel.box.evaluate(direction) == "rtl"
    panel.box.fill("")
    panel.ask("bash: echo safe \u202e txt.exe")
    expect(panel.log.get_by_text("U+202E").first).to_be_visible()
    panel.button("Stop").click()
    panel.status("Idle")


def test_the_list_and_the_page_shut_nobody_out(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "axe-list")
    panel = open_split(page)
    panel.status("Idle")
    panel.answers("hello")
    page.evaluate("() => window.jupyterapp.shell.activateById('agent-lab-sessions')")
    rows = page.get_by_role("navigation", name="Agent sessions")
    expect(rows.get_by_text("hello").first).to_be_visible()
    in_each_theme(page, "[aria-label='Agent sessions']")

    session = lab.sessions()[0]["id"]
    for place in ("agent-lab/sessions", f"agent-lab/sessions/{session}"):
        page.goto(f"{lab.url}{place}?token={TOKEN}")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            expect(page.get_by_role("navigation", name="Agent sessions")).to_be_visible()
            said = [*violations(page, "body"), *pale(page, "body")]
            assert not said, f"{scheme} {place}: " + "\n".join(said)

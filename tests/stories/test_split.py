"""Chat and terminal in one split: opened, dragged, collapsed, and the same again after a reload."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Json, Lab, until, written
from tests.stories.panel import (
    Panel,
    open_lab,
    open_split,
    settle,
    terminal_of,
    type_in_terminal,
)

pytestmark = pytest.mark.story


def width(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["width"]


def test_names_that_people_and_screen_readers_find_things_by(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "names")
    panel = open_split(page)
    panel.status("Idle")
    region = panel.region

    expect(panel.log).to_be_visible()
    expect(panel.box).to_be_focused()
    expect(panel.button("Send")).to_be_disabled()
    for name in ("Model", "Permission mode", "Effort"):
        expect(region.get_by_role("combobox", name=name)).to_be_visible()
    for name in ("Context", "Cost"):
        expect(region.get_by_role("status", name=name)).to_be_visible()
    expect(terminal_of(page)).to_be_visible()
    expect(page.get_by_role("separator", name="Resize chat and terminal")).to_be_visible()
    for name in ("Collapse chat", "Collapse terminal"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()

    panel.ask("think then answer")
    panel.says("I thought first, and this is the answer.")
    expect(panel.log.get_by_role("group", name="Thinking")).to_be_visible()
    panel.ask("read: nothing.txt")
    card = panel.tool("Read")
    expect(card).to_have_attribute("aria-expanded", "false")
    card.get_by_role("button").first.click()
    expect(card).to_have_attribute("aria-expanded", "true")


def test_the_command_palette_opens_one_too(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "palette")
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("New agent session")
    page.keyboard.press("Enter")
    expect(Panel(page.locator(".al-Split")).box).to_be_visible()


def test_a_reload_brings_back_ratio_terminal_session_and_words(
    lab: Lab, page: Page, tmp_path: Path
) -> None:
    open_lab(page, lab, "reload")
    panel = open_split(page)
    panel.answers("remember me")
    separator = page.get_by_role("separator", name="Resize chat and terminal")
    chat = page.locator(".al-Split .al-Chat")
    terminal = terminal_of(page)
    whole = width(page.locator(".al-Split"))

    handle = separator.bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + 2, handle["y"] + 300)
    page.mouse.down()
    page.mouse.move(handle["x"] - 150, handle["y"] + 300, steps=5)
    page.mouse.up()
    dragged = separator.get_attribute("aria-valuenow")
    assert dragged != "58"
    before = width(chat)

    page.get_by_role("button", name="Collapse terminal").click()
    expect(terminal).to_be_hidden()
    assert width(chat) > 0.9 * whole
    page.get_by_role("button", name="Expand terminal").click()
    assert width(chat) == pytest.approx(before, abs=2)
    page.get_by_role("button", name="Collapse chat").click()
    expect(chat).to_be_hidden()
    assert width(terminal) > 0.9 * whole
    page.get_by_role("button", name="Expand chat").click()
    assert width(chat) == pytest.approx(before, abs=2)

    type_in_terminal(page, "MARK=41")
    panel.box.fill("a draft")
    sessions = [session["id"] for session in lab.sessions()]

    # JupyterLab saves its layout a moment after the last change.
    until(lambda: round(saved_split(lab, "reload").get("ratio", 0) * 100) == int(dragged or 0))
    page.reload()
    settle(page)
    panel.says("Answer to: remember me")
    expect(panel.box).to_have_value("a draft")
    expect(separator).to_have_attribute("aria-valuenow", dragged or "")
    assert width(chat) == pytest.approx(before, abs=2)
    assert [session["id"] for session in lab.sessions()] == sessions
    proof = tmp_path / "proof"
    type_in_terminal(page, f"echo $((MARK + 1)) > {proof}")
    assert written(proof) == "42"


def saved_split(lab: Lab, workspace: str) -> Json:
    """What JupyterLab would restore of the one split of a layout; empty while there is none."""
    saved = lab.call("GET", f"lab/api/workspaces/{workspace}")["data"]
    return next((saved[key]["data"] for key in saved if key.startswith("agent-lab-split:")), {})


def test_a_collapsed_pane_stays_collapsed(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "collapsed")
    panel = open_split(page)
    page.get_by_role("button", name="Collapse terminal").click()
    until(lambda: saved_split(lab, "collapsed").get("collapsed") == "terminal")
    page.reload()
    settle(page)
    expect(panel.box).to_be_visible()
    expect(terminal_of(page)).to_be_hidden()
    page.get_by_role("button", name="Expand terminal").click()
    expect(terminal_of(page)).to_be_visible()


def test_a_part_of_the_page_that_could_not_be_fetched_is_fetched_again(
    lab: Lab, page: Page
) -> None:
    open_lab(page, lab, "parts")
    parts = re.compile(r"@agent-lab/labextension/static/.*\.js")
    page.route(parts, lambda route: route.abort())
    page.locator(".jp-LauncherCard", has_text=re.compile("^Agent$")).click()
    region = page.locator(".al-Split").get_by_role("region", name="Agent chat")
    expect(region.get_by_text("The session did not open")).to_be_visible()
    page.unroute(parts)
    region.get_by_role("button", name="Try again").click()
    expect(Panel(page.locator(".al-Split")).box).to_be_visible()


def test_a_page_asks_early_for_the_session_it_will_show_and_for_no_other(
    lab: Lab, page: Page
) -> None:
    asked: list[str] = []
    page.on(
        "websocket", lambda socket: asked.append(socket.url) if "/chat?" in socket.url else None
    )
    open_lab(page, lab, "early")
    panel = open_split(page)
    panel.answers("shown again")
    until(lambda: saved_split(lab, "early").get("session"))
    asked.clear()
    page.reload()
    settle(page)
    panel.says("Answer to: shown again")
    panel.status("Idle")
    assert len(asked) == 1

    page.locator(
        "#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current .lm-TabBar-tabCloseIcon"
    ).click()
    expect(panel.region).to_have_count(0)
    until(lambda: not saved_split(lab, "early"))
    asked.clear()
    page.reload()
    settle(page)
    assert asked == []

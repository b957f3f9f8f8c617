"""Turns as a person sees them through Stop, queue, reload, second tab, crash and a killed
server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, until
from tests.stories.panel import Panel, open_lab, open_split, settle

pytestmark = pytest.mark.story

WORDS = 100
LONG = f"stream {WORDS} tokens at 25/s, stamped"


def words(panel: Panel) -> list[int]:
    """The numbers of the words that the conversation shows, in its order."""
    return [int(number) for number in re.findall(r"w(\d+)«", panel.log.inner_text())]


def begun(panel: Panel) -> None:
    expect(panel.log).to_contain_text("w3«")


def whole(panel: Panel) -> None:
    """The long answer is there, each word of it once."""
    expect(panel.log).to_contain_text(f"w{WORDS - 1}«")
    panel.status("Idle")
    assert words(panel) == list(range(WORDS))


def same_session(page: Page, lab: Lab, session_id: str) -> Panel:
    """The session in one more tab of the browser."""
    open_lab(page, lab, "second")
    page.evaluate("id => window.jupyterapp.commands.execute('agent-lab:open', {session: id}) && 0",
                  session_id)  # fmt: skip
    return Panel(page.locator(".al-Split"))


def newest(lab: Lab) -> str:
    found: str = lab.sessions()[0]["id"]
    return found


def test_stop_keeps_what_was_said(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "stop")
    panel = open_split(page)
    panel.ask(LONG)
    expect(panel.button("Stop")).to_be_visible()
    begun(panel)
    panel.status("Writing")
    panel.button("Stop").click()
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    expect(panel.button("Stop")).to_be_hidden()
    kept = words(panel)
    assert 4 <= len(kept) < WORDS
    assert kept == list(range(len(kept)))

    panel.a_b_c()
    assert words(panel) == kept


def test_escape_stops_too(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "escape")
    panel = open_split(page)
    panel.ask(LONG)
    begun(panel)
    panel.box.press("Escape")
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()


def test_enter_queues_what_can_be_edited_and_removed(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "queue")
    panel = open_split(page)
    panel.ask(LONG)
    begun(panel)
    for text in ("one", "two", "three"):
        panel.ask(text)
    items = panel.queue.get_by_role("listitem")
    expect(items).to_have_count(3)
    expect(items.nth(0)).to_contain_text("one")

    items.nth(0).get_by_role("button", name="Edit queued message").click()
    field = panel.queue.get_by_role("textbox", name="Edit queued message")
    field.fill("one, edited")
    field.press("Enter")
    expect(items.nth(0)).to_contain_text("one, edited")
    items.nth(1).get_by_role("button", name="Remove queued message").click()
    expect(items).to_have_count(2)

    panel.says("Answer to: one, edited")
    panel.says("Answer to: three")
    panel.status("Idle")
    expect(panel.queue).to_be_hidden()
    assert words(panel) == list(range(WORDS))
    assert panel.log.get_by_text("Answer to: two").count() == 0
    panel.a_b_c()


def test_reload_in_the_middle_of_a_turn(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "middle")
    panel = open_split(page)
    panel.ask(LONG)
    begun(panel)
    page.reload()
    settle(page)
    expect(panel.button("Stop")).to_be_visible()
    whole(panel)
    panel.a_b_c()


def test_two_tabs_show_the_same_and_either_stops(lab: Lab, new_page: NewPage) -> None:
    first = new_page()
    open_lab(first, lab, "first")
    one = open_split(first)
    one.answers("hello")
    two = same_session(new_page(), lab, newest(lab))
    two.says("Answer to: hello")
    one.ask(LONG)
    begun(two)
    two.button("Stop").click()
    for panel in (one, two):
        expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
        panel.status("Idle")
    assert words(one) == words(two)
    for asking, other, letter in ((one, two, "A"), (two, one, "B"), (one, two, "C")):
        asking.answers(letter)
        other.says(f"Answer to: {letter}")


def test_a_killed_agent(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "crash")
    panel = open_split(page)
    panel.ask(LONG)
    begun(panel)
    lab.agents(newest(lab))[0].kill()
    expect(panel.log.get_by_text("stopped in the middle of the turn")).to_be_visible()
    kept = words(panel)
    assert kept == list(range(len(kept)))
    assert kept

    for letter in "ABC":
        panel.answers(letter)
    panel.status("Idle")
    assert words(panel) == kept


def test_a_killed_server_loses_and_doubles_nothing(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "killed")
    panel = open_split(page)
    panel.ask(LONG)
    begun(panel)
    lab.kill()
    panel.status("Server unreachable")
    panel.box.fill("a draft for later")
    lab.start()
    whole(panel)
    expect(panel.box).to_have_value("a draft for later")
    panel.a_b_c()


def test_a_permission_outlives_a_reload_and_a_killed_server(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "pending")
    panel = open_split(page)
    panel.ask("bash: touch allowed-once")
    allow = panel.button("Allow once")
    expect(allow).to_have_count(1)
    panel.status("Waiting for your permission")
    page.reload()
    settle(page)
    expect(allow).to_have_count(1)
    lab.kill()
    panel.status("Server unreachable")
    lab.start()
    panel.status("Waiting for your permission")
    expect(allow).to_have_count(1)
    assert not (lab.root / "allowed-once").exists()
    panel.choose("Allow once")
    expect(panel.log.get_by_text("The command said:")).to_have_count(1)
    assert until((lab.root / "allowed-once").exists)
    panel.a_b_c()


def test_what_one_tab_answers_disappears_in_the_other(lab: Lab, new_page: NewPage) -> None:
    first = new_page()
    open_lab(first, lab, "asks")
    one = open_split(first)
    one.ask("bash: touch not-wanted")
    expect(one.button("Allow once")).to_be_visible()
    two = same_session(new_page(), lab, newest(lab))
    expect(two.button("Allow once")).to_be_visible()
    two.choose("Reject")
    expect(one.button("Allow once")).to_be_hidden()
    for panel in (one, two):
        expect(panel.log.get_by_text("The command said:")).to_have_count(1)
        panel.status("Idle")
    assert not (lab.root / "not-wanted").exists()
    one.a_b_c()

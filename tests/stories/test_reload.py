"""A reload and a second tab at every state: all comes back, nothing twice, answered is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, running_lab, scripted_model, until, with_model
from tests.stories.panel import Panel, open_lab, open_split, settle
from tests.stories.test_turns import newest, same_session

pytestmark = pytest.mark.story

LONG = "stream 250 tokens at 25/s, stamped"
# What this tab keeps of answers that were begun.
BEGUN = "() => Object.keys(sessionStorage).filter(key => key.startsWith('agent-lab:answer:'))"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with the real claude and a model that asks questions and makes plans."""
    folder = tmp_path_factory.mktemp("reload")
    script = Path(__file__).with_name("conversation.toml")
    with (
        scripted_model(folder, script) as url,
        running_lab(folder, with_model(folder, url)) as lab,
    ):
        yield lab


def ask_of(panel: Panel) -> Locator:
    return panel.log.locator(".al-ask")


def reload(page: Page) -> None:
    page.reload()
    settle(page)


def plan_mode(panel: Panel) -> None:
    panel.status("Idle")
    panel.region.get_by_role("combobox", name="Permission mode").select_option("plan")


def test_a_permission_half_edited(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "half-edited")
    panel = open_split(page)
    panel.ask("bash: touch as-it-was")
    expect(panel.button("Allow once")).to_be_enabled()
    panel.button("Edit").click()
    edited = panel.region.get_by_role("textbox", name="Edit the input")
    expect(edited).to_be_focused()
    edited.fill("touch as-i-want-it")
    told = panel.region.get_by_role("textbox", name="Tell it what to do instead")
    told.fill("In another folder")
    reload(page)
    expect(ask_of(panel)).to_have_count(1)
    expect(edited).to_have_value("touch as-i-want-it")
    expect(edited).not_to_be_focused()  # nobody pressed Edit
    expect(told).to_have_value("In another folder")
    panel.status("Waiting for your permission")
    assert page.evaluate(BEGUN) != []
    panel.choose("Allow once")
    panel.says("The command is done.")
    panel.status("Idle")
    assert (lab.root / "as-i-want-it").exists()
    assert not (lab.root / "as-it-was").exists()
    assert page.evaluate(BEGUN) == []
    reload(page)
    panel.says("The command is done.")
    expect(ask_of(panel)).to_have_count(0)


def test_a_question_half_answered(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "half-answered")
    panel = open_split(page)
    panel.ask("two questions")
    ask = ask_of(panel)
    ask.get_by_role("textbox", name="Your own answer").first.fill("From neither")
    ask.get_by_role("checkbox", name="Outliers").check()
    reload(page)
    expect(ask).to_have_count(1)
    panel.status("Waiting for your answer")
    expect(ask.get_by_role("textbox", name="Your own answer").first).to_have_value("From neither")
    expect(ask.get_by_role("checkbox", name="Outliers")).to_be_checked()
    expect(ask.get_by_role("checkbox", name="Duplicates")).not_to_be_checked()
    ask.get_by_role("button", name="Send answers").click()
    panel.status("Idle")
    said = panel.log.locator(".al-say").last
    expect(said).to_contain_text("From neither")
    expect(said).to_contain_text("Outliers")
    assert page.evaluate(BEGUN) == []


def test_a_plan_half_commented(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "half-commented")
    panel = open_split(page)
    plan_mode(panel)
    panel.ask("a plan")
    plan = panel.region.get_by_role("document", name="Plan")
    second = plan.locator(".al-part", has_text="drop the 312 rows")
    second.hover()
    second.get_by_role("button", name=re.compile("^Comment on: ")).click()
    second.get_by_role("textbox", name="Your comment").fill("Keep them.")
    second.get_by_role("textbox", name="Your comment").press("Enter")
    third = plan.locator(".al-part", has_text="Plot it")
    third.hover()
    third.get_by_role("button", name=re.compile("^Comment on: ")).click()
    third.get_by_role("textbox", name="Your comment").fill("As a tab")
    panel.region.get_by_role("textbox", name="Comment on the plan").fill("Else fine.")
    reload(page)
    expect(ask_of(panel)).to_have_count(1)
    expect(second).to_contain_text("You Keep them.")
    expect(third.get_by_role("textbox", name="Your comment")).to_have_value("As a tab")
    expect(panel.region.get_by_role("textbox", name="Comment on the plan")).to_have_value(
        "Else fine."
    )
    third.get_by_role("textbox", name="Your comment").fill("As a table")
    panel.button("Send back with 2 comments").click()
    panel.status("Idle")
    told = panel.log.locator(".al-told")
    for words in ("Keep them.", "As a table", "Else fine."):
        expect(told).to_contain_text(words)
    assert page.evaluate(BEGUN) == []


def test_a_queue_of_two_and_one_being_edited(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "queue-of-two")
    panel = open_split(page)
    panel.ask(LONG)
    expect(panel.log).to_contain_text("w3«")
    panel.ask("say: one")
    panel.ask("say: two")
    items = panel.queue.get_by_role("listitem")
    items.nth(1).get_by_role("button", name="Edit queued message").click()
    field = panel.queue.get_by_role("textbox", name="Edit queued message")
    field.fill("say: two, better")
    reload(page)
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("one")
    expect(field).to_have_value("say: two, better")
    expect(panel.button("Stop")).to_be_visible()
    # Taken out while the page was away, it is words to be sent again, once.
    for item in lab.call("GET", f"agent-lab/api/sessions/{newest(lab)}")["queue"]:
        assert item["content"][0]["text"] in ("say: one", "say: two")
    page.goto("about:blank")
    queue = lab.call("GET", f"agent-lab/api/sessions/{newest(lab)}")["queue"]
    assert len(queue) == 2
    page.go_back()
    settle(page)
    expect(field).to_have_value("say: two, better")
    field.press("Enter")
    expect(items.nth(1)).to_contain_text("two, better")
    panel.button("Stop").click()
    panel.says("one")
    panel.says("two, better")
    panel.status("Idle")
    expect(panel.queue).to_be_hidden()
    assert page.evaluate(BEGUN) == []


def test_a_turn_that_failed(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "failed-turn")
    panel = open_split(page)
    panel.ask("fail: 400")
    card = panel.log.locator(".al-tone-error")
    expect(card).to_have_count(1)
    words = card.inner_text()
    panel.box.fill("a draft beside it")
    reload(page)
    expect(card).to_have_count(1)
    assert card.inner_text() == words
    expect(panel.log.locator(".al-prompt")).to_have_count(1)
    expect(panel.box).to_have_value("a draft beside it")
    panel.box.fill("")
    panel.a_b_c()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab to be killed."""
    script = Path(__file__).with_name("conversation.toml")
    with (
        scripted_model(tmp_path, script) as url,
        running_lab(tmp_path, with_model(tmp_path, url)) as lab,
    ):
        yield lab


def test_a_lost_connection_with_a_form_half_filled(own_lab: Lab, page: Page) -> None:
    open_lab(page, own_lab, "lost")
    panel = open_split(page)
    panel.ask("two questions")
    ask = ask_of(panel)
    ask.get_by_role("checkbox", name="Outliers").check()
    own_lab.kill()
    panel.status("Server unreachable")
    ask.get_by_role("radio", name="From orders").check()
    panel.box.fill("for later")
    # Answered into the void: it says so, and the form stays.
    ask.get_by_role("button", name="Send answers").click()
    expect(panel.region.get_by_role("group", name="The connection is lost")).to_be_visible()
    expect(ask.get_by_role("button", name="Send answers")).to_be_enabled()
    own_lab.start()
    reload(page)
    panel.status("Waiting for your answer")
    expect(ask).to_have_count(1)
    expect(ask.get_by_role("checkbox", name="Outliers")).to_be_checked()
    expect(ask.get_by_role("radio", name="From orders")).to_be_checked()
    expect(panel.box).to_have_value("for later")
    ask.get_by_role("button", name="Send answers").click()
    panel.status("Idle")
    expect(panel.log.locator(".al-say").last).to_contain_text("From orders")
    expect(panel.log.locator(".al-prompt")).to_have_count(1)


def test_what_one_tab_answers_is_answered_in_the_other(lab: Lab, new_page: NewPage) -> None:
    first = new_page()
    open_lab(first, lab, "two-tabs")
    one = open_split(first)
    one.ask("two questions")
    expect(ask_of(one)).to_be_visible()
    two = same_session(new_page(), lab, newest(lab))
    expect(ask_of(two)).to_be_visible()
    ask_of(two).get_by_role("checkbox", name="Duplicates").check()
    ask_of(one).get_by_role("radio", name="From customers").check()
    ask_of(one).get_by_role("checkbox", name="Outliers").check()
    # Each tab fills in its own form.
    expect(ask_of(two).get_by_role("radio", name="From customers")).not_to_be_checked()
    ask_of(one).get_by_role("button", name="Send answers").click()
    for panel in (one, two):
        expect(ask_of(panel)).to_have_count(0)
        panel.status("Idle")
        expect(panel.log.get_by_role("group", name=re.compile("question", re.I))).to_have_count(1)
        expect(panel.log.locator(".al-say").last).to_contain_text("From customers")
    assert two.region.page.evaluate(BEGUN) == []

    plan_mode(one)
    one.ask("a plan")
    for panel in (one, two):
        expect(panel.region.get_by_role("document", name="Plan")).to_be_visible()
    two.region.get_by_role("textbox", name="Comment on the plan").fill("Not like this")
    two.button("Send back with comment").click()
    for panel in (one, two):
        expect(ask_of(panel)).to_have_count(0)
        panel.status("Idle")
        expect(panel.log.locator(".al-told")).to_contain_text("Not like this")
    assert len([e for e in lab.events(newest(lab)) if e["type"] == "permission_resolved"]) == 2


def test_the_to_do_list_is_a_strip_and_then_a_line(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "to-do")
    panel = open_split(page)
    panel.ask("to do: touch worked")
    strip = panel.region.locator(".al-plan")
    head = strip.get_by_role("button")
    expect(head).to_contain_text("2 of 3")
    expect(head).to_contain_text("Join <b>both</b> columns")
    expect(head).to_have_attribute("aria-expanded", "false")
    head.click()
    entries = strip.get_by_role("listitem")
    expect(entries).to_have_text(
        ["done: Load the orders", "in progress: Join <b>both</b> columns", "open: Plot it"]
    )
    expect(
        panel.tool("Update the to-do list Join <b>both</b> columns: in progress")
    ).to_be_visible()
    reload(page)
    expect(head).to_contain_text("2 of 3")
    panel.choose("Allow once")
    expect(head).to_contain_text("3 of 3")
    expect(head).to_contain_text("Plot it as lines")
    panel.choose("Allow once")
    panel.says("The list is worked through.")
    panel.status("Idle")
    expect(strip).to_have_count(0)  # it is over with the turn
    line = panel.log.get_by_role("group", name="To-do list", exact=True).last
    expect(line).to_contain_text("2 of 3 done")
    line.get_by_role("button").click()
    expect(line.get_by_role("listitem")).to_have_count(3)
    assert until((lab.root / "worked").exists)
    # What asked for the list is no permission of the person's.
    panel.button("Session menu").click()
    panel.region.get_by_role("menuitem", name="Permissions…").click()
    dialog = panel.region.get_by_role("dialog", name="Permissions")
    expect(dialog).to_contain_text("Nothing is allowed or denied for longer than once")

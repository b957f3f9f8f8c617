"""The header: the title, the figures and what they are made of, the menu."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import Panel, open_lab, open_split, settle
from tests.stories.test_composer import chips
from tests.stories.test_composer_attachments import give, png
from tests.stories.test_turns import newest

pytestmark = pytest.mark.story


def figure(panel: Panel, name: str) -> Locator:
    return panel.region.get_by_role("status", name=name).get_by_role("button")


def window(panel: Panel, name: str) -> Locator:
    return panel.region.get_by_role("dialog", name=name)


def menu(panel: Panel, item: str, role: str = "menuitem") -> Locator:
    panel.button("Session menu").click()
    found: Locator = panel.region.get_by_role("menu").get_by_role(role, name=item)  # type: ignore[arg-type]
    return found


def title(lab: Lab, session: str) -> str:
    found: str = lab.call("GET", f"agent-lab/api/sessions/{session}")["title"]
    return found


def test_the_title_is_changed_in_its_place(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "title")
    panel = open_split(page)
    panel.answers("a question")
    session = newest(lab)
    field = panel.region.get_by_role("textbox", name="Title")

    panel.button("a question").click()
    field.fill("By Enter")
    field.press("Enter")
    expect(panel.button("By Enter")).to_be_visible()
    panel.button("By Enter").click()
    field.fill("never")
    field.press("Escape")
    expect(panel.button("By Enter")).to_be_visible()
    panel.button("By Enter").click()
    field.fill("By leaving")
    panel.box.click()
    expect(panel.button("By leaving")).to_be_visible()
    assert until(lambda: title(lab, session) == "By leaving")
    expect(page.locator(".lm-TabBar-tabLabel", has_text="By leaving")).to_be_visible()


def test_the_context_says_what_fills_it_and_is_compacted(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "context")
    panel = open_split(page)
    panel.answers("a question")
    panel.status("Idle")
    expect(figure(panel, "Context")).to_contain_text(re.compile(r"\d+\s%"))
    figure(panel, "Context").click()
    context = window(panel, "What fills the context")
    expect(context).to_contain_text(re.compile(r"[\d,]+ of [\d,]+ tokens"))
    expect(context).to_contain_text(re.compile(r"compacts it by itself at \d"))
    expect(context.get_by_role("row").filter(has_text=re.compile("System prompt"))).to_be_visible()
    expect(context.get_by_role("row").filter(has_text=re.compile("Free space"))).to_be_visible()
    shares = context.locator(".al-bar-cell i").evaluate_all("all => all.map(i => i.offsetWidth)")
    assert max(shares) > 20
    page.keyboard.press("Escape")
    expect(context).to_have_count(0)
    expect(figure(panel, "Context")).to_be_focused()

    figure(panel, "Context").click()
    context.get_by_role("button", name="Compact").click()
    expect(context).to_have_count(0)
    expect(panel.log.get_by_text("/compact", exact=True)).to_be_visible()
    panel.status("Idle")


def test_the_narrowest_panel_has_the_context_in_its_menu(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "narrowest")
    panel = open_split(page)
    panel.answers("a question")
    panel.region.locator("xpath=..").evaluate("node => { node.style.width = '320px'; }")
    expect(figure(panel, "Context")).to_be_hidden()
    menu(panel, "What fills the context").click()
    context = window(panel, "What fills the context")
    expect(context).to_contain_text("tokens")
    box = context.bounding_box()
    assert box is not None
    assert box["width"] <= 320
    page.keyboard.press("Escape")
    expect(context).to_have_count(0)


def test_a_context_that_nobody_can_tell_says_so(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "no-context")
    panel = open_split(page)
    panel.status("Idle")
    lab.call("POST", f"agent-lab/api/sessions/{newest(lab)}/end")
    panel.status("Ended")
    figure(panel, "Context").click()
    context = window(panel, "What fills the context")
    expect(context.get_by_role("status")).to_contain_text("not running")
    expect(context.get_by_role("button", name="Compact")).to_have_count(0)
    panel.log.click(position={"x": 5, "y": 5})
    expect(context).to_have_count(0)


def test_the_cost_by_turn_and_by_model(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "cost")
    panel = open_split(page)
    panel.status("Idle")
    expect(figure(panel, "Cost")).to_have_text("\N{EN DASH}")
    panel.answers("the first question")
    panel.answers("the second question")
    panel.status("Idle")
    expect(figure(panel, "Cost")).to_contain_text("$")
    figure(panel, "Cost").click()
    cost = window(panel, "What it cost")
    turns = cost.get_by_role("table", name="By turn").get_by_role("row")
    expect(turns).to_have_count(3)
    expect(turns.nth(1)).to_contain_text("the first question")
    expect(turns.nth(2)).to_contain_text("the second question")
    expect(turns.nth(1)).to_contain_text("$")
    models = cost.get_by_role("table", name="By model").get_by_role("row")
    expect(models).to_have_count(2)
    expect(models.nth(1)).to_contain_text(re.compile(r"claude-.*\$", re.S))


def test_a_fork_has_the_history_and_goes_its_own_way(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "fork")
    panel = open_split(page)
    panel.answers("in both")
    panel.status("Idle")
    origin = newest(lab)
    menu(panel, "Fork").click()
    forked = Panel(page.locator(".al-Split").last)
    expect(forked.button("in both (fork)")).to_be_visible()
    forked.says("Answer to: in both")
    forked.answers("only in the fork")
    assert newest(lab) != origin
    said = [e for e in lab.events(origin) if e["type"] == "user_message"]
    assert len(said) == 1


def test_a_fork_from_a_message_has_what_came_before_it(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "fork-here")
    panel = open_split(page)
    panel.answers("one")
    panel.answers("two, said badly")
    panel.answers("three")
    panel.status("Idle")
    band = panel.log.locator(".al-prompt", has_text="two, said badly")
    band.hover()
    band.get_by_role("button", name="Fork from here").click()
    forked = Panel(page.locator(".al-Split").last)
    expect(forked.button("one (fork)")).to_be_visible()
    expect(forked.box).to_have_value("two, said badly")
    forked.says("Answer to: one")
    assert forked.log.get_by_text("two, said badly").count() == 0
    forked.box.fill("two, said well")
    forked.box.press("Enter")
    forked.says("Answer to: two, said well")


def saved_panels(lab: Lab, workspace: str) -> int:
    """How many chats in a layout's dock JupyterLab would restore."""
    saved = lab.call("GET", f"lab/api/workspaces/{workspace}")["data"]
    main = saved.get("layout-restorer:data", {}).get("main", {})
    return json.dumps(main.get("dock")).count("agent-lab-split:")


def test_a_fork_from_a_message_has_what_went_along_with_it(lab: Lab, page: Page) -> None:
    (lab.root / "along.txt").write_text("along\n")
    open_lab(page, lab, "fork-along")
    panel = open_split(page)
    panel.answers("one")
    panel.status("Idle")
    give(page, "paste", ("image.png", "image/png", png(20, 10)))
    give(page, "paste", text="x" * 2001)
    panel.box.press_sequentially("look at @along")
    expect(panel.region.get_by_role("option").first).to_contain_text("along.txt")
    panel.box.press("Enter")
    expect(chips(panel)).to_have_count(3)
    panel.box.press("Enter")
    expect(chips(panel)).to_have_count(0)
    panel.status("Idle")
    origin = newest(lab)
    band = panel.log.locator(".al-prompt", has_text="look at along.txt")
    band.hover()
    band.get_by_role("button", name="Fork from here").click()
    forked = Panel(page.locator(".al-Split").last)
    expect(forked.button("one (fork)")).to_be_visible()
    expect(forked.box).to_have_value("look at along.txt")
    expect(chips(forked)).to_have_count(3)
    expect(chips(forked).first).to_have_text("along.txt")
    # A paste can still be made words again.
    chips(forked).filter(has_text="pasted text").get_by_role("button").first.click()
    expect(forked.button("Paste as text")).to_be_visible()
    until(lambda: saved_panels(lab, "fork-along") == 2)  # JupyterLab saves its layout in a moment
    page.reload()
    settle(page)
    expect(chips(forked)).to_have_count(3)
    forked.box.press("Enter")
    forked.status("Idle")
    assert newest(lab) != origin

    def sent(session: str) -> tuple[object, object]:
        message = [e for e in lab.events(session) if e["type"] == "user_message"][-1]
        return message["content"], message["context"]

    assert sent(newest(lab)) == sent(origin)


def test_a_deleted_session_comes_back(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "deleted")
    panel = open_split(page)
    panel.answers("keep me")
    session = newest(lab)
    menu(panel, "Delete").click()
    card = panel.region.get_by_role("group", name="This session is deleted")
    expect(card).to_be_visible()
    assert session not in [each["id"] for each in lab.sessions()]
    card.get_by_role("button", name="Undo").click()
    expect(card).to_have_count(0)
    panel.says("Answer to: keep me")
    assert session in [each["id"] for each in lab.sessions()]
    panel.a_b_c()


def test_the_menu_by_keys_and_the_keys_explained(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "menu")
    panel = open_split(page)
    panel.status("Idle")
    panel.button("Session menu").focus()
    page.keyboard.press("Enter")
    items = panel.region.get_by_role("menu").get_by_role("menuitem")
    expect(items.first).to_be_focused()
    page.keyboard.press("End")
    expect(panel.region.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(items).to_have_count(0)
    expect(panel.button("Session menu")).to_be_focused()

    panel.ask("stream 1000 tokens at 25/s, stamped")
    expect(panel.log).to_contain_text("w3«")
    menu(panel, "Keyboard shortcuts").click()
    help = panel.region.get_by_role("dialog", name="Keyboard shortcuts")
    expect(help).to_contain_text("Shift+Enter")
    page.keyboard.press("Escape")
    expect(help).to_have_count(0)
    # That Escape was for the dialog; the next one is for the turn.
    expect(panel.button("Stop")).to_be_visible()
    panel.box.press("Escape")
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()


def test_bypass_is_not_offered_unless_it_is_allowed(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "no-bypass")
    panel = open_split(page)
    panel.status("Idle")
    mode = panel.region.get_by_role("combobox", name="Permission mode")
    expect(mode.get_by_role("option", name="plan")).to_have_count(1)
    expect(mode.get_by_role("option", name="bypass")).to_have_count(0)


@pytest.fixture
def free_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """The administrator allows the mode that asks nothing; the machine is a sandbox."""
    agent = {**with_model(tmp_path, model_url), "IS_SANDBOX": "1"}
    with running_lab(tmp_path, agent, allow_bypass_permissions=True) as lab:
        yield lab


def test_bypass_is_asked_for_shown_and_forgotten(free_lab: Lab, page: Page) -> None:
    open_lab(page, free_lab, "bypass")
    panel = open_split(page)
    panel.status("Idle")
    mode = panel.region.get_by_role("combobox", name="Permission mode")
    expect(mode.get_by_role("option", name="bypass")).to_have_count(1)
    asked = panel.region.get_by_role("alertdialog", name="Run everything without asking?")
    line = panel.region.get_by_role("note", name="Bypass mode")

    mode.select_option("bypassPermissions")
    expect(asked).to_contain_text("without asking you")
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    expect(mode).to_have_value("default")
    expect(line).to_have_count(0)

    mode.select_option("bypassPermissions")
    expect(asked.get_by_role("button", name="Go on being asked")).to_be_focused()
    asked.get_by_role("button", name="Ask nothing any more").click()
    expect(line).to_be_visible()
    expect(mode).to_have_value("bypassPermissions")
    panel.ask("bash: touch unasked")
    expect(panel.log.get_by_text("The command said:")).to_be_visible()
    assert (free_lab.root / "unasked").exists()
    page.reload()
    expect(line).to_be_visible()

    line.get_by_role("button", name="Ask again").click()
    expect(line).to_have_count(0)
    panel.ask("bash: touch asked")
    expect(panel.button("Allow once")).to_be_visible()
    panel.choose("Reject")
    panel.status("Idle")

    mode.select_option("bypassPermissions")
    asked.get_by_role("button", name="Ask nothing any more").click()
    expect(line).to_be_visible()
    panel.button("Session menu").click()
    panel.region.get_by_role("menuitem", name="End session").click()
    panel.status("Ended")
    panel.button("Resume").click()
    panel.status("Idle")
    expect(mode).to_have_value("default")
    expect(line).to_have_count(0)


def test_escape_closes_what_is_open_and_stops_nothing(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "escape")
    panel = open_split(page)
    panel.ask("bash: touch escaped")
    panel.status("Waiting for your permission")
    button = panel.button("Session menu")
    item = panel.region.get_by_role("menuitem", name="Keyboard shortcuts")
    button.click()
    expect(item).to_be_visible()
    button.focus()
    page.keyboard.press("Escape")
    expect(item).to_have_count(0)
    panel.status("Waiting for your permission")

    panel.region.get_by_role("status", name="Context").get_by_role("button").click()
    window = panel.region.get_by_role("dialog", name="What fills the context")
    expect(window).to_be_visible()
    panel.box.focus()
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    panel.status("Waiting for your permission")
    expect(panel.button("Stop")).to_be_enabled()
    panel.button("Stop").click()
    panel.status("Idle")

"""What a permission tells before it is given: the agent's own options, their reach, each letter."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import Lab, until
from tests.stories.panel import open_lab, open_split
from tests.stories.test_turns import newest

pytestmark = pytest.mark.story


def test_it_offers_what_the_agent_offers_and_by_its_numbers(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "offers")
    panel = open_split(page)
    panel.ask("bash: touch numbered")
    ask = panel.log.locator(".al-ask")
    expect(panel.button("Allow once")).to_be_enabled()
    session = lab.call("GET", f"agent-lab/api/sessions/{newest(lab)}")
    options = session["pending_permissions"][0]["options"]
    assert len(options) > 2
    expect(ask.locator(".al-option-label")).to_have_text(
        [option["label"].replace("`", "") for option in options]
    )
    for index, option in enumerate(options):
        button = ask.locator(".al-option").nth(index)
        expect(button).to_have_attribute("aria-keyshortcuts", str(index + 1))
        if option["kind"].endswith("always"):
            # Whatever lasts says how far and how long.
            assert option["scope"]
            expect(button).to_contain_text(option["scope"].replace("`", ""))
    expect(ask.get_by_role("textbox", name="Tell it what to do instead")).to_be_visible()
    expect(panel.region.locator(".al-state")).to_have_text("Waiting for your permission")

    expect(panel.button("Allow once")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(ask.locator(".al-option").nth(1)).to_be_focused()
    page.keyboard.press("2")
    panel.status("Idle")
    assert until((lab.root / "numbered").exists)
    resolved = [e for e in lab.events(newest(lab)) if e["type"] == "permission_resolved"]
    assert [event["option_id"] for event in resolved] == [options[1]["option_id"]]
    # It lasts: the same again is not asked.
    panel.ask("bash: touch numbered")
    panel.status("Idle")
    expect(ask).to_have_count(0)


def test_what_turns_words_round_is_shown_also_while_it_is_edited(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "turned")
    panel = open_split(page)
    panel.ask("bash: touch \u202eexe\u2066.turned")
    ask = panel.log.locator(".al-ask")
    expect(ask.locator(".al-command .al-hidden")).to_have_text(["U+202E", "U+2066"])
    panel.button("Edit").click()
    shown = ask.locator(".al-detail")
    expect(shown.locator(".al-hidden")).to_have_text(["U+202E", "U+2066"])
    panel.region.get_by_role("textbox", name="Edit the input").fill("touch straight")
    expect(shown).to_have_count(0)
    panel.choose("Allow once")
    panel.status("Idle")
    assert until((lab.root / "straight").exists)

"""From the terminal's selection to the model: by the menu, by the keys, without its codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab, running_lab, with_model
from tests.stories.panel import open_lab, open_split, terminal_of, type_in_terminal

pytestmark = pytest.mark.story


@pytest.fixture
def own_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """A lab to be killed."""
    with running_lab(tmp_path, with_model(tmp_path, model_url)) as lab:
        yield lab


def show(page: Page, command: str, line: str) -> Locator:
    """Run the command on an empty screen; its output starts with this line."""
    type_in_terminal(page, f"clear; {command}")
    first = terminal_of(page).locator(".xterm-accessibility-tree > div").first
    expect(first).to_have_text(line)
    return first


def select(page: Page, line: Locator) -> None:
    """Select a whole line as a mouse does."""
    box = line.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 10, box["y"] + box["height"] / 2, click_count=3)


def test_a_selection_becomes_a_chip_and_reaches_the_model_bare(
    telling_lab: Lab, page: Page
) -> None:
    open_lab(page, telling_lab, "selection")
    panel = open_split(page)
    red = r"printf '\033[31mred\033[0m \033[1mline\033[0m\n'"
    line = show(page, red, "red line")
    select(page, line)
    line.click(button="right", force=True, position={"x": 10, "y": 5})
    page.get_by_role("menuitem", name="Send to agent").click()

    chip = panel.region.get_by_role("button", name=re.compile("^terminal, 1 line"))
    expect(chip).to_be_visible()
    expect(panel.box).to_be_focused()
    assert telling_lab.sessions()[0]["usage"]["turns"] == 0, "nothing is sent by itself"
    chip.click()
    expect(panel.region.locator(".al-look pre")).to_have_text("red line")

    panel.ask("What colour?")
    told = panel.log.locator("code").filter(has_text="What colour?")
    expect(told).to_contain_text("text:\nred line\n")
    assert "\x1b" not in told.inner_text()
    assert "[31m" not in told.inner_text()
    expect(chip).to_be_hidden()
    panel.button("What was sent").click()
    expect(panel.log.locator(".al-sent-all")).to_contain_text("red line")


def test_the_keys_do_the_same_and_copy_and_paste_work(telling_lab: Lab, page: Page) -> None:
    open_lab(page, telling_lab, "keys")
    panel = open_split(page)
    line = show(page, "echo scarlet", "scarlet")
    select(page, line)
    page.keyboard.press("Control+Shift+Enter")
    chip = panel.region.get_by_role("button", name=re.compile("^terminal, 1 line"))
    expect(chip).to_be_visible()
    expect(panel.box).to_be_focused()
    panel.region.get_by_role("button", name=re.compile("^Remove terminal")).click()
    expect(chip).to_be_hidden()

    select(page, line)
    line.click(button="right", force=True, position={"x": 10, "y": 5})
    page.get_by_role("menuitem", name="Copy").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()) === 'scarlet'")
    page.evaluate("() => navigator.clipboard.writeText('echo pasted')")
    line.click(button="right", force=True, position={"x": 10, "y": 5})
    page.get_by_role("menuitem", name="Paste").click()
    expect(terminal_of(page).locator(".xterm-accessibility-tree")).to_contain_text("echo pasted")


def test_a_collapsed_chat_comes_back_for_it(telling_lab: Lab, page: Page) -> None:
    open_lab(page, telling_lab, "back")
    panel = open_split(page)
    page.get_by_role("button", name="Collapse chat").click()
    expect(panel.box).to_be_hidden()
    select(page, show(page, "echo blue", "blue"))
    page.keyboard.press("Control+Shift+Enter")
    expect(panel.box).to_be_focused()
    expect(panel.region.get_by_role("button", name=re.compile("^terminal, 1 line"))).to_be_visible()


def test_a_lost_connection_says_so_and_comes_back(own_lab: Lab, page: Page) -> None:
    open_lab(page, own_lab, "lost-terminal")
    open_split(page)
    show(page, "echo before", "before")
    own_lab.kill()
    overlay = terminal_of(page).get_by_role("alert")
    expect(overlay.get_by_role("heading")).to_have_text("Connection lost")
    own_lab.start()
    overlay.get_by_role("button", name="Reconnect").click()
    expect(overlay).to_be_hidden()
    show(page, "echo after", "after")


def test_narrow_panes_stack_and_part_again(telling_lab: Lab, page: Page) -> None:
    open_lab(page, telling_lab, "narrow")
    panel = open_split(page)
    separator = page.get_by_role("separator", name="Resize chat and terminal")

    def below() -> bool:
        chat, terminal = panel.region.bounding_box(), terminal_of(page).bounding_box()
        assert chat is not None
        assert terminal is not None
        return terminal["y"] >= chat["y"] + chat["height"] - 1

    expect(separator).to_have_attribute("aria-orientation", "vertical")
    assert not below()
    page.set_viewport_size({"width": 1000, "height": 850})
    expect(separator).to_have_attribute("aria-orientation", "horizontal")
    assert below()
    page.set_viewport_size({"width": 1400, "height": 850})
    expect(separator).to_have_attribute("aria-orientation", "vertical")
    assert not below()

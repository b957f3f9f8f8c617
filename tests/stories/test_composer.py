"""The composer under a person's hands: `@` and `/`, history, input methods, drafts, the queue."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, until
from tests.stories.panel import Panel, open_beside, open_lab, open_split, settle
from tests.stories.test_turns import newest, same_session

pytestmark = pytest.mark.story

LONG = "stream 1000 tokens at 25/s, stamped"


def options(panel: Panel, label: str) -> Locator:
    return panel.region.get_by_role("listbox", name=label).get_by_role("option")


def things(panel: Panel) -> Locator:
    return options(panel, "Things to attach")


def chips(panel: Panel) -> Locator:
    return panel.region.get_by_role("list", name="Goes along").get_by_role("listitem")


def active(panel: Panel) -> str:
    """The words of the option that a screen reader is on."""
    expect(panel.box).to_have_attribute("aria-activedescendant", re.compile("."))
    name = panel.box.get_attribute("aria-activedescendant")
    found: str = panel.region.locator(f"[id='{name}']").inner_text()
    return found


def sent(lab: Lab, words: str) -> list[dict[str, object]]:
    """What went along with the message of these words."""

    def message() -> list[dict[str, object]]:
        return [
            event
            for event in lab.events(newest(lab))
            if event["type"] == "user_message" and event["content"][0]["text"] == words
        ]

    found: list[dict[str, object]] = until(message)[0]["context"]  # type: ignore[assignment]
    return found


def test_a_file_is_found_by_its_letters_and_becomes_a_chip(lab: Lab, page: Page) -> None:
    (lab.root / "data").mkdir(exist_ok=True)
    (lab.root / "data" / "orders_2024.csv").write_text("a,b\n")
    (lab.root / "notes.md").write_text("# notes\n")
    open_lab(page, lab, "files")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("How many rows has @ord")
    file = things(panel).filter(has_text="data/orders_2024.csv")
    expect(file).to_be_visible()
    expect(file).to_have_attribute("aria-selected", "true")
    assert "orders_2024" in active(panel)
    assert panel.box.get_attribute("aria-controls") == file.locator(
        "xpath=ancestor::*[@role='listbox']"
    ).get_attribute("id")
    page.keyboard.press("Enter")
    expect(panel.box).to_have_value("How many rows has data/orders_2024.csv ")
    expect(things(panel)).to_have_count(0)
    expect(chips(panel)).to_have_text(["data/orders_2024.csv"])
    expect(panel.box).to_be_focused()
    page.keyboard.press("Control+z")
    expect(panel.box).to_have_value("How many rows has @ord")
    page.keyboard.press("Escape")
    expect(things(panel)).to_have_count(0)

    panel.ask("count them")
    assert [item["path"] for item in sent(lab, "count them")] == ["data/orders_2024.csv"]
    expect(chips(panel)).to_have_count(0)


def test_a_folder_is_gone_into_and_the_pointer_takes(lab: Lab, page: Page) -> None:
    (lab.root / "deep" / "inner").mkdir(parents=True, exist_ok=True)
    (lab.root / "deep" / "inner" / "leaf.txt").write_text("leaf\n")
    open_lab(page, lab, "folders")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("@deep")
    expect(things(panel).filter(has_text="folder").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(panel.box).to_have_value("@deep/")
    leaf = things(panel).filter(has_text="deep/inner/leaf.txt")
    leaf.click()
    expect(panel.box).to_have_value("deep/inner/leaf.txt ")
    expect(panel.box).to_be_focused()
    expect(chips(panel)).to_have_text(["deep/inner/leaf.txt"])
    chips(panel).get_by_role("button", name="Remove deep/inner/leaf.txt").click()
    expect(chips(panel)).to_have_count(0)


def test_enter_sends_while_nothing_is_chosen(lab: Lab, page: Page) -> None:
    (lab.root / "notes.md").write_text("# notes\n")
    open_lab(page, lab, "unchosen")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("echo: mail me@")
    expect(things(panel)).to_have_count(0)
    panel.box.fill("")
    panel.box.press_sequentially("echo: a lone @")
    expect(things(panel).first).to_be_visible()
    assert panel.box.get_attribute("aria-activedescendant") is None
    page.keyboard.press("Enter")
    panel.says("a lone @")
    panel.status("Idle")
    # The letters of `nts` are in notes.md, but not beside each other: Enter does not take it.
    panel.box.press_sequentially("echo: for @nts")
    expect(things(panel).filter(has_text="notes.md")).to_be_visible()
    assert panel.box.get_attribute("aria-activedescendant") is None
    page.keyboard.press("ArrowDown")
    assert "notes.md" in active(panel)
    page.keyboard.press("Escape")
    expect(things(panel)).to_have_count(0)
    page.keyboard.press("Enter")
    panel.says("for @nts")
    assert sent(lab, "echo: for @nts") == []


def test_a_name_that_means_harm_is_only_a_name(lab: Lab, page: Page) -> None:
    name = "<img src=x onerror=window.__owned=1>\u202egpj.txt"
    (lab.root / name).write_text("harm\n")
    open_lab(page, lab, "harm")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("@onerr")
    expect(things(panel).first).to_contain_text("<img src=x onerror=window.__owned=1>")
    expect(things(panel).first.locator(".al-hidden")).to_have_text("U+202E")
    page.keyboard.press("Enter")
    expect(chips(panel).locator(".al-hidden")).to_have_text("U+202E")
    chips(panel).get_by_role("button").first.click()
    expect(panel.region.locator(".al-look")).to_contain_text("<img src=x")
    assert page.evaluate("window.__owned") is None
    (lab.root / name).unlink()


def test_commands_of_the_agent_by_key(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "commands")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("/comp")
    expect(options(panel, "Commands").first).to_contain_text("/compact")
    assert "/compact" in active(panel)
    page.keyboard.press("Enter")
    expect(panel.box).to_have_value("/compact ")
    expect(options(panel, "Commands")).to_have_count(0)
    panel.box.fill("")
    panel.box.press_sequentially("/")
    first = active(panel)
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "([box, first]) => !document.getElementById(box.getAttribute('aria-activedescendant'))"
        ".innerText.startsWith(first)",
        arg=[panel.box.element_handle(), first.split("\n")[0]],
    )
    page.keyboard.press("Escape")
    expect(options(panel, "Commands")).to_have_count(0)
    expect(panel.box).to_have_value("/")


def test_other_sessions_go_along_with_what_was_said_in_them(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "earlier")
    first = open_split(page)
    first.answers("The harvest was poor")
    first.status("Idle")
    page.evaluate("window.jupyterapp.commands.execute('agent-lab:open', {cwd: ''}) && 0")
    panel = Panel(page.locator(".al-Split").last)
    panel.status("Idle")
    panel.box.press_sequentially("echo: go on with @harvest")
    expect(things(panel).filter(has_text="The harvest was poor")).to_be_visible()
    page.keyboard.press("Enter")
    expect(chips(panel)).to_have_text(["session “The harvest was poor”"])
    page.keyboard.press("Enter")
    item = sent(lab, "echo: go on with “The harvest was poor”")[0]
    assert "Answer to: The harvest was poor" in str(item["text"])


NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "id": "c1", "execution_count": 3, "metadata": {},
         "source": "totals = orders.sum()",
         "outputs": [{"output_type": "stream", "name": "stdout", "text": "42 orders\n"}]},
        {"cell_type": "code", "id": "c2", "execution_count": 4, "metadata": {},
         "source": "orders.groupby('region')",
         "outputs": [{"output_type": "error", "ename": "KeyError", "evalue": "'region'",
                      "traceback": ["\u001b[31mKeyError\u001b[0m: 'region'"]}]},
        {"cell_type": "markdown", "id": "m1", "metadata": {}, "source": "# Heading"},
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4, "nbformat_minor": 5,
}  # fmt: skip


def test_cells_and_errors_of_the_notebook(lab: Lab, page: Page) -> None:
    (lab.root / "orders.ipynb").write_text(json.dumps(NOTEBOOK))
    open_lab(page, lab, "cells", "orders.ipynb")
    panel = open_beside(page)
    panel.status("Idle")
    panel.box.press_sequentially("@")
    expect(things(panel).first).to_contain_text("error in [4]")
    expect(panel.region.get_by_role("group", name="Cells")).to_be_visible()
    panel.box.press_sequentially("totals")
    expect(things(panel)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(panel.box).to_have_value("[3] ")
    expect(chips(panel)).to_have_text(["cell [3]"])
    chips(panel).get_by_role("button").first.click()
    expect(panel.region.locator(".al-look")).to_contain_text("42 orders")
    panel.box.press_sequentially("and @error")
    expect(things(panel).first).to_contain_text("error in [4]")
    page.keyboard.press("Enter")
    panel.ask("both")
    cell, error = sent(lab, "both")
    assert (cell["type"], cell["cell_id"], cell["source"]) == (
        "cell",
        "c1",
        "totals = orders.sum()",
    )
    assert "42 orders" in str(cell["text"])
    assert (error["type"], error["ename"]) == ("error", "KeyError")
    assert "\x1b" not in str(error["traceback"])


def test_the_terminal_beside(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "terminal-beside")
    panel = open_split(page)
    panel.status("Idle")
    page.get_by_role("region", name="Terminal").locator(".xterm-screen").click()
    page.keyboard.type("echo seen-$((40+2))\n")
    expect(
        page.get_by_role("region", name="Terminal").locator(".xterm-accessibility-tree")
    ).to_contain_text("seen-42")
    panel.box.press_sequentially("@term")
    expect(things(panel).first).to_contain_text("terminal")
    page.keyboard.press("Enter")
    expect(panel.box).to_have_value("terminal ")
    panel.ask("look")
    assert "seen-42" in str(sent(lab, "look")[0]["text"])


def test_earlier_messages_and_the_draft_between(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "history")
    panel = open_split(page)
    panel.answers("first words")
    panel.answers("second words")
    panel.status("Idle")
    box = panel.box
    box.press_sequentially("a line")
    box.press("Shift+Enter")
    box.press_sequentially("another")
    box.press("ArrowUp")
    box.press_sequentially("!")
    expect(box).to_have_value(re.compile("!.*\nanother|a line.*!.*\nanother", re.S))
    draft = box.input_value()
    box.press("ArrowUp")
    expect(box).to_have_value("second words")
    box.press("ArrowUp")
    expect(box).to_have_value("first words")
    box.press("ArrowUp")
    expect(box).to_have_value("first words")
    box.press("ArrowDown")
    expect(box).to_have_value("second words")
    box.press("ArrowDown")
    expect(box).to_have_value(draft)


def test_up_in_a_wrapped_line_moves_the_caret_only(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "wrapped")
    panel = open_split(page)
    panel.answers("before")
    panel.status("Idle")
    long = "word " * 60
    panel.box.fill(long)
    panel.box.press("ArrowUp")
    page.wait_for_timeout(100)
    expect(panel.box).to_have_value(long)
    for _ in range(12):
        panel.box.press("ArrowUp")
    expect(panel.box).to_have_value("before")


def test_an_input_methods_enter_sends_nothing(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "ime")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.focus()
    cdp = page.context.new_cdp_session(page)
    for text in ("に", "にほ", "にほん"):
        cdp.send(
            "Input.imeSetComposition",
            {"text": text, "selectionStart": len(text), "selectionEnd": len(text)},
        )
    expect(panel.box).to_have_value("にほん")
    key = {
        "key": "Enter",
        "code": "Enter",
        "windowsVirtualKeyCode": 229,
        "nativeVirtualKeyCode": 13,
    }
    cdp.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    cdp.send("Input.insertText", {"text": "日本"})
    expect(panel.box).to_have_value("日本")
    assert [e for e in lab.events(newest(lab)) if e["type"] == "user_message"] == []
    panel.box.press("Shift+Enter")
    panel.box.press_sequentially("x")
    expect(panel.box).to_have_value("日本\nx")
    panel.box.press("Enter")
    panel.says("Answer to: 日本\nx")


def test_it_grows_to_a_limit_then_scrolls(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "grows")
    panel = open_split(page)
    panel.status("Idle")

    def height() -> float:
        box = panel.box.bounding_box()
        assert box is not None
        return box["height"]

    one = height()
    panel.box.fill("\n".join("line" for _ in range(4)))
    four = height()
    assert four >= one + 3 * 18
    panel.box.fill("\n".join("line" for _ in range(80)))
    most = height()
    assert four < most <= 0.45 * 850
    assert panel.box.evaluate("box => box.scrollHeight > box.clientHeight")


def test_a_draft_comes_back_with_its_chips(lab: Lab, new_page: NewPage) -> None:
    (lab.root / "kept.txt").write_text("kept\n")
    page = new_page()
    open_lab(page, lab, "draft")
    panel = open_split(page)
    panel.status("Idle")
    panel.box.press_sequentially("look at @kept")
    expect(things(panel).first).to_contain_text("kept.txt")
    page.keyboard.press("Enter")
    panel.box.press_sequentially("please")
    page.reload()
    settle(page)
    expect(panel.box).to_have_value("look at kept.txt please")
    expect(chips(panel)).to_have_text(["kept.txt"])


def test_the_queue_is_the_same_in_two_tabs_and_after_a_reload(lab: Lab, new_page: NewPage) -> None:
    first = new_page()
    open_lab(first, lab, "queue-two")
    one = open_split(first)
    one.ask(LONG)
    expect(one.log).to_contain_text("w3«")
    one.ask("echo: alpha")
    one.ask("echo: beta")
    two = same_session(new_page(), lab, newest(lab))
    expect(two.queue.get_by_role("listitem")).to_have_count(2)
    two.queue.get_by_role("listitem").nth(1).get_by_role(
        "button", name="Edit queued message"
    ).click()
    field = two.queue.get_by_role("textbox", name="Edit queued message")
    field.fill("echo: gamma")
    field.press("Enter")
    expect(one.queue.get_by_role("listitem").nth(1)).to_contain_text("gamma")
    first.reload()
    settle(first)
    expect(one.queue.get_by_role("listitem")).to_have_count(2)
    # Being changed here while it is removed there: the words go back to the composer.
    one.queue.get_by_role("listitem").nth(0).get_by_role(
        "button", name="Edit queued message"
    ).click()
    one.queue.get_by_role("textbox", name="Edit queued message").fill("echo: alpha, changed")
    two.queue.get_by_role("listitem").nth(0).get_by_role(
        "button", name="Remove queued message"
    ).click()
    expect(one.queue.get_by_role("listitem")).to_have_count(1)
    expect(one.box).to_have_value("echo: alpha, changed")
    one.button("Send now").click()
    for panel in (one, two):
        panel.says("gamma")
        panel.status("Idle")
        expect(panel.queue).to_be_hidden()


def test_after_a_failure_the_queue_waits_and_says_so(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "queue-fails")
    panel = open_split(page)
    panel.status("Idle")
    panel.ask("slow: 1500 ms")
    panel.ask("fail: 400")
    panel.ask("echo: after it")
    item = panel.queue.get_by_role("listitem").filter(has_text="after it")
    expect(item).to_contain_text("Waits for you")
    item.get_by_role("button", name="Send now").click()
    panel.says("after it")


def test_the_pages_own_shortcuts_work_from_the_composer(lab: Lab, page: Page) -> None:
    (lab.root / "short.ipynb").write_text(json.dumps(NOTEBOOK))
    open_lab(page, lab, "shortcuts", "short.ipynb")
    panel = open_beside(page)
    panel.status("Idle")
    cells = page.locator(".jp-Notebook .jp-Cell")
    cells.first.locator(".cm-content").click()
    page.keyboard.type("#")
    dirty = page.locator(".lm-TabBar-tab.jp-mod-dirty", has_text="short.ipynb")
    expect(dirty).to_be_visible()

    panel.box.click()
    panel.box.fill("some words")
    page.keyboard.press("Control+s")
    expect(dirty).to_have_count(0)
    assert "orders.sum()#" in (lab.root / "short.ipynb").read_text()

    side = page.locator("#jp-left-stack")
    expect(side).to_be_visible()
    page.keyboard.press("Control+b")
    expect(side).to_be_hidden()
    page.keyboard.press("Control+b")
    expect(side).to_be_visible()  # and has the focus, as JupyterLab wills

    panel.box.click()
    # What means something to the field is the field's, and nothing reaches the notebook's cells.
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+x")
    expect(panel.box).to_have_value("")
    page.keyboard.press("Control+z")
    expect(panel.box).to_have_value("some words")
    for keys in ("Control+Enter", "Shift+Enter", "Control+Shift+Minus", "d", "d", "Escape"):
        page.keyboard.press(keys)
    expect(cells).to_have_count(3)
    expect(cells.first.locator(".jp-InputPrompt")).to_have_text("[3]:")

    page.keyboard.press("Control+Shift+c")
    expect(page.locator(".lm-CommandPalette-input")).to_be_focused()
    page.keyboard.press("Escape")

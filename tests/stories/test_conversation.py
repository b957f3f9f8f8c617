"""The conversation under a reader's eyes and hands: code, formulas, cards, plans, permissions."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.stories.lab import Lab, running_lab, scripted_model, with_model
from tests.stories.panel import open_beside, open_lab, open_split
from tests.stories.test_notebook import open_notebook

pytestmark = pytest.mark.story

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFklEQVR4nGNkYPjPgA0wYRUdtBIAO8gBD1BG"
    "cPIAAAAASUVORK5CYII="
)
CODE = "say: Here:\n\n```python\nprint('from the answer')\n```\n\nand\n\n```diff\n-a\n+b\n```"
FORMULAS = r"""say: Inline $x^2 + \alpha_1$ and \(y\), from $5 to $10 at US$ 3, `$code$`.

$$
\begin{aligned}
a &= \frac{1}{2} \\
- b &= \sum_{i=0}^n i
\end{aligned}
$$

\[ \href{javascript:window.__pwned=1}{x} \]

Wrong: $\nonsense{1}$ end."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with the real claude and a model that plays the scenes of this file."""
    folder = tmp_path_factory.mktemp("conversation")
    script = Path(__file__).with_name("conversation.toml")
    with (
        scripted_model(folder, script) as url,
        running_lab(folder, with_model(folder, url)) as lab,
    ):
        (lab.root / "picture.png").write_bytes(base64.b64decode(PICTURE))
        for name in ("one", "two", "three"):
            (lab.root / f"{name}.txt").write_text(f"{name}, line 1\n{name}, line 2\n")
        yield lab


def test_code_goes_into_the_notebook(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, "code", "first = 1", "last = 2")
    panel = open_beside(page)
    panel.ask(CODE)
    expect(panel.button("Copy code")).to_have_count(2)
    panel.status("Idle")
    # What is only shown goes into no cell.
    expect(panel.button("Insert as cell below")).to_have_count(1)

    cells.nth(0).locator(".jp-InputArea-editor").click()
    panel.button("Insert as cell below").click()
    expect(cells).to_have_count(3)
    expect(cells.nth(1).locator(".cm-content")).to_have_text("print('from the answer')")
    expect(cells.nth(1).locator(".jp-InputPrompt")).to_have_text("[ ]:")

    cells.nth(2).locator(".jp-InputArea-editor").click()
    panel.button("Replace cell").click()
    expect(cells.nth(2).locator(".cm-content")).to_have_text("print('from the answer')")
    cells.nth(2).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+z")
    expect(cells.nth(2).locator(".cm-content")).to_have_text("last = 2")
    expect(cells).to_have_count(3)

    panel.button("Copy code").first.click()
    expect(panel.button("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == "print('from the answer')"


def test_code_buttons_come_and_go_with_the_notebook(lab: Lab, page: Page) -> None:
    notebook = {
        "cells": [
            {"cell_type": "code", "id": "open", "metadata": {}, "execution_count": None,
             "outputs": [], "source": "open = 1"},
            {"cell_type": "code", "id": "locked", "metadata": {"editable": False},
             "execution_count": None, "outputs": [], "source": "locked = 1"},
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    (lab.root / "comes.ipynb").write_text(json.dumps(notebook))
    open_lab(page, lab, "comes")
    panel = open_split(page)
    panel.ask(CODE)
    panel.status("Idle")
    insert, replace = panel.button("Insert as cell below"), panel.button("Replace cell")
    expect(panel.button("Copy code")).to_have_count(2)
    expect(insert).to_have_count(0)

    page.evaluate(
        "window.jupyterapp.commands.execute('docmanager:open', "
        "{path: 'comes.ipynb', options: {mode: 'split-right'}}) && 0"
    )
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(0).locator(".jp-InputArea-editor").click()
    # The answer was there before the notebook was.
    expect(insert).to_be_visible()
    expect(replace).to_be_enabled()
    cells.nth(1).locator(".jp-InputArea").click()
    expect(replace).to_be_disabled()
    expect(replace).to_have_attribute("title", "Replace cell: The selected cell is locked.")
    replace.click(force=True)
    expect(cells.nth(1).locator(".cm-content")).to_have_text("locked = 1")
    expect(insert).to_be_enabled()
    insert.click()
    expect(cells).to_have_count(3)
    expect(cells.nth(2).locator(".cm-content")).to_have_text("print('from the answer')")

    cells.nth(0).locator(".jp-InputArea-editor").click()
    page.evaluate(
        "() => { const { currentWidget } = window.jupyterapp.shell;"
        " return currentWidget.context.save().then(() => { currentWidget.close(); }); }"
    )
    expect(page.locator(".jp-Notebook")).to_have_count(0)
    expect(insert).to_have_count(0)
    expect(replace).to_have_count(0)


def test_every_message_says_what_was_sent(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "what-was-sent")
    panel = open_split(page)
    words = "say: two  spaces,\na line and a \u202e mark"
    panel.ask(words)
    panel.status("Idle")
    what = panel.button("What was sent")
    expect(what).to_have_attribute("aria-expanded", "false")
    what.click()
    expect(what).to_have_attribute("aria-expanded", "true")
    sent = panel.log.locator(".al-sent-all")
    expect(sent.locator("pre")).to_have_text(words.replace("\u202e", "U+202E"))
    expect(sent).to_contain_text("Nothing else went along.")
    what.click()
    expect(sent).to_have_count(0)

    panel.box.press_sequentially("say: see @one")
    expect(panel.region.get_by_role("option").first).to_contain_text("one.txt")
    panel.box.press("Enter")
    panel.box.press("Enter")
    panel.status("Idle")
    expect(what).to_have_count(2)
    what.last.click()
    expect(sent.locator("pre")).to_have_text("say: see one.txt")
    expect(sent).to_contain_text("Its name is sent; the agent reads it itself.")
    expect(sent).not_to_contain_text("Nothing else")


def test_where_there_is_no_notebook_code_is_only_copied(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "no-notebook")
    panel = open_split(page)
    panel.ask(CODE)
    expect(panel.button("Copy code")).to_have_count(2)
    panel.status("Idle")
    expect(panel.button("Insert as cell below")).to_be_hidden()
    expect(panel.button("Replace cell")).to_be_hidden()


def test_formulas_are_drawn_and_prices_are_words(lab: Lab, page: Page) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("math.js"):
            asked.append(request.url)

    page.on("request", note)
    open_lab(page, lab, "formulas")
    panel = open_split(page)
    panel.ask("say: no formula, but $5")
    panel.says("no formula, but $5")
    panel.status("Idle")
    assert asked == [], "a page without formulas pays nothing for them"

    panel.ask(FORMULAS)
    formulas = panel.log.locator(".al-say math")
    expect(formulas).to_have_count(3)
    assert len(asked) == 1
    expect(formulas.first.locator("msup")).to_have_count(1)
    expect(formulas.nth(2).locator("mtr")).to_have_count(2)
    words = panel.log.locator(".al-say p", has_text="Inline")
    expect(words).to_contain_text("from $5 to $10 at US$ 3, $code$.")
    # What must not be, or is not TeX, is shown as it was written.
    expect(panel.log.locator(".al-say code", has_text="href")).to_be_visible()
    expect(panel.log.locator(".al-say code", has_text="nonsense")).to_have_text(r"$\nonsense{1}$")
    assert page.evaluate("() => window.__pwned ?? null") is None
    box = formulas.nth(2).bounding_box()
    assert box is not None
    assert box["height"] > 30


def test_a_wide_table_scrolls_in_itself(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "table")
    panel = open_split(page)
    row = "|" + "|".join(f" a rather wide cell {n} " for n in range(20)) + "|"
    panel.ask(f"say: {row}\n{'|---' * 20}|\n{row}\n\nand on")
    table = panel.log.get_by_role("group", name="Table")
    expect(table).to_be_visible()
    assert table.evaluate("node => node.scrollWidth > node.clientWidth + 100")
    assert panel.log.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_pictures_files_and_lines(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "pictures")
    panel = open_split(page)
    panel.ask("read: picture.png")
    panel.says("It is read.")
    card = panel.tool("Read picture.png")
    card.get_by_role("button").first.click()
    picture = card.get_by_role("img", name="Output of the tool")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") == 8

    panel.ask("say: See [the second line](one.txt:2).")
    panel.log.get_by_role("button", name="the second line").click()
    expect(page.get_by_role("button", name="Ln 2, Col 1")).to_be_visible()


def test_thoughts_runs_sub_agents_and_figures(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "runs")
    panel = open_split(page)
    panel.ask("think")
    panel.says("I thought first.")
    thought = panel.log.get_by_role("group", name="Thinking")
    expect(thought).to_have_attribute("aria-expanded", "false")
    expect(thought).to_contain_text(re.compile(r"Thought for (<0\.1|[\d.]+) s"))
    thought.get_by_role("button").click()
    expect(thought).to_contain_text("weigh the answer")

    panel.ask("read: one.txt two.txt three.txt")
    panel.says("All are read.")
    steps = panel.log.get_by_role("group", name="Tool call: 3 steps")
    expect(steps).to_be_visible()
    expect(panel.tool("Read two.txt")).to_be_hidden()
    steps.get_by_role("button").click()
    expect(panel.tool("Read two.txt")).to_be_visible()

    panel.ask("agent: read: one.txt two.txt three.txt")
    panel.says("The sub-agent is done.")
    sub = panel.log.get_by_role("group", name=re.compile("^Tool call: .*look for gaps"))
    expect(sub).to_contain_text("3 steps")
    sub.get_by_role("button").first.click()
    expect(sub.get_by_role("group", name=re.compile("Read three.txt"))).to_be_visible()

    expect(panel.log.locator(".al-turn-end").last).to_contain_text(re.compile(r"\$.*tokens.* s"))


def test_a_stopped_and_a_failed_command_say_so(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "states")
    panel = open_split(page)
    panel.ask("bash: touch begun; sleep 60; touch over")
    panel.choose("Allow once")
    card = panel.tool("Bash")
    expect(card).to_contain_text(re.compile(r"[23] s"))  # its time runs
    expect(panel.region.locator(".al-state")).to_have_text(re.compile(r"Running Bash, \d+ s"))
    panel.button("Stop").click()
    expect(card).to_contain_text("stopped")
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    panel.ask("bash: touch failing; exit 7")
    panel.choose("Allow once")
    expect(card.last).to_contain_text("exit 7")
    panel.status("Idle")


def test_questions_are_forms(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "forms")
    panel = open_split(page)
    panel.ask("two questions")
    ask = panel.log.locator(".al-ask")
    expect(ask.get_by_role("radio")).to_have_count(3)
    expect(ask.get_by_role("checkbox")).to_have_count(3)
    send = ask.get_by_role("button", name="Send answers")
    ask.get_by_role("textbox", name="Your own answer").first.fill("From neither")
    expect(send).to_be_disabled()
    ask.get_by_role("checkbox", name="Duplicates").check()
    ask.get_by_role("checkbox", name="Outliers").check()
    ask.get_by_role("textbox", name="Your own answer").last.fill("Currency")
    send.click()
    panel.status("Idle")
    said = panel.log.locator(".al-say").last
    for words in ("From neither", "Duplicates, Outliers, Currency"):
        expect(said).to_contain_text(words)


def test_a_plan_is_commented_on_and_sent_back(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "plan")
    panel = open_split(page)
    panel.status("Idle")
    panel.region.get_by_role("combobox", name="Permission mode").select_option("plan")
    panel.ask("a plan")
    plan = panel.region.get_by_role("document", name="Plan")
    expect(plan.get_by_role("heading", name="One region column")).to_be_visible()
    expect(panel.button("Send back with 1 comment")).to_be_hidden()

    second = plan.locator(".al-part", has_text="drop the 312 rows")
    expect(second.locator("ol")).to_have_attribute("start", "2")
    second.hover()
    second.get_by_role("button", name=re.compile("^Comment on: ")).click()
    field = second.get_by_role("textbox", name="Your comment")
    expect(field).to_be_focused()
    field.fill("Keep them, add a flag column.")
    field.press("Enter")
    expect(second).to_contain_text("You Keep them, add a flag column.")

    # Only the words that are selected are what the next one is about.
    third = plan.locator(".al-part", has_text="Plot it")
    third.locator("li").dblclick(position={"x": 8, "y": 10})
    third.get_by_role("button", name=re.compile("^Comment on: ")).click()
    expect(third.locator("q")).to_have_text("Plot")
    third.get_by_role("textbox", name="Your comment").fill("As a table")
    expect(panel.button("Send back with 2 comments")).to_be_enabled()
    third.get_by_role("textbox", name="Your comment").press("Escape")
    expect(panel.button("Send back with 1 comment")).to_be_visible()
    expect(plan).to_be_visible()

    panel.region.get_by_role("textbox", name="Comment on the plan").fill("Else fine.")
    panel.button("Send back with 1 comment").click()
    panel.status("Idle")
    told = panel.log.locator(".al-told")
    expect(told).to_contain_text("> 2. Run the cells again and drop the 312 rows")
    expect(told).to_contain_text("Keep them, add a flag column.")
    answer = panel.log.locator(".al-say").last
    expect(answer).to_contain_text("It came back:")
    expect(answer).to_contain_text("Keep them, add a flag column.")
    expect(answer).to_contain_text("Else fine.")


def test_lasting_permissions_are_listed_and_revoked(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "rules")
    panel = open_split(page)
    panel.ask("bash: pip config list")
    always = panel.button(re.compile("^Always allow"))
    expect(always.first).to_be_enabled()
    # The scope stands there in words, before anything is granted.
    expect(panel.log.locator(".al-option-scope").first).not_to_be_empty()
    always.first.click()
    panel.status("Idle")
    panel.ask("bash: pip config debug")
    panel.says("The command is done.", 2)
    expect(panel.log.locator(".al-ask")).to_be_hidden()

    panel.ask("bash: touch something-else")
    expect(panel.button("Allow once")).to_be_visible()
    panel.button("Permissions…").click()
    dialog = panel.region.get_by_role("dialog", name="Permissions")
    expect(dialog).to_be_focused()
    rule = dialog.get_by_role("listitem").filter(has_text="pip config")
    expect(rule).to_contain_text("Allowed")
    expect(rule.locator(".al-option-scope")).not_to_be_empty()
    rule.get_by_role("button", name=re.compile("^Revoke ")).click()
    expect(rule).to_be_hidden()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    panel.choose("Reject")
    panel.status("Idle")

    panel.ask("bash: pip config list")
    expect(panel.button("Allow once")).to_be_visible()
    panel.choose("Reject")
    panel.status("Idle")

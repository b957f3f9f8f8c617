"""A kernel under the address of one user of a hub: `%agent` by itself, and a chat in a cell that
shares its session with the one beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import Panel, open_beside, settle
from tests.stories.test_notebook import SENT, open_notebook, run

pytestmark = pytest.mark.story

CHAT = "from agent_lab import AgentChat\nAgentChat()"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("hub")
    with running_lab(folder, with_model(folder, model_url), base_url="/user/ada/") as lab:
        yield lab


def output_of(cell: Locator) -> Locator:
    return cell.locator(".jp-OutputArea-output")


def test_the_magic_alone_status_and_stop(lab: Lab, page: Page) -> None:
    cells = open_notebook(
        page, lab, "alone",
        "undefined_name", "%agent", "%agent status",
        "%%agent --no-context\nfirst line\nsecond line",
        "%agent --no-context stream 500 tokens at 20/s", "%agent stop",
    )  # fmt: skip
    run(page, cells.nth(0))
    expect(cells.nth(0)).to_contain_text("NameError")
    run(page, cells.nth(1))
    expect(output_of(cells.nth(1))).to_contain_text(SENT)
    panel = open_beside(page)
    expect(panel.log).to_contain_text("Explain this error and fix it.")
    expect(panel.log).to_contain_text("NameError: name 'undefined_name' is not defined")
    panel.status("Idle")
    run(page, cells.nth(2))
    expect(output_of(cells.nth(2))).to_contain_text("idle")
    expect(output_of(cells.nth(2))).to_contain_text("1 turn")

    run(page, cells.nth(3))
    expect(panel.log).to_contain_text(re.compile(r"Answer to: first line\s+second line"))
    panel.status("Idle")
    run(page, cells.nth(4))
    panel.status("Writing")
    run(page, cells.nth(5))
    expect(output_of(cells.nth(5))).to_contain_text("to stop.")
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    panel.a_b_c()


def test_a_page_asks_early_and_once_for_the_session_beside_a_notebook(lab: Lab, page: Page) -> None:
    asked: list[str] = []
    page.on("websocket", lambda one: asked.append(one.url) if "/chat?" in one.url else None)
    open_notebook(page, lab, "early", "1")
    panel = open_beside(page)
    panel.answers("beside")

    def restored() -> bool:
        saved = lab.call("GET", "lab/api/workspaces/early")["data"]
        return bool(saved.get("layout-restorer:data", {}).get("right", {}).get("current"))

    until(restored)
    asked.clear()
    page.reload()
    settle(page)
    panel.says("Answer to: beside")
    panel.status("Idle")
    assert len(asked) == 1


def test_the_chat_beside_a_notebook_follows_to_its_new_session(lab: Lab, page: Page) -> None:
    cells = open_notebook(
        page, lab, "follows",
        "%agent --new --no-context another", "%agent --new --no-context and another",
        "%agent sessions",
    )  # fmt: skip
    panel = open_beside(page)
    panel.answers("the first")
    panel.box.click()
    run(page, cells.nth(0))
    panel.says("Answer to: another")
    expect(panel.log).not_to_contain_text("the first")
    panel.status("Idle")

    # What a person has begun to write is for the session that they see.
    panel.box.fill("not yet sent")
    run(page, cells.nth(1))
    newer = panel.region.get_by_role("status", name="New session")
    expect(newer).to_contain_text("This notebook has a new session.")
    expect(panel.box).to_have_value("not yet sent")
    expect(panel.log).not_to_contain_text("and another")
    newer.get_by_role("button", name="Show it").click()
    panel.says("Answer to: and another")
    expect(panel.box).to_be_focused()
    expect(panel.box).to_have_value("")
    panel.status("Idle")

    # Back to the second, by what the list calls it.
    second = next(s for s in lab.sessions() if s["title"] == "another")
    source = cells.nth(2).locator(".cm-content")
    source.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f"%agent resume {second['id'][:8]}")
    run(page, cells.nth(2))
    panel.says("Answer to: another")
    expect(panel.log).not_to_contain_text("and another")
    expect(panel.box).to_have_value("not yet sent")


def test_two_chats_of_one_session(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, "two", CHAT)
    run(page, cells.nth(0))
    inside, outside = Panel(cells.nth(0)), open_beside(page)
    inside.answers("from the cell")
    box = inside.log.bounding_box()
    assert box is not None
    assert box["height"] > 150, "there is room to read in a cell"
    outside.says("Answer to: from the cell")
    outside.answers("from beside")
    inside.says("Answer to: from beside")

    outside.ask("bash: touch allowed-in-the-cell")
    for panel in (inside, outside):
        expect(panel.button("Allow once")).to_be_visible()
    inside.choose("Allow once")
    expect(outside.button("Allow once")).to_be_hidden()
    for panel in (inside, outside):
        expect(panel.log).to_contain_text("The command said:")
        panel.status("Idle")
    assert (lab.root / "allowed-in-the-cell").exists()
    inside.a_b_c()


def test_a_chat_in_a_cell_comes_back_with_the_page(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, "back", CHAT)
    run(page, cells.nth(0))
    panel = Panel(cells.nth(0))
    panel.answers("remember me")
    panel.box.fill("a draft")
    page.locator(".jp-NotebookPanel-toolbar").get_by_role("button", name="Save").first.click()
    expect(page.locator(".jp-mod-current.jp-mod-dirty")).to_have_count(0)
    page.reload()
    settle(page)
    panel.says("Answer to: remember me")
    expect(panel.box).to_have_value("a draft")
    panel.a_b_c()

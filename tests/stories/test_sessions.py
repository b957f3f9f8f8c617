"""The list of sessions: what it says, what can be done with each, live, by hand and by keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, running_lab, with_model
from tests.stories.panel import Panel, open_lab
from tests.stories.sessions_panel import Sessions, ask_in, make_session, open_list, open_page

pytestmark = pytest.mark.story


def test_a_session_in_the_side_bar(lab: Lab, page: Page) -> None:
    """Made elsewhere, works, waits, ends unseen, is opened: each is told at once, in words."""
    open_lab(page, lab, "side")
    sessions = open_list(page)
    title = "Told at once"
    made = make_session(lab, title)
    opener = sessions.opener(title)
    expect(opener).to_contain_text("claude")
    ask_in(lab, made, "bash: touch told", wait=False)
    expect(opener).to_contain_text("Permission: ")
    first = sessions.nav.locator(".al-row-title").first
    expect(first).to_have_text(title)
    expect(sessions.nav.get_by_role("region", name="Active")).to_contain_text(title)

    opener.click()
    panel = Panel(page.locator(".al-Split:visible"))
    panel.choose("Allow once")
    panel.status("Idle")
    expect(opener).to_contain_text("Idle")
    expect(opener).to_contain_text("$")
    expect(opener).to_have_attribute("aria-current", "true")

    page.get_by_role("tab", name=re.compile("^Launcher")).click()
    ask_in(lab, made, "hello")
    expect(opener).to_contain_text("Finished, not seen yet")
    opener.click()
    expect(opener).to_contain_text("Idle")
    assert not lab.call("GET", f"agent-lab/api/sessions/{made}")["unseen"]


def test_a_notebook_s_session_names_it(lab: Lab, page: Page) -> None:
    new = {"notebook": "eda.ipynb", "title": "Of a notebook", "model": "sonnet"}
    lab.call("POST", "agent-lab/api/sessions", new)
    sessions, _ = open_page(page, lab)
    opener = sessions.opener("Of a notebook")
    expect(opener).to_contain_text("eda.ipynb")
    expect(opener).to_contain_text("sonnet")
    expect(opener.locator("time")).to_have_text("now")


def test_search_marks_what_it_found_and_leads_there(lab: Lab, page: Page) -> None:
    made = make_session(lab, "A long one", "echo: the aardvark is early")
    for _ in range(4):
        ask_in(lab, made, "long: 3 kB")
    make_session(lab, "An aardvark by title")
    make_session(lab, "Something else")
    sessions, panel = open_page(page, lab)
    expect(sessions.opener("Something else")).to_be_visible()
    sessions.search.fill("aardv")
    expect(sessions.row("Something else")).to_have_count(0)
    expect(sessions.nav.get_by_text("2 found", exact=True)).to_be_visible()
    assert set(sessions.titles()) == {"A long one", "An aardvark by title"}
    expect(sessions.row("An aardvark by title").locator("mark")).to_have_text("aardv")
    hit = sessions.row("A long one").get_by_role("button", name=re.compile("is early")).first
    expect(hit.locator("mark")).to_have_text("aardvark")

    hit.click()
    found = panel.log.get_by_text("echo: the aardvark is early", exact=True)
    expect(found).to_be_in_viewport()
    sessions.search.fill("no such words")
    expect(sessions.nav.get_by_text("Nothing found for “no such words”.")).to_be_visible()
    sessions.search.press("Escape")
    expect(sessions.opener("Something else")).to_be_visible()


def test_rename_fork_end_resume_delete_undo(lab: Lab, page: Page, new_page: NewPage) -> None:
    make_session(lab, "To be changed", "hello")
    sessions, panel = open_page(page, lab)
    other, _ = open_page(new_page(), lab)
    expect(other.opener("To be changed")).to_be_visible()

    sessions.choose("To be changed", "Rename")
    field = sessions.nav.get_by_role("textbox", name="Title")
    expect(field).to_be_focused()
    field.fill("Changed by hand")
    field.press("Enter")
    expect(sessions.opener("Changed by hand")).to_be_focused()
    expect(other.opener("Changed by hand")).to_be_visible()

    sessions.choose("Changed by hand", "Fork")
    panel.says("Answer to: hello")
    expect(sessions.opener("Changed by hand (fork)")).to_have_attribute("aria-current", "true")
    expect(other.opener("Changed by hand (fork)")).to_be_visible()
    panel.answers("in the fork")

    sessions.choose("Changed by hand (fork)", "End")
    expect(sessions.opener("Changed by hand (fork)")).to_contain_text("Ended")
    sessions.choose("Changed by hand (fork)", "Resume")
    expect(sessions.opener("Changed by hand (fork)")).not_to_contain_text("Ended")
    panel.answers("after all")

    sessions.choose("Changed by hand", "Delete")
    expect(sessions.row("Changed by hand")).to_have_count(0)
    expect(other.row("Changed by hand")).to_have_count(0)
    sessions.nav.get_by_text("“Changed by hand” is deleted.").wait_for()
    sessions.button("Undo").click()
    expect(sessions.opener("Changed by hand")).to_be_visible()
    expect(other.opener("Changed by hand")).to_be_visible()
    sessions.opener("Changed by hand").click()
    panel.says("Answer to: hello")


def test_by_keys_alone(lab: Lab, page: Page) -> None:
    for left in lab.call("GET", "agent-lab/api/sessions?limit=200")["sessions"]:
        if left["title"].endswith("of the keys"):  # of an earlier telling
            lab.call("DELETE", f"agent-lab/api/sessions/{left['id']}")
    for name in ("Third", "Second", "First"):
        make_session(lab, f"{name} of the keys")
    sessions, panel = open_page(page, lab)
    sessions.search.fill("of the keys")
    expect(sessions.nav.get_by_text("3 found", exact=True)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(sessions.opener("First of the keys")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(sessions.opener("Second of the keys")).to_be_focused()
    page.keyboard.press("End")
    expect(sessions.opener("Third of the keys")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("F2")
    expect(sessions.nav.get_by_role("textbox", name="Title")).to_be_focused()
    page.keyboard.type("Renamed, one of the keys")
    page.keyboard.press("Enter")
    expect(sessions.opener("Renamed, one of the keys")).to_be_focused()
    page.keyboard.press("F2")
    page.keyboard.type("not this")
    page.keyboard.press("Escape")
    expect(sessions.opener("Renamed, one of the keys")).to_be_focused()

    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    expect(sessions.row("Second of the keys")).to_have_count(0)
    expect(sessions.opener("Third of the keys")).to_be_focused()
    page.keyboard.press("Shift+F10")
    expect(sessions.nav.get_by_role("menuitem", name="Open")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(sessions.nav.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(panel.box).to_be_focused()
    # One stop for the whole list: the rows' buttons, then what comes after.
    assert page.locator(".al-sessions [data-row][tabindex='0']").count() == 1


def test_what_the_cli_made_goes_on_here(lab: Lab, page: Page) -> None:
    made = make_session(lab, "Gone from here", "echo: made in a shell")
    lab.call("DELETE", f"agent-lab/api/sessions/{made}")
    sessions, panel = open_page(page, lab)
    sessions.button(re.compile("^Also made in the CLI")).click()
    section = sessions.nav.get_by_role("region", name="Also made in the CLI")
    conversation = section.get_by_role("button", name=re.compile("made in a shell"))
    conversation.first.click()
    panel.answers("and goes on")
    expect(conversation).to_have_count(0)


def test_new_in_a_folder_that_would_run_something(lab: Lab, page: Page) -> None:
    (lab.root / "wild").mkdir()
    (lab.root / "wild" / ".mcp.json").write_text('{"mcpServers": {"x": {"command": "true"}}}')
    sessions, panel = open_page(page, lab)
    sessions.button("New").click()
    folder = sessions.nav.get_by_role("combobox", name="Folder of the new session")
    folder.fill("no such folder")
    folder.press("Enter")
    expect(sessions.nav.get_by_role("alert")).to_contain_text("no such folder")
    sessions.button("New").click()
    folder.fill("wild")
    folder.press("Enter")
    gate = sessions.nav.get_by_role("alert").filter(has_text="Do you trust")
    expect(gate).to_contain_text(".mcp.json")
    gate.get_by_role("button", name="Go on without them").click()
    panel.answers("hello")
    (session,) = [one for one in lab.sessions() if one["workspace"]["path"] == "wild"]
    assert not session["workspace"]["trusted"]


def test_the_server_goes_and_comes_back(tmp_path: Path, model_url: str, page: Page) -> None:
    with running_lab(tmp_path, with_model(tmp_path, model_url)) as lab:
        make_session(lab, "Before")
        sessions, _ = open_page(page, lab)
        expect(sessions.opener("Before")).to_be_visible()
        lab.kill()
        expect(sessions.nav.get_by_text("The connection is lost; trying again.")).to_be_visible()
        sessions.choose("Before", "End")
        expect(sessions.nav.get_by_role("alert")).to_contain_text("The server does not answer")
        sessions.search.fill("Bef")
        expect(sessions.nav.get_by_text("The sessions could not be read")).to_be_visible()
        lab.start()
        make_session(lab, "Before too, but after")
        expect(sessions.opener("Before too, but after")).to_be_visible()
        expect(sessions.nav.get_by_text("The connection is lost")).to_have_count(0)

        page.context.clear_cookies()
        lab.kill()
        lab.start()
        expect(sessions.nav.get_by_text("You are no longer signed in")).to_be_visible()


def test_a_thousand_sessions_stay_quick(lab: Lab, page: Page) -> None:
    missing = 999 - len(lab.sessions())
    page.goto(lab.page("many"))
    page.evaluate(
        """async ([url, token, many]) => {
          for (let n = 0; n < many; n += 1) {
            const body = JSON.stringify({path: '', title: `Number ${n}`});
            await fetch(`${url}agent-lab/api/sessions`,
              {method: 'POST', body, headers: {Authorization: `token ${token}`}});
          }
        }""",
        [lab.url, "not-a-secret", missing - 60],
    )
    sessions, _ = open_page(page, lab)
    expect(sessions.opener("Number 0")).to_have_count(0)
    assert len(sessions.titles()) < 200
    seen = 0
    rows = sessions.nav.locator(".al-rows")
    while (count := sessions.nav.locator(".al-row-title").count()) > seen:
        seen = count
        rows.evaluate("node => { node.scrollTop = node.scrollHeight; }")
        page.wait_for_timeout(500)
    expect(sessions.opener("Number 0")).to_have_count(1)
    assert seen > 800
    slowest = page.evaluate(
        """() => new Promise(done => {
          let slowest = 0, left = 60, before = performance.now();
          const rows = document.querySelector('.al-rows');
          const step = now => {
            slowest = Math.max(slowest, now - before);
            before = now;
            rows.scrollTop -= 700;
            left ? requestAnimationFrame(step) : done(slowest);
            left -= 1;
          };
          requestAnimationFrame(step);
        })"""
    )
    assert slowest < 200  # 30 on an idle machine
    took = page.evaluate(
        """words => new Promise(done => {
          const nav = document.querySelector('.al-sessions');
          const field = nav.querySelector('input[type=search]');
          const began = performance.now();
          const foot = nav.querySelector('.al-sessions-foot > [role=status]');
          const found = () => / found$/.test(foot.textContent);
          new MutationObserver(() => found() && done(performance.now() - began))
            .observe(nav, { childList: true, subtree: true, characterData: true });
          field.value = words;
          field.dispatchEvent(new Event('input', { bubbles: true }));
        })""",
        "Number 77",
    )
    assert took < 1000  # 150 of them wait for the next letter; 230 on an idle machine
    expect(sessions.opener("Number 77")).to_be_visible()
    expect(sessions.opener("Number 5")).to_have_count(0)


def test_two_lists_and_a_chat_side_by_side(lab: Lab, page: Page, new_page: NewPage) -> None:
    """What one tab answers is answered in the other's list."""
    made = make_session(lab, "Side by side")
    ask_in(lab, made, "bash: touch side-by-side", wait=False)
    open_lab(page, lab, "beside")
    mine = open_list(page)
    other, panel = open_page(new_page(), lab, made)
    expect(mine.opener("Side by side")).to_contain_text("Permission")
    panel.choose("Allow once")
    expect(mine.opener("Side by side")).not_to_contain_text("Permission")
    expect(Sessions(other.place).opener("Side by side")).to_contain_text("Idle")

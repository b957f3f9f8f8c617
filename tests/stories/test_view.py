"""The panel under a person's hands: room, focus, keys, what is asked, what must not get lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, running_lab, with_model
from tests.stories.panel import SIDE_BAR, Panel, open_lab, open_split, settle
from tests.stories.test_turns import newest, same_session

pytestmark = pytest.mark.story

MINUS = "\N{MINUS SIGN}"
WIDTHS = (900, 760, 620, 600, 480, 460, 400, 360, 330, 300)
# What a person cannot read at this width: cut off, squeezed to nothing, or outside of the panel.
UNREADABLE = """root => {
  const panel = root.getBoundingClientRect();
  const found = [];
  for (const node of root.querySelectorAll(
    '.al-state .al-cut, .al-ask-head .al-strong, .al-work .al-name, .al-option-label, .al-bar *'
  )) {
    const box = node.getBoundingClientRect();
    if (!node.checkVisibility() || node.closest('option, svg')) continue;
    const words = document.createRange();
    words.selectNodeContents(node);
    // An ellipsis comes with the first hundredth of a pixel that is missing.
    const cut = words.getBoundingClientRect().width > box.width + 0.01 && !node.closest('.al-bar');
    const nothing = node.textContent !== '' && box.width < 12 && !node.matches('.al-unseen');
    const outside = box.right > panel.right + 1 || box.left < panel.left - 1;
    if (cut || nothing || outside) {
      found.push(`${node.className} "${node.textContent}" ${cut} ${nothing} ${outside}`);
    }
  }
  return found;
}"""
# What the first half second of a question does with a stray click and stray keys.
STRAY = """log => {
  const seen = window.stray = {};
  new MutationObserver((_, watch) => {
    const first = log.querySelector('.al-ask [data-first]');
    if (!first) return;
    watch.disconnect();
    const body = { bubbles: true, cancelable: true };
    setTimeout(() => {
      seen.disabled = first.getAttribute('aria-disabled');
      seen.dimmed = getComputedStyle(first).opacity;
      first.click();
      for (const key of ['1', 'Escape']) {
        first.dispatchEvent(new KeyboardEvent('keydown', { ...body, key }));
      }
    }, 100);
  }).observe(log, { childList: true, subtree: true });
}"""

# Three pixels a frame, while each token makes the log longer; gives where that ended.
DRAG = """log => new Promise(done => {
  let left = 60;
  const step = () => {
    log.scrollTop -= 3;
    left -= 1;
    if (left) requestAnimationFrame(step);
    else setTimeout(() => done(log.scrollTop), 200);
  };
  step();
})"""


def narrow(panel: Panel, width: int) -> Locator:
    """Make the panel as wide as a person may drag it."""
    root = panel.region.locator("xpath=..")
    root.evaluate("(node, width) => { node.style.width = `${width}px`; }", width)
    return root


def test_words_stay_readable_at_every_width(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "widths")
    panel = open_split(page)
    panel.answers("Why does the last cell of this notebook fail? Fix it.")
    panel.ask("bash: touch readable")
    expect(panel.button("Allow once")).to_be_visible()
    panel.status("Waiting for your permission")
    page.get_by_role("button", name="Collapse terminal").click()
    unreadable = {}
    for width in WIDTHS:
        if found := narrow(panel, width).evaluate(UNREADABLE):
            unreadable[width] = found
    assert unreadable == {}
    panel.button("Stop").click()


def test_the_side_bar_has_room(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "room")
    page.get_by_role("tab", name="Agent", exact=True).click()
    box = page.locator(SIDE_BAR).bounding_box()
    assert box is not None
    assert box["width"] >= 340
    assert box["x"] + box["width"] <= 1400


@pytest.mark.parametrize("asked", ["bash: touch strayed", "ask: Which one?", "plan: one, two"])
def test_a_stray_click_or_key_decides_nothing(lab: Lab, page: Page, asked: str) -> None:
    open_lab(page, lab, f"stray-{asked[:3]}")
    panel = open_split(page)
    panel.status("Idle")
    if asked.startswith("plan"):
        mode = panel.region.get_by_role("combobox", name="Permission mode")
        mode.select_option("plan")
        panel.box.focus()
    panel.log.evaluate(STRAY)
    panel.ask(asked)
    expect(panel.box).to_be_focused()
    page.wait_for_function("() => window.stray.disabled !== undefined")
    seen: dict[str, Any] = page.evaluate("() => window.stray")
    if asked.startswith(("bash", "plan")):
        assert seen["disabled"] == "true"
        assert float(seen["dimmed"]) < 0.8
    first = panel.log.locator(".al-ask [data-first]")
    expect(first).to_be_focused()
    expect(panel.log.locator(".al-ask [aria-disabled=true]")).to_have_count(0)
    panel.status("Waiting for your")
    assert not [e for e in lab.events(newest(lab)) if e["type"] == "permission_resolved"]
    assert not (lab.root / "strayed").exists()

    page.keyboard.press("Escape")
    expect(panel.log.locator(".al-ask")).to_be_hidden()
    panel.status("Idle")


def test_a_permission_by_the_keys_and_in_ones_own_words(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "keys")
    panel = open_split(page)
    allow = panel.button("Allow once")

    panel.ask("bash: touch by-key")
    expect(allow).to_be_focused()
    expect(allow).to_be_enabled()
    page.keyboard.press("1")
    panel.status("Idle")
    assert (lab.root / "by-key").exists()
    expect(panel.box).to_be_focused()

    panel.ask("bash: touch by-escape")
    expect(allow).to_be_focused()
    expect(allow).to_be_enabled()
    page.keyboard.press("Escape")
    panel.status("Idle")
    assert not (lab.root / "by-escape").exists()

    panel.ask("bash: touch first-name")
    expect(allow).to_be_enabled()
    panel.button("Edit").click()
    panel.region.get_by_role("textbox", name="Edit the input").fill("touch second-name")
    panel.choose("Allow once")
    panel.status("Idle")
    assert (lab.root / "second-name").exists()
    assert not (lab.root / "first-name").exists()

    panel.ask("bash: touch told")
    expect(allow).to_be_enabled()
    words = panel.region.get_by_role("textbox", name="Tell it what to do instead")
    words.fill("Use a file of another name")
    words.press("Escape")
    expect(words).to_have_value("")
    expect(allow).to_be_visible()
    words.fill("Use a file of another name")
    words.press("Enter")
    panel.status("Idle")
    expect(panel.log.locator(".al-told")).to_contain_text("Use a file of another name")
    assert not (lab.root / "told").exists()
    panel.a_b_c()


def test_the_focus_is_never_left_to_the_page(lab: Lab, new_page: NewPage) -> None:
    """On the page's body a key means a notebook's command: `d d` deletes a cell."""
    first = new_page()
    open_lab(first, lab, "focus")
    one = open_split(first)
    one.box.fill("bash: touch elsewhere")
    one.button("Send").click()
    allow = one.button("Allow once")
    expect(allow).to_be_focused()

    two = same_session(new_page(), lab, newest(lab))
    two.choose("Reject")
    expect(allow).to_be_hidden()
    expect(one.box).to_be_focused()
    one.status("Idle")

    one.box.fill("stream 100 tokens at 25/s")
    one.button("Send").click()
    expect(one.box).to_be_focused()
    one.ask("queued")
    one.button("Remove queued message").click()
    expect(one.queue).to_be_hidden()
    expect(one.box).to_be_focused()
    one.button("Stop").click()
    one.status("Idle")
    expect(one.box).to_be_focused()


def test_who_reads_above_is_not_moved(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "above")
    panel = open_split(page)
    panel.ask("long: 12 kB")
    panel.status("Idle")
    panel.ask("first: touch seen; sleep 3 then: touch unseen")
    panel.choose("Allow once")
    expect(panel.box).to_be_focused()
    panel.log.hover()
    page.mouse.wheel(0, -3000)
    expect(panel.button("New messages")).to_be_hidden()
    top = panel.log.evaluate("log => new Promise(r => setTimeout(() => r(log.scrollTop), 400))")
    panel.status("Waiting for your permission")
    expect(panel.button("New messages")).to_be_visible()
    assert panel.log.evaluate("log => log.scrollTop") == top
    expect(panel.box).to_be_focused()  # keys are not for a question that is out of sight
    panel.button("New messages").click()
    expect(panel.button("Allow once")).to_be_in_viewport()
    panel.choose("Reject")
    panel.status("Idle")


def test_a_slow_hand_on_the_scroll_bar_is_felt(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "drag")
    panel = open_split(page)
    panel.ask("long: 12 kB")
    panel.status("Idle")
    panel.ask("stream 100 tokens at 25/s, stamped")
    expect(panel.log).to_contain_text("w10«")
    top = panel.log.evaluate(DRAG)
    expect(panel.log).to_contain_text("w60«")
    assert panel.log.evaluate("log => log.scrollTop") == top
    panel.button("Stop").click()


def test_cards_of_tools_and_figures(lab: Lab, page: Page) -> None:
    (lab.root / "plan.txt").write_text("alpha\nbeta\ngamma\n")
    open_lab(page, lab, "cards")
    panel = open_split(page)
    panel.ask("edit: plan.txt beta => delta")
    ask = panel.log.locator(".al-ask")
    expect(ask.locator(".al-removed")).to_have_text(f"{MINUS}beta")
    expect(ask.locator(".al-added")).to_have_text("+delta")
    panel.choose("Allow once")
    panel.says("Edited.")
    card = panel.tool("Edit plan.txt")
    expect(card).to_contain_text("+1")
    expect(card).to_contain_text(f"{MINUS}1")
    card.get_by_role("button").first.click()
    expect(card.locator(".al-removed")).to_have_text(f"{MINUS}beta")
    expect(card.locator(".al-added")).to_have_text("+delta")

    panel.ask("bash: echo 'out of it'; exit 3")
    panel.choose("Allow once")
    panel.status("Idle")
    card = panel.tool("Bash")
    expect(card).to_contain_text("exit 3")
    card.get_by_role("button").first.click()
    expect(card.locator(".al-codebox")).to_have_text("$ echo 'out of it'; exit 3")
    expect(card.locator(".al-output")).to_contain_text("out of it")

    head = panel.region
    expect(head.get_by_role("status", name="Context")).to_contain_text(re.compile(r"\d+\s%"))
    expect(head.locator(".al-tokens")).to_contain_text(re.compile(r"[\d.]+k?"))
    expect(head.get_by_role("status", name="Cost")).to_contain_text("$")
    ends = panel.log.locator(".al-turn-end")
    expect(ends).to_have_count(2)
    expect(ends.last).to_contain_text(re.compile(r"\$.*tokens.* s"))


def test_send_now_stops_the_turn_and_goes_first(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "now")
    panel = open_split(page)
    panel.ask("stream 300 tokens at 25/s, stamped")
    expect(panel.log).to_contain_text("w3«")
    panel.ask("at once")
    panel.button("Send now").click()
    panel.says("Answer to: at once")
    expect(panel.log.get_by_text("Stopped", exact=True)).to_be_visible()
    assert "w299«" not in panel.log.inner_text()
    panel.a_b_c()


@pytest.fixture
def own_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """A lab to be killed."""
    with running_lab(tmp_path, with_model(tmp_path, model_url)) as lab:
        yield lab


def test_a_prompt_of_a_dead_server_is_not_lost_with_its_tab(
    own_lab: Lab, new_page: NewPage
) -> None:
    page = new_page()
    open_lab(page, own_lab, "dead")
    panel = open_split(page)
    panel.answers("hello")
    session = newest(own_lab)
    own_lab.kill()
    panel.status("Server unreachable")
    panel.ask("written in vain")
    expect(panel.log).to_contain_text("not sent yet")
    page.close(run_before_unload=True)
    own_lab.start()

    panel = same_session(new_page(), own_lab, session)
    panel.says("Answer to: hello")
    expect(panel.box).to_have_value("written in vain")
    assert panel.log.get_by_text("written in vain").count() == 0, "nothing is sent by itself"
    panel.box.press("Enter")
    panel.says("Answer to: written in vain")
    panel.status("Idle")
    expect(panel.box).to_have_value("")


def test_a_prompt_that_arrived_is_no_draft_although_nobody_said_so(
    lab: Lab, new_page: NewPage
) -> None:
    page = new_page()
    deaf: list[bool] = []
    sessions: list[str] = []

    def route(socket: WebSocketRoute) -> None:
        sessions.extend(re.findall("sessions/([^/]+)/chat", socket.url))
        server = socket.connect_to_server()
        server.on_message(lambda message: None if deaf else socket.send(message))

    page.route_web_socket(re.compile("/chat"), route)
    open_lab(page, lab, "deaf")
    panel = open_split(page)
    panel.answers("hello")
    deaf.append(True)
    panel.ask("only once")
    session = sessions[0]
    while lab.call("GET", f"agent-lab/api/sessions/{session}")["usage"]["turns"] < 2:
        page.wait_for_timeout(50)  # the route lives in this thread
    page.close(run_before_unload=True)

    panel = same_session(new_page(), lab, session)
    panel.says("Answer to: only once")
    expect(panel.box).to_have_value("")
    panel.a_b_c()


@pytest.fixture
def small_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """Its sessions take small messages only."""
    agent = with_model(tmp_path, model_url)
    with running_lab(tmp_path, agent, max_message_bytes=1024) as lab:
        yield lab


def test_a_refused_prompt_comes_back_with_the_reason(small_lab: Lab, page: Page) -> None:
    open_lab(page, small_lab, "small")
    panel = open_split(page)
    panel.status("Idle")
    large = "word " * 400
    panel.ask(large)
    card = panel.region.get_by_role("group", name="This is too large to send")
    expect(card).to_contain_text("larger than")
    expect(panel.box).to_have_value(large.strip())
    page.reload()
    settle(page)
    expect(panel.box).to_have_value(large.strip())
    panel.box.fill("")
    panel.a_b_c()

"""Notifications of sessions that nobody looks at: in JupyterLab, and the browser's own."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import Panel, open_lab, open_split, settle
from tests.stories.sessions_panel import ask_in, make_session, open_list, open_page
from tests.stories.test_turns import newest

pytestmark = pytest.mark.story

# The browser's notifications as the page makes them: a headless one shows none.
RECORD = """() => {
  const made = window.made = [];
  window.Notification = class extends EventTarget {
    static permission = 'default';
    static requestPermission() { this.permission = 'granted'; return Promise.resolve('granted'); }
    constructor(title, options) {
      super();
      made.push({title, ...options, note: this, open: true});
    }
    close() { made.find(each => each.note === this).open = false; }
  };
}"""
SHOWN = "() => window.made.map(({title, body, tag, open}) => ({title, body, tag, open}))"


def toast(page: Page, text: str) -> Locator:
    return page.locator(".Toastify__toast").filter(has_text=text)


def seen_running(page: Page, lab: Lab, title: str) -> str:
    """A session that the page's notifications know to be there."""
    made = make_session(lab, title)
    expect(open_list(page).opener(title)).to_be_visible()
    return made


def test_allow_on_a_notification(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "told")
    made = seen_running(page, lab, "Wants to")
    ask_in(lab, made, "bash: touch allowed-from-afar", wait=False)
    told = toast(page, "Wants to")
    expect(told).to_contain_text("Permission needed:")
    expect(told).to_contain_text("touch allowed-from-afar")
    # What lasts is granted where its scope can be read.
    expect(told.get_by_role("button", name=re.compile("Always"))).to_have_count(0)
    told.get_by_role("button", name="Allow once").click()
    expect(toast(page, "The command said")).to_be_visible()
    assert (lab.root / "allowed-from-afar").exists()
    expect(toast(page, "Permission needed:")).to_have_count(0)

    ask_in(lab, made, "bash: touch rejected-from-afar", wait=False)
    toast(page, "rejected-from-afar").get_by_role("button", name="Reject").click()
    expect(toast(page, "rejected-from-afar")).to_have_count(0)
    assert not (lab.root / "rejected-from-afar").exists()


def test_what_is_answered_elsewhere_is_taken_back(lab: Lab, page: Page, new_page: NewPage) -> None:
    open_lab(page, lab, "taken")
    made = seen_running(page, lab, "Answered elsewhere")
    ask_in(lab, made, "bash: touch elsewhere", wait=False)
    expect(toast(page, "Permission needed:")).to_be_visible()
    _, panel = open_page(new_page(), lab, made)
    panel.choose("Allow once")
    expect(toast(page, "Permission needed:")).to_have_count(0)


def test_an_end_and_a_failure_lead_to_the_session(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "ends")
    made = seen_running(page, lab, "Ends alone")
    ask_in(lab, made, "hello there")
    told = toast(page, "Ends alone")
    expect(told).to_contain_text("Answer to: hello there")
    told.get_by_role("button", name="Show").click()
    panel = Panel(page.locator(".al-Split:visible"))
    panel.says("Answer to: hello there")
    expect(toast(page, "Ends alone")).to_have_count(0)

    page.get_by_role("tab", name=re.compile("^Launcher")).click()
    expect(panel.region).to_be_hidden()
    ask_in(lab, made, "fail: 400")
    expect(toast(page, "Ends alone")).to_contain_text("The turn failed:")


def test_nothing_is_told_of_what_is_looked_at(lab: Lab, page: Page) -> None:
    """Neither by this tab nor by one in which nobody looks."""
    open_lab(page, lab, "looked")
    panel = open_split(page)
    panel.ask("bash: touch looked-at")
    panel.choose("Allow once")
    panel.answers("hello")
    page.wait_for_timeout(1500)
    assert page.locator(".Toastify__toast").count() == 0  # it would go by itself in a while
    assert not lab.call("GET", f"agent-lab/api/sessions/{newest(lab)}")["unseen"]


def test_one_tab_speaks_for_all(lab: Lab, page: Page, new_page: NewPage) -> None:
    open_lab(page, lab, "speaks")
    silent = new_page()
    silent.add_init_script("document.hasFocus = () => false")
    open_lab(silent, lab, "silent")
    made = seen_running(page, lab, "Told once")
    expect(open_list(silent).opener("Told once")).to_be_visible()
    ask_in(lab, made, "hello")
    expect(toast(page, "Told once")).to_be_visible()
    silent.wait_for_timeout(1500)
    assert toast(silent, "Told once").count() == 0


def test_a_page_that_is_not_used_marks_what_ended(lab: Lab, page: Page) -> None:
    page.add_init_script("document.hasFocus = () => window.used ?? false")
    made = make_session(lab, "In an unused page")
    sessions, panel = open_page(page, lab, made)
    panel.answers("hello")
    opener = sessions.opener("In an unused page")
    expect(opener).to_contain_text("Finished, not seen yet")
    assert lab.call("GET", f"agent-lab/api/sessions/{made}")["unseen"]
    page.evaluate("() => { window.used = true; window.dispatchEvent(new Event('focus')); }")
    expect(opener).to_contain_text("Idle")
    assert not lab.call("GET", f"agent-lab/api/sessions/{made}")["unseen"]


def test_who_looks_says_so_again_after_a_loss(tmp_path: Path, model_url: str, page: Page) -> None:
    with running_lab(tmp_path, with_model(tmp_path, model_url)) as lab:
        made = make_session(lab, "Looked at all along")
        sessions, panel = open_page(page, lab, made)
        panel.answers("before")
        lab.kill()
        expect(sessions.nav.get_by_text("The connection is lost; trying again.")).to_be_visible()
        lab.start()
        panel.status("Idle")
        panel.answers("after")
        expect(sessions.opener("Looked at all along")).to_contain_text("Idle")
        assert not lab.call("GET", f"agent-lab/api/sessions/{made}")["unseen"]


@pytest.fixture
def without_ends(lab: Lab) -> Iterator[None]:
    """The person has turned off what tells of ends."""
    file = (
        lab.folder / "config/lab/user-settings/@agent-lab/labextension/plugin.jupyterlab-settings"
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"notifyEnded": False}))
    yield
    file.unlink()


@pytest.mark.usefixtures("without_ends")
def test_what_is_turned_off_is_not_told(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "off")
    made = seen_running(page, lab, "Ends quietly")
    ask_in(lab, made, "hello")
    ask_in(lab, made, "bash: touch quietly", wait=False)
    expect(toast(page, "Permission needed:")).to_be_visible()
    expect(page.locator(".Toastify__toast")).to_have_count(1)


def shown(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate(SHOWN)
    return found


def test_the_browser_s_own_only_after_a_click(lab: Lab, page: Page) -> None:
    page.add_init_script(f"({RECORD})()")
    sessions, panel = open_page(page, lab)
    made = make_session(lab, "Outside")
    expect(sessions.opener("Outside")).to_be_visible()
    ask_in(lab, made, "hello")
    expect(sessions.opener("Outside")).to_contain_text("Finished, not seen yet")
    assert shown(page) == []

    bell = sessions.button("Notify me outside of this page")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    ask_in(lab, made, "bash: touch outside", wait=False)
    page.wait_for_function("() => window.made.length === 1")
    (note,) = shown(page)
    assert note["title"] == "Outside"
    assert note["body"].startswith("Permission needed: ")
    page.evaluate("() => window.made[0].note.dispatchEvent(new Event('click'))")
    panel.choose("Allow once")
    panel.status("Idle")
    assert not shown(page)[0]["open"]
    assert len(shown(page)) == 1

    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "false")


# What a page has shown through the service worker. A headless browser now and then forgets one that
# it has shown, so the browser's own list can tell that one is gone, not that one is there.
RECORD_GIVEN = """() => {
  const given = window.given = [];
  const show = ServiceWorkerRegistration.prototype.showNotification;
  ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
    await show.call(this, title, options);
    given.push({title, ...options});
  };
}"""
NOTES = """async () => {
  const worker = await navigator.serviceWorker.getRegistration('/agent-lab/');
  const notes = (await worker?.getNotifications()) ?? [];
  return notes.map(({title, body}) => [title, body]);
}"""
PRESS = """async ([note, action]) => {
  const shown = await self.registration.getNotifications({tag: note.tag});
  const notification = shown[0] ?? {...note, close: () => undefined};
  const click = new ExtendableEvent('notificationclick');
  self.dispatchEvent(Object.assign(click, {notification, action}));
}"""


def given(page: Page, words: str) -> list[Any]:
    return [note for note in page.evaluate("() => window.given") if words in note["body"]]


def asks(page: Page, title: str) -> list[Any]:
    """The questions of one session in the browser's list: others may wait since earlier."""
    return [note for note in page.evaluate(NOTES) if note[0] == title and "Permission" in note[1]]


@pytest.mark.parametrize("place", ["page", "lab"])
def test_the_buttons_of_the_browser_s_own(
    lab: Lab, page: Page, context: BrowserContext, new_page: NewPage, place: str
) -> None:
    """The page that showed it answers, with its own login; a page beside it does nothing."""
    context.grant_permissions(["notifications"])
    context.add_init_script(f"({RECORD_GIVEN})()")
    if place == "page":
        sessions, _ = open_page(page, lab)
    else:
        open_lab(page, lab, "buttons")
        sessions = open_list(page)
    bell = sessions.button("Notify me outside of this page")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    title = f"With buttons, {uuid.uuid4().hex[:8]}"
    made = make_session(lab, title)
    expect(sessions.opener(title)).to_be_visible()
    beside = new_page()
    beside.add_init_script("document.hasFocus = () => false")
    beside.goto(f"{lab.url}agent-lab/sessions")
    page.bring_to_front()

    ask_in(lab, made, f"bash: touch pressed-{made}", wait=False)
    (note,) = until(lambda: given(page, f"touch pressed-{made}"))
    assert note["title"] == title
    assert note["body"].startswith("Permission needed: ")
    assert [each["title"] for each in note["actions"]] == ["Allow once", "Reject"]
    (worker,) = [
        one for one in context.service_workers if one.url.endswith("/agent-lab/answers.js")
    ]
    worker.evaluate(PRESS, [note, "allow_once"])
    assert until((lab.root / f"pressed-{made}").exists)
    until(lambda: lab.call("GET", f"agent-lab/api/sessions/{made}")["status"] == "idle")
    until(lambda: not asks(page, title))

    ask_in(lab, made, f"bash: touch not-pressed-{made}", wait=False)
    (note,) = until(lambda: given(page, f"touch not-pressed-{made}"))
    worker.evaluate(PRESS, [note, "reject_once"])
    until(lambda: not lab.call("GET", f"agent-lab/api/sessions/{made}")["pending_permissions"])
    assert not (lab.root / f"not-pressed-{made}").exists()
    assert given(beside, f"pressed-{made}") == []
    bell.click()
    if place == "lab":
        # JupyterLab's pages stay its own: ours stands before nothing that they load.
        page.reload()
        settle(page)
        controller = "() => navigator.serviceWorker.controller?.scriptURL ?? ''"
        assert "agent-lab" not in page.evaluate(controller)

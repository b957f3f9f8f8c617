"""The page without JupyterLab: signed in or not, on a phone, reloaded at every state, installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stories.conftest import PATIENCE_MS, NewPage
from tests.stories.lab import TOKEN, Lab, running_lab, with_model
from tests.stories.panel import Panel
from tests.stories.sessions_panel import ask_in, make_session, open_page

pytestmark = pytest.mark.story

BASE = "/user/ada/"
PHONE = {"width": 400, "height": 780}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    """Under a path of a hub's."""
    folder = tmp_path_factory.mktemp("page")
    with running_lab(folder, with_model(folder, model_url), base_url=BASE) as lab:
        yield lab


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def test_a_stranger_is_sent_to_the_login_and_then_back(lab: Lab, page: Page) -> None:
    made = make_session(lab, "Not for strangers")
    page.goto(f"{lab.url}agent-lab/sessions/{made}")
    assert urlsplit(page.url).path == f"{BASE}login"
    expect(page.get_by_text("Not for strangers")).to_have_count(0)
    page.locator("#password_input").fill(TOKEN)
    page.locator("#login_submit").click()
    page.wait_for_url(f"**/agent-lab/sessions/{made}")
    panel = Panel(page)
    panel.answers("hello")


def test_nothing_leaves_the_server_s_path_and_no_foreign_script_runs(lab: Lab, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.on("console", lambda message: said.append(f"{message.type} {message.text}"))
    made = make_session(lab, "Strict")
    sessions, panel = open_page(page, lab, made)
    assert "token" not in page.url
    panel.answers("hello")
    panel.ask("bash: touch strict")
    panel.choose("Allow once")
    panel.status("Idle")
    assert (lab.root / "strict").exists()
    expect(sessions.opener("Strict")).to_contain_text("Idle")
    assert said == []
    loopback = [url for url in asked if urlsplit(url).scheme not in ("data", "blob")]
    assert {urlsplit(url).hostname for url in loopback} == {"127.0.0.1"}
    assert [url for url in loopback if not urlsplit(url).path.startswith(BASE)] == []

    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.head.append(script);
        }"""
    )
    assert page.evaluate("() => window.ran") is None
    assert any("Content Security Policy" in line for line in said)


def test_it_can_be_installed(lab: Lab, page: Page, browser: Browser) -> None:
    open_page(page, lab)
    client = page.context.new_cdp_session(page)
    found = client.send("Page.getAppManifest")
    assert found["errors"] == []
    assert found["url"] == f"{lab.url}agent-lab/manifest.webmanifest"
    manifest = page.evaluate("async url => (await fetch(url)).json()", found["url"])
    assert urljoin(lab.url, manifest["start_url"]) == f"{lab.url}agent-lab/sessions"
    assert manifest["display"] == "standalone"
    sizes = {}
    for icon in manifest["icons"]:
        if icon["type"] == "image/png":
            measured = page.evaluate(
                """async url => {
                  const image = new Image();
                  image.src = url;
                  await image.decode();
                  return `${image.naturalWidth}x${image.naturalHeight}`;
                }""",
                icon["src"],
            )
            sizes[icon["sizes"]] = measured
    assert sizes == {"192x192": "192x192", "512x512": "512x512"}
    errors = client.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []


def test_back_forward_and_a_link(lab: Lab, page: Page) -> None:
    first, second = make_session(lab, "One of two"), make_session(lab, "Two of two")
    sessions, panel = open_page(page, lab)
    sessions.opener("One of two").click()
    expect(page).to_have_url(re.compile(f"/agent-lab/sessions/{first}$"))
    expect(page).to_have_title(re.compile("^One of two"))
    sessions.opener("Two of two").click()
    expect(page).to_have_url(re.compile(f"{second}$"))
    page.go_back()
    expect(sessions.opener("One of two")).to_have_attribute("aria-current", "true")
    expect(panel.region).to_have_count(1)
    page.go_forward()
    panel.answers("hello")
    expect(panel.region).to_have_count(1)
    assert lab.sessions()[0]["id"] == second


@pytest.mark.parametrize("id", ["%zz", "%E0%A4%A", "100%25", "nobody"])
def test_an_address_of_no_session_breaks_nothing(lab: Lab, page: Page, id: str) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    make_session(lab, "The one there is")
    page.goto(f"{lab.url}agent-lab/sessions?token={TOKEN}")
    page.goto(f"{lab.url}agent-lab/sessions/{id}")
    expect(page.get_by_text("This session no longer exists")).to_be_visible()
    expect(page.get_by_text("The one there is").first).to_be_visible()
    assert faults == []


def test_a_phone(lab: Lab, phone: Page) -> None:
    made = make_session(lab, "On the way")
    ask_in(lab, made, "bash: touch by-thumb", wait=False)
    sessions, panel = open_page(phone, lab)
    expect(panel.region).to_be_hidden()
    expect(sessions.opener("On the way")).to_contain_text("Permission")
    sessions.opener("On the way").tap()
    expect(sessions.nav).to_be_hidden()
    allow = panel.button("Allow once")
    box = allow.bounding_box()
    assert box is not None
    assert box["height"] >= 36
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    expect(allow).to_be_enabled()
    allow.tap()
    panel.status("Idle")
    assert (lab.root / "by-thumb").exists()
    panel.answers("from a phone")
    width = phone.evaluate("() => document.scrollingElement.scrollWidth")
    assert width <= PHONE["width"]
    phone.get_by_role("button", name="← Sessions").tap()
    expect(panel.region).to_have_count(0)
    expect(sessions.opener("On the way")).to_contain_text("Idle")
    more = sessions.row("On the way").get_by_role("button", name="Actions for On the way")
    more.tap()
    sessions.nav.get_by_role("menuitem", name="Rename").tap()
    field = sessions.nav.get_by_role("textbox", name="Title")
    field.fill("Back home")
    field.press("Enter")
    expect(sessions.opener("Back home")).to_be_visible()


@pytest.mark.parametrize("state", ["streaming", "permission", "question", "queue"])
def test_a_reload_loses_nothing(lab: Lab, phone: Page, state: str) -> None:
    made = make_session(lab, f"Reloaded while {state}")
    _, panel = open_page(phone, lab, made)
    panel.status("Idle")
    if state == "streaming":
        panel.ask("stream 60 tokens at 20/s, stamped")
        expect(panel.log).to_contain_text("w5«")
    elif state == "permission":
        panel.ask("bash: touch reloaded")
        expect(panel.button("Allow once")).to_be_visible()
    elif state == "question":
        panel.ask("ask: Which one?")
        expect(panel.log.get_by_text("Which one?").first).to_be_visible()
    else:
        panel.ask("stream 60 tokens at 20/s, stamped")
        expect(panel.log).to_contain_text("w2«")
        panel.ask("queued then reloaded")
        expect(panel.queue).to_contain_text("queued then reloaded")
    phone.reload()
    if state == "streaming":
        expect(panel.log).to_contain_text("w59«")
        shown = re.findall(r"w(\d+)«", panel.log.inner_text())
        assert shown == [str(number) for number in range(60)]
    elif state == "permission":
        panel.choose("Allow once")
        panel.status("Idle")
        assert (lab.root / "reloaded").exists()
    elif state == "question":
        panel.status("Waiting for your answer")
        panel.log.get_by_role("radio").first.check()
        panel.log.locator(".al-ask .al-primary").click()
    else:
        expect(panel.queue).to_contain_text("queued then reloaded")
        panel.says("Answer to: queued then reloaded")
    panel.status("Idle")
    panel.answers("after the reload")


def test_two_tabs_and_keys_alone(lab: Lab, page: Page, new_page: NewPage) -> None:
    made = make_session(lab, "Twice, by keys")
    other_page = new_page()
    _, other = open_page(other_page, lab, made)
    sessions, panel = open_page(page, lab)
    expect(sessions.opener("Twice, by keys")).to_be_visible()
    sessions.search.focus()
    page.keyboard.type("Twice")
    expect(sessions.nav.get_by_text("1 found", exact=True)).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(panel.box).to_be_focused()
    panel.status("Idle")
    page.keyboard.type("bash: touch by-keys")
    page.keyboard.press("Enter")
    expect(panel.button("Allow once")).to_be_focused()
    expect(other.button("Allow once")).to_be_visible()
    expect(panel.button("Allow once")).to_be_enabled()
    page.keyboard.press("1")
    panel.status("Idle")
    expect(other.button("Allow once")).to_have_count(0)
    other.says("bash: touch by-keys")
    assert (lab.root / "by-keys").exists()


def test_dark_and_light_are_the_systems(lab: Lab, page: Page) -> None:
    open_page(page, lab, make_session(lab, "In the dark"))
    expect(Panel(page).box).to_be_visible()
    grounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(
            page.locator(".al-sessions").evaluate("node => getComputedStyle(node).backgroundColor")
        )
    assert grounds == ["rgb(255, 255, 255)", "rgb(33, 33, 33)"]

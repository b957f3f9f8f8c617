"""The panel in a page that no server of ours delivered: all it has is a model with messages."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from agent_lab.engine.door import Door
from agent_lab.engine.engine import Engine
from tests.engine.alone import Alone
from tests.stories.conftest import FLAGS
from tests.stories.panel import Panel

BUNDLE = Path(__file__).parents[2] / "agent_lab" / "static" / "chat.js"
HTML = """<!doctype html><meta charset="utf-8"><body><div id="place" style="height: 600px"></div>
<script type="module">
import widget from './chat.js';
const listeners = new Map();
const model = {
  get: name => ({session_id: SESSION, over_widget: true, base_url: '/'})[name],
  send: content => void window.tell(content),
  on: (name, listener) => listeners.set(name, listener),
  off: name => listeners.delete(name)
};
const end = widget.render({model, el: document.getElementById('place')});
window.leave = () => { end(); return listeners.size; };
setInterval(async () => {
  for (const content of await window.told()) { listeners.get('msg:custom')?.(content); }
}, 20);
</script>"""


@pytest.fixture
def door(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """An engine of this very process."""
    for name, value in alone.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(alone.work)
    engine = Engine(alone.data, alone.work)
    engine.start()
    try:
        yield Door(engine)
    finally:
        engine.stop()


@pytest.fixture
def page(door: Door) -> Iterator[Page]:
    html = HTML.replace("SESSION", f"'{door.open_session().id}'")
    said: queue.SimpleQueue[Any] = queue.SimpleQueue()
    connection = door.panel(said.put)

    def serve(route: Route) -> None:
        if route.request.url.endswith("/chat.js"):
            route.fulfill(body=BUNDLE.read_bytes(), content_type="text/javascript")
        elif route.request.url == "http://127.0.0.1/":
            route.fulfill(body=html, content_type="text/html")
        else:
            asked.append(route.request.url)
            route.abort()

    asked: list[str] = []
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page()
        page.expose_function("tell", connection.received)
        page.expose_function("told", lambda: [said.get() for _ in range(said.qsize())])
        page.route("**/*", serve)
        page.goto("http://127.0.0.1/")
        yield page
        browser.close()
    connection.close()
    assert asked == [], "the panel went to a server"


def test_ask_answer_and_leave(page: Page, alone: Alone) -> None:
    panel = Panel(page)
    panel.ask("ask: one")
    panel.says("Answer to: one")
    panel.ask("bash: touch made.txt")
    panel.button("Allow once").click()
    expect(panel.log).to_contain_text("It said:")
    panel.status("Idle")

    assert (alone.work / "made.txt").exists()
    assert page.evaluate("window.leave()") == 0


def test_it_is_there_again_after_a_reload(page: Page) -> None:
    panel = Panel(page)
    panel.ask("ask: one")
    panel.says("Answer to: one")
    page.reload()
    panel.says("Answer to: one")
    panel.ask("ask: two")
    panel.says("Answer to: two")

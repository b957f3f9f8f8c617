"""Hostile words in every field that reaches the page: nothing of them runs, nothing leaves.

`hostile.json` holds the published kinds of vectors; `{listener}` is an address that must stay
unasked. The audit looks at what a browser made of them, not at what a sanitiser says it did.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from tests.stories.lab import Json, Lab, running_lab, until
from tests.stories.panel import Panel, open_lab, open_split, settle

pytestmark = [pytest.mark.story, pytest.mark.timeout(300)]

VECTORS: list[Json] = json.loads(Path(__file__).with_name("hostile.json").read_text())
FAKE_AGENT = Path(__file__).parents[1] / "fakes" / "fake_agent.py"

# What of the panel's elements could run, load or lead somewhere else.
AUDIT = """() => {
  const found = [];
  const elements = new RegExp('^(script|i?frame|frameset|object|embed|applet|base|link|meta|style|'
  +
    'audio|video|source|area|marquee|math|template|portal|fencedframe|dialog|picture|title|' +
    'foreignobject|animate|set|use|image|feimage|xmp|plaintext|noscript|noembed)$', 'i');
  const names = ['srcdoc', 'formaction', 'ping', 'background', 'srcset', 'poster', 'xlink:href',
    'action', 'popover', 'is', 'usemap', 'http-equiv'];
  const data = /^data:image\\/(png|jpe?g|gif|webp|bmp|avif);base64,[\\w+/=]+$/;
  for (const element of document.querySelectorAll('.al *')) {
    const wrong = elements.test(element.tagName) || [...element.attributes].some(({name, value}) =>
      /^on/i.test(name) || names.includes(name) ||
      (name === 'href' && !/^(https?|mailto):/.test(value)) ||
      (name === 'src' && !data.test(value)) ||
      (name === 'style' && /url|expression|position/i.test(value)) ||
      (name === 'id' && document.getElementById(value) !== element));
    if (wrong) {
      found.push(element.outerHTML.slice(0, 300));
    }
  }
  return found;
}"""
# Characters that hide or reorder others: as such they may stand in no word to be judged by.
HIDDEN = """() => [...document.querySelectorAll(
    '.al-prompt, .al-output, .al-codebox, .al-command, .al-target, .al-title, .al-ask')]
  .filter(element =>
  /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u200b\\u202a-\\u202e\\u2060-\\u2069\\ufeff]/
    .test(element.textContent)).map(element => element.textContent.slice(0, 200))"""
OPEN_ALL = """() => {
  const closed = [...document.querySelectorAll('.al-log button[aria-expanded=false]')];
  closed.forEach(button => button.click());
  return closed.length;
}"""


@dataclass
class Listener:
    """An address on another port of loopback; `asked` has the paths that came."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.asked.append(self.path)
            self.send_error(404)

        do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the base class names them

        def log_message(self, *_: object) -> None:
            """pytest shows what is written to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield listener
        server.shutdown()
        thread.join()


@dataclass
class Watch:
    """What a page did that it should not."""

    page: Page
    lab: Lab
    listener: Listener
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page = self.page
        page.add_init_script("navigator.clipboard.writeText = () => { window.__pwned = 'copied' }")
        page.on("dialog", self._asked_a_person)
        page.on("popup", lambda popup: self.happened.append(f"popup {popup.url}"))
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.happened.append(f"uncaught {error.stack or error}"))

    def _asked_a_person(self, dialog: Dialog) -> None:
        self.happened.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.port != self.lab.port:
            self.happened.append(f"asked {request.url}")

    def clean(self) -> None:
        assert self.page.evaluate(AUDIT) == []
        assert self.page.evaluate(HIDDEN) == []
        assert self.page.evaluate("() => window.__pwned") is None
        assert self.page.evaluate("() => document.documentElement.innerText.length > 0")
        assert "pwned" not in self.page.title()
        assert self.happened == []
        assert self.listener.asked == []


@pytest.fixture
def watch(page: Page, telling_lab: Lab, listener: Listener) -> Watch:
    return Watch(page, telling_lab, listener)


def texts(listener: Listener, *kinds: str) -> list[str]:
    """The vectors of these kinds, or all."""
    return [
        vector["text"].replace("{listener}", listener.url)
        for vector in VECTORS
        if not kinds or vector["kind"] in kinds
    ]


def one_of_each_kind(listener: Listener) -> list[str]:
    """Without those of terminals: claude itself refuses such commands."""
    kinds = {vector["kind"]: vector["text"] for vector in reversed(VECTORS)}
    del kinds["terminal"]
    return [text.replace("{listener}", listener.url) for text in kinds.values()]


def prompt(lab: Lab, session_id: str, text: str) -> None:
    body = {"content": [{"type": "text", "text": text}]}
    lab.call("POST", f"agent-lab/api/sessions/{session_id}/prompt", body)


def turns(lab: Lab, session_id: str) -> int:
    found: int = lab.call("GET", f"agent-lab/api/sessions/{session_id}")["usage"]["turns"]
    return found


def play(lab: Lab, session_id: str, prompts: list[str]) -> None:
    """Ask all of them, one turn each."""
    before = turns(lab, session_id)
    for number, text in enumerate(prompts, before + 1):
        prompt(lab, session_id, text)
        until(lambda wanted=number: turns(lab, session_id) >= wanted)  # type: ignore[misc]


def opened(watch: Watch, name: str) -> tuple[Panel, str]:
    open_lab(watch.page, watch.lab, name)
    panel = open_split(watch.page)
    panel.status("Idle")
    session_id: str = watch.lab.sessions()[0]["id"]
    return panel, session_id


def test_there_are_enough() -> None:
    assert len({vector["text"] for vector in VECTORS}) >= 100


def test_prompts_thoughts_answers_and_tools(watch: Watch, listener: Listener) -> None:
    panel, session_id = opened(watch, "hostile")
    vectors = texts(listener)
    play(watch.lab, session_id, [f"hostile: {text}" for text in vectors])
    panel.status("Idle")
    expect(panel.log.locator(".al-prompt")).to_have_count(len(vectors))
    watch.clean()
    assert watch.page.evaluate(OPEN_ALL) >= len(vectors)
    watch.clean()

    watch.page.reload()
    settle(watch.page)
    expect(panel.log.locator(".al-prompt").last).to_be_visible()
    watch.page.evaluate(OPEN_ALL)
    watch.clean()


def test_a_picture_from_elsewhere_is_loaded_on_a_click_only(
    watch: Watch, listener: Listener
) -> None:
    panel, session_id = opened(watch, "picture")
    play(watch.lab, session_id, [f"![chart]({listener.url}/chart.png?secret=1)"])
    blocked = panel.log.get_by_text(f"Remote image blocked: {urlsplit(listener.url).netloc}")
    expect(blocked).to_be_visible()
    watch.clean()
    panel.button("Load").click()
    until(lambda: listener.asked)
    assert listener.asked == ["/chart.png?secret=1"]
    listener.asked.clear()


def test_permissions_and_questions(watch: Watch, listener: Listener) -> None:
    panel, session_id = opened(watch, "asked")
    for text in one_of_each_kind(listener):
        for verb in ("run", "ask"):
            prompt(watch.lab, session_id, f"{verb}: {text}")
            expect(panel.log.locator(".al-ask")).to_be_visible()
            watch.clean()
            watch.lab.call("POST", f"agent-lab/api/sessions/{session_id}/cancel")
            expect(panel.log.locator(".al-ask")).to_be_hidden()
            panel.status("Idle")
    watch.page.evaluate(OPEN_ALL)
    watch.clean()
    assert not (watch.lab.root / "ran").exists()


def test_titles(watch: Watch, listener: Listener) -> None:
    _, session_id = opened(watch, "titles")
    route = f"agent-lab/api/sessions/{session_id}"
    for text in texts(listener):
        title = watch.lab.call("PATCH", route, {"title": f"{text} end"[-200:]})["title"]
        expect(watch.page.locator(".al-title")).to_contain_text(title[-3:])
    watch.clean()
    watch.lab.call("PATCH", route, {"title": "safe \u202egpj.exe"})
    expect(watch.page.get_by_role("tab", name="safe gpj.exe")).to_be_visible()


def test_files_and_what_is_in_them(watch: Watch, listener: Listener) -> None:
    """Names of a folder and of files, and the words in a file as a tool's output."""
    root = watch.lab.root
    folder = root / "<img src=x onerror=window.__pwned=1>"
    folder.mkdir()
    named = '"><svg onload=window.__pwned=1>.txt'
    (root / named).write_text("a name")
    (root / "all.txt").write_text("\n".join(texts(listener)), "utf-8")

    panel, session_id = opened(watch, "files")
    play(watch.lab, session_id, ["read: all.txt", f"read: {named}"])
    panel.status("Idle")
    watch.page.evaluate(OPEN_ALL)
    panel.log.get_by_role("button", name="Show more").first.click()
    expect(panel.log.locator(".al-output").first).to_contain_text("srcdoc")
    watch.clean()

    watch.page.evaluate(
        "cwd => window.jupyterapp.commands.execute('agent-lab:open', {cwd}) && 0", folder.name
    )
    other = watch.page.locator(".al-Split:visible")
    expect(Panel(other).log).to_contain_text(folder.name)
    expect(other.get_by_role("region", name="Terminal")).to_contain_text(folder.name)
    watch.clean()


@pytest.fixture
def fake_lab(tmp_path: Path) -> Iterator[Lab]:
    """With an agent that writes what claude would not: it echoes every character as it came."""
    home = tmp_path / "claude" / "projects" / "fake"
    home.mkdir(parents=True)
    environment = {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude"), "FAKE_AGENT_HOME": str(home)}
    command = [sys.executable, str(FAKE_AGENT)]
    with running_lab(tmp_path, environment, claude_command=command) as lab:
        yield lab


def test_characters_that_claude_would_alter(fake_lab: Lab, page: Page, listener: Listener) -> None:
    watch = Watch(page, fake_lab, listener)
    panel, session_id = opened(watch, "fake")
    vectors = texts(listener, "terminal", "unicode", "mutation")
    play(fake_lab, session_id, [*vectors, "!surrogates", "!ansi"])
    panel.status("Idle")
    expect(panel.log.locator(".al-prompt")).to_have_count(len(vectors) + 2)
    watch.clean()
    for name in ("bash", "permission"):
        prompt(fake_lab, session_id, f"!permission bash 'echo {name}\u202e\u200b\x1b[31m'")
        expect(panel.log.locator(".al-ask")).to_contain_text("U+202E")
        watch.clean()
        fake_lab.call("POST", f"agent-lab/api/sessions/{session_id}/cancel")
        expect(panel.log.locator(".al-ask")).to_be_hidden()
        panel.status("Idle")
    panel.answers("still well")
    watch.clean()

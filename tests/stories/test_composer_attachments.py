"""Pictures, files and long pastes: what is taken, what is made smaller, what is refused and why."""

from __future__ import annotations

import base64
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.stories.conftest import NewPage
from tests.stories.lab import Lab, running_lab, until, with_model
from tests.stories.panel import Panel, open_lab, open_split, settle
from tests.stories.test_composer import chips
from tests.stories.test_turns import newest, same_session

pytestmark = pytest.mark.story

TIMES = "\N{MULTIPLICATION SIGN}"

# Gives the panel files as the browser does: by paste into the field, by a drop anywhere on it.
GIVE = """([where, files, text]) => {
  const data = new DataTransfer();
  for (const { name, type, base64 } of files) {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  if (text !== null) data.setData('text/plain', text);
  const box = document.querySelector('.al-Split .al-input');
  const event = { bubbles: true, cancelable: true };
  if (where === 'paste') {
    box.focus();
    const paste = new ClipboardEvent('paste', { ...event, clipboardData: data });
    if (box.dispatchEvent(paste) && text) document.execCommand('insertText', false, text);
  } else {
    const log = document.querySelector('.al-Split .al-log');
    for (const kind of ['dragenter', 'dragover', 'drop']) {
      log.dispatchEvent(new DragEvent(kind, { ...event, dataTransfer: data }));
    }
  }
}"""


def png(width: int, height: int, noise: bytes = b"") -> bytes:
    """A picture of one colour; `noise` are bytes of its rows, so that it does not compress."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    row = width * 3
    pixels = b"".join(
        b"\0" + (noise[i * row : (i + 1) * row] or b"\x20\x60\xa0" * width) for i in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(pixels, 0 if noise else 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def give(page: Page, where: str, *files: tuple[str, str, bytes], text: str | None = None) -> None:
    listed = [
        {"name": name, "type": type, "base64": base64.b64encode(data).decode()}
        for name, type, data in files
    ]
    page.evaluate(GIVE, [where, listed, text])


def note(panel: Panel) -> Locator:
    return panel.region.locator(".al-composer-note")


def content(lab: Lab, words: str) -> list[dict[str, str]]:
    """The blocks of the message that has these words."""

    def found() -> list[list[dict[str, str]]]:
        sent = [e["content"] for e in lab.events(newest(lab)) if e["type"] == "user_message"]
        return [blocks for blocks in sent if any(words in b.get("text", "") for b in blocks)]

    return until(found)[0]


def test_pictures_by_paste_drop_and_button(lab: Lab, page: Page, tmp_path: Path) -> None:
    open_lab(page, lab, "pictures")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "paste", ("image.png", "image/png", png(20, 10)))
    expect(chips(panel)).to_have_count(1)
    # The type is judged by the bytes: a PNG by another name is a PNG.
    give(page, "drop", ("odd.dat", "application/x-odd", png(30, 10)))
    expect(chips(panel)).to_have_count(2)
    file = tmp_path / "third.png"
    file.write_bytes(png(40, 10))
    with page.expect_file_chooser() as chooser:
        panel.button("Attach files").click()
    chooser.value.set_files(file)
    expect(chips(panel)).to_have_count(3)
    expect(chips(panel).first).to_contain_text(re.compile(r"image, \d+ B"))

    chips(panel).first.get_by_role("button").first.click()
    shown = panel.region.locator(".al-look img")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == 20
    chips(panel).first.get_by_role("button", name="Remove").click()
    expect(chips(panel)).to_have_count(2)

    panel.ask("look at both")
    blocks = content(lab, "look at both")
    assert [block["type"] for block in blocks] == ["text", "image", "image"]
    assert [block["mime_type"] for block in blocks[1:]] == ["image/png", "image/png"]
    assert base64.b64decode(blocks[1]["data"]) == png(30, 10)
    panel.status("Idle")
    expect(panel.log.locator(".al-turn-end")).to_have_count(1)


def test_large_pictures_are_made_smaller_and_say_so(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "large-pictures")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "paste", ("wide.png", "image/png", png(9000, 20)))
    expect(chips(panel)).to_contain_text([f"scaled down from 9000 {TIMES} 20 to 2000 {TIMES} 4"])
    noise = bytes((i * 2654435761 >> 13) & 255 for i in range(1700 * 1300 * 3))
    heavy = png(1700, 1300, noise)
    assert len(heavy) > 5_000_000
    give(page, "paste", ("heavy.png", "image/png", heavy))
    expect(chips(panel)).to_have_count(2)
    expect(chips(panel).nth(1)).to_contain_text("compressed from 6.6 MB")
    panel.ask("both are small")
    blocks = content(lab, "both are small")
    sizes = [len(base64.b64decode(block["data"])) for block in blocks[1:]]
    assert max(sizes) <= 5_000_000
    assert struct.unpack(">II", base64.b64decode(blocks[1]["data"])[16:24]) == (2000, 4)


# The names under which the browser's database keeps what is attached.
KEPT = """() => new Promise(resolve => {
  const asked = indexedDB.open('agent-lab', 1);
  asked.onerror = () => resolve(null);
  asked.onsuccess = () => {
    const keys = asked.result.transaction('attached').objectStore('attached').getAllKeys();
    keys.onsuccess = () => { asked.result.close(); resolve(keys.result); };
  };
})"""


def noisy(width: int, height: int) -> bytes:
    """A picture that does not compress: about three bytes a pixel."""
    return png(
        width, height, bytes((i * 2654435761 >> 13) & 255 for i in range(width * height * 3))
    )


def test_a_large_picture_outlives_a_reload_and_leaves_nothing(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "large-kept")
    panel = open_split(page)
    panel.status("Idle")
    heavy = noisy(1300, 1000)
    assert 3_000_000 < len(heavy) < 5_000_000
    give(page, "paste", ("heavy.png", "image/png", heavy))
    panel.box.fill("what is this?")
    expect(chips(panel)).to_have_count(1)
    page.wait_for_function("() => indexedDB.databases().then(all => all.length > 0)")
    page.reload()
    settle(page)
    expect(panel.box).to_have_value("what is this?")
    expect(chips(panel)).to_contain_text([re.compile(r"image, 3\.\d MB")])
    assert page.evaluate(KEPT) == [newest(lab)]
    chips(panel).first.get_by_role("button").first.click()
    shown = panel.region.locator(".al-look img")
    assert shown.evaluate("image => image.naturalWidth") == 1300
    panel.box.press("Enter")
    blocks = content(lab, "what is this?")
    assert base64.b64decode(blocks[1]["data"]) == heavy
    panel.status("Idle")
    until(lambda: page.evaluate(KEPT) == [])
    page.reload()
    settle(page)
    panel.status("Idle")
    expect(chips(panel)).to_have_count(0)


def test_what_cannot_be_kept_says_so(lab: Lab, page: Page) -> None:
    page.add_init_script("delete window.indexedDB; delete Window.prototype.indexedDB")
    open_lab(page, lab, "unkept")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "paste", ("heavy.png", "image/png", noisy(900, 700)))
    expect(chips(panel)).to_have_count(1)
    expect(note(panel)).to_contain_text("attach it again if you leave the page before sending")
    chips(panel).get_by_role("button", name="Remove").click()
    expect(note(panel)).to_have_count(0)


@pytest.fixture
def own_lab(tmp_path: Path, model_url: str) -> Iterator[Lab]:
    """A lab to be killed."""
    with running_lab(tmp_path, with_model(tmp_path, model_url)) as lab:
        yield lab


def test_a_picture_sent_to_a_dead_server_is_not_lost_with_its_tab(
    own_lab: Lab, new_page: NewPage
) -> None:
    page = new_page()
    open_lab(page, own_lab, "dead")
    panel = open_split(page)
    panel.answers("hello")
    session = newest(own_lab)
    own_lab.kill()
    panel.status("Server unreachable")
    give(page, "paste", ("image.png", "image/png", png(20, 10)))
    expect(chips(panel)).to_have_count(1)
    panel.ask("sent in vain")
    expect(panel.log).to_contain_text("not sent yet")
    page.close(run_before_unload=True)
    own_lab.start()
    panel = same_session(new_page(), own_lab, session)
    expect(panel.box).to_have_value("sent in vain")
    expect(chips(panel)).to_contain_text([re.compile(r"image, \d+ B")])
    panel.box.press("Enter")
    blocks = content(own_lab, "sent in vain")
    assert base64.b64decode(blocks[1]["data"]) == png(20, 10)
    until(lambda: panel.region.page.evaluate(KEPT) == [])


def test_what_is_kept_of_a_session_goes_when_it_is_deleted_for_good(
    own_lab: Lab, page: Page
) -> None:
    open_lab(page, own_lab, "for-good")
    panel = open_split(page)
    panel.status("Idle")
    gone = newest(own_lab)
    panel.box.fill("never sent")
    give(page, "paste", ("heavy.png", "image/png", noisy(900, 700)))
    expect(chips(panel)).to_have_count(1)
    until(lambda: page.evaluate(KEPT) == [gone])
    drafts = "() => Object.keys(localStorage).filter(key => key.startsWith('agent-lab:draft:'))"
    page.wait_for_function(f"() => ({drafts})().length === 1")
    own_lab.call("DELETE", f"agent-lab/api/sessions/{gone}")

    def next_page(workspace: str) -> None:
        with page.expect_response(re.compile("/api/forgotten")) as asked:
            open_lab(page, own_lab, workspace)
            open_split(page).status("Idle")
        asked.value.finished()

    next_page("for-good-2")
    # Until it is gone for good it can be taken back, with its draft.
    assert page.evaluate(drafts) == [f"agent-lab:draft:{gone}"]
    assert page.evaluate(KEPT) == [gone]
    own_lab.stop()
    with closing(sqlite3.connect(own_lab.folder / "sessions" / "sessions.sqlite")) as db, db:
        db.execute("UPDATE sessions SET deleted_at='2020-01-01T00:00:00.000Z' WHERE id=?", (gone,))
    own_lab.start()
    next_page("for-good-3")
    until(lambda: page.evaluate(drafts) == [] and page.evaluate(KEPT) == [])


def test_what_is_no_picture_is_refused_with_the_next_step(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "refused")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "drop", ("report.pdf", "application/pdf", b"%PDF-1.7\n\x00\x01\x02\xff"))
    expect(note(panel)).to_contain_text("report.pdf is neither text nor")
    expect(note(panel)).to_contain_text("name it with @")
    give(page, "paste", ("torn.png", "image/png", png(20, 10)[:40]))
    expect(note(panel)).to_contain_text("torn.png is damaged")
    give(page, "drop", ("long.txt", "text/plain", b"word " * 50_000))
    expect(note(panel)).to_contain_text("text up to 200 kB can be attached")
    expect(chips(panel)).to_have_count(0)
    note(panel).get_by_role("button", name="Close the note").click()
    expect(note(panel)).to_have_count(0)
    expect(panel.box).to_be_focused()


def test_a_text_file_goes_along_as_it_is(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "text-file")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "drop", ("grüße.py", "text/x-python", "print('grüße')\n".encode()))
    expect(chips(panel)).to_have_text(["grüße.py"])
    chips(panel).get_by_role("button").first.click()
    expect(panel.region.locator(".al-look pre")).to_have_text("print('grüße')\n")
    page.reload()
    settle(page)
    expect(chips(panel)).to_have_text(["grüße.py"])
    panel.box.press("Enter")  # a file alone is a message
    blocks = content(lab, "print")
    assert [(block["type"], block["name"]) for block in blocks] == [("resource", "grüße.py")]
    expect(chips(panel)).to_have_count(0)
    page.reload()
    settle(page)
    panel.status("Idle")
    expect(chips(panel)).to_have_count(0)


def test_a_long_paste_is_a_chip_until_it_is_wanted_as_text(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "long-paste")
    panel = open_split(page)
    panel.status("Idle")
    short = "\n".join(f"line {n}" for n in range(30))
    give(page, "paste", text=short)
    expect(panel.box).to_have_value(short)
    expect(chips(panel)).to_have_count(0)
    panel.box.fill("see: ")
    long = "\n".join(f"line {n}" for n in range(31))
    give(page, "paste", text=long)
    expect(chips(panel)).to_have_text(["pasted text, 31 lines"])
    expect(panel.box).to_have_value("see: ")
    note(panel).get_by_role("button", name="Paste as text").click()
    expect(panel.box).to_have_value(f"see: {long}")
    expect(chips(panel)).to_have_count(0)
    expect(note(panel)).to_have_count(0)

    panel.box.fill("the log: ")
    give(page, "paste", text="x" * 2001)
    expect(chips(panel)).to_have_text(["pasted text, 2 kB"])
    panel.box.press("Enter")
    blocks = content(lab, "the log:")
    assert [block["type"] for block in blocks] == ["text", "resource"]
    assert blocks[1]["text"] == "x" * 2001


def test_a_table_is_pasted_as_its_words(lab: Lab, page: Page) -> None:
    open_lab(page, lab, "table-paste")
    panel = open_split(page)
    panel.status("Idle")
    give(page, "paste", ("image.png", "image/png", png(20, 10)), text="a\tb")
    expect(panel.box).to_have_value("a\tb")
    expect(chips(panel)).to_have_count(0)


def test_files_of_the_file_browser_are_dropped_by_name(lab: Lab, page: Page) -> None:
    (lab.root / "dropped").mkdir(exist_ok=True)
    (lab.root / "dropped-file.txt").write_text("words\n")
    open_lab(page, lab, "browser-drop")
    panel = open_split(page)
    panel.status("Idle")
    row = page.locator(".jp-DirListing-item", has_text="dropped-file.txt")
    row.hover()
    page.mouse.down()
    box = panel.log.bounding_box()
    assert box is not None
    for part in (0.3, 0.5, 0.6):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] * part, steps=4)
    expect(page.locator(".al-root.al-mod-drop")).to_be_visible()
    page.mouse.up()
    expect(chips(panel)).to_have_text(["dropped-file.txt"])
    expect(page.locator(".al-root.al-mod-drop")).to_have_count(0)
    assert (lab.root / "dropped-file.txt").exists()


# What a browser with speech recognition would say, word by word.
SPEECH = """
window.SpeechRecognition = class {
  start() {
    window.heard = (words, final) => this.onresult({
      resultIndex: 0, results: [Object.assign([{ transcript: words }], { isFinal: final })]
    });
    window.fails = error => { this.onerror({ error }); this.onend(); };
  }
  stop() { this.onend(); }
};
"""


def test_dictation_is_off_until_it_is_turned_on(lab: Lab, page: Page) -> None:
    page.add_init_script(SPEECH)
    open_lab(page, lab, "voice")
    panel = open_split(page)
    panel.status("Idle")
    expect(panel.button("Dictate")).to_have_count(0)
    panel.button("Session menu").click()
    switch = panel.region.get_by_role("menuitemcheckbox", name="Voice input")
    expect(switch).to_contain_text("Audio leaves this machine")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    panel.box.fill("Plot")
    panel.button("Dictate").click()
    expect(panel.button("Dictate")).to_have_attribute("aria-pressed", "true")
    page.evaluate("window.heard('the or', false)")
    expect(note(panel)).to_have_text("the or")
    page.evaluate("window.heard('the orders', true)")
    expect(panel.box).to_have_value("Plot the orders")
    panel.button("Dictate").click()
    expect(panel.button("Dictate")).to_have_attribute("aria-pressed", "false")
    panel.button("Dictate").click()
    page.evaluate("window.fails('not-allowed')")
    expect(note(panel)).to_contain_text("does not let this page use the microphone")
    page.reload()
    settle(page)
    expect(panel.button("Dictate")).to_be_visible()

    # The same switch stands among JupyterLab's settings, and works from there at once.
    setting = "@agent-lab/labextension:plugin"
    raw = lab.call("GET", f"lab/api/settings/{setting}")["raw"]
    assert '"voice": true' in raw
    page.evaluate(
        "() => void window.jupyterapp.commands.execute('settingeditor:open', {query: 'Agent'})"
    )
    page.get_by_role("checkbox", name="Voice input").uncheck()
    page.locator("#jp-main-dock-panel").get_by_role("tab", name="New session").click()
    expect(panel.box).to_be_visible()
    expect(panel.button("Dictate")).to_have_count(0)

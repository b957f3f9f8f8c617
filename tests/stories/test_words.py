"""Another language: what a language pack for JupyterLab says is read everywhere, in the form that
goes with a number."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from playwright.sync_api import Page, expect

from tests.stories.lab import TOKEN, Lab, running_lab, with_model
from tests.stories.panel import open_lab
from tests.stories.sessions_panel import make_session
from tests.stories.test_notebook import open_notebook, run

pytestmark = pytest.mark.story

LOCALE = "pl_PL"
RULE = "(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2)"
TEMPLATE = Path(__file__).parents[2] / "agent_lab" / "locale" / "agent_lab.pot"

# What the server and the agent say is one text for all readers of a session.
SAID = {
    "Allow once",
    "Always allow Bash touch translated *",
    "Always allow changes in this folder",
    "Always allow edits of files",
    "Bash",
    "Reject",
    "a command of the test",
    "all files, in this session, until its agent stops",
    "bash: touch translated",
    "claude",
    "in this folder, for every session, until you revoke it",
    "in this session, until its agent stops",
    "root",
    "touch translated",
}
# Each text between marks; a plural's form by its number.
LEFT = """place => {
  const found = new Set();
  const walk = document.createTreeWalker(document.querySelector(place), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { data, parentElement } = walk.currentNode;
    const shown = parentElement.checkVisibility({ visibilityProperty: true });
    const said = parentElement.closest('kbd, code, pre, .al-say, .al-user, textarea, style, time');
    if (shown && !said && !data.includes('⟦') && /\\p{L}{2}/u.test(data)) found.add(data.trim());
  }
  const named = ':is([title], [aria-label], [placeholder])';
  for (const node of document.querySelectorAll(`${place} ${named}`)) {
    for (const name of ['title', 'aria-label', 'placeholder']) {
      const data = node.getAttribute(name) ?? '';
      if (/\\p{L}{2}/u.test(data) && !data.includes('⟦')) found.add(data);
    }
  }
  return [...found];
}"""


def install_pack(folder: Path) -> None:
    """A language pack as pip would install it, made from our own template."""
    with TEMPLATE.open("rb") as file:
        catalogue = read_po(BytesIO(file.read()))
    translated = Catalog(locale=LOCALE)
    words: dict[str, Any] = {
        "": {
            "domain": "agent_lab",
            "language": LOCALE.replace("_", "-"),
            "plural_forms": f"nplurals=3; plural={RULE};",
        }
    }
    for message in catalogue:
        if not message.id:
            continue
        forms = [message.id] if isinstance(message.id, str) else list(message.id)
        key = f"{message.context}\u0004{forms[0]}" if message.context else forms[0]
        said = [f"⟦{number} {forms[-1]}⟧" for number in range(3)]
        words[key] = said if len(forms) == 2 else [f"⟦{forms[0]}⟧"]
        if len(forms) == 1:
            translated.add(forms[0], f"⟦{forms[0]}⟧", context=message.context)
    module = f"jupyterlab_language_pack_{LOCALE}"
    messages = folder / module / "locale" / LOCALE / "LC_MESSAGES"
    messages.mkdir(parents=True)
    (folder / module / "__init__.py").write_text("")
    (messages / "agent_lab.json").write_text(json.dumps(words))
    with (messages / "agent_lab.mo").open("wb") as compiled:
        write_mo(compiled, translated)  # the server translates the settings with this one
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    entry = f"[jupyterlab.languagepack]\n{LOCALE} = {module}\n"
    (about / "entry_points.txt").write_text(entry)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    """A JupyterLab in that language."""
    folder = tmp_path_factory.mktemp("words")
    install_pack(folder / "packages")
    chosen = folder / "config/lab/user-settings/@jupyterlab/translation-extension"
    chosen.mkdir(parents=True)
    (chosen / "plugin.jupyterlab-settings").write_text(json.dumps({"locale": LOCALE}))
    with running_lab(folder, with_model(folder, model_url), packages=folder / "packages") as lab:
        # A server translates settings once some page has asked it for the language.
        lab.call("GET", f"lab/api/translations/{LOCALE}")
        yield lab


def test_the_panel_and_the_list_speak_it(lab: Lab, page: Page) -> None:
    name = f"Untranslated {uuid.uuid4().int % 10**12}"  # no letters: hits are marked by words
    for number in range(3):
        make_session(lab, f"{name} {number}", *(["hello"] if number == 0 else []))
    open_lab(page, lab, "words")
    # Under JupyterLab's own heading, which this pack leaves English.
    card = page.locator(".jp-LauncherCard", has_text="⟦Agent⟧")
    expect(card).to_be_visible()
    expect(page.get_by_text("⟦Other⟧")).to_have_count(0)
    card.click()
    panel = page.get_by_role("region", name="⟦Agent chat⟧")
    box = panel.get_by_role("textbox", name="⟦Message the agent⟧")
    expect(panel.locator(".al-state")).to_contain_text("⟦Idle⟧")
    box.fill("bash: touch translated")
    box.press("Enter")
    expect(panel.locator(".al-state")).to_contain_text("⟦Waiting for your permission⟧")
    expect(panel.get_by_role("button", name="⟦Stop⟧")).to_be_visible()
    left: list[str] = page.evaluate(LEFT, ".al-Split .al")
    assert sorted(set(left) - SAID) == []
    panel.get_by_role("button", name="⟦Session menu⟧").click()
    expect(panel.get_by_role("menuitem", name="⟦Keyboard shortcuts⟧")).to_be_visible()
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="⟦Stop⟧").click()
    expect(panel.locator(".al-state")).to_contain_text("⟦Idle⟧")

    page.get_by_role("tab", name="⟦Agent sessions⟧").click()
    rows = page.get_by_role("navigation", name="⟦Agent sessions⟧")
    rows.get_by_role("searchbox").fill(name)
    expect(rows.get_by_text("⟦1 3 found⟧")).to_be_visible()
    rows.get_by_role("searchbox").fill(f"{name} 1")
    expect(rows.get_by_text("⟦0 1 found⟧")).to_be_visible()
    rows.get_by_role("searchbox").fill("")
    left = page.evaluate(LEFT, ".al-sessions")
    assert [text for text in sorted(set(left) - SAID) if "Untranslated" not in text] == []


def test_the_settings_speak_it(lab: Lab) -> None:
    """As JupyterLab's server gives a setting; its editor, of 4.6, lists all in English."""
    given = lab.call("GET", "lab/api/settings/@agent-lab/labextension:plugin")["schema"]
    assert given["properties"]["voice"]["title"] == "⟦Voice input⟧"
    assert given["properties"]["placement"]["oneOf"][0]["title"].startswith("⟦In the side bar")
    assert given["description"].startswith("⟦")


def test_the_page_speaks_it(lab: Lab, page: Page) -> None:
    made = make_session(lab, "On the page")
    page.goto(f"{lab.url}agent-lab/sessions?token={TOKEN}")
    rows = page.get_by_role("navigation", name="⟦Agent sessions⟧")
    expect(page.get_by_text("⟦Choose a session, or begin a new one.⟧")).to_be_visible()
    rows.get_by_role("searchbox").fill("On the page")
    expect(rows.get_by_text("⟦0 1 found⟧")).to_be_visible()
    assert page.evaluate("() => document.documentElement.lang") == "pl-PL"
    page.goto(f"{lab.url}agent-lab/sessions/{made}")
    expect(page.get_by_role("textbox", name="⟦Message the agent⟧")).to_be_visible()


def test_a_cell_speaks_the_page_s_language(lab: Lab, page: Page) -> None:
    cells = open_notebook(page, lab, "words", "from agent_lab import AgentChat\nAgentChat()")
    run(page, cells.nth(0))
    box = cells.nth(0).get_by_role("textbox", name="⟦Message the agent⟧")
    expect(box).to_be_visible()

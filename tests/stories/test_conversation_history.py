"""A history of thousands of messages: opened at its end, read to its beginning, left in peace."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect

from agent_lab.protocol.events import (
    AgentMessage,
    AnyBody,
    DiffBlock,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
)
from tests.bench.history import LAST_WORDS, lay
from tests.kernel.jupyter_process import FAKE_AGENT
from tests.stories.lab import Lab, running_lab
from tests.stories.panel import settle
from tests.stories.test_turns import same_session

pytestmark = pytest.mark.story

MESSAGES = 1_000
LINES = 300
# Cards with much in them near the end of the history, and enough after them that they can be far.
LONG_CARDS: tuple[AnyBody, ...] = (
    ToolCall(tool_call_id="t-edit", title="Edit report.py", name="Edit", kind="edit"),
    ToolCallUpdate(
        tool_call_id="t-edit",
        status="completed",
        content=(
            DiffBlock("report.py", None, "".join(f"new line {n}\n" for n in range(LINES)), 1),
        ),
    ),
    AgentMessage(message_id="m-between", content=(TextBlock("Now look it up."),)),
    ToolCall(
        tool_call_id="t-look",
        title="Look it up",
        name="mcp__tables__look",
        raw_input={"table": "orders", "columns": ["region", "amount"]},
    ),
    ToolCallUpdate(
        tool_call_id="t-look",
        status="completed",
        content=(TextBlock("".join(f"row {n}\n" for n in range(LINES))),),
    ),
    *(AgentMessage(message_id=f"m-{n}", content=(TextBlock(f"Part {n}."),)) for n in range(70)),
)

# Up by half a view a frame until the beginning is there; what is read must not move by itself in
# the frame after. Gives what was seen.
READ = """
async log => {
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  const seen = { most: 0, jumps: [], blank: 0, frames: 0 };
  const reading = () => {
    const box = log.getBoundingClientRect();
    return document.elementFromPoint(box.left + 80, box.top + box.height / 2)
      ?.closest('[data-section]');
  };
  for (let still = 0; still < 5; ) {
    const top = log.scrollTop;
    log.scrollTop = top - log.clientHeight / 2;
    await frame();
    const section = reading();
    const at = section?.getBoundingClientRect().top;
    await frame();
    seen.frames += 1;
    if (!section) seen.blank += 1;
    else if (section.isConnected) {
      const moved = section.getBoundingClientRect().top - at;
      if (Math.abs(moved) > 2) seen.jumps.push(Math.round(moved));
    }
    seen.most = Math.max(seen.most, log.querySelectorAll('*').length);
    still = log.scrollTop > 0 || log.querySelector('.al-older') ? 0 : still + 1;
  }
  return seen;
}
"""


@pytest.fixture(scope="module")
def long_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, str]]:
    """A lab and a session with a past that its server has not read yet."""
    folder = tmp_path_factory.mktemp("long")
    home = folder / "claude" / "projects" / "fake"
    for place in (home, folder / "root", folder / "sessions"):
        place.mkdir(parents=True)
    laying = lay(folder / "sessions", folder / "root", messages=MESSAGES, also=LONG_CARDS)
    with ThreadPoolExecutor(1) as another:  # in this thread Playwright's loop runs
        past = another.submit(asyncio.run, laying).result()
    environment = {"CLAUDE_CONFIG_DIR": str(folder / "claude"), "FAKE_AGENT_HOME": str(home)}
    with running_lab(folder, environment, claude_command=[sys.executable, str(FAKE_AGENT)]) as lab:
        yield lab, past.session_id


def test_a_long_history_is_read_to_its_beginning(long_lab: tuple[Lab, str], page: Page) -> None:
    lab, session = long_lab
    panel = same_session(page, lab, session)
    expect(panel.log).to_contain_text(LAST_WORDS)
    expect(panel.log.get_by_text(LAST_WORDS)).to_be_in_viewport()
    newest = panel.log.get_by_role("group", name="Tool call: Run the report").last
    newest.get_by_role("button").first.click()
    expect(newest).to_have_attribute("aria-expanded", "true")

    seen = panel.log.evaluate(READ)
    assert seen["jumps"] == []
    assert seen["blank"] <= seen["frames"] // 20
    assert seen["most"] < 3_000, "what is far away is not drawn"
    expect(panel.log.locator(".al-prompt").first).to_be_in_viewport()
    first = lab.events(session)[0]["content"][0]["text"]
    expect(panel.log.locator(".al-prompt > p").first).to_have_text(first)
    # The end is still where it was, and as it was left.
    panel.log.press("End")
    expect(panel.log.get_by_text(LAST_WORDS)).to_be_in_viewport()
    expect(newest).to_have_attribute("aria-expanded", "true")

    # Ctrl+F finds it there all the same: its box, inside the box of many, is hidden until it is
    # found. The browser says so before it goes there; then it has to be drawn.
    prompt = panel.log.locator(".al-prompt > p").filter(has_text=first)
    expect(prompt).to_have_count(0)
    far = panel.log.locator(
        '.al-far[hidden="until-found"] .al-far[data-chunk][hidden="until-found"]', has_text=first
    )
    far.dispatch_event("beforematch")
    expect(prompt).to_have_count(1)


def test_what_was_opened_stays_open_far_away_and_in_a_new_panel(
    long_lab: tuple[Lab, str], page: Page
) -> None:
    lab, session = long_lab
    panel = same_session(page, lab, session)

    def at_the_cards() -> None:
        expect(panel.log.get_by_text(LAST_WORDS)).to_be_in_viewport()
        for _ in range(4):
            panel.log.press("PageUp")
        expect(panel.tool("Look it up")).to_be_attached()

    def closed() -> None:
        for title in ("Edit report.py", "Look it up"):
            expect(panel.tool(title)).to_have_attribute("aria-expanded", "false")

    def opened() -> None:
        expect(panel.tool("Edit report.py")).to_have_attribute("aria-expanded", "true")
        expect(panel.tool("Edit report.py")).to_contain_text(f"new line {LINES - 1}")
        look = panel.tool("Look it up")
        expect(look.get_by_role("button", name="Input")).to_have_attribute("aria-expanded", "true")
        expect(look).to_contain_text('"columns"')
        expect(look).to_contain_text("row 150")

    at_the_cards()
    closed()
    for title in ("Edit report.py", "Look it up"):
        panel.tool(title).get_by_role("button").first.click()
    panel.tool("Edit report.py").get_by_role("button", name="Show more").click()
    panel.tool("Look it up").get_by_role("button", name="Input").click()
    panel.tool("Look it up").get_by_role("button", name="Show more").click()
    opened()

    panel.log.press("Home")  # the focus leaves the card, which would stay with it
    expect(panel.tool("Look it up")).to_have_count(0)
    panel.log.press("End")
    at_the_cards()
    opened()

    page.evaluate("() => window.jupyterapp.shell.currentWidget.dispose()")
    expect(panel.region).to_have_count(0)
    page.evaluate(
        "id => void window.jupyterapp.commands.execute('agent-lab:open', {session: id})", session
    )
    at_the_cards()
    opened()
    # A page that is loaded anew shows all as it came.
    page.reload()
    settle(page)
    at_the_cards()
    closed()


def test_what_is_far_away_is_found_and_selected(long_lab: tuple[Lab, str], page: Page) -> None:
    lab, session = long_lab
    panel = same_session(page, lab, session)
    expect(panel.log.get_by_text(LAST_WORDS)).to_be_in_viewport()
    expect(panel.log.locator(".al-far").first).to_be_attached()
    # As the browser's own search does it: words in a box that is hidden until they are found.
    found = panel.log.evaluate(
        """log => {
          const far = log.querySelector('.al-far[data-chunk][hidden="until-found"]');
          far.dispatchEvent(new Event('beforematch', { bubbles: true }));
          return [far.dataset.chunk, far.textContent.length];
        }"""
    )
    assert found[1] > 100
    expect(panel.log.locator(f'[data-chunk="{found[0]}"] .al-prompt').first).to_be_visible()

    expect(panel.log.locator(f'[data-chunk="{found[0]}"]')).to_be_in_viewport()
    page.wait_for_timeout(500)  # what lies around it is drawn; keys pressed meanwhile go astray
    panel.log.press("End")
    expect(panel.log.get_by_text(LAST_WORDS)).to_be_in_viewport()
    panel.log.get_by_text(LAST_WORDS).click(click_count=3)
    for _ in range(8):
        panel.log.press("PageUp")
    expect(panel.log.get_by_text(LAST_WORDS)).not_to_be_in_viewport()
    said = page.evaluate("() => getSelection().toString()")
    assert LAST_WORDS in said

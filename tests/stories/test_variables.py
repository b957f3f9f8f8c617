"""`@` names what is in memory: with its shape, sent as a schema."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import Lab
from tests.stories.panel import open_beside
from tests.stories.test_notebook import open_notebook, run

pytestmark = pytest.mark.story


def test_a_variable_goes_along_with_its_schema(telling_lab: Lab, page: Page) -> None:
    source = (
        "import pandas\n"
        "df = pandas.DataFrame({'region': ['N', 'S'], 'amount': [1.5, 2.5]})\n"
        "api_key = 'abc'"
    )
    cells = open_notebook(page, telling_lab, "memory", source)
    run(page, cells.nth(0))
    expect(cells.nth(0).locator(".jp-InputPrompt")).to_have_text("[1]:")
    panel = open_beside(page)
    panel.status("Idle")
    panel.box.click()
    page.keyboard.type("what is in @d")
    option = panel.region.get_by_role("option", name="df")
    expect(option).to_contain_text(re.compile("DataFrame 2 . 2"))
    option.click()
    expect(panel.region.get_by_role("button", name="df", exact=True)).to_be_visible()
    page.keyboard.type("?")
    page.keyboard.press("Enter")
    told = panel.log.locator("code").filter(has_text="what is in")
    expect(told).to_contain_text(re.compile("df: DataFrame 2 . 2"))
    expect(told).to_contain_text("amount: float64")
    expect(told).not_to_contain_text("2.5")

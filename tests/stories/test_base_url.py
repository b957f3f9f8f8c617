"""The main path once under a path of a hub's: nothing of the page may lead outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.stories.lab import Lab, running_lab, with_model, written
from tests.stories.panel import open_lab, open_split, settle, type_in_terminal

pytestmark = pytest.mark.story

BASE = "/user/ada/"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("hub")
    with running_lab(folder, with_model(folder, model_url), base_url=BASE) as lab:
        yield lab


def test_the_main_path(lab: Lab, page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))

    open_lab(page, lab, "hub")
    panel = open_split(page)
    panel.answers("hello")
    panel.ask("bash: touch made-here")
    panel.choose("Allow once")
    expect(panel.log).to_contain_text("The command said:")
    assert (lab.root / "made-here").exists()
    proof = tmp_path / "proof"
    type_in_terminal(page, f"pwd > {proof}")
    assert written(proof) == str(lab.root)
    page.reload()
    settle(page)
    panel.says("Answer to: hello")
    panel.a_b_c()

    paths = {urlsplit(url).path for url in asked if urlsplit(url).port == lab.port}
    assert any("agent-lab/api" in path for path in paths)
    assert [path for path in paths if not path.startswith(BASE)] == []
    assert [url for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss")
            and urlsplit(url).hostname != "127.0.0.1"] == []  # fmt: skip

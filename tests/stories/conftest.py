"""Fixtures of the stories: one browser, one model, a JupyterLab a module, evidence of failures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.stories.lab import Lab, running_lab, scripted_model, with_model

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
FAILED = pytest.StashKey[bool]()

NewPage = Callable[[], Page]
Reported = Generator[None, pytest.TestReport, pytest.TestReport]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "story: a person at a real browser; takes seconds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A story plays in real time on shared cores: one that fails is told once more, and the report
    names it (R) and says at its end why. `--reruns 0`: never."""
    if config.getoption("reruns") is not None:
        return
    for item in items:
        if item.get_closest_marker("story"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    again: list[pytest.TestReport] = terminalreporter.stats.get("rerun", [])
    if again:
        terminalreporter.section("stories told twice")
    for report in again:
        terminalreporter.write_line(report.nodeid)
        terminalreporter.write_line(f"    {str(report.longrepr)[-1500:]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reported:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def jp_asyncio_loop() -> None:
    """None: a loop of Playwright's runs in this thread, and pytest-jupyter's could not be
    closed."""


@pytest.fixture
def jp_server_cleanup() -> None:
    """No server runs in this process: those of the stories are processes of their own."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ended with the package: Playwright's loop runs until then, and no other one can."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def model_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scripted_model(tmp_path_factory.mktemp("model")) as url:
        yield url


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> Iterator[Lab]:
    """JupyterLab with the real claude."""
    folder = tmp_path_factory.mktemp("lab")
    with running_lab(folder, with_model(folder, model_url)) as lab:
        yield lab


@pytest.fixture(scope="module")
def telling_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with the real claude, whose model says what it was sent."""
    folder = tmp_path_factory.mktemp("telling-lab")
    script = Path(__file__).with_name("model.toml")
    with (
        scripted_model(folder, script) as url,
        running_lab(folder, with_model(folder, url)) as lab,
    ):
        yield lab


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 850})
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def new_page(
    context: BrowserContext, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[NewPage]:
    """Tabs of one browser. After a failure their pictures and consoles lie in tmp_path."""
    said: list[str] = []

    def make() -> Page:
        page = context.new_page()
        number = len(context.pages)
        page.on("console", lambda message: said.append(f"{number} {message.type} {message.text}"))
        page.on("pageerror", lambda error: said.append(f"{number} uncaught {error}"))
        # JupyterLab says so, too, some time after a server was killed; a person closes it.
        lost = page.locator(".jp-Dialog", has_text="Server Connection Error")
        page.add_locator_handler(lost, lambda: lost.get_by_role("button").last.click())
        return page

    yield make
    if request.node.stash.get(FAILED, True):
        (tmp_path / "console.txt").write_text("\n".join(said))
        for number, page in enumerate(context.pages, 1):
            page.screenshot(path=tmp_path / f"page-{number}.png")


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()

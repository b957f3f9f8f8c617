"""What the stories of the kernel bond share: a JupyterLab whose tabs a test can ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.stories.lab import Lab, running_lab, scripted_model, until, with_model
from tests.stories.panel import open_lab

EXTENSIONS = Path(__file__).with_name("extensions")

Json = Any


@contextmanager
def asking_lab(folder: Path, model_url: str) -> Iterator[Lab]:
    """With the extension that asks the tabs."""
    config = folder / "config"
    config.mkdir(parents=True)
    (config / "jupyter_server_config.py").write_text(
        f"import sys\nsys.path.insert(0, {str(EXTENSIONS)!r})\n"
        "c.ServerApp.jpserver_extensions = {'asking': True}\n"
    )
    with running_lab(folder, with_model(folder, model_url)) as lab:
        yield lab


@contextmanager
def telling_asking_lab(folder: Path, script: str = "model.toml") -> Iterator[Lab]:
    """The same, with a model that follows a script of this folder: it says what it was sent."""
    file = Path(__file__).with_name(script)
    with scripted_model(folder, file) as url, asking_lab(folder / "lab", url) as lab:
        yield lab


def ask(lab: Lab, notebook: str, op: str, **fields: Json) -> Json:
    """What the tab that holds the notebook answers: {"result"} or {"reason", "message"}."""
    return lab.call("POST", "ask", {"notebook": notebook, "op": op, "fields": fields})


def done(lab: Lab, notebook: str, op: str, **fields: Json) -> Json:
    answer = ask(lab, notebook, op, **fields)
    assert "result" in answer, answer
    return answer["result"]


def command(page: Page, name: str) -> None:
    page.evaluate("name => window.jupyterapp.commands.execute(name)", name)


def held(lab: Lab, notebook: str) -> None:
    """Wait until a page has told that it holds the notebook."""
    until(lambda: "result" in ask(lab, notebook, "read", outputs=False))


def write_notebook(lab: Lab, name: str, *cells: Json, **metadata: Json) -> Path:
    """A notebook file; a cell is its source, or a dict laid over a code cell."""
    made = []
    for number, cell in enumerate(cells):
        told = {"source": cell} if isinstance(cell, str) else cell
        made.append(
            {
                "cell_type": "code", "id": f"c{number}", "metadata": {},
                "execution_count": None, "outputs": [], **told,
            }
        )  # fmt: skip
        if made[-1]["cell_type"] != "code":
            del made[-1]["outputs"], made[-1]["execution_count"]
    file = lab.root / f"{name}.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    file.write_text(
        json.dumps(
            {"cells": made, "metadata": {**kernel, **metadata}, "nbformat": 4, "nbformat_minor": 5}
        )
    )
    return file


def open_notebook(page: Page, lab: Lab, name: str, *cells: Json) -> Locator:
    """A new notebook with these cells; gives its cells. Its kernel may still be starting."""
    write_notebook(lab, name, *cells)
    open_lab(page, lab, name, f"{name}.ipynb")
    held(lab, f"{name}.ipynb")
    return page.locator(".jp-Notebook .jp-Cell")


def idle(page: Page) -> None:
    """Wait for the notebook's kernel."""
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)


def run(page: Page, cell: Locator) -> None:
    source_of(cell).click()
    page.keyboard.press("Control+Enter")


def source_of(cell: Locator) -> Locator:
    return cell.locator(".cm-content")


def sources(lab: Lab, notebook: str) -> list[str]:
    return [cell["source"] for cell in done(lab, notebook, "read")["cells"]]

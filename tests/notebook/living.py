"""A real kernel of a real server, and those who run cells in it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.session import Session

from tests.server.lab import DEADLINE, Json, Server


class Person:
    """Somebody at a notebook: runs cells through a client of their own, as a tab does."""

    def __init__(self, manager: Any, username: str = "") -> None:
        own = Session(key=manager.session.key, username=username)
        self.client = manager.client(session=own)
        self.client.start_channels(stdin=False, hb=False, control=False)

    async def run(self, code: str, **options: Any) -> Json:
        """Run a cell to its end."""
        message = self.send(code, **options)
        async with asyncio.timeout(DEADLINE):
            while True:
                reply: Json = await self.client.get_shell_msg()
                if reply["parent_header"].get("msg_id") == message:
                    return reply

    def send(self, code: str, **options: Any) -> str:
        message: str = self.client.execute(code, **options)
        return message

    def leave(self) -> None:
        self.client.stop_channels()


class Notebook:
    """A notebook with its kernel, and a session of ours."""

    def __init__(
        self, server: Server, app: Any, path: str, kernel_id: str, id: str = "", jupyter: str = ""
    ) -> None:
        self.server = server
        self.app = app
        self.path = path
        self.jupyter_session = jupyter
        self.kernel_id = kernel_id
        self.id = id

    @property
    def manager(self) -> Any:
        return self.app.kernel_manager.get_kernel(self.kernel_id)

    async def open(self) -> None:
        made = await self.server.create(notebook=self.path, kernel_id=self.kernel_id)
        self.id = made["id"]

    async def since(self) -> Json | None:
        answer = await self.server.call("GET", f"sessions/{self.id}/since")
        assert answer.status == 200, answer.body
        item: Json | None = answer.json["item"]
        return item

    async def text(self) -> str:
        item = await self.since()
        return "" if item is None else str(item["text"])

    async def until(self, wanted: Callable[[str], bool], seconds: float = DEADLINE) -> str:
        """What the next prompt will say, once it says what is wanted."""
        text = ""
        try:
            async with asyncio.timeout(seconds):
                # What is waited for is another program's, and asked anew each time.
                while not wanted(text := await self.text()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"it said {text!r}") from None
        return text


async def start(server: Server, app: Any, path: str = "eda.ipynb", kernel: str = "python3",
                cells: list[str] | None = None, opened: bool = True) -> Notebook:  # fmt: skip
    """A notebook's file, its kernel as JupyterLab starts it, and its session if `opened`."""
    file = Path(app.contents_manager.root_dir) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    code = [nbformat.v4.new_code_cell(source) for source in cells or []]  # type: ignore[no-untyped-call]
    book = nbformat.v4.new_notebook(cells=code)  # type: ignore[no-untyped-call]
    file.write_text(nbformat.writes(book))  # type: ignore[no-untyped-call]
    new = {"path": path, "name": "", "type": "notebook", "kernel": {"name": kernel}}
    answer = await server.fetch("POST", f"{server.url}api/sessions", new)
    assert answer.status == 201, answer.body
    kernel_id, jupyter = answer.json["kernel"]["id"], answer.json["id"]
    notebook = Notebook(server, app, path, kernel_id, jupyter=jupyter)
    if opened:
        await notebook.open()
    return notebook


async def heard(notebook: Notebook, person: Person) -> None:
    """The kernel has come up, it is followed, and nothing is left to tell."""
    async with asyncio.timeout(DEADLINE):
        while True:
            await person.run("pass")
            await asyncio.sleep(0.05)
            if "pass" in await notebook.text():
                break
    await quiet(notebook)


async def quiet(notebook: Notebook) -> None:
    """A prompt after which nothing is left to tell."""
    await notebook.server.ask(notebook.id, "hello")
    await looked(notebook)
    assert await notebook.text() == ""


async def looked(notebook: Notebook) -> None:
    """The server has looked at the folder after the last turn; it runs in this process."""
    name = f"{notebook.id}: look"
    if looking := [task for task in asyncio.all_tasks() if task.get_name() == name]:
        await asyncio.wait(looking, timeout=DEADLINE)


@asynccontextmanager
async def person_at(notebook: Notebook, username: str = "") -> AsyncIterator[Person]:
    person = Person(notebook.manager, username)
    try:
        yield person
    finally:
        person.leave()


def install(data: Path, name: str, *command: str) -> None:
    """Offer a kernel that is not Python's."""
    folder = data / "kernels" / name
    folder.mkdir(parents=True)
    argv = [sys.executable, *command, "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": name, "language": name}
    (folder / "kernel.json").write_text(json.dumps(spec))

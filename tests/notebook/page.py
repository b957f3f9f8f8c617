"""A page of JupyterLab that has a notebook open, as far as the server can tell: it answers over a
notebook in memory that is never saved."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agent_lab.notebook.document import source_of
from tests.notebook.lab import Bonded
from tests.server.lab import DEADLINE, Chat, Closed

Json = Any


class Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Page:
    """`asleep`: it hears and does nothing. `dies_at`: an op at whose `go` its connection ends."""

    def __init__(self, socket: Chat, path: str, content: Json, kernel_id: str | None) -> None:
        self.path = path
        self.content = content
        self.kernel_id = kernel_id
        self.asleep = False
        self.dirty = False
        self.dies_at = ""
        self.asked: list[Json] = []
        self._socket = socket
        self._changed = asyncio.Event()

    def cell(self, cell_id: str) -> Json:
        for cell in self.content["cells"]:
            if cell["id"] == cell_id:
                return cell
        raise Refused("cell_not_found")

    async def tell(self) -> None:
        one = {"key": "1", "path": self.path, "kernel_id": self.kernel_id, "dirty": self.dirty,
               "active": 0}  # fmt: skip
        await self._say(type="open", notebooks=[one])

    async def _say(self, **message: Json) -> None:
        await self._socket.socket.write_message(json.dumps(message))

    def close(self) -> None:
        self._socket.close()

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not wanted():
                self._changed.clear()
                await self._changed.wait()

    async def serve(self) -> None:
        announced: Json = None
        try:
            while True:
                frame = await self._socket.next()
                if self.asleep:
                    self.asked.append(frame)
                elif frame["type"] == "request" and frame.get("announced"):
                    announced = frame
                    await self._say(type="ready", id=frame["id"])
                elif frame["type"] == "request":
                    await self._answer(frame)
                elif frame["type"] == "go" and announced["op"] == self.dies_at:
                    self.close()
                elif frame["type"] == "go":
                    await self._answer(announced)
                self._changed.set()
        except Closed:
            return

    async def _answer(self, frame: Json) -> None:
        self.asked.append(frame)
        try:
            result = getattr(self, f"_{frame['op']}")(frame["fields"])
        except Refused as refused:
            await self._say(type="reply", id=frame["id"], ok=False, reason=refused.reason,
                            message=f"{refused.reason}.")  # fmt: skip
        else:
            await self._say(type="reply", id=frame["id"], ok=True, result=result)

    def _read(self, fields: Json) -> Json:
        return copy.deepcopy(self.content)

    def _expected(self, fields: Json) -> Json:
        cell = self.cell(fields["cell_id"])
        if fields.get("expected_source", source_of(cell)) != source_of(cell):
            raise Refused("cell_changed")
        return cell

    def _lay(self, cell: Json, metadata: Json) -> None:
        for key, value in (metadata or {}).items():
            cell["metadata"][key] = {**cell["metadata"].get(key, {}), **value}

    def _place(self, fields: Json) -> int:
        after, cells = fields["after_cell_id"], self.content["cells"]
        return len(cells) if after is None else cells.index(self.cell(after)) + 1 if after else 0

    def _insert(self, fields: Json) -> None:
        cell = {"outputs": [], "execution_count": None, **fields["cell"]}
        self.content["cells"].insert(self._place(fields), cell)

    def _edit(self, fields: Json) -> None:
        cell = self._expected(fields)
        cell["source"] = fields["source"]
        self._lay(cell, fields["metadata"])

    def _delete(self, fields: Json) -> None:
        self.content["cells"].remove(self._expected(fields))

    def _move(self, fields: Json) -> None:
        cell = self.cell(fields["cell_id"])
        place = self._place(fields)
        at = self.content["cells"].index(cell)
        self.content["cells"].insert(place, cell)
        del self.content["cells"][at if at < place else at + 1]

    def _outputs(self, fields: Json) -> None:
        cell = self._expected(fields)
        cell["outputs"], cell["execution_count"] = fields["outputs"], fields["execution_count"]
        cell["running"] = fields["running"]
        self._lay(cell, fields.get("metadata"))


@asynccontextmanager
async def opened(
    lab: Bonded, path: str = "eda.ipynb", kernel_id: str | None = None
) -> AsyncIterator[Page]:
    """The notebook opened in a page, with what the file holds now."""
    socket = await lab.server.socket("notebooks")
    await socket.next()
    page = Page(socket, path, lab.saved(path), kernel_id or lab.kernel_id)
    serving = asyncio.ensure_future(page.serve())
    await page.tell()
    await held(lab, page)
    try:
        yield page
    finally:
        page.close()
        await serving


async def held(lab: Bonded, page: Page) -> None:
    """The server knows what the page tells of itself."""
    tabs = lab.app.web_app.settings["agent_lab"].tabs
    async with asyncio.timeout(DEADLINE):
        while True:
            tab = tabs.holder(page.path)
            told = None if tab is None else (tab.kernel_id, tab.dirty)
            if told == (page.kernel_id, page.dirty):
                return
            await asyncio.sleep(0.005)

"""A real server with a real kernel, and a session whose tools are called as an agent calls them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp

from agent_lab.notebook.outputs import Outputs
from agent_lab.notebook.running import Kernel
from agent_lab.sessions.session import Session
from tests.server.lab import Server

DEADLINE = 40.0
BEGIN = "open('begun', 'w').close()\n"
"""Before code of which a test must know that it runs: see `Bonded.begun`."""
UNTIL_ENOUGH = BEGIN + "import os, time\nwhile not os.path.exists('enough'): time.sleep(0.01)\n"
"""Before code that goes on at `Bonded.enough`."""
Json = Any
CODE: Json = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}


def notebook(*cells: Json, **metadata: Any) -> Json:
    """nbformat 4.5; a string is a code cell. Ids are c0, c1, …"""
    made = []
    for number, cell in enumerate(cells):
        one = cell if isinstance(cell, dict) else {**CODE, "source": cell}
        one["id"] = f"c{number}"
        made.append(one)
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(file: Path, content: Json) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@dataclass
class Told:
    """A tool's result."""

    content: list[Json]
    is_error: bool

    @property
    def text(self) -> str:
        return "\n".join(block["text"] for block in self.content if block["type"] == "text")

    @property
    def images(self) -> list[Json]:
        return [block for block in self.content if block["type"] == "image"]


@dataclass
class Bonded:
    """A session and what it is bound to."""

    app: ServerApp
    server: Server
    session: Session
    root: Path
    _count: int = field(default=0)

    @property
    def kernels(self) -> Any:
        return self.app.kernel_manager

    @property
    def kernel_id(self) -> str:
        bound = self.session.info.notebook
        assert bound is not None
        assert bound.kernel_id is not None
        return bound.kernel_id

    async def message(self, method: str, params: Json = None) -> Json:
        self._count += 1
        calls = self.session.tool_calls
        assert calls is not None
        said = {"jsonrpc": "2.0", "id": self._count, "method": method}
        return await calls.answer("test", said | ({"params": params} if params else {}))

    async def tool(self, name: str, /, **arguments: Any) -> Told:
        async with asyncio.timeout(DEADLINE):
            answer = await self.message("tools/call", {"name": name, "arguments": arguments})
        result = answer["result"]
        return Told(result["content"], result["isError"])

    async def fine(self, name: str, /, **arguments: Any) -> Told:
        told = await self.tool(name, **arguments)
        assert not told.is_error, told.text
        return told

    async def failed(self, name: str, /, **arguments: Any) -> str:
        told = await self.tool(name, **arguments)
        assert told.is_error, told.text
        return told.text

    def cancel(self, number: int) -> Any:
        calls = self.session.tool_calls
        assert calls is not None
        params = {"requestId": number, "reason": "test"}
        said = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        return calls.answer("test", said)

    async def begun(self) -> None:
        """Code with BEGIN before it runs in the kernel."""
        async with asyncio.timeout(DEADLINE):
            while not (self.root / "begun").exists():  # noqa: ASYNC110 - another program's
                await asyncio.sleep(0.01)
        (self.root / "begun").unlink()

    def enough(self) -> None:
        """Code with UNTIL_ENOUGH before it goes on."""
        (self.root / "enough").touch()

    async def dial(self, **changes: Any) -> None:
        """Turn the dial of the session's folder."""
        answer = await self.server.call("PATCH", f"sessions/{self.session.id}/dial", changes)
        assert answer.status == 200, answer.body

    def saved(self, path: str = "eda.ipynb") -> Json:
        return json.loads((self.root / path).read_text())

    async def kernel_runs(self, code: str) -> None:
        """Run code as somebody else does, to its end."""
        other = Kernel(self.kernels.get_kernel(self.kernel_id))
        try:
            async with asyncio.timeout(DEADLINE):
                ran = await other.run(code, Outputs(), store_history=True)
        finally:
            other.close()
        assert ran.status == "ok", ran


async def manager_of(app: ServerApp) -> Any:
    (extension,) = app.extension_manager.extension_apps["agent_lab"]
    return await extension.manager()


async def bonded(
    app: ServerApp, server: Server, path: str, content: Json, kernel: str | None = "python3"
) -> Bonded:
    """A notebook, its kernel (None: without), and a session beside it."""
    root = Path(app.root_dir)
    write(root / path, content)
    kernel_id = None
    if kernel is not None:
        new = {"path": path, "name": "", "type": "notebook", "kernel": {"name": kernel}}
        answer = await server.fetch("POST", f"{server.url}api/sessions", new)
        assert answer.status == 201, answer.body
        kernel_id = answer.json["kernel"]["id"]
    made = await server.create(notebook=path, kernel_id=kernel_id)
    session = await (await manager_of(app)).get(made["id"])
    return Bonded(app, server, session, root)

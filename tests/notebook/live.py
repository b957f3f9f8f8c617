"""A real kernel of our own, without any server, for tests of what the server's side asks of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.manager import AsyncKernelManager

from tests.kernel.jupyter_process import scratch_environment

START_SECONDS = 60

Told = TypeVar("Told")


class LiveKernel:
    """`manager` is what the product gets from Jupyter; `folder` is where the kernel runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        manager: AsyncKernelManager,
        client: Any,
        folder: Path,
    ) -> None:
        self.manager, self.folder = manager, folder
        self._loop, self._client = loop, client

    def do(self, work: Awaitable[Told]) -> Told:
        return self._loop.run_until_complete(asyncio.ensure_future(work, loop=self._loop))

    def run(self, code: str) -> str:
        """What it printed and its last value; an error fails the test."""
        reply, outputs = self.execute(code)
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))
        found = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs]
        return "".join(found).strip()

    def execute(self, code: str) -> tuple[Any, list[Any]]:
        outputs: list[Any] = []

        def keep(message: Any) -> None:
            if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                outputs.append(message["content"])

        reply = self.do(
            self._client.execute_interactive(
                code, allow_stdin=False, output_hook=keep, timeout=START_SECONDS
            )
        )
        return reply["content"], outputs

    def told(self, expression: str) -> str:
        """Its text, without a cell: a look that is itself no trace."""

        async def ask() -> Any:
            own = {"it": expression}
            return await self._client.execute(
                "", silent=True, store_history=False, user_expressions=own, reply=True
            )

        reply = self.do(ask())["content"]["user_expressions"]["it"]
        assert reply["status"] == "ok", reply
        return str(reply["data"]["text/plain"])

    def begin(self, code: str) -> None:
        """Without waiting for its end."""
        self._client.execute(code)

    @property
    def pid(self) -> int:
        return int(self.run("import os\nprint(os.getpid())"))


@contextmanager
def live_kernel(
    folder: Path,
    argv: tuple[str, ...] = ("-m", "ipykernel_launcher"),
    environment: Mapping[str, str] | None = None,
    *,
    loaded: bool = True,
    language: str = "python",
) -> Iterator[LiveKernel]:
    """`argv`: what Python runs."""
    loop = asyncio.new_event_loop()
    manager = AsyncKernelManager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv = [sys.executable, *argv, "-f", "{connection_file}"]
    manager.kernel_spec.language = language
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    (folder / "home").mkdir(exist_ok=True)
    own = {**scratch_environment(folder), **(environment or {})}
    loop.run_until_complete(manager.start_kernel(env=own, cwd=str(work)))
    client = manager.client()
    client.start_channels()
    try:
        loop.run_until_complete(client.wait_for_ready(timeout=START_SECONDS))
        kernel = LiveKernel(loop, manager, client, work)
        if loaded:
            kernel.run("%load_ext agent_lab")
        yield kernel
    finally:
        client.stop_channels()
        loop.run_until_complete(manager.shutdown_kernel(now=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

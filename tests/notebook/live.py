"""A real kernel of our own, without any server, for tests of what the server's side asks of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from tests.kernel.jupyter_process import scratch_environment

START_SECONDS = 60


class LiveKernel:
    """`manager` is what the product gets from Jupyter."""

    def __init__(self, manager: AsyncKernelManager, client: Any) -> None:
        self.manager, self._client = manager, client

    async def run(self, code: str) -> str:
        """What it printed and its last value; an error is raised."""
        reply, outputs = await self.execute(code)
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", [str(reply)]))
        found = []
        for one in outputs:
            found.append(one.get("text") or one.get("data", {}).get("text/plain", ""))
        return "".join(found).strip()

    async def execute(self, code: str) -> tuple[Any, list[Any]]:
        outputs: list[Any] = []

        def keep(message: Any) -> None:
            if message["msg_type"] in ("stream", "display_data", "execute_result", "error"):
                outputs.append(message["content"])

        reply = await self._client.execute_interactive(
            code, allow_stdin=False, output_hook=keep, timeout=60
        )
        return reply["content"], outputs

    def begin(self, code: str) -> None:
        """Without waiting for its end."""
        self._client.execute(code)


@asynccontextmanager
async def live_kernel(
    folder: Path, name: str = "python3", *, loaded: bool = True
) -> AsyncIterator[LiveKernel]:
    environment = scratch_environment(folder)
    if name == "python3":
        manager = AsyncKernelManager()
        manager.kernel_spec.argv[0] = sys.executable
    else:
        manager = AsyncKernelManager(kernel_name=name)
    (folder / "work").mkdir(parents=True, exist_ok=True)
    await manager.start_kernel(env=environment, cwd=str(folder / "work"))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=START_SECONDS)
        kernel = LiveKernel(manager, client)
        if loaded:
            await kernel.run("%load_ext agent_lab")
        yield kernel
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        await asyncio.sleep(0)

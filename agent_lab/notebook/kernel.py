"""Ask a kernel on its control channel, which answers while a cell runs."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.session import Session
from jupyter_core.utils import ensure_async

from agent_lab.protocol.errors import Conflict, Unavailable
from agent_lab.protocol.events import Json

PATIENCE_SECONDS = 5.0
"""A kernel whose C code holds the interpreter answers late; one without our part never."""


class KernelManager(Protocol):
    """What we use of jupyter_client's."""

    @property
    def session(self) -> Any: ...
    def client(self, **options: Any) -> Any: ...
    def is_alive(self) -> Any: ...


async def ask(
    manager: KernelManager, request: str, content: Json, seconds: float = PATIENCE_SECONDS
) -> Json:
    """Send a request of ours and return its reply's content.

    Raises Conflict `kernel_dead`, Unavailable `not_offered` when this kernel does not know it.
    """
    if not await ensure_async(manager.is_alive()):
        raise Conflict("The kernel does not run. Start it, then try again.", "kernel_dead")
    # A session of our own: clients that share the manager's have one address, and lose replies.
    own = Session(
        key=manager.session.key,
        signature_scheme=manager.session.signature_scheme,
        username="agent_lab",
    )
    client: AsyncKernelClient = manager.client(session=own)
    client.start_channels(shell=False, iopub=False, stdin=False, hb=False, control=True)
    try:
        message = own.msg(request, content)
        client.control_channel.send(message)
        async with asyncio.timeout(seconds):
            while True:
                reply = await client.control_channel.get_msg()
                if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                    return reply["content"]
    except TimeoutError:
        text = (
            "This kernel does not tell what is in memory. In a Python kernel, run "
            "`%load_ext agent_lab`; other kernels do not offer it."
        )
        raise Unavailable(text, "not_offered") from None
    finally:
        client.stop_channels()

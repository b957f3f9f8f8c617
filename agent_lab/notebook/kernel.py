"""Ask a kernel on its control channel, which answers while a cell runs."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, Protocol
from weakref import WeakSet

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.session import Session
from jupyter_core.utils import ensure_async

from agent_lab.protocol.errors import Conflict, Unavailable
from agent_lab.protocol.events import Json

PATIENCE_SECONDS = 5.0
"""A kernel whose C code holds the interpreter answers late."""

OTHERS_PATIENCE_SECONDS = 1.0
"""Those of other languages do not have our part anyway."""


HARMLESS = "comm_info_request"
"""What every kernel answers. Not kernel_info: IPython puts a tip of the day into its answer, drawn
from the person's own random numbers."""


class KernelManager(Protocol):
    """What we use of jupyter_client's."""

    @property
    def session(self) -> Any: ...
    @property
    def kernel_spec(self) -> Any: ...
    def client(self, **options: Any) -> Any: ...
    def is_alive(self) -> Any: ...


async def ask(
    manager: KernelManager,
    request: str,
    content: Json,
    seconds: float = PATIENCE_SECONDS,
    channel: Literal["control", "shell"] = "control",
) -> Json:
    """Send a request of ours and return its reply's content.

    Raises Conflict `kernel_dead`, or `kernel_busy` when a cell runs and the shell channel waits for
    it; Unavailable `not_offered` when this kernel does not know the request.
    """
    if not await ensure_async(manager.is_alive()):
        raise Conflict("The kernel does not run. Start it, then try again.", "kernel_dead")
    other = _language(manager) != "python"
    if other and channel == "control":
        if manager in _silent:
            raise _not_offered(manager)
        seconds = min(seconds, OTHERS_PATIENCE_SECONDS)
    own = own_session(manager)
    client: AsyncKernelClient = manager.client(session=own)
    shell = channel == "shell"
    client.start_channels(shell=shell, iopub=False, stdin=False, hb=False, control=not shell)
    spoken = client.shell_channel if shell else client.control_channel
    try:
        message = own.msg(request, content)
        spoken.send(message)
        # A kernel drops what it does not know without a word, and answers in order: when this is
        # answered first, ours never will be.
        probe = own.msg(HARMLESS, {})
        spoken.send(probe)
        async with asyncio.timeout(seconds):
            while True:
                reply = await spoken.get_msg()
                answered = reply["parent_header"].get("msg_id")
                if answered == message["header"]["msg_id"]:
                    return reply["content"]
                if answered == probe["header"]["msg_id"]:
                    raise _not_offered(manager)
    except TimeoutError:
        if other and channel == "control":
            _silent.add(manager)
            raise _not_offered(manager) from None
        text = "The kernel does not answer: a cell runs. Wait for it or interrupt the kernel."
        raise Conflict(text, "kernel_busy") from None
    finally:
        client.stop_channels()


def own_session(manager: KernelManager) -> Session:
    """Clients that share the manager's have one address, lose replies, and fill its memory of
    signatures."""
    return Session(
        key=manager.session.key,
        signature_scheme=manager.session.signature_scheme,
        username="agent_lab",
    )


_silent: WeakSet[KernelManager] = WeakSet()
"""Kernels of other languages that do not answer on the control channel: asked once."""


def _language(manager: KernelManager) -> str:
    spec = manager.kernel_spec
    return str(spec.language).lower() if spec is not None and spec.language else "python"


def _not_offered(manager: KernelManager) -> Unavailable:
    language = _language(manager)
    if language == "python":
        text = "This kernel does not know of Agent Lab. Run `%load_ext agent_lab` in it."
    else:
        text = f"Not offered by this kernel: its language is {language}, and only Python's tells."
    return Unavailable(text, "not_offered")

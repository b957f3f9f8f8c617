"""Run one cell in a copy of the kernel's process and send what it shows through a pipe.

The copy has one thread, the kernel's memory, and nothing that reaches outside (`confinement.py`).
It never returns: whatever happens, `os._exit` ends it, so that nothing of the kernel's is flushed,
closed or saved a second time.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import io
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from ipykernel.jsonutil import encode_images, json_clean
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher

from agent_lab.kernel import confinement
from agent_lab.kernel.scratch import Scratch

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


# None of these tells its types.
_encode_images: Callable[[Any], Any] = encode_images
_json_clean: Callable[[Any], Any] = json_clean
_ends_quietly: Callable[[str], Any] = DisplayHook.semicolon_at_end_of_expression


class Frames:
    """Messages to the supervisor, a line of JSON each, in order also between threads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = Lock()

    def send(self, kind: str, **content: Any) -> None:
        line = json.dumps({"type": kind, **content}, default=str).encode("ascii") + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._fd, line) :]


class _Stream(io.TextIOBase):
    """Takes the place of the kernel's stdout and stderr."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, frames: Frames, name: str, fd: int) -> None:
        self.name = name
        self._frames, self._fd = frames, fd

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        self._frames.send("stream", name=self.name, text=text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


class _Publisher(DisplayPublisher):
    frames: Frames

    def publish(  # type: ignore[override]  # IPython's has options that are on their way out
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        _send_data(
            self.frames,
            "display_data",
            data,
            metadata,
            display_id=(transient or {}).get("display_id"),
            update=update,
        )

    def clear_output(self, wait: bool = False) -> None:
        self.frames.send("clear_output", wait=wait)


class _Hook(DisplayHook):
    frames: Frames
    code = ""

    def quiet(self) -> bool:
        # IPython looks at its history, where a trial leaves nothing.
        return bool(_ends_quietly(self.code))

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        _send_data(self.frames, "execute_result", format_dict, md_dict)

    def finish_displayhook(self) -> None:
        pass


def _send_data(
    frames: Frames, kind: str, data: dict[str, Any], metadata: dict[str, Any] | None, **more: Any
) -> None:
    clean = _json_clean({"data": _encode_images(data), "metadata": metadata or {}})
    frames.send(kind, **clean, **more)


def run(
    shell: InteractiveShell,
    code: str,
    frames: Frames,
    scratch: Path,
    seconds: float,
    memory: int,
    randomness: Any,
) -> None:
    """Confine this process, run the cell as the kernel would, tell how it went."""
    gc.freeze()  # collecting would copy every page that holds an object
    random.setstate(randomness)  # Python seeds anew after a fork; the real run would not
    _leave_event_loop()
    for each, handler in (
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGCHLD, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        signal.signal(each, handler)
    confinement.keep_private_copies()
    confinement.one_thread_for_openmp()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    _redirect(shell, frames, code)
    Scratch(scratch).lead_here()
    confinement.limit(seconds, memory)
    confinement.allow_writes_only_in(scratch)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    frames.send("started")
    began = time.perf_counter()
    succeeded = loop.run_until_complete(_run(shell, code))
    took = time.perf_counter() - began
    frames.send("done", ok=succeeded, seconds=took, memory=confinement.private_bytes())


def _leave_event_loop() -> None:
    """We are in a task of the kernel's loop, which will never run here."""
    signal.set_wakeup_fd(-1)
    loop = asyncio.events._get_running_loop()
    task = asyncio.current_task(loop) if loop is not None else None
    if loop is not None and task is not None:
        asyncio.tasks._leave_task(loop, task)
    asyncio.events._set_running_loop(None)


def _redirect(shell: Any, frames: Frames, code: str) -> None:
    """Everything that a cell can show goes to the frames, nothing to the kernel's sockets."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        old, new = getattr(sys, name), _Stream(frames, name, fd)
        setattr(sys, name, new)
        if hasattr(old, "pub_thread"):  # a logger may hold the old one
            old.write, old.flush = new.write, new.flush
    make_publisher: Callable[..., _Publisher] = _Publisher
    make_hook: Callable[..., _Hook] = _Hook
    publisher = make_publisher(parent=shell, shell=shell)
    publisher.frames = frames
    shell.display_pub = publisher
    hook = make_hook(parent=shell, shell=shell, cache_size=0)
    hook.frames, hook.code = frames, code
    shell.displayhook = shell.display_trap.hook = sys.displayhook = hook
    shell._showtraceback = lambda etype, evalue, stb: frames.send(
        "error", ename=str(etype.__name__), evalue=_said(evalue), traceback=stb
    )
    if shell.history_manager is not None:
        shell.history_manager.enabled = False
    shell.system = shell.system_raw  # the other way needs a terminal device to write to
    shell.kernel.iopub_thread.send_multipart = lambda *_, **__: None  # widgets send there
    builtins.input = _no_input


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its own `__str__` fails
        return ""


def _no_input(prompt: object = "", /) -> str:
    raise EOFError("A trial cannot ask for input.")


async def _run(shell: Any, code: str) -> bool:
    """As ipykernel does: in a running loop, awaiting only what must be awaited."""
    try:
        transformed, problem = shell.transform_cell(code), None
    except Exception:  # told by the run
        transformed, problem = code, sys.exc_info()
    if shell.should_run_async(code, transformed_cell=transformed, preprocessing_exc_tuple=problem):
        result = await shell.run_cell_async(
            code, store_history=False, transformed_cell=transformed, preprocessing_exc_tuple=problem
        )
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
    else:
        result = shell.run_cell(code, store_history=False)
    return bool(result.success)


def fork() -> int:
    """`os.fork`, whose warning about threads is for those who do not know what they do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()

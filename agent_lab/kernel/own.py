"""The engine in this very process, where no server of ours started it.

Made when it is first asked for, ended with the process. The one place of the kernel's side that
reaches it, and only then.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_lab.protocol.reports import Variable

if TYPE_CHECKING:
    from agent_lab.engine.door import Door as Door
    from agent_lab.engine.engine import Engine
    from agent_lab.engine.panel import Panel as Panel

_lock = threading.Lock()
_running: tuple[Engine, Door] | None = None
_registered = False


def door() -> Door | None:
    """The door to this process's engine, which is started on first use; None: there is no agent
    that it could start. Raises Unavailable, and OSError where the folder is gone."""
    global _running
    with _lock:
        if _running is not None and _running[0].is_here:
            return _running[1]
        from jupyter_core.paths import jupyter_data_dir

        from agent_lab.engine.door import Door
        from agent_lab.engine.engine import Engine, is_possible

        if not is_possible():
            return None
        engine = Engine(Path(jupyter_data_dir()) / "agent_lab", Path.cwd())
        engine.start()
        _running = engine, Door(engine, _variables)
        _register()
        return _running[1]


def end() -> None:
    """End every agent of this process."""
    global _running
    with _lock:
        running, _running = _running, None
    if running is not None:
        running[0].stop()


def _register() -> None:
    """End with the process. Plain `atexit` comes too late: thread pools, which the engine needs to
    end in order, are closed before it; what is registered here runs before them."""
    global _registered
    if _registered:
        return
    _registered = True
    register: Callable[[Callable[[], None]], Any]
    register = getattr(threading, "_register_atexit", atexit.register)
    register(end)


def _variables() -> list[Variable]:
    from IPython.core.getipython import get_ipython

    from agent_lab.kernel.variables import variables

    shell: Any = get_ipython()
    return variables(shell.user_ns, shell.user_ns_hidden)

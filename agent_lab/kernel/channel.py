"""Answer the server's questions about memory on the kernel's control channel, and start trials.

The control channel is served by a thread of its own: it answers while a cell runs, and nothing that
is asked there enters a history or fires an event of IPython's. A trial copies the main thread, so
it is asked for on the shell channel, in its turn among the cells; on the control channel for a cell
of ours that waits on that thread.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from msgspec import ValidationError, convert, to_builtins

from agent_lab.kernel.names import Snapshots
from agent_lab.kernel.trial import Asked, Trials
from agent_lab.kernel.variables import variables
from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.events import Json
from agent_lab.protocol.reports import Level
from agent_lab.protocol.secrets import Masks

if TYPE_CHECKING:
    from ipykernel.kernelbase import Kernel
    from IPython.core.interactiveshell import InteractiveShell

VARIABLES = "agent_lab_variables"
INSPECT = "agent_lab_inspect"
NAMES = "agent_lab_names"
TRIAL = "agent_lab_trial"
TRIAL_RESULT = "agent_lab_trial_result"
"""Each with `_request` and `_reply` after it."""


_trials: WeakKeyDictionary[InteractiveShell, Trials] = WeakKeyDictionary()

Answer = Callable[[dict[str, Any]], Json]


def install(shell: InteractiveShell) -> None:
    """Answer in this kernel; a shell that is no kernel has no channels."""
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is None:
        return
    snapshots = Snapshots()

    def list_variables(content: dict[str, Any]) -> Json:
        return {"variables": to_builtins(variables(shell.user_ns, shell.user_ns_hidden))}

    def inspect(content: dict[str, Any]) -> Json:
        from agent_lab.kernel.inspection import inspect_variable

        level = convert(content.get("level", "sample"), Level)
        masks = Masks(convert(content.get("masks", []), list[str]))
        name = convert(content.get("name"), str)
        found = inspect_variable(name, shell.user_ns, level, masks)
        return {"inspection": to_builtins(found)}

    def names(content: dict[str, Any]) -> Json:
        since = convert(content.get("since", ""), str)
        return to_builtins(snapshots.changes(since, shell.user_ns, shell.user_ns_hidden))

    trials = _trials[shell] = Trials(shell)

    def trial_result(content: dict[str, Any]) -> Json:
        trial_id = convert(content.get("id"), str)
        if content.get("cancel") is True:
            trials.cancel(trial_id)
        return trials.result(trial_id)

    def start_trial(content: dict[str, Any]) -> Json:
        asked = convert(content, Asked)
        return trials.start(asked.id, asked.code, asked.seconds, asked.memory)

    def hand_over_trial(content: dict[str, Any]) -> Json:
        return trials.hand_over(convert(content, Asked))

    kernel.control_handlers |= {
        f"{VARIABLES}_request": _handler(kernel, VARIABLES, list_variables),
        f"{INSPECT}_request": _handler(kernel, INSPECT, inspect),
        f"{NAMES}_request": _handler(kernel, NAMES, names),
        f"{TRIAL}_request": _handler(kernel, TRIAL, hand_over_trial),
        f"{TRIAL_RESULT}_request": _handler(kernel, TRIAL_RESULT, trial_result),
    }
    kernel.shell_handlers[f"{TRIAL}_request"] = _handler(kernel, TRIAL, start_trial)


def attended(shell: InteractiveShell) -> AbstractContextManager[Callable[[], None]]:
    """Around a wait on the main thread; see `Trials.attended`."""
    trials = _trials.get(shell)
    return nullcontext(_nothing) if trials is None else trials.attended()


def _nothing() -> None:
    """There are no trials here."""


def uninstall(shell: InteractiveShell) -> None:
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is not None:
        _trials.pop(shell, None)
        for name in (VARIABLES, INSPECT, NAMES, TRIAL, TRIAL_RESULT):
            kernel.control_handlers.pop(f"{name}_request", None)
        kernel.shell_handlers.pop(f"{TRIAL}_request", None)


def _handler(kernel: Kernel, name: str, answer: Answer) -> Callable[[Any, Any, Any], Any]:
    async def handle(stream: Any, ident: Any, parent: Any) -> None:
        from agent_lab.kernel.expression import NotNamed

        try:
            content = {"status": "ok", **answer(parent["content"])}
        except NotNamed as error:
            content = {"status": "error", "reason": "not_found", "message": str(error)}
        except (Invalid, ValidationError) as error:
            content = {"status": "error", "reason": "invalid", "message": str(error)}
        assert kernel.session is not None, "it has just received a message"
        kernel.session.send(stream, f"{name}_reply", content, parent, ident=ident)

    return handle

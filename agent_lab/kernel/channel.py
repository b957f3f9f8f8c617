"""Answer the server's questions about memory on the kernel's control channel, and start trials.

The control channel is served by a thread of its own: it answers while a cell runs, and nothing that
is asked there enters a history or fires an event of IPython's. A trial copies the main thread, so
it is asked for on the shell channel, in its turn among the cells; on the control channel for a cell
of ours that waits on that thread. Code that waits in the queue behind such a cell is handed over to
it here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from msgspec import Struct, ValidationError, convert, to_builtins

from agent_lab.kernel.names import Snapshots
from agent_lab.kernel.trial import BUSY, Asked, Trials
from agent_lab.kernel.variables import variables
from agent_lab.kernel.within import Within
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
RUN = "agent_lab_run"
"""Each with `_request` and `_reply` after it."""


_attending: WeakKeyDictionary[InteractiveShell, tuple[Trials, Within]] = WeakKeyDictionary()

Answer = Callable[[dict[str, Any]], Json]


class Header(Struct):
    """What has to be in that of a request that is handed over."""

    msg_id: str
    session: str


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

    trials, within = _attending[shell] = Trials(shell), Within(shell, kernel)

    def trial_result(content: dict[str, Any]) -> Json:
        trial_id = convert(content.get("id"), str)
        if content.get("cancel") is True:
            trials.cancel(trial_id)
        return trials.result(trial_id)

    def start_trial(content: dict[str, Any]) -> Json:
        asked = convert(content, Asked)
        return trials.start(asked.id, asked.code, asked.seconds, asked.memory)

    def hand_over_trial(content: dict[str, Any]) -> Json:
        if within.runs:
            return {"status": "refused", "reason": BUSY}
        return trials.hand_over(convert(content, Asked))

    def hand_over_run(content: dict[str, Any]) -> Json:
        if "cancel" in content:
            return {"state": within.cancel(convert(content["cancel"], str))}
        request = convert(content.get("request"), dict[str, Any])
        convert(request.get("header"), Header)
        return {"state": "taken" if within.hand_over(request) else "queued"}

    kernel.control_handlers |= {
        f"{VARIABLES}_request": _handler(kernel, VARIABLES, list_variables),
        f"{INSPECT}_request": _handler(kernel, INSPECT, inspect),
        f"{NAMES}_request": _handler(kernel, NAMES, names),
        f"{TRIAL}_request": _handler(kernel, TRIAL, hand_over_trial),
        f"{TRIAL_RESULT}_request": _handler(kernel, TRIAL_RESULT, trial_result),
        f"{RUN}_request": _handler(kernel, RUN, hand_over_run),
    }
    kernel.shell_handlers[f"{TRIAL}_request"] = _handler(kernel, TRIAL, start_trial)
    within.start()


@contextmanager
def attended(shell: InteractiveShell) -> Iterator[Callable[[], None]]:
    """Around a wait on the main thread; see `Trials.attended` and `Within.attended`."""
    if shell not in _attending:  # no kernel
        yield lambda: None
        return
    trials, within = _attending[shell]
    with trials.attended() as begin_trials, within.attended() as run:

        def attend() -> None:
            begin_trials()
            run()

        yield attend


def uninstall(shell: InteractiveShell) -> None:
    kernel: Kernel | None = getattr(shell, "kernel", None)
    if kernel is not None:
        _, within = _attending.pop(shell)
        within.stop()
        for name in (VARIABLES, INSPECT, NAMES, TRIAL, TRIAL_RESULT, RUN):
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

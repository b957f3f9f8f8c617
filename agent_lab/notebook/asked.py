"""Code that waits for a permission: what it would do, as it reads, or as a copy of the kernel
shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from agent_lab.notebook import dial as dials
from agent_lab.notebook import document as documents
from agent_lab.notebook.dial import Dial, let_out
from agent_lab.notebook.effects import effects
from agent_lab.notebook.kernel import KernelManager
from agent_lab.notebook.trial import Refused, side, try_code
from agent_lab.notebook.variables import variables
from agent_lab.protocol.errors import AgentLabError, Conflict
from agent_lab.protocol.events import ContextItem, Effect, Trial, TrialSide
from agent_lab.protocol.reports import Variable
from agent_lab.sessions.tools import Asked, Host

if TYPE_CHECKING:
    from agent_lab.notebook.bond import Bond

EFFECTS_SECONDS = 1.0
NOT_TOLD = Effect("unknown", "what is in memory", "the kernel did not tell", False)
CODE_TOOLS = ("run_code", "run_cell")


def runs_code(asked: Asked) -> bool:
    change = asked.change
    if change is not None:
        return change.cell_type == "code" and change.operation in ("insert", "edit")
    return asked.tool in CODE_TOOLS


class _Code(Struct, frozen=True):
    """`old`: what an edit replaces."""

    old: str | None
    new: str
    manager: KernelManager | None
    kernel_id: str | None


async def _code(bond: Bond, host: Host, asked: Asked) -> _Code:
    """Raises AgentLabError where the cell, or the notebook, is not there."""
    change = asked.change
    given = asked.input if isinstance(asked.input, dict) else {}
    notebook = given.get("notebook")
    path, kernel_id = await bond.place(
        host.info,
        notebook if isinstance(notebook, str) else None,
        change.notebook if change is not None else None,
    )
    manager = None if kernel_id is None else bond.jupyter.kernel(kernel_id)
    if change is not None:
        old = change.old_source if change.operation == "edit" else None
        return _Code(old, change.new_source or "", manager, kernel_id)
    if asked.tool == "run_code":
        return _Code(None, str(given.get("code") or ""), manager, kernel_id)
    content = await bond.document(path).read()
    _, cell = documents.find(content, str(given.get("cell_id") or ""))
    return _Code(None, documents.source_of(cell), manager, kernel_id)


# ---------------------------------------------------------------- as it reads


async def read_effects(bond: Bond, host: Host, asked: Asked) -> tuple[Effect, ...]:
    """Within a second; what is not known by then is said to be unknown."""
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(EFFECTS_SECONDS):
            code = await _code(bond, host, asked)
    except (AgentLabError, TimeoutError):
        return (Effect("unknown", "the cell", "it could not be read", False),)
    language = _language(code.manager)
    known: list[Variable] = []
    told = True
    if code.manager is not None and language == "python":
        left = EFFECTS_SECONDS - (asyncio.get_running_loop().time() - began)
        try:
            async with asyncio.timeout(left):
                known = await variables(code.manager)
        except (AgentLabError, TimeoutError):
            told = False
    found = effects(code.new, known, bond.took(code.kernel_id), language)
    return found if told else (*found, NOT_TOLD)


def _language(manager: KernelManager | None) -> str:
    spec = None if manager is None else manager.kernel_spec
    return str(spec.language).lower() if spec is not None and spec.language else "python"


# ---------------------------------------------------------------- in a copy of the kernel


async def try_out(bond: Bond, host: Host, asked: Asked) -> Trial:
    """The old source of an edit, then the new one, one after the other. Cancelled, it ends the
    copy. Raises Conflict `no_kernel`, Unavailable, NotFound."""
    code = await _code(bond, host, asked)
    if code.manager is None:
        raise Conflict("no kernel runs for this notebook", "no_kernel")
    before: TrialSide | None = None
    if code.old is not None and code.old.strip():
        first = await try_code(code.manager, code.old)
        if isinstance(first, Refused):
            return Trial("refused", first.reason)
        before = side(first)
    second = await try_code(code.manager, code.new)
    if isinstance(second, Refused):
        return Trial("refused", second.reason, before)
    return Trial("done", "", before, side(second))


def trial_words(dial: Dial, trial: Trial) -> str:
    """The outcome for the agent, as the dial lets it out."""
    if trial.status != "done":
        reason = _let_out(dial, trial.reason)
        verb = "was refused" if trial.status == "refused" else "failed"
        return f"The person wanted to try it in a copy of the kernel; that {verb}: {reason}"
    lines = ["The person tried it in a copy of the kernel, whose memory is as before."]
    new = "With the change"
    if trial.source is not None:
        new = "With the person's own version"
        lines.append(_let_out(dial, f"Their own version of the source:\n{trial.source}"))
    for name, one in (("Before the change", trial.before), (new, trial.after)):
        if one is None:
            continue
        memory = "" if one.memory is None else f", {one.memory / 1e6:,.0f} MB of its own"
        lines.append(f"{name}: {_STATUS[one.status]} after {one.seconds:.2f} s{memory}")
        if said := "\n".join(part for part in (one.text, one.error) if part).strip():
            lines.append(_let_out(dial, said))
    return "\n".join(lines)


_STATUS = {
    "ok": "done", "error": "failed", "timeout": "stopped, it took too long",
    "memory": "stopped, it took too much memory", "signal": "killed",
}  # fmt: skip


def _let_out(dial: Dial, words: str) -> str:
    return let_out(dial, ContextItem(type="trial", label="", text=words)).text


async def words_of_trial(host: Host, trial: Trial) -> str:
    return trial_words(dials.sent(await host.dial()), trial)

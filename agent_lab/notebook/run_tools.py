"""The tools that run code in a live kernel: what a person sees, what is stored, what is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from agent_lab.notebook import document as documents
from agent_lab.notebook import provenance, telling
from agent_lab.notebook.dial import Result as Part
from agent_lab.notebook.document import OpenDocument, Result, source_of
from agent_lab.notebook.outputs import Outputs
from agent_lab.notebook.running import Ran
from agent_lab.notebook.telling import Told
from agent_lab.protocol.errors import AgentLabError, Invalid
from agent_lab.protocol.events import Json

if TYPE_CHECKING:
    from agent_lab.notebook.bond import Target
    from agent_lab.notebook.tools import Use

SHOW_SECONDS = 0.5
"""How often a cell that runs shows what it has put out since."""
SHOW_SHARE = 4
"""A page that draws slowly is asked less often: this many times what it took."""


async def run_code(use: Use) -> Told:
    target = await use.target()
    kernel = use.bond.kernel(target)
    kept = use.bond.spill(use.host)
    collected = Outputs(kept.spill)
    try:
        ran = await kernel.run(
            use.given("code"),
            collected,
            store_history=False,
            metadata=_mark(use),
            report=use.report,
            sent=lambda message: use.bond.is_ours(use.host, target, message),
        )
    finally:
        where = kept.close()
    return _told(ran, where, target)


async def run_cell(use: Use) -> Told:
    target = await use.target()
    kernel = use.bond.kernel(target)
    document = use.document(target)
    _, cell = documents.find(await document.read(), use.given("cell_id"), target.name)
    if cell["cell_type"] != "code":
        raise Invalid(
            f"Cell {cell['id']} is {cell['cell_type']}, no code: there is nothing to run."
        )
    cell_id, source = str(cell["id"]), source_of(cell)
    kept = use.bond.spill(use.host)
    collected = Outputs(kept.spill)
    await _begin(document, cell_id, source)
    showing = asyncio.create_task(
        _show(document, cell_id, collected), name=f"agent_lab: show {cell_id}"
    )
    try:
        ran = await kernel.run(
            source,
            collected,
            store_history=True,
            metadata={**_mark(use), "cellId": cell_id},
            report=use.report,
            sent=lambda message: use.bond.is_ours(use.host, target, message, cell_id),
        )
    except (asyncio.CancelledError, AgentLabError):
        await _stopped(showing)
        so_far = Result(collected.finished(), collected.execution_count)
        if so_far.outputs or document.where == "tab":
            # The notebook shows how far it came, and that it runs no more.
            await _store(use, document, cell_id, source, so_far)
        raise
    finally:
        where = kept.close()
        showing.cancel()
    await _stopped(showing)
    result = Result(ran.outputs, ran.execution_count)
    if said := await _store(use, document, cell_id, source, result):
        use.notes.append(said)
    return _told(ran, where, target)


async def _begin(document: OpenDocument, cell_id: str, source: str) -> None:
    """Raises Conflict `cell_changed`, NotFound: then nothing has run."""
    try:
        await document.show_running(cell_id, (), source)
    except AgentLabError as error:
        if error.reason in ("cell_changed", "cell_not_found"):
            raise
        # What cannot be shown can be run; that it cannot be stored is told at the end.


async def _show(document: OpenDocument, cell_id: str, collected: Outputs) -> None:
    """What the cell puts out, while it does, where a tab shows it."""
    shown, pause = 0, SHOW_SECONDS
    while True:
        await asyncio.sleep(pause)
        if collected.pushed == shown:
            continue
        shown, began = collected.pushed, time.monotonic()
        try:
            await document.show_running(cell_id, collected.finished())
        except AgentLabError as error:
            if error.reason not in ("outcome_unknown", "tab_gone", "tab_silent"):
                return  # the cell is gone, or locked
        pause = max(SHOW_SECONDS, SHOW_SHARE * (time.monotonic() - began))


async def _stopped(showing: asyncio.Task[None]) -> None:
    """What it shows now, it shows before the end is stored."""
    showing.cancel()
    await asyncio.wait({showing})


async def _store(
    use: Use, document: OpenDocument, cell_id: str, source: str, result: Result
) -> str:
    """Says what was not as it should be, "" when all was."""
    try:
        await document.set_outputs(cell_id, source, result, use.author)
    except AgentLabError as error:
        if error.reason == "notebook_not_found" and not use.given("notebook"):
            moved = await use.target()
            if document is not use.document(moved):
                return await _store(use, use.document(moved), cell_id, source, result)
        if error.reason == "edited_meanwhile":
            return error.message
        return f"{error.message} The outputs were not stored in the notebook."
    return ""


def _mark(use: Use) -> dict[str, Json]:
    return {provenance.KEY: msgspec.to_builtins(use.author)}


def _told(ran: Ran, where: str, target: Target) -> Told:
    parts: Sequence[Part] = telling.put_out(ran.outputs, where)
    took = f"{ran.seconds:.1f} s" if ran.seconds >= 1 else f"{ran.seconds * 1000:.0f} ms"
    count = f"[{ran.execution_count}] " if ran.execution_count is not None else ""
    error = ran.error
    match ran.status:
        case "died":
            head = (
                f"The kernel of {target.name} died while this ran ({took}). Its memory is lost; "
                "restart_kernel starts it again."
            )
        case "restarted":
            head = (
                f"The kernel of {target.name} was restarted while this ran ({took}). What was in "
                "memory is lost; run the cells that are needed again."
            )
        case "error":
            head = f"{count}failed after {took}"
            if error is not None and error.get("ename") == "StdinNotImplementedError":
                head += (
                    ". The code asks for input, and nobody can type into it here: write the value "
                    "into the code, or ask the person."
                )
        case "ok":
            head = f"{count}done in {took}{'' if parts else '; it put out nothing'}"
    return Told((telling.part("plain", head), *parts), ran.status != "ok")

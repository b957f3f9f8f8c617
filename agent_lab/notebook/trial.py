"""Try code in a copy of a kernel, where the kernel can make one, and fetch what became of it."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
from msgspec import Struct

from agent_lab.notebook.kernel import KernelManager, ask
from agent_lab.protocol.errors import Conflict, Unavailable
from agent_lab.protocol.events import Json, TrialSide
from agent_lab.protocol.reports import TrialReport

START, RESULT = "agent_lab_trial_request", "agent_lab_trial_result_request"
START_SECONDS = 2.0
"""A kernel that is idle forks at once; one that is not is not waited for."""
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25
LATE_SECONDS = 30.0
"""The kernel ends a trial in time itself; this is for a kernel that does not."""
TEXT = 20_000


class Refused(Struct, frozen=True):
    """No trial: `reason` is a part of a sentence, for a person."""

    reason: str


async def try_code(
    manager: KernelManager, code: str, seconds: float = 30.0, memory: int = 1 << 30
) -> TrialReport | Refused:
    """Run `code` on the kernel's live data without changing it. Cancelled, it ends the copy.

    Raises Conflict when the kernel is dead, Unavailable when it does not offer trials at all.
    """
    trial_id = uuid.uuid4().hex
    asked = {"id": trial_id, "code": code, "seconds": seconds, "memory": memory}
    try:
        try:
            began = await _begun(manager, asked)
        except Conflict as error:
            if error.reason != "kernel_busy":
                raise
            # It waits behind the cell that runs: when its turn comes, it must not begin.
            await _cancel(manager, trial_id)
            return Refused("a cell is running")
        if began.get("status") != "started":
            return Refused(str(began.get("reason") or began.get("message") or "unknown"))
        return await _result(manager, trial_id, seconds + LATE_SECONDS)
    except asyncio.CancelledError:
        await asyncio.shield(_cancel(manager, trial_id))
        raise


async def _begun(manager: KernelManager, asked: Json) -> Json:
    """By a cell that waits for the agent, where one does; else in its turn among the cells."""
    handed = await ask(manager, START, asked)
    if handed.get("status") == "started":
        return handed
    return await ask(manager, START, asked, START_SECONDS, "shell")


async def _result(manager: KernelManager, trial_id: str, seconds: float) -> TrialReport | Refused:
    pause = FIRST_LOOK
    try:
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_LOOK)
                found = await ask(manager, RESULT, {"id": trial_id})
                if found.get("state") != "running":
                    return _read(found)
    except TimeoutError:
        await _cancel(manager, trial_id)
        return Refused("the kernel did not tell how it ended")


def _read(found: Json) -> TrialReport | Refused:
    if "report" in found:
        try:
            return msgspec.convert(found["report"], TrialReport)
        except msgspec.ValidationError as error:
            return Refused(f"the kernel's report could not be read: {error}")
    return Refused(str(found.get("failed") or "the kernel does not know of it any more"))


async def _cancel(manager: KernelManager, trial_id: str) -> None:
    try:
        await ask(manager, RESULT, {"id": trial_id, "cancel": True})
    except (Conflict, Unavailable):
        return  # a kernel that is gone has taken its trials with it


def side(report: TrialReport) -> TrialSide:
    """As the permission card shows it: with what a person reads, and what would be written."""
    words = [_text(one) for one in report.outputs]
    words += [f"[would write {one.path}, {one.size} bytes]" for one in report.files]
    status = "error" if report.status == "cancelled" else report.status
    return TrialSide(
        status,
        report.seconds,
        report.memory,
        report.outputs,
        "\n".join(word.rstrip("\n") for word in words if word)[-TEXT:],
        report.error or ("It was cancelled." if report.status == "cancelled" else ""),
    )


def _text(output: dict[str, Json]) -> str:
    if output.get("output_type") == "stream":
        return str(output.get("text", ""))
    if output.get("output_type") == "error":
        return f"{output.get('ename')}: {output.get('evalue')}"
    data = output.get("data") or {}
    plain = data.get("text/plain")
    return str(plain) if plain is not None else f"[{', '.join(data)}]"

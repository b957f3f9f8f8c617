"""Before a person decides: what would happen, and a trial in a copy of the kernel. Real claude."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import psutil
import pytest

from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import (
    Effect,
    PermissionRequest,
    PermissionResolved,
    PermissionUpdated,
    Trial,
)
from agent_lab.protocol.transcript import PermissionItem, fold
from tests.notebook.conftest import Bind
from tests.notebook.lab import UNTIL_ENOUGH, Bonded
from tests.notebook.test_claude_door import done, lab_config, model
from tests.notebook.test_restart import jp_server_config, restarted
from tests.sessions.living import Reader, send

__all__ = ["jp_server_config", "lab_config", "model"]

LOADED = "%load_ext agent_lab"


async def ready(bind: Bind, *cells: Any) -> Bonded:
    lab = await bind(*cells)
    await lab.fine("run_code", code=LOADED)
    return lab


async def effects(reader: Reader, request: PermissionRequest) -> tuple[Effect, ...]:
    event = await reader.until(
        lambda e: (
            isinstance(e.body, PermissionUpdated)
            and e.body.request_id == request.request_id
            and bool(e.body.effects)
        )
    )
    assert isinstance(event.body, PermissionUpdated)
    assert event.body.effects
    return event.body.effects


async def trial(reader: Reader, *statuses: str) -> Trial:
    event = await reader.until(
        lambda e: (
            isinstance(e.body, PermissionUpdated)
            and isinstance(e.body.trial, Trial)
            and e.body.trial.status in statuses
        )
    )
    assert isinstance(event.body, PermissionUpdated)
    assert isinstance(event.body.trial, Trial)
    return event.body.trial


async def begin(lab: Bonded, request: PermissionRequest, source: str | None = None) -> Any:
    path = f"sessions/{lab.session.id}/permissions/{request.request_id}/trial"
    return await lab.server.call("POST", path, None if source is None else {"source": source})


async def answer(lab: Bonded, request: PermissionRequest, option: str, **more: Any) -> None:
    await lab.session.answer(
        AnswerPermission(request_id=request.request_id, option_id=option, **more)
    )


async def test_what_code_would_do_is_told_before_it_is_allowed(bind: Bind) -> None:
    lab = await ready(bind, "import time; time.sleep(0.2); large = {}")
    await lab.fine("run_code", code="import time; time.sleep(0.2); big = list(range(1000))")
    await lab.fine("run_cell", cell_id="c0")
    count = lab.saved()["cells"][0]["execution_count"]
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: big = large = 1\nopen('x.txt', 'w')")
    request = await reader.permission(turn)
    found = {(one.kind, one.name): one.detail for one in await effects(reader, request)}
    big = re.fullmatch(
        r"list, 1,000 items, [\d.]+ kB, took ([\d.]+) s to compute", found["rebinds", "big"]
    )
    assert big
    assert float(big[1]) >= 0.2
    assert found["rebinds", "large"].endswith(f" s to compute, in cell [{count}]")
    assert any(kind == "writes" and "x.txt" in name for kind, name in found)
    await answer(lab, request, "reject_once")
    await done(reader, turn)


async def test_a_run_of_a_cell_is_read_in_the_notebook(bind: Bind) -> None:
    lab = await ready(bind, "import os\nos.remove('x.csv')")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "cell: c0")
    request = await reader.permission(turn)
    assert [one.kind for one in await effects(reader, request)] == ["deletes"]
    await answer(lab, request, "reject_once")
    await done(reader, turn)


async def test_what_the_kernel_does_not_tell_is_unknown(lab: Bonded) -> None:
    await lab.fine("run_code", code="%unload_ext agent_lab")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: a = 1")
    request = await reader.permission(turn)
    assert "what is in memory" in [one.name for one in await effects(reader, request)]
    await answer(lab, request, "reject_once")
    await done(reader, turn)


async def test_a_look_ahead_takes_no_news_from_the_agent(bind: Bind) -> None:
    lab = await ready(bind, "a = 41")
    await lab.dial(since=False)  # the prompt shall not say it
    await lab.kernels.restart_kernel(lab.kernel_id)
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: open('x.txt', 'w').close()")
    request = await reader.permission(turn)
    await effects(reader, request)
    await answer(lab, request, "allow_once")
    assert "restarted since you last used it" in await done(reader, turn)


async def test_an_edit_is_tried_before_and_after_and_changes_nothing(bind: Bind) -> None:
    lab = await ready(bind, "total = 1\nprint('old', total)")
    await lab.fine("run_cell", cell_id="c0")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: total = 2\nprint('new', total)")
    request = await reader.permission(turn)
    assert (await begin(lab, request)).status == 202
    found = await trial(reader, "done", "refused", "failed")
    assert found.status == "done", found
    assert found.before is not None
    assert found.after is not None
    assert (found.before.text, found.after.text) == ("old 1", "new 2")
    assert "1" in (await lab.fine("run_code", code="total")).text
    # It is in the log: who comes later sees it.
    (pending,) = lab.session.info.pending_permissions
    assert pending.trial == found
    later = await Reader(lab.session).start()
    await later.until(lambda e: e.seq == lab.session.info.last_seq)
    items = fold(lab.session.info, later.events).items
    asked = [one for one in items if isinstance(one, PermissionItem)]
    assert asked[-1].request.trial == found
    await answer(lab, request, "reject_once", message="Compare.", trial=True)
    said = await done(reader, turn)
    assert "Compare." in said
    assert "new 2" in said


async def test_a_persons_own_version_is_tried_and_told_as_theirs(bind: Bind) -> None:
    lab = await ready(bind, "print('old')")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: print('proposed')")
    request = await reader.permission(turn)
    assert (await begin(lab, request, "print('mi' + 'ne')")).status == 202
    assert (await trial(reader, "running")).source == "print('mi' + 'ne')"
    found = await trial(reader, "done", "refused", "failed")
    assert found.after is not None
    assert found.before is not None
    assert (found.before.text, found.after.text) == ("old", "mine")
    assert found.source == "print('mi' + 'ne')"
    assert request.change is not None
    assert request.change.new_source == "print('proposed')"
    await answer(lab, request, "reject_once", message="Mine is better.", trial=True)
    said = await done(reader, turn)
    resolved = [e.body for e in reader.events if isinstance(e.body, PermissionResolved)][-1]
    assert resolved.message == "Mine is better."
    assert "With the person's own version: done" in (resolved.trial or "")
    assert "With the person's own version: done" in said
    assert "print('mi' + 'ne')" in said
    assert "mine" in said

    turn = await send(lab.session, "run: print('code')")
    request = await reader.permission(turn)
    refused = await begin(lab, request, "print('other')")
    assert (refused.status, refused.json["reason"]) == (400, "invalid")
    await answer(lab, request, "reject_once")
    await done(reader, turn)


async def test_the_outcome_reaches_the_agent_only_when_it_is_asked_for_and_by_the_dial(
    bind: Bind,
) -> None:
    lab = await ready(bind, "x = 1")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: print('seen ' + str(6 * 7))")
    request = await reader.permission(turn)
    assert (await begin(lab, request)).status == 202
    assert (await trial(reader, "done")).after is not None
    await answer(lab, request, "reject_once", message="No.")
    assert "seen 42" not in await done(reader, turn)

    await lab.dial(level="schema")
    turn = await send(lab.session, "edit c0: print('seen ' + str(6 * 7))")
    request = await reader.permission(turn)
    assert (await begin(lab, request)).status == 202
    await reader.until(lambda e: e.seq > 0 and any(
        p.trial is not None and p.trial.status == "done"
        for p in lab.session.info.pending_permissions))  # fmt: skip
    await answer(lab, request, "accept", trial=True)
    said = await done(reader, turn)
    assert "seen 42" not in said
    assert "not sent: the context dial" in said


async def test_a_trial_ends_with_its_request_and_with_its_turn(bind: Bind) -> None:
    lab = await ready(bind, "x = 1")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "run: import time; time.sleep(25)")
    request = await reader.permission(turn)
    assert (await begin(lab, request)).status == 202
    await trial(reader, "running")
    kernel = psutil.Process(lab.kernels.get_kernel(lab.kernel_id).provisioner.pid)
    async with asyncio.timeout(5):
        while not kernel.children():  # noqa: ASYNC110 - another program's
            await asyncio.sleep(0.05)
    second = await begin(lab, request)
    assert (second.status, second.json["reason"]) == (409, "busy")
    await answer(lab, request, "reject_once")
    assert "answered before" in (await trial(reader, "failed")).reason
    async with asyncio.timeout(5):
        while kernel.children():  # noqa: ASYNC110 - another program's
            await asyncio.sleep(0.05)
    await done(reader, turn)
    third = await begin(lab, request)
    assert (third.status, third.json["reason"]) == (409, "already_resolved")

    turn = await send(lab.session, "edit c0: import time; time.sleep(25)")
    reader = await Reader(lab.session).start()
    await reader.until(lambda e: isinstance(e.body, PermissionRequest) and e.turn_id == turn)
    (request,) = lab.session.info.pending_permissions
    assert (await begin(lab, request)).status == 202
    await lab.session.cancel()
    assert (await reader.ended(turn)).stop_reason == "cancelled"
    updates = [e.body for e in reader.events if isinstance(e.body, PermissionUpdated)]
    assert isinstance(updates[-1].trial, Trial)
    assert updates[-1].trial == Trial("failed", "its turn ended before the trial did")
    await lab.kernel_runs("free = 1")


async def test_what_cannot_be_tried_says_why(bind: Bind) -> None:
    lab = await ready(bind, "import asyncio", {"cell_type": "markdown", "metadata": {},
                                               "source": "words"})  # fmt: skip
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c1: more words")
    request = await reader.permission(turn)
    refused = await begin(lab, request)
    assert (refused.status, refused.json["reason"]) == (400, "nothing_to_try")
    assert request.effects is None
    with pytest.raises(AgentLabError) as refusal:
        await answer(lab, request, "accept", trial=True)
    assert refusal.value.reason == "no_trial"
    await answer(lab, request, "accept")
    await done(reader, turn)

    busy = asyncio.ensure_future(lab.kernel_runs(UNTIL_ENOUGH))
    await lab.begun()
    turn = await send(lab.session, "edit c0: 1")
    await reader.until(lambda e: isinstance(e.body, PermissionRequest) and e.turn_id == turn)
    (request,) = lab.session.info.pending_permissions
    assert (await begin(lab, request)).status == 202
    assert (await trial(reader, "refused")).reason == "a cell is running"
    await answer(lab, request, "reject_once")
    await done(reader, turn)
    lab.enough()
    await busy


async def test_a_trial_that_the_server_took_with_it_has_failed(bind: Bind) -> None:
    lab = await ready(bind, "x = 1")
    reader = await Reader(lab.session).start()
    turn = await send(lab.session, "edit c0: import time; time.sleep(20)")
    request = await reader.permission(turn)
    assert (await begin(lab, request)).status == 202
    await trial(reader, "running")
    async with restarted(lab) as reader:
        (pending,) = lab.session.info.pending_permissions
        assert pending.trial == Trial("failed", "the server was restarted meanwhile")
        await asyncio.sleep(0.5)
        await answer(lab, request, "accept")
        assert "Changed cell c0" in await done(reader, turn)

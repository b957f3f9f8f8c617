"""Code of an agent's in a kernel whose main thread a cell holds that waits for that agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.session import Session

from tests.notebook.lab import BEGIN, DEADLINE, Bonded

LOAD = "%load_ext agent_lab"
WAITS = """\
import time
from agent_lab.kernel import channel
print('before')
shown = display({'text/plain': 'waits'}, raw=True, display_id=True)
enough = False
with channel.attended(get_ipython()) as attend:
    while not enough:
        attend()
        time.sleep(0.02)
shown.update({'text/plain': 'waited'}, raw=True)
print('after')
'the value'
"""
ENOUGH = "enough = True"


@dataclass
class Waiting:
    """A person's cell that waits, and what it has put out."""

    task: asyncio.Task[Any]
    messages: list[Any] = field(default_factory=list)
    shows: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, message: Any) -> None:
        self.messages.append(message)
        if message["msg_type"] == "display_data":
            self.shows.set()

    def of(self, kind: str) -> list[Any]:
        return [one["content"] for one in self.messages if one["msg_type"] == kind]

    @property
    def printed(self) -> str:
        return "".join(one["text"] for one in self.of("stream"))


class Person:
    """Somebody at the notebook."""

    def __init__(self, lab: Bonded) -> None:
        manager = lab.kernels.get_kernel(lab.kernel_id)
        self.client = manager.client(session=Session(key=manager.session.key, username=""))
        self.client.start_channels(hb=False)

    async def ready(self) -> None:
        await self.client.wait_for_ready(timeout=DEADLINE)

    async def run(self, code: str, **options: Any) -> Any:
        """A cell, to its end: its reply."""
        running = self.client.execute_interactive(
            code, output_hook=lambda _: None, timeout=DEADLINE, **options
        )
        return (await running)["content"]

    async def waits(self, code: str = WAITS, shows: bool = True) -> Waiting:
        """A cell that waits; it does when this returns."""

        def heard(message: Any) -> None:
            waiting.heard(message)

        running = self.client.execute_interactive(code, output_hook=heard, timeout=DEADLINE)
        waiting = Waiting(asyncio.ensure_future(running))
        if shows:
            async with asyncio.timeout(DEADLINE):
                await waiting.shows.wait()
        return waiting


@asynccontextmanager
async def person_at(lab: Bonded) -> AsyncIterator[Person]:
    person = Person(lab)
    try:
        await person.ready()
        assert (await person.run(LOAD))["status"] == "ok"
        yield person
    finally:
        person.client.stop_channels()


async def test_it_runs_and_all_it_puts_out_is_its_own(lab: Bonded) -> None:
    async with person_at(lab) as person:
        waiting = await person.waits()
        told = await lab.fine(
            "run_code",
            code="import sys\nprint('inner'); print('wrong', file=sys.stderr)\n"
            "h = display('seen', display_id=True); h.update('seen anew')\n6 * 7",
        )
        failed = await lab.failed("run_code", code="1 / 0")
        typed = await lab.failed("run_code", code="input('name? ')")
        await lab.fine("run_code", code=ENOUGH)
        reply = (await waiting.task)["content"]
        after = await person.run("answer = input")

    for words in ("inner", "wrong", "seen anew", "42"):
        assert words in told.text
    assert "ZeroDivisionError" in failed
    assert "nobody can type" in typed
    assert reply["status"] == "ok"
    assert waiting.printed == "before\nafter\n"
    assert [one["data"]["text/plain"] for one in waiting.of("display_data")] == ["waits"]
    (update,) = waiting.of("update_display_data")
    assert update["data"] == {"text/plain": "waited"}
    (value,) = waiting.of("execute_result")
    assert value["data"]["text/plain"] == "'the value'"
    assert not waiting.of("error")
    assert after["status"] == "ok"


async def test_cells_are_numbered_in_order_and_enter_history_once(lab: Bonded) -> None:
    async with person_at(lab) as person:
        begun = (await person.run("pass"))["execution_count"]
        waiting = await person.waits()
        for cell_id in ("c0", "c1"):
            await lab.fine("run_cell", cell_id=cell_id)
        await lab.fine("run_code", code="no = 'history'")
        await lab.fine("run_code", code=ENOUGH)
        reply = (await waiting.task)["content"]
        (value,) = waiting.of("execute_result")
        following = await person.run("1")
        told = await lab.fine(
            "run_code",
            code=f"print([x[:6] for x in In[-4:]], Out[{begun + 3}])",
        )

    counts = [cell["execution_count"] for cell in lab.saved()["cells"]]
    assert counts == [begun + 2, begun + 3]
    assert (reply["execution_count"], following["execution_count"]) == (begun + 1, begun + 4)
    assert value["execution_count"] == begun + 1
    assert "['import', 'a = 41', 'a + 1', '1'] 42" in told.text


async def test_it_counts_as_a_run_of_the_agent(lab: Bonded) -> None:
    async with person_at(lab) as person:
        await person.run(
            "seen = []\n"
            "def hook(info):\n"
            "    parent = get_ipython().get_parent()\n"
            "    seen.append((parent['header']['username'], info.cell_id))\n"
            "get_ipython().events.register('pre_run_cell', hook)"
        )
        waiting = await person.waits()
        await lab.fine("run_cell", cell_id="c0")
        await lab.fine("run_code", code=ENOUGH)
        await waiting.task
        told = await lab.fine("run_code", code="seen")
        watch = lab.app.web_app.settings["agent_lab"].watching.account.watch
        runs = watch.record(lab.kernel_id).runs()

    assert (
        "[('', None), ('agent_lab', 'c0'), ('agent_lab', None), ('agent_lab', None)]" in told.text
    )
    ran = {run.code: run for run in runs}
    mine, theirs = ran["a = 41"], ran[WAITS]
    assert (mine.by_agent, mine.session_id, mine.cell_id) == (True, lab.session.id, "c0")
    assert (mine.status, theirs.status, theirs.by_agent) == ("ok", "ok", False)
    assert mine.position < mine.ended < theirs.ended


async def test_a_top_level_await_is_refused_at_once_and_never_runs(lab: Bonded) -> None:
    async with person_at(lab) as person:
        waiting = await person.waits()
        said = await lab.failed("run_code", code="import asyncio\nran = 1\nawait asyncio.sleep(0)")
        await lab.fine("run_code", code=ENOUGH)
        await waiting.task
        known = await person.run("ran")

    assert said.startswith("Not run: a cell in this kernel waits for your answer")
    assert known["ename"] == "NameError"


async def test_what_waits_behind_such_a_cell_is_handed_over_once_it_waits(lab: Bonded) -> None:
    async with person_at(lab) as person, person_at(lab) as other:
        await person.run("runs = 0\nimport time")
        first = await other.waits("display(1); time.sleep(1)")
        waiting = await person.waits(shows=False)
        await asyncio.sleep(0.1)
        told = await lab.fine("run_code", code=f"runs += 1; {ENOUGH}; runs")
        await first.task
        assert (await waiting.task)["content"]["status"] == "ok"
        once = await lab.fine("run_code", code="runs")

    assert "1" in told.text
    assert once.text.endswith("\n1")


async def test_an_agents_cancel_stops_its_code_and_not_the_wait(lab: Bonded) -> None:
    async with person_at(lab) as person:
        waiting = await person.waits()
        loop = f"seen = []\n{BEGIN}while True: seen.append(time.time()); time.sleep(0.01)"
        running = asyncio.ensure_future(
            lab.message("tools/call", {"name": "run_code", "arguments": {"code": loop}})
        )
        await lab.begun()
        await lab.cancel(1)
        assert await running is None
        told = await lab.fine(
            "run_code", code="before = len(seen); time.sleep(0.1); len(seen) - before"
        )
        assert not waiting.task.done()
        await lab.fine("run_code", code=ENOUGH)
        reply = (await waiting.task)["content"]

    assert told.text.endswith("\n0")
    assert reply["status"] == "ok"


async def test_the_tool_that_interrupts_leaves_the_cell_that_waits(lab: Bonded) -> None:
    async with person_at(lab) as person:
        waiting = await person.waits()
        nothing = await lab.fine("interrupt_kernel")
        running = asyncio.ensure_future(lab.tool("run_code", code=BEGIN + "time.sleep(30)"))
        await lab.begun()
        stopped = await lab.fine("interrupt_kernel")
        told = await running
        assert not waiting.task.done()
        await lab.fine("run_code", code=ENOUGH)
        reply = (await waiting.task)["content"]

    assert "Nothing was interrupted" in nothing.text
    assert "run there meanwhile was interrupted" in stopped.text
    assert "KeyboardInterrupt" in told.text
    assert reply["status"] == "ok"


async def test_a_persons_interrupt_stops_the_code_and_the_wait(lab: Bonded) -> None:
    async with person_at(lab) as person:
        for code in (
            "begun = True\ntime.sleep(30)",
            "begun = True\ntry: time.sleep(30)\nexcept KeyboardInterrupt: pass",
        ):
            waiting = await person.waits()
            running = asyncio.ensure_future(lab.tool("run_code", code=BEGIN + code))
            await lab.begun()
            began = time.monotonic()
            await lab.kernels.interrupt_kernel(lab.kernel_id)
            told = await running
            reply = (await waiting.task)["content"]
            assert time.monotonic() - began < 5
            assert told.is_error == ("except" not in code)
            assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
        assert (await person.run("begun"))["status"] == "ok"
        assert "42" in (await lab.fine("run_code", code="6 * 7")).text


async def test_what_a_cell_that_waited_did_not_take_runs_after_it(lab: Bonded) -> None:
    async with person_at(lab) as person:
        deaf = WAITS.replace("while not enough:\n        attend()", "for _ in range(50):")
        waiting = await person.waits(deaf)
        told = await lab.fine("run_code", code="'after it'")
        assert waiting.task.done() or waiting.printed.endswith("after\n")
        await waiting.task

    assert "'after it'" in told.text


async def test_a_cell_that_waits_in_another_thread_takes_nothing(lab: Bonded) -> None:
    async with person_at(lab) as person:
        await person.run(
            "import threading, time\nfrom agent_lab.kernel import channel\n"
            "def wait():\n"
            "    with channel.attended(get_ipython()) as attend:\n"
            "        while not end.wait(0.02): attend()\n"
            "end = threading.Event(); threading.Thread(target=wait).start()"
        )
        busy = await person.waits("display('busy'); time.sleep(1); end.set()")
        told = await lab.fine("run_code", code="threading.current_thread().name, end.is_set()")
        await busy.task

    assert "('MainThread', True)" in told.text

"""What happened since, with real kernels of a real server and a real agent process."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from tests.notebook.living import heard, install, looked, person_at, quiet, start
from tests.server.lab import Json, Server


def told(turn: list[Json]) -> list[Json]:
    """The items of a turn's message that say what happened since."""
    message = next(event for event in turn if event["type"] == "user_message")
    return [item for item in message["context"] if item["type"] == "since"]


async def test_a_prompt_is_told_what_ran_and_what_it_bound(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("x = [1, 2]\ny = 'a'")
        await person.run("import time\ntime.sleep(0.2)\n1 / 0")
        await person.run("del y")
        text = await notebook.until(lambda text: "del y" in text and "new names" in text)
        assert "cells run, newest last:" in text
        assert "x = [1, 2] (+1 lines)" in text
        assert re.search(r"failed 0\.\d s, ZeroDivisionError: division by zero: import time", text)
        assert "new names: x (list), time (module)" in text
        assert "y (" not in text  # bound and deleted: nothing
        assert len(text.encode()) <= 2000
        previewed = await notebook.since()
        assert previewed is not None
        assert previewed["label"] == "since: 3 cells ran, 1 failed, 2 names changed"

        [item] = told(await server.ask(notebook.id, "what now?"))
        assert item["text"] == text
        assert item["notebook"] == "eda.ipynb"
        assert await notebook.text() == ""
        assert told(await server.ask(notebook.id, "and now?")) == []


async def test_to_be_watched_draws_none_of_a_person_s_random_numbers(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp, opened=False)
    async with person_at(notebook) as person:
        await person.run("import random; random.seed(7); first = random.getstate()")
        await notebook.open()
        await heard(notebook, person)
        drawn = {"drawn": "random.getstate() == first"}
        reply = await person.run("", user_expressions=drawn)
        assert reply["content"]["user_expressions"]["drawn"]["data"]["text/plain"] == "True"


async def test_every_way_to_ask_tells_it_and_a_prompt_can_go_without(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        for number in range(2):
            await person.run(f"a = {number}")
            await notebook.until(lambda text: "a = " in text)
            chat = await server.chat(notebook.id, tail=1)
            turn = await chat.ask("over the socket")
            chat.close()
            assert len(told(turn)) == 1
        await person.run("b = 1")
        await notebook.until(lambda text: "b = 1" in text)
        assert told(await server.ask(notebook.id, "no", without=["since"])) == []
        assert await notebook.text() == ""  # what was dropped stays dropped
        bad = await server.call(
            "POST", f"sessions/{notebook.id}/prompt", {"content": [], "without": ["all"]}
        )
        assert bad.status == 400

        dial = await server.call("PATCH", f"sessions/{notebook.id}/dial", {"since": False})
        assert dial.status == 200
        await person.run("c = 1")
        assert told(await server.ask(notebook.id, "switched off")) == []


async def test_a_queued_prompt_is_told_when_its_turn_begins(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    chat = await server.chat(notebook.id, tail=1)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await chat.send("prompt", content=[{"type": "text", "text": "!tokens 100 rate 60"}])
        await chat.until("agent_message_chunk")
        second = await chat.send("prompt", content=[{"type": "text", "text": "second"}], id="q2")
        third = await chat.send(
            "prompt", content=[{"type": "text", "text": "third"}], id="q3", without=["since"]
        )
        await chat.until(lambda frame: frame.get("id") == third)
        await person.run("during = 1")
        message = await chat.until(lambda frame: frame.get("message_id") == second)
        assert "during = 1" in told([message])[0]["text"]
        await person.run("later = 1")
        message = await chat.until(lambda frame: frame.get("message_id") == third)
        assert told([message]) == []
    chat.close()


async def test_the_agents_own_runs_are_not_told_to_it(server: Server, jp_serverapp: Any) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person, person_at(notebook, "agent_lab") as agent:
        await heard(notebook, person)
        await agent.run("made_by_agent = 1")
        await person.run("pass")
        text = await notebook.until(lambda text: "pass" in text)
        assert "made_by_agent = 1" not in text
        await quiet(notebook)
        await agent.run("made_later = 1")
        await quiet(notebook)  # nothing happened
        asked = agent.send("of_another = 1")
        watch = jp_serverapp.web_app.settings["agent_lab"].watching.account.watch
        await agent.client.get_shell_msg(timeout=10)
        watch.belongs(notebook.kernel_id, asked, session_id="another")
        await notebook.until(lambda text: "another agent's, ok" in text)


async def test_a_magic_is_told_but_not_itself(server: Server, jp_serverapp: Any) -> None:
    notebook = await start(server, jp_serverapp)
    chat = await server.chat(notebook.id, tail=1)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("%load_ext agent_lab")
        await person.run("last = 1")
        await person.run("%agent --again why?")
        message = await chat.until(lambda frame: frame.get("origin") == "magic")
        [item] = told([message])
        assert "last = 1" in item["text"]
        assert "why?" not in item["text"]
        await notebook.until(lambda text: text == "")
    chat.close()


async def test_files_that_changed_are_told(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / "old.csv").write_text("a")
    (jp_root_dir / "report.py").write_text("a = 1")
    (jp_root_dir / ".hidden").write_text("a")
    notebook = await start(server, jp_serverapp)
    await quiet(notebook)
    await server.ask(notebook.id, "!bash 'echo hi > by_agent.txt'")
    await looked(notebook)
    (jp_root_dir / "report.py").write_text("a = 2  # more")
    (jp_root_dir / "new").mkdir()
    (jp_root_dir / "new" / "data.csv").write_text("b")
    (jp_root_dir / "old.csv").unlink()
    (jp_root_dir / ".hidden").write_text("b")
    text = await notebook.until(lambda text: "old.csv" in text)
    assert text.splitlines() == [
        "files changed: report.py",
        "new files: new/data.csv",
        "files deleted: old.csv",
    ]


async def test_a_cell_that_is_not_what_ran_is_told_once(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    notebook = await start(server, jp_serverapp, cells=["a = 1", "b = 2"])
    file = jp_root_dir / "eda.ipynb"
    async with person_at(notebook) as person:
        await heard(notebook, person)
        first = (await person.run("a = 1"))["content"]["execution_count"]
        await person.run("b = 2")
        book = nbformat.read(file, 4)  # type: ignore[no-untyped-call]
        for count, cell in enumerate(book.cells, first):
            cell.execution_count = count
        book.cells[1].source = "b = 3"
        file.write_text(nbformat.writes(book))  # type: ignore[no-untyped-call]
        text = await notebook.until(lambda text: "edited" in text)
        assert f"cells edited since they ran: {book.cells[1].id} (ran as [{first + 1}])" in text
        await quiet(notebook)
        book.cells[0].source = "a = 0"
        file.write_text(nbformat.writes(book))  # type: ignore[no-untyped-call]
        text = await notebook.until(bool)
        assert text == f"cells edited since they ran: {book.cells[0].id} (ran as [{first}])"


async def test_a_kernel_of_another_language_is_followed(
    server: Server, jp_serverapp: Any, jp_data_dir: Path
) -> None:
    install(jp_data_dir, "bash", "-m", "bash_kernel")
    notebook = await start(server, jp_serverapp, kernel="bash")
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("echo hello")
        text = await notebook.until(lambda text: "echo hello" in text and "ok" in text)
        assert "names" not in text
        await person.run("false")
        await notebook.until(lambda text: "false" in text)


async def test_a_prompt_does_not_wait_for_a_kernel_that_is_busy(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("before = 1")
        person.send("sum(x * x for x in range(10 ** 9))")
        await notebook.until(lambda text: "still running" in text and "before" in text)
        assert told(await server.ask(notebook.id, "still?"))[0]["text"]
        # The kernel may lose one: a person presses again. An end that the server did not hear stays
        # unheard: to interrupt an idle kernel says nothing.
        text = ""
        while "KeyboardInterrupt" not in text:
            await server.fetch("POST", f"{server.url}api/kernels/{notebook.kernel_id}/interrupt")
            with suppress(AssertionError):
                text = await notebook.until(lambda text: "KeyboardInterrupt" in text, 5)
        assert "The kernel was interrupted at" in text


SLOW = """
async def _slow(stream, ident, parent):
    __import__("time").sleep(3)
get_ipython().kernel.control_handlers["agent_lab_names_request"] = _slow
"""


async def test_a_kernel_that_does_not_answer_holds_no_prompt_up(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        watch = jp_serverapp.web_app.settings["agent_lab"].watching.account.watch
        before = watch.record(notebook.kernel_id).position
        await person.run(SLOW)
        async with asyncio.timeout(5):
            while watch.record(notebook.kernel_id).position < before + 2:  # noqa: ASYNC110
                await asyncio.sleep(0)  # it began and ended: now its names are asked for
        began = time.monotonic()
        words = [{"type": "text", "text": "hello"}]
        path = f"sessions/{notebook.id}/prompt"
        sent = await server.call("POST", path, {"content": words})
        took = time.monotonic() - began
        assert sent.status == 202
        assert took < 0.8


async def test_a_session_that_ends_and_comes_back_is_told_again(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        assert (await server.call("POST", f"sessions/{notebook.id}/end")).status == 200
        assert await notebook.text() == ""
        assert (await server.call("POST", f"sessions/{notebook.id}/resume")).status == 200
        await heard(notebook, person)


async def test_what_a_cell_prints_does_not_reach_the_server(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        record = jp_serverapp.web_app.settings["agent_lab"].watching.account.watch.record(
            notebook.kernel_id
        )
        before = record.messages
        await person.run("import sys\nfor i in range(3000):\n    print(i)\n    sys.stdout.flush()")
        await notebook.until(lambda text: "ok" in text)
        assert 2 <= record.messages - before < 20


async def test_a_kernel_with_other_topics_is_followed_until_it_floods(
    server: Server, jp_serverapp: Any, jp_data_dir: Path
) -> None:
    install(jp_data_dir, "odd", str(Path(__file__).parent / "odd_kernel.py"))
    notebook = await start(server, jp_serverapp, kernel="odd")
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("first")
        await notebook.until(lambda text: "first" in text and "ok" in text)
        await quiet(notebook)
        await person.run("20000")
        await notebook.until(lambda text: "more cells ran than could be followed" in text)
        await quiet(notebook)
        await heard(notebook, person)  # it is listened to again

"""Fault 31: kernels and notebooks go, move and come again while the agent works."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil

from tests.notebook.living import Notebook, heard, person_at, quiet, start
from tests.server.lab import Chat, Server


async def working(notebook: Notebook) -> Chat:
    """A tab, and a turn that runs."""
    chat = await notebook.server.chat(notebook.id, tail=1)
    await chat.send("prompt", content=[{"type": "text", "text": "!tokens 2000 rate 50"}])
    await chat.until("agent_message_chunk")
    return chat


async def test_a_restart_is_told_to_the_person_and_to_the_agent(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("gone = 1")
        chat = await working(notebook)
        done = await server.fetch("POST", f"{server.url}api/kernels/{notebook.kernel_id}/restart")
        assert done.status == 200
        notice = await chat.until(lambda frame: frame.get("code") == "kernel_restarted")
        assert notice["text"] == "The kernel of eda.ipynb was restarted: its memory is empty."
        await server.call("POST", f"sessions/{notebook.id}/cancel")
        await chat.until("turn_ended")
    async with person_at(notebook) as person:
        await person.run("begun = 1")
        text = await notebook.until(lambda text: "restarted at" in text and "begun = 1" in text)
        assert "gone" not in text
        session = await server.session(notebook.id)
        assert session["notebook"] == {"path": "eda.ipynb", "kernel_id": notebook.kernel_id}
        await quiet(notebook)
        await person.run("after = 1")
        await notebook.until(lambda text: "after = 1" in text and "new names: after" in text)
    chat.close()


async def test_a_kernel_that_dies_is_told_also_when_nobody_asked(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
    chat = await server.chat(notebook.id, tail=1)
    os.kill(notebook.manager.provisioner.pid, signal.SIGKILL)
    notice = await chat.until(lambda frame: frame.get("code") == "kernel_died")
    assert "its memory is lost" in notice["text"]
    assert (await notebook.text()).startswith("The kernel died at ")
    async with person_at(notebook) as person:
        await person.run("again = 1")
        await notebook.until(lambda text: "again = 1" in text)
    chat.close()


async def test_a_kernel_that_is_shut_down_leaves_the_session_without_one(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    chat = await working(notebook)
    url = f"{server.url}api/sessions/{notebook.jupyter_session}"
    assert (await server.fetch("DELETE", url)).status == 204
    await chat.until(lambda frame: frame.get("code") == "kernel_stopped")
    changed = await chat.until(lambda frame: "notebook" in frame)
    assert changed["notebook"] == {"path": "eda.ipynb", "kernel_id": None}
    await server.call("POST", f"sessions/{notebook.id}/cancel")
    await chat.until("turn_ended")
    assert "shut down: nothing is in memory" in await notebook.text()
    none = await server.call("GET", f"sessions/{notebook.id}/variables")
    assert (none.status, none.json["reason"]) == (409, "no_kernel")
    chat.close()


async def test_another_kernel_is_taken_up_without_a_tab_of_ours(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    chat = await server.chat(notebook.id, tail=1)
    url = f"{server.url}api/sessions/{notebook.jupyter_session}"
    answer = await server.fetch("PATCH", url, {"kernel": {"name": "python3"}})
    assert answer.status == 200
    other = answer.json["kernel"]["id"]
    assert other != notebook.kernel_id
    changed = await chat.until(
        lambda frame: bool(frame.get("notebook")) and frame["notebook"]["kernel_id"] == other
    )
    assert changed["notebook"]["path"] == "eda.ipynb"
    assert "another kernel" in await notebook.text() or "a kernel now" in await notebook.text()
    await server.fetch("DELETE", f"{server.url}api/kernels/{notebook.kernel_id}")
    notebook.kernel_id = other
    async with person_at(notebook) as person:
        await heard(notebook, person)
    chat.close()


async def test_a_renamed_notebook_and_a_renamed_folder_keep_their_session(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp, "analysis/eda.ipynb")
    namesake = await start(server, jp_serverapp, "other/eda.ipynb")
    chat = await working(notebook)
    contents = f"{server.url}api/contents"
    moved = await server.fetch(
        "PATCH", f"{contents}/analysis/eda.ipynb", {"path": "analysis/sales.ipynb"}
    )
    assert moved.status == 200
    changed = await chat.until(lambda frame: "notebook" in frame)
    assert changed["notebook"]["path"] == "analysis/sales.ipynb"
    notice = await chat.until(lambda frame: frame.get("code") == "notebook_renamed")
    assert "analysis/eda.ipynb is now analysis/sales.ipynb" in notice["text"]
    await server.call("POST", f"sessions/{notebook.id}/cancel")
    await chat.until("turn_ended")
    assert "is now analysis/sales.ipynb" in await notebook.text()
    await quiet(notebook)

    moved = await server.fetch("PATCH", f"{contents}/analysis", {"path": "work"})
    assert moved.status == 200
    await chat.until(
        lambda frame: (
            bool(frame.get("notebook")) and frame["notebook"]["path"] == "work/sales.ipynb"
        )
    )
    assert (await server.session(namesake.id))["notebook"]["path"] == "other/eda.ipynb"
    chat.close()


async def test_a_deleted_notebook_is_told(server: Server, jp_serverapp: Any) -> None:
    notebook = await start(server, jp_serverapp)
    chat = await working(notebook)
    gone = await server.fetch("DELETE", f"{server.url}api/contents/eda.ipynb")
    assert gone.status == 204
    notice = await chat.until(lambda frame: frame.get("code") == "notebook_deleted")
    assert notice["level"] == "warning"
    await server.call("POST", f"sessions/{notebook.id}/cancel")
    await chat.until("turn_ended")
    assert "The notebook eda.ipynb was deleted." in await notebook.text()
    await quiet(notebook)
    chat.close()


async def test_two_sessions_of_two_notebooks_on_one_kernel_are_both_told(
    server: Server, jp_serverapp: Any
) -> None:
    notebook = await start(server, jp_serverapp)
    made = await server.create(path="")
    async with person_at(notebook) as person:
        await heard(notebook, person)
        await person.run("shared = 1")
        await notebook.until(lambda text: "shared = 1" in text)
        other = await server.call("GET", f"sessions/{made['id']}/since")
        assert other.json["item"] is None  # it has no notebook


async def test_nothing_is_left_when_a_session_ends(server: Server, jp_serverapp: Any) -> None:
    notebook = await start(server, jp_serverapp)
    async with person_at(notebook) as person:
        await heard(notebook, person)
    watch = jp_serverapp.web_app.settings["agent_lab"].watching.account.watch
    assert watch.record(notebook.kernel_id) is not None
    before = len(psutil.Process().open_files()), psutil.Process().num_fds()
    assert (await server.call("DELETE", f"sessions/{notebook.id}")).status == 204
    assert watch.record(notebook.kernel_id) is None
    assert psutil.Process().num_fds() <= before[1]

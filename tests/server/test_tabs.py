"""The WebSocket of open notebooks: which tab is asked, once each, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from agent_lab.notebook.tabs import Tab, TabChange, Tabs
from agent_lab.protocol.errors import AgentLabError, Conflict, NotFound, TooLarge, Unavailable
from tests.server.lab import DEADLINE, Chat, Json, Server

EDA = "analysis/eda.ipynb"


def entry(path: str, key: str = "1", kernel: str | None = "k", active: float = 0) -> Json:
    return {"key": key, "path": path, "kernel_id": kernel, "dirty": False, "active": active}


class Window:
    """One page of JupyterLab, as far as the server can tell."""

    def __init__(self, socket: Chat, tabs: Tabs) -> None:
        self.socket = socket
        self.tabs = tabs

    async def holds(self, *notebooks: Json) -> None:
        """Tell what is open, and wait until the server knows."""
        await self.socket.socket.write_message(
            json.dumps({"type": "open", "notebooks": list(notebooks)})
        )
        keys = [(one["key"], one["path"], one["kernel_id"]) for one in notebooks]
        await until(
            lambda: all(any((t.key, t.path, t.kernel_id) == k for t in self.tabs) for k in keys)
        )

    async def says(self, **message: object) -> None:
        await self.socket.socket.write_message(json.dumps(message))

    async def does(self, result: object) -> Json:
        """Take the next request and answer it as the page does."""
        request = await self.socket.until("request")
        if request.get("announced"):
            await self.says(type="ready", id=request["id"])
            assert (await self.socket.until("go"))["id"] == request["id"]
        await self.says(type="reply", id=request["id"], ok=True, result=result)
        return request

    async def refuses(self, reason: str) -> None:
        request = await self.socket.until("request")
        await self.says(type="reply", id=request["id"], ok=False, reason=reason, message="No.")


async def until(wanted: Callable[[], object]) -> None:
    """For what the server does after a frame without answering it."""
    async with asyncio.timeout(DEADLINE):
        while not wanted():  # noqa: ASYNC110 - the server knows no event for a test
            await asyncio.sleep(0.002)


@pytest.fixture
def tabs(server: Server, jp_serverapp: Any) -> Tabs:
    found: Tabs = jp_serverapp.web_app.settings["agent_lab"].tabs
    return found


async def window(server: Server, tabs: Tabs, *notebooks: Json) -> Window:
    socket = await server.socket("notebooks")
    hello = await socket.next()
    assert (hello["type"], hello["protocol"]) == ("hello", 1)
    assert hello["max_bytes"] > 1 << 20
    one = Window(socket, tabs)
    await one.holds(*notebooks)
    return one


def held(tabs: Tabs, path: str) -> Tab:
    tab = tabs.holder(path)
    assert tab is not None
    return tab


async def refusal(asking: asyncio.Future[Any]) -> AgentLabError:
    with pytest.raises(AgentLabError) as caught:
        await asyncio.wait_for(asking, DEADLINE)
    return caught.value


async def test_a_tab_is_asked_and_answers(server: Server, tabs: Tabs) -> None:
    assert tabs.holder(EDA) is None
    page = await window(server, tabs, entry(EDA))
    assert tabs.holder("other.ipynb") is None
    tab = held(tabs, f"/{EDA}")
    assert (tab.path, tab.kernel_id) == (EDA, "k")
    asking = asyncio.ensure_future(tab.ask("read"))
    request = await page.does({"cells": []})
    assert (request["op"], request["key"], request["notebook"]) == ("read", "1", EDA)
    assert "announced" not in request
    assert await asking == {"cells": []}
    asking = asyncio.ensure_future(tab.ask("edit", cell_id="c", source="2", expected_source="1"))
    request = await page.does({"index": 3})
    assert request["fields"] == {"cell_id": "c", "source": "2", "expected_source": "1"}
    assert await asking == {"index": 3}


async def test_the_window_that_had_the_focus_last_is_asked(server: Server, tabs: Tabs) -> None:
    older = await window(server, tabs, entry(EDA, "a", active=60_000))
    newer = await window(server, tabs, entry(EDA, "b", active=1_000))
    assert held(tabs, EDA).key == "b"
    await older.holds(entry(EDA, "a"), entry("other.ipynb", "c"))
    assert held(tabs, EDA).key == "a"
    older.socket.close()
    await until(lambda: held(tabs, EDA).key == "b")
    asking = asyncio.ensure_future(held(tabs, EDA).ask("read"))
    await newer.does(None)
    assert await asking is None


async def test_one_request_at_a_time_in_order(server: Server, tabs: Tabs) -> None:
    page = await window(server, tabs, entry(EDA, "1"), entry("b.ipynb", "2"))
    first = asyncio.ensure_future(held(tabs, EDA).ask("delete", cell_id="x"))
    second = asyncio.ensure_future(held(tabs, "b.ipynb").ask("read"))
    assert (await page.does(None))["notebook"] == EDA
    assert (await page.does(None))["notebook"] == "b.ipynb"
    await asyncio.gather(first, second)
    kinds = [frame["type"] for frame in page.socket.frames]
    assert kinds == ["hello", "request", "go", "request"]


async def test_refusals_have_their_own_errors(server: Server, tabs: Tabs) -> None:
    page = await window(server, tabs, entry(EDA))
    for reason, kind in {
        "cell_changed": Conflict,
        "cell_not_found": NotFound,
        "too_large": TooLarge,
        "locked": Conflict,
    }.items():
        asking = asyncio.ensure_future(held(tabs, EDA).ask("edit", cell_id="c"))
        await page.refuses(reason)
        error = await refusal(asking)
        assert (type(error), error.reason, error.message) == (kind, reason, "No.")


async def test_a_page_that_sleeps_does_nothing_afterwards(server: Server, tabs: Tabs) -> None:
    page = await window(server, tabs, entry(EDA))
    tabs.patience = 0.2
    error = await refusal(asyncio.ensure_future(held(tabs, EDA).ask("insert", cell={})))
    assert (type(error), error.reason) == (Unavailable, "tab_silent")
    assert "nothing was changed" in error.message
    tabs.patience = DEADLINE
    # It wakes: the old request is announced to it, and never let go.
    asleep = await page.socket.until("request")
    await page.says(type="ready", id=asleep["id"])
    asking = asyncio.ensure_future(held(tabs, EDA).ask("insert", cell={}))
    await page.does({"index": 0})
    assert await asking == {"index": 0}
    gone = [frame["id"] for frame in page.socket.frames if frame["type"] == "go"]
    assert asleep["id"] not in gone


async def test_a_page_that_dies_before_or_after_it_acts(server: Server, tabs: Tabs) -> None:
    for after, reason in ((False, "tab_gone"), (True, "outcome_unknown")):
        page = await window(server, tabs, entry(EDA))
        asking = asyncio.ensure_future(held(tabs, EDA).ask("delete", cell_id="c"))
        request = await page.socket.until("request")
        if after:
            await page.says(type="ready", id=request["id"])
            await page.socket.until("go")
        page.socket.close()
        assert (await refusal(asking)).reason == reason
        assert tabs.holder(EDA) is None


async def test_a_notebook_closed_or_renamed_is_told_at_once(server: Server, tabs: Tabs) -> None:
    told: list[TabChange] = []
    end = tabs.watch(told.append)
    page = await window(server, tabs, entry(EDA), entry("b.ipynb", "2"))
    tab = held(tabs, EDA)
    asking = asyncio.ensure_future(tab.ask("edit", cell_id="c"))
    await page.socket.until("request")
    await page.holds(entry("renamed.ipynb"), entry("b.ipynb", "2", kernel="other"))
    assert held(tabs, "renamed.ipynb") is tab
    assert tabs.holder(EDA) is None
    assert not asking.done(), "the request stays with the document, whatever its name"
    await page.holds(entry("b.ipynb", "2", kernel="other"))
    assert (await refusal(asking)).reason == "tab_gone"
    assert tab.gone
    assert [(change.kind, change.path, change.old_path) for change in told] == [
        ("opened", EDA, ""),
        ("opened", "b.ipynb", ""),
        ("renamed", "renamed.ipynb", EDA),
        ("kernel", "b.ipynb", ""),
        ("closed", "renamed.ipynb", ""),
    ]
    error = await refusal(asyncio.ensure_future(tab.ask("read")))
    assert error.reason == "tab_gone"
    end()
    page.socket.close()
    await until(lambda: tabs.holder("b.ipynb") is None)
    assert told[-1].path == "renamed.ipynb", "nobody is told who does not listen"


async def test_strangers_and_babble(server: Server, tabs: Tabs) -> None:
    stranger = await server.socket("notebooks", {})
    await stranger.socket.write_message(json.dumps({"type": "open", "notebooks": [entry(EDA)]}))
    assert await stranger.closed() == 4401
    assert stranger.frames == []
    assert tabs.holder(EDA) is None
    for babble in ("{", '{"type":"what"}', '{"type":"open","notebooks":[{"path":1}]}', b"\xff"):
        page = await window(server, tabs, entry(EDA))
        await page.socket.socket.write_message(babble, binary=isinstance(babble, bytes))
        assert await page.socket.closed() == 4400
        await until(lambda: tabs.holder(EDA) is None)

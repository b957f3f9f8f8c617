"""The HTTP door: the official client of the protocol, and strangers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.notebook.lab import BEGIN, Bonded


def url(lab: Bonded) -> str:
    return f"{lab.server.url}agent-lab/mcp/{lab.session.id}"


def bearer(lab: Bonded) -> dict[str, str]:
    calls = lab.session.tool_calls
    assert calls is not None
    return {"Authorization": f"Bearer {calls.secret}"}


async def post(lab: Bonded, body: object, headers: dict[str, str] | None = None) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {"Content-Type": "application/json", **(bearer(lab) if headers is None else headers)}
    return await lab.server.fetch("POST", url(lab), data, said)


async def test_the_official_client_is_served(lab: Bonded) -> None:
    await lab.dial(level="full")
    async with (
        httpx2.AsyncClient(headers=bearer(lab), timeout=30) as http,
        streamable_http_client(url(lab), http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as client,
    ):
        hello = await client.initialize()
        assert hello.server_info.name == "agent_lab"
        assert "eda.ipynb" in (hello.instructions or "")
        assert len((await client.list_tools()).tools) == 15
        told = await client.call_tool("run_code", {"code": "6 * 7"})
        assert "42" in str(told.content)
        assert not told.is_error
        failed = await client.call_tool("run_cell", {"cell_id": "zz"})
        assert failed.is_error
        reports: list[float] = []

        async def report(progress: float, total: float | None, message: str | None) -> None:
            reports.append(progress)

        code = "import time; time.sleep(5); 'late'"
        late = await client.call_tool("run_code", {"code": code}, progress_callback=report)
        assert "late" in str(late.content)
        assert reports
        flood = await client.call_tool("run_code", {"code": "for n in range(99999): print(n)"})
        assert not flood.is_error
        (resource,) = (await client.list_resources()).resources
        read = await client.read_resource(resource.uri)
        assert "1234" in str(read.contents[0])
        await client.send_ping()


async def test_a_call_is_cancelled_by_its_id(lab: Bonded) -> None:
    call = {"name": "run_code", "arguments": {"code": BEGIN + "while True: pass"}}
    request = {"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": call}
    running = asyncio.ensure_future(post(lab, request))
    await lab.begun()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}}
    assert (await post(lab, note)).status == 202
    assert (await running).json["error"]["message"] == "The call was cancelled."
    assert "2" in (await lab.fine("run_code", code="1 + 1")).text


async def test_strangers_get_nothing(lab: Bonded) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await post(lab, ping)).status == 200
    for headers in (
        {},
        lab.server.headers,
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
    ):
        assert (await post(lab, ping, headers)).status == 403
    assert (await post(lab, ping, {**bearer(lab), "Origin": "http://127.0.0.1"})).status == 403
    elsewhere = url(lab).rsplit("/", 1)[0] + "/nobody"
    answer = await lab.server.fetch("POST", elsewhere, ping, bearer(lab))
    assert answer.status == 403
    assert (await lab.server.fetch("GET", url(lab), None, bearer(lab))).status == 405


async def test_the_secret_is_in_no_answer(lab: Bonded) -> None:
    secret = bearer(lab)["Authorization"].split()[1]
    session = await lab.server.session(lab.session.id)
    assert secret not in json.dumps(session)


async def test_what_is_no_message_is_answered_in_the_protocols_way(lab: Bonded) -> None:
    for body, code in ((b"{", -32700), (b"[" * 5000, -32700), (b"[]", -32600), (b"7", -32600)):
        answer = await post(lab, body)
        assert (answer.status, answer.json["error"]["code"]) == (400, code), body[:10]
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await post(lab, note)).status == 202

"""Who may do what: strangers, foreign pages, a rebound name, a reader who may not write."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.authorizer import Authorizer
from tornado.httpclient import HTTPClientError

from tests.server.lab import Server, text

ROUTES: list[tuple[str, str, object]] = [
    ("GET", "agents", None),
    ("GET", "sessions", None),
    ("POST", "sessions", {}),
    ("GET", "sessions/{id}", None),
    ("PATCH", "sessions/{id}", {"title": "Mine"}),
    ("DELETE", "sessions/{id}", None),
    ("POST", "sessions/{id}/end", None),
    ("POST", "sessions/{id}/resume", None),
    ("POST", "sessions/{id}/prompt", {"content": text("hello")}),
    ("POST", "sessions/{id}/cancel", None),
    ("POST", "sessions/{id}/fork", {}),
    ("POST", "sessions/{id}/restore", None),
    ("GET", "forgotten?ids={id}", None),
    ("GET", "sessions/{id}/context", None),
    ("GET", "sessions/{id}/rules", None),
    ("DELETE", "sessions/{id}/rules/r", None),
    ("GET", "sessions/{id}/files", None),
    ("GET", "sessions/{id}/variables", None),
    ("POST", "sessions/{id}/permissions/r", {"option_id": "allow"}),
    ("GET", "sessions/{id}/events", None),
    ("GET", "sessions/{id}/events?follow=1", None),
    ("GET", "sessions/{id}/export?format=jsonl", None),
    ("GET", "readiness", None),
    ("POST", "trust", {"path": "", "trust": True}),
    ("GET", "health", None),
    ("GET", "openapi.json", None),
]
WRITING = [route for route in ROUTES if route[0] != "GET"]


async def page(server: Server) -> dict[str, str]:
    """The cookies and the XSRF header of a browser that signed in at this server."""
    answer = await server.fetch("GET", f"{server.url}api/status", headers=server.headers)
    assert answer.status == 200
    login = await server.fetch("GET", f"{server.url}login", headers={})
    cookies = dict[str, str]()
    for one in (answer, login):
        for line in one.headers.get_list("Set-Cookie"):  # type: ignore[attr-defined]
            name, value = line.split(";")[0].split("=", 1)
            cookies[name] = value
    assert any(name.startswith("username-") for name in cookies)
    return {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "X-XSRFToken": cookies["_xsrf"],
    }


async def refused(
    server: Server,
    routes: list[tuple[str, str, object]],
    headers: Mapping[str, str],
    allowed: tuple[int, ...] = (403,),
) -> None:
    """None of the routes does or tells anything."""
    session = await server.create(title="Somebody's")
    for method, path, body in routes:
        answer = await server.call(method, path.format(id=session["id"]), body, headers)
        assert answer.status in allowed, (method, path, answer.status)
        assert b"Somebody" not in answer.body
    assert await server.session(session["id"]) == {
        **session,
        "cost": {"by_turn": [], "by_model": []},
    }
    assert len((await server.call("GET", "sessions")).json["sessions"]) == 1


async def test_without_a_token_nothing(server: Server) -> None:
    await refused(server, ROUTES, {})


async def test_with_a_wrong_token_nothing(server: Server) -> None:
    await refused(server, ROUTES, {"Authorization": "token 0000"})


async def test_the_kernels_secret_is_no_token(server: Server, jp_serverapp: Any) -> None:
    secret = jp_serverapp.web_app.settings["agent_lab"].kernel_secret
    assert secret
    for word in ("token", "Bearer"):
        await refused(server, ROUTES[:3], {"Authorization": f"{word} {secret}"})
        for session in (await server.call("GET", "sessions")).json["sessions"]:
            await server.call("DELETE", f"sessions/{session['id']}")


async def test_a_rebound_name_gets_nothing(server: Server) -> None:
    await refused(server, ROUTES, {**server.headers, "Host": "rebound.example"})


async def test_a_page_of_this_server_may(server: Server) -> None:
    headers = await page(server)
    answer = await server.call("POST", "sessions", {}, headers)
    assert answer.status == 201
    session = answer.json
    origin = server.url.rstrip("/").rsplit("/", 1)[0] if server.url.count("/") > 3 else server.url
    chat = await server.chat(session["id"], {**headers, "Origin": origin.rstrip("/")}, tail=1)
    assert (await chat.next())["type"] == "hello"
    chat.close()


async def test_a_page_without_xsrf_token_changes_nothing(server: Server) -> None:
    headers = await page(server)
    await refused(server, WRITING, {"Cookie": headers["Cookie"]})


async def test_a_foreign_page_changes_nothing(server: Server) -> None:
    headers = {**await page(server), "Origin": "http://foreign.example"}
    await refused(server, WRITING, headers, (403, 404))


async def test_a_foreign_page_reads_nothing(server: Server) -> None:
    """Its browser sends the cookie, and asks first whether the answer may be read."""
    headers = {**await page(server), "Origin": "http://foreign.example"}
    for method, path, body in ROUTES[:2]:
        answer = await server.call(method, path, body, headers)
        assert answer.status in (403, 404)
        assert answer.headers.get("Access-Control-Allow-Origin", "") != "http://foreign.example"


async def test_foreign_pages_open_no_socket(server: Server) -> None:
    session = await server.create()
    headers = {**await page(server), "Origin": "http://foreign.example"}
    with pytest.raises(HTTPClientError, match="403"):
        await server.chat(session["id"], headers, tail=1)
    with pytest.raises(HTTPClientError, match="403"):
        await server.chat(session["id"], {**server.headers, "Host": "rebound.example"}, tail=1)
    assert (await server.session(session["id"]))["status"] == "stopped"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token 0000"}])
async def test_strangers_get_4401_and_no_word(server: Server, headers: dict[str, str]) -> None:
    """Whether a session exists is not told either."""
    session = await server.create()
    for name in (session["id"], "nowhere"):
        chat = await server.chat(name, headers, tail=1)
        await chat.socket.write_message('{"type":"prompt","id":"p","content":[]}')
        assert await chat.closed() == 4401
        assert chat.frames == []
    assert (await server.session(session["id"]))["last_seq"] == 0


class Reader(Authorizer):
    """May look and not touch."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read" or handler.request.headers.get("X-Owner") == "1"


@pytest.fixture
def jp_server_config(lab_config: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    server = {"jpserver_extensions": {"agent_lab": True}}
    if "only_readers" in request.fixturenames:
        server["authorizer_class"] = Reader  # type: ignore[assignment]
    return {"ServerApp": server, "AgentLab": lab_config}


@pytest.fixture
def only_readers() -> None:
    """The server's authorizer lets a client only read, unless it says it is the owner."""


@pytest.mark.usefixtures("only_readers")
async def test_a_reader_reads_and_changes_nothing(server: Server) -> None:
    reader = dict(server.headers)
    server.headers["X-Owner"] = "1"
    await refused(server, WRITING, reader)
    session = (await server.call("GET", "sessions")).json["sessions"][0]
    for method, path, body in ROUTES:
        if method == "GET" and "follow" not in path:
            answer = await server.call(method, path.format(id=session["id"]), body, reader)
            # An agent or kernel that does not run is not started for somebody who only reads.
            starts = path.endswith(("context", "rules", "variables"))
            assert answer.status == (409 if starts else 200), path
    chat = await server.chat(session["id"], reader, tail=1)
    assert await chat.closed() == 4403
    assert chat.frames == []


async def test_no_secret_reaches_the_log(
    server: Server, jp_serverapp: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret = jp_serverapp.web_app.settings["agent_lab"].kernel_secret
    token = server.headers["Authorization"].split()[1]
    caplog.clear()
    kernel = f"{server.url}agent-lab/kernel/k/session"
    await server.fetch("GET", kernel, headers={"Authorization": f"Bearer {secret}"})
    await server.fetch("GET", kernel, headers={"Authorization": "Bearer wrong-secret-1"})
    await server.call("GET", "sessions/none")
    await server.call("GET", f"sessions/none?token={token}", None, {})
    await server.call("POST", "sessions", {}, {"Authorization": "token wrong-token-1"})
    assert "/agent-lab/kernel/k/session" in caplog.text
    for word in (secret, token, "wrong-secret-1", "wrong-token-1"):
        assert not re.search(re.escape(word), caplog.text)


async def test_no_secret_reaches_the_log_when_something_fails(
    server: Server, lab_config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A page may send Jupyter's token in the address; what nobody foresaw logs the address."""
    token = server.headers["Authorization"].split()[1]
    session = await server.create()
    caplog.clear()
    chat = await server.chat(session["id"], {}, token=token, after=b"\xff")
    await chat.closed()
    bad = await server.call("GET", f"sessions?q=%ff&token={token}", None, {})
    with sqlite3.connect(Path(lab_config["data_dir"]) / "sessions.sqlite") as log:
        log.execute("DROP TABLE sessions")
    log.close()
    failed = await server.call("GET", f"sessions?token={token}", None, {})
    assert (bad.status, failed.status) == (400, 500)
    assert failed.json["reason"] == "internal"
    assert "no such table: sessions" in caplog.text
    assert token not in caplog.text

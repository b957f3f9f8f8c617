"""The kernel routes, with a real kernel of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from tests.server.lab import DEADLINE, Answer, Json, Server, answer_of, ends, text


class Kernel:
    """A real kernel of the server, and what code in it can ask."""

    def __init__(self, server: Server, session: Json, environment: Mapping[str, str]) -> None:
        self.server = server
        self.jupyter_session = session["id"]
        self.id: str = session["kernel"]["id"]
        self.environment = environment
        self.headers = {"Authorization": f"Bearer {environment['AGENT_LAB_KERNEL_SECRET']}"}

    def url(self, name: str, kernel_id: str | None = None) -> str:
        return f"{self.environment['AGENT_LAB_URL']}agent-lab/kernel/{kernel_id or self.id}/{name}"

    async def call(
        self,
        method: str,
        name: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        kernel_id: str | None = None,
    ) -> Answer:
        return await self.server.fetch(
            method, self.url(name, kernel_id), body, self.headers if headers is None else headers
        )


async def start_kernel(server: Server, jp_serverapp: Any, path: str) -> Kernel:
    new = {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    answer = await server.fetch("POST", f"{server.url}api/sessions", new)
    assert answer.status == 201, answer.body
    kernel = jp_serverapp.kernel_manager.get_kernel(answer.json["kernel"]["id"])
    return Kernel(server, answer.json, psutil.Process(kernel.provisioner.pid).environ())


async def test_a_prompt_makes_the_session_of_this_notebook(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / "analysis").mkdir()
    kernel = await start_kernel(server, jp_serverapp, "analysis/eda.ipynb")
    none = await kernel.call("GET", "session")
    assert (none.status, none.json["reason"]) == (404, "session_not_found")

    context = [{"type": "output", "label": "Out[1]", "text": "42", "execution_count": 1}]
    body = {"id": "m1", "content": text("why 42?"), "context": context}
    sent = await kernel.call("POST", "prompt", body)
    assert sent.status == 202
    session_id = sent.json["session_id"]
    assert sent.json["turn_id"]
    turn = await server.ask(session_id, "", **body)
    assert answer_of(turn).startswith("Answer to: ")
    message = next(event for event in turn if event["type"] == "user_message")
    assert (message["origin"], message["context"][0]["text"]) == ("magic", "42")

    session = (await kernel.call("GET", "session")).json
    assert session["id"] == session_id
    assert session["notebook"] == {"path": "analysis/eda.ipynb", "kernel_id": kernel.id}
    assert session["workspace"]["path"] == "analysis"
    same = await server.call(
        "POST", "sessions", {"notebook": "analysis/eda.ipynb", "kernel_id": kernel.id}
    )
    assert (same.status, same.json["id"]) == (200, session_id)

    renamed = await server.fetch(
        "PATCH",
        f"{server.url}api/sessions/{kernel.jupyter_session}",
        {"path": "analysis/renamed.ipynb"},
    )
    assert renamed.status == 200
    assert (await kernel.call("GET", "session")).json["notebook"]["path"] == (
        "analysis/renamed.ipynb"
    )
    posted = await kernel.call("POST", "session")
    assert (posted.status, posted.json["id"]) == (200, session_id)
    await kernel.call("POST", "prompt", {**body, "id": "m2"})
    asked = (await server.ask(session_id, "", **{**body, "id": "m2"}))[0]
    assert asked["context"][0]["notebook"] == "analysis/renamed.ipynb"


async def test_cancel_and_events(server: Server, jp_serverapp: Any) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    made = await kernel.call("POST", "session")
    assert made.status == 201
    stream = server.stream("GET", kernel.url("events") + "?after=0", headers=kernel.headers)
    assert (await kernel.call("POST", "cancel")).status == 200
    await kernel.call("POST", "prompt", {"content": text("!hang")})
    await stream.until(lambda event: event["type"] == "turn_started")
    assert (await kernel.call("POST", "cancel")).status == 200
    await stream.until(lambda event: event["type"] == "turn_ended")
    await server.call("POST", f"sessions/{made.json['id']}/end")
    assert ends(await stream.end()) == ["cancelled"]


async def test_a_restarted_kernel_still_has_its_key(server: Server, jp_serverapp: Any) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    made = (await kernel.call("POST", "session")).json
    before = jp_serverapp.kernel_manager.get_kernel(kernel.id).provisioner.pid
    restarted = await server.fetch("POST", f"{server.url}api/kernels/{kernel.id}/restart")
    assert restarted.status == 200
    after = jp_serverapp.kernel_manager.get_kernel(kernel.id).provisioner.pid
    assert after != before
    new = Kernel(server, {"id": "", "kernel": {"id": kernel.id}}, psutil.Process(after).environ())
    assert (await new.call("GET", "session")).json["id"] == made["id"]


async def test_events_from_a_seq_from_the_last_turns_and_from_nowhere(
    server: Server, jp_serverapp: Any
) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    session = (await kernel.call("POST", "session")).json["id"]
    for words in ("A", "B"):
        await server.ask(session, words)
    last = (await server.session(session))["last_seq"]
    for query, first in (("?after=0", "A"), ("?tail=1", "B"), ("", "A")):
        stream = server.stream("GET", kernel.url("events") + query, headers=kernel.headers)
        asked = await stream.until(lambda event: event["type"] == "user_message")
        assert asked["content"] == text(first)
        stream.leave()
    beyond = await kernel.call("GET", f"events?after={last + 1000}")
    assert (beyond.status, beyond.json["reason"]) == (400, "beyond_the_log")


async def test_a_folder_that_runs_things_is_not_entered_unasked(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / ".mcp.json").write_text("{}")
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    refused = await kernel.call("POST", "prompt", {"content": text("hello")})
    assert (refused.status, refused.json["reason"]) == (409, "workspace_untrusted")
    assert refused.json["message"].endswith(".")


async def test_only_the_secret_only_from_kernels_and_only_for_kernels(
    server: Server, jp_serverapp: Any
) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    await kernel.call("POST", "session")
    strangers: list[Mapping[str, str]] = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer \u00e9"},
        {"Authorization": kernel.headers["Authorization"][:-1]},
        {"Authorization": kernel.headers["Authorization"].replace("Bearer", "token")},
        server.headers,
        {**kernel.headers, "Origin": "http://foreign.example"},
        {**kernel.headers, "Origin": server.url.rstrip("/")},
        {**kernel.headers, "Host": "rebound.example"},
    ]
    for headers in strangers:
        for method, name, body in (
            ("GET", "session", None),
            ("POST", "session", None),
            ("POST", "prompt", {"content": text("hello")}),
            ("POST", "cancel", None),
            ("GET", "events", None),
        ):
            answer = await kernel.call(method, name, body, headers)
            assert answer.status == 403, (method, name, headers)
    other = await kernel.call("GET", "session", kernel_id="0000")
    assert (other.status, other.json["reason"]) == (404, "kernel_not_found")
    session = (await kernel.call("GET", "session")).json
    assert session["last_seq"] == 0


async def test_a_kernel_that_runs_no_notebook(server: Server, jp_serverapp: Any) -> None:
    answer = await server.fetch("POST", f"{server.url}api/kernels", {"name": "python3"})
    pid = jp_serverapp.kernel_manager.get_kernel(answer.json["id"]).provisioner.pid
    session = {"id": "", "kernel": {"id": answer.json["id"]}}
    kernel = Kernel(server, session, psutil.Process(pid).environ())
    refused = await kernel.call("POST", "prompt", {"content": text("hello")})
    assert (refused.status, refused.json["reason"]) == (404, "notebook_not_found")


@pytest.fixture
def strict(jp_server_config: dict[str, Any]) -> None:
    jp_server_config["ServerApp"]["allow_unauthenticated_access"] = False


@pytest.mark.usefixtures("strict")
async def test_where_the_server_lets_nobody_in_unauthenticated(
    server: Server, jp_serverapp: Any
) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    assert (await kernel.call("POST", "session")).status == 201
    assert (await kernel.call("POST", "session", headers={})).status == 403
    session = (await kernel.call("GET", "session")).json
    stranger = await server.chat(session["id"], {}, tail=1)
    async with asyncio.timeout(DEADLINE):
        assert await stranger.closed() == 4401


async def test_a_kernel_chooses_among_the_sessions_of_its_folder(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / "other").mkdir()
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    first = (await kernel.call("POST", "session")).json["id"]
    made = await kernel.call("POST", "session", {"new": True, "model": "opus"})
    second = made.json
    foreign = (await server.create(path="other"))["id"]
    listed = (await kernel.call("GET", "sessions")).json
    left = await server.session(first)
    back = await kernel.call("POST", "session", {"session_id": first[:8]})
    elsewhere = await kernel.call("POST", "session", {"session_id": foreign})
    both = await kernel.call("POST", "session", {"session_id": first, "new": True})

    assert (made.status, second["model"]) == (201, "opus")
    assert second["id"] != first
    assert listed["current"] == second["id"]
    assert {one["id"] for one in listed["sessions"]} == {first, second["id"]}
    assert left["notebook"] is None
    assert (back.status, back.json["id"]) == (200, first)
    assert (await kernel.call("GET", "session")).json["id"] == first
    assert (await server.session(second["id"]))["notebook"] is None
    assert (elsewhere.status, elsewhere.json["reason"]) == (404, "no_such_session")
    assert both.status == 400
    for method, name, body in (
        ("GET", f"session?session_id={foreign}", None),
        ("GET", f"events?session_id={foreign}", None),
        ("POST", "prompt", {"content": text("hello"), "session_id": foreign}),
        ("POST", "cancel", {"session_id": foreign}),
    ):
        refused = await kernel.call(method, name, body)
        assert (refused.status, refused.json["reason"]) == (404, "no_such_session"), name
    assert (await server.session(foreign))["last_seq"] == 0


async def test_a_new_session_that_cannot_be_made_leaves_the_old_one_in_place(
    server: Server, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    first = (await kernel.call("POST", "session")).json["id"]
    (jp_root_dir / ".mcp.json").write_text("{}")
    refused = await kernel.call("POST", "prompt", {"content": text("hello"), "new": True})

    assert refused.json["reason"] == "workspace_untrusted"
    assert (await kernel.call("GET", "session")).json["id"] == first


async def test_one_prompt_is_taken_back_and_no_other(server: Server, jp_serverapp: Any) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    running = (await kernel.call("POST", "prompt", {"id": "a", "content": text("!hang")})).json
    queued = (await kernel.call("POST", "prompt", {"id": "b", "content": text("second")})).json
    session = running["session_id"]
    stream = server.stream(
        "GET", kernel.url("events") + f"?after={running['after']}", headers=kernel.headers
    )
    first = await stream.until(lambda event: True)
    await kernel.call("POST", "cancel", {"prompt_id": "b"})
    after_b = await server.session(session)
    await kernel.call("POST", "cancel", {"prompt_id": "unknown"})
    still = await server.session(session)
    await kernel.call("POST", "cancel", {"prompt_id": "a"})
    ended = await stream.until(lambda event: event["type"] == "turn_ended")
    await kernel.call("POST", "cancel", {"prompt_id": "a"})
    stream.leave()

    assert (first["type"], first["message_id"]) == ("user_message", "a")
    assert queued["queued"] == "b"
    assert after_b["queue"] == []
    assert after_b["status"] == still["status"] == "running"
    assert (ended["turn_id"], ended["stop_reason"]) == (running["turn_id"], "cancelled")


async def test_a_kernel_asks_for_less_and_never_grants(server: Server, jp_serverapp: Any) -> None:
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    for more in ({"permission_mode": "acceptEdits"}, {"plan": "bypassPermissions"}, {"yes": True}):
        refused = await kernel.call("POST", "prompt", {"content": text("hello"), **more})
        assert refused.status == 400, more
    planned = await kernel.call("POST", "prompt", {"content": text("!hang"), "plan": True})
    busy = await kernel.call("POST", "prompt", {"content": text("x"), "model": "opus"})
    session = await server.session(planned.json["session_id"])
    await kernel.call("POST", "cancel")

    assert session["permission_mode"] == "plan"
    assert (busy.status, busy.json["reason"]) == (409, "busy")
    assert session["queue"] == []


async def test_a_folder_stands_in_where_there_is_no_notebook(
    server: Server, jp_serverapp: Any, jp_root_dir: Path, tmp_path: Path
) -> None:
    place = jp_root_dir / "a b"
    place.mkdir()
    kernel = await start_kernel(server, jp_serverapp, "eda.ipynb")
    (jp_root_dir / "way-out").symlink_to(tmp_path)

    async def ask(folder: object, name: str = "prompt") -> Answer:
        query = urlencode({"folder": str(folder)})
        return await kernel.call("POST", f"{name}?{query}", {"content": text("x")}, kernel_id="1")

    made = await asyncio.gather(ask(place), ask(place))
    root = await ask(jp_root_dir)
    for outside in (tmp_path, jp_root_dir.parent, jp_root_dir / "way-out", place / ".." / ".."):
        refused = await ask(outside)
        assert (refused.status, refused.json["reason"]) == (403, "outside"), outside
    missing = await ask(jp_root_dir / "nowhere")
    ids = {one.json["session_id"] for one in made}
    session = await server.session(made[0].json["session_id"])
    own = await kernel.call("GET", f"session?{urlencode({'folder': str(place)})}")

    assert len(ids) == 1
    assert (session["workspace"]["path"], session["notebook"]) == ("a b", None)
    assert root.json["session_id"] not in ids
    assert missing.status == 404
    # A kernel of this server has its notebook, wherever it says that it is.
    assert (own.status, own.json["reason"]) == (404, "session_not_found")

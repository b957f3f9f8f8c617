"""The pages, and what they ask about a first run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.lab import Server
from tests.server.test_strangers import page


async def test_a_stranger_is_sent_to_the_login(server: Server) -> None:
    for path in ("sessions", "sessions/nowhere", "manifest.webmanifest", "answers.js"):
        answer = await server.fetch("GET", f"{server.url}agent-lab/{path}", headers={})
        assert answer.status == 302
        assert "/login?next=" in answer.headers["Location"]
        assert b"agent_lab" not in answer.body


async def test_the_page_carries_no_secret_and_no_script(server: Server) -> None:
    token = server.headers["Authorization"].split()[1]
    answer = await server.fetch("GET", f"{server.url}agent-lab/sessions/some-id?token={token}")
    assert answer.status == 200
    html = answer.body.decode()
    assert token not in html
    policy = dict(
        part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    scripts = re.findall(r"<script ([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert [what for what, code in scripts if code and 'type="application/json"' not in what] == []
    (config,) = [json.loads(code) for _, code in scripts if code]
    assert server.url.endswith(config["baseUrl"])


async def test_the_page_s_cookies_let_it_change_things(server: Server) -> None:
    signed_in = await page(server)
    login = {"Cookie": signed_in["Cookie"]}
    answer = await server.fetch("GET", f"{server.url}agent-lab/sessions", headers=login)
    assert answer.status == 200
    made = await server.call("POST", "sessions", {"title": "By a page"}, signed_in)
    assert made.status == 201


async def test_a_name_in_the_host_header_writes_no_policy(server: Server) -> None:
    headers = {**server.headers, "Host": "localhost;script-src *"}
    answer = await server.fetch("GET", f"{server.url}agent-lab/sessions", headers=headers)
    assert "*" not in answer.headers.get("Content-Security-Policy", "")


async def test_the_manifest_stays_below_the_base_url(server: Server) -> None:
    answer = await server.fetch("GET", f"{server.url}agent-lab/manifest.webmanifest")
    assert answer.headers["Content-Type"].startswith("application/manifest+json")
    manifest = answer.json
    base = re.sub(r"^\w+://[^/]+", "", server.url)
    addresses = [manifest["start_url"], manifest["scope"], *(i["src"] for i in manifest["icons"])]
    assert [one for one in addresses if not one.startswith(base)] == []


async def checks_of(server: Server, **query: object) -> dict[str, Any]:
    answer = await server.call("GET", "readiness", None, None, **query)
    assert answer.status == 200, answer.body
    return {one["id"]: one for one in answer.json["checks"]}


async def test_a_folder_that_would_run_something(server: Server, jp_root_dir: Path) -> None:
    (jp_root_dir / "wild").mkdir()
    assert (await checks_of(server, path="wild"))["trust"]["ok"] is True
    settings = jp_root_dir / "wild" / ".mcp.json"
    settings.write_text('{"mcpServers": {"x": {"command": "true"}}}')
    undecided = (await checks_of(server, path="wild"))["trust"]
    assert undecided["ok"] is False
    assert ".mcp.json" in undecided["text"]
    assert undecided["mend"] == {"action": "trust"}
    for decision, ok in ((False, None), (True, True)):
        answer = await server.call("POST", "trust", {"path": "wild", "trust": decision})
        assert answer.status == 204
        assert (await checks_of(server, path="wild"))["trust"]["ok"] is ok
    assert (await server.create(path="wild"))["workspace"]["trusted"]
    settings.write_text('{"mcpServers": {"y": {"command": "false"}}}')
    assert (await checks_of(server, path="wild"))["trust"]["ok"] is False


@pytest.mark.parametrize(("path", "status"), [("nowhere", 404), ("../..", 403)])
async def test_no_other_folder_can_be_asked_about(server: Server, path: str, status: int) -> None:
    assert (await server.call("GET", "readiness", None, None, path=path)).status == status
    answer = await server.call("POST", "trust", {"path": path, "trust": True})
    assert answer.status == status


async def test_the_kernel_of_a_notebook(server: Server, jp_serverapp: Any) -> None:
    assert "kernel" not in await checks_of(server, path="")
    missing = (await checks_of(server, notebook="eda.ipynb"))["kernel"]
    assert (missing["ok"], missing["mend"]) == (False, {"action": "start_kernel"})
    kernels = jp_serverapp.kernel_manager
    kernel_id = await kernels.start_kernel()
    try:
        found = await checks_of(server, notebook="eda.ipynb", kernel_id=kernel_id)
        assert found["kernel"]["ok"] is True
    finally:
        await kernels.shutdown_kernel(kernel_id, now=True)
    found = await checks_of(server, notebook="eda.ipynb", kernel_id=kernel_id)
    assert found["kernel"]["ok"] is False


async def test_an_agent_that_is_not_there(server: Server, lab_config: dict[str, Any]) -> None:
    found = await checks_of(server)
    assert found["agent"]["ok"] is True
    assert {"version", "signed_in", "trust"} <= set(found)


@pytest.fixture
def install(lab_config: dict[str, Any], tmp_path: Path) -> Callable[[], None]:
    """The agent is not there before this is called."""
    program = tmp_path / "not-yet" / "claude"
    lab_config["claude_command"] = [str(program)]

    def make() -> None:
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho 9.9.9\n")
        program.chmod(0o755)

    return make


async def test_an_agent_that_comes_late(install: Callable[[], None], server: Server) -> None:
    missing = (await checks_of(server))["agent"]
    assert missing["ok"] is False
    assert missing["mend"]["command"].startswith("pip install")
    install()
    assert (await checks_of(server))["agent"]["ok"] is False  # asked a moment ago
    found = await checks_of(server, fresh=1)
    assert found["agent"]["ok"] is True
    assert "9.9.9" in found["version"]["text"]
    assert "claude /login" in found["signed_in"]["mend"]["command"]

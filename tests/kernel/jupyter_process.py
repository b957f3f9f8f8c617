"""A real Jupyter server in a process of its own, with its real kernels, for tests from outside."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jupyter_client.blocking.client import BlockingKernelClient
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

PROJECT = Path(__file__).parents[2]
FAKE_AGENT = PROJECT / "tests" / "fakes" / "fake_agent.py"
TOKEN = "not-a-secret"
PATIENCE_SECONDS = 30

Json = Any


def scratch_environment(folder: Path) -> dict[str, str]:
    """Ours, with every folder of Jupyter, IPython and claude below `folder`."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGENT_LAB_", "JPY_", "JUPYTER", "ANTHROPIC", "CLAUDE"))
    }
    return {
        **ours,
        "PYTHONPATH": str(PROJECT),
        "HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "CLAUDE_CONFIG_DIR": str(folder / "claude"),
        "FAKE_AGENT_HOME": str(folder / "claude" / "projects" / "fake"),
    }


@dataclass
class Ran:
    """What one cell sent back."""

    status: str
    outputs: list[Json]
    reply: Json

    @property
    def text(self) -> str:
        """Everything a person would read; a stream that came in pieces is one."""
        found: list[str] = []
        last = None
        for output in self.outputs:
            data = output.get("data", {})
            said = output.get("text") or data.get("text/plain") or output.get("evalue") or ""
            name = output.get("name")
            if found and name is not None and name == last:
                found[-1] += said
            else:
                found.append(said)
            last = name
        return "\n".join(part.rstrip("\n") for part in found)

    @property
    def result(self) -> str:
        """The text of the last line's value."""
        return str(self.outputs[-1]["data"]["text/plain"])


class Kernel:
    """One kernel, spoken to as a notebook does."""

    path = ""
    """Of its notebook, where a server has it."""
    session_id = ""
    """Jupyter's."""

    def __init__(self, connection_file: Path) -> None:
        self.client = BlockingKernelClient(connection_file=str(connection_file))
        self.client.load_connection_file()
        self.client.start_channels(hb=False)  # a thread each, whose end must be waited for
        self.begun, self.ahead, self.sent = datetime.now(UTC), 0.0, 0
        self.others: list[Json] = []
        self.updates: list[Json] = []
        self.replies: dict[str, Json] = {}
        self._wait_until_heard()

    def _wait_until_heard(self) -> None:
        """`wait_for_ready` takes a kernel for dead that needs more than a second to start."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.client.kernel_info()
            try:
                self.client.get_iopub_msg(timeout=0.5)
                return
            except queue.Empty:
                assert time.monotonic() < until, "the kernel does not answer"

    def close(self) -> None:
        self.client.stop_channels()
        self.client.context.destroy(linger=0)

    def run(self, code: str, cell_id: str | None = None, *, attended: bool = True) -> Ran:
        """One cell, as by a person in a notebook; with the id "" as in a console."""
        return self.result_of(self.send(code, cell_id, attended=attended))

    def run_all(self, *cells: str) -> list[Ran]:
        """Cells that are sent at once, as a notebook sends all of its cells."""
        sent = [self.send(code, pause=0.001 if at else 1.0) for at, code in enumerate(cells)]
        return [self.result_of(one) for one in sent]

    def send(
        self, code: str, cell_id: str | None = None, *, attended: bool = True, pause: float = 1.0
    ) -> str:
        """Send a cell and return the id of the message. `pause`: seconds since the last one, as the
        client's clock shows them."""
        self.sent += 1
        self.ahead += pause
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": attended}
        cell_id = f"cell-{self.sent}" if cell_id is None else cell_id
        metadata = {"cellId": cell_id} if cell_id else {}
        request = self.client.session.msg("execute_request", content, metadata=metadata)
        request["header"]["date"] = self.begun + timedelta(seconds=self.ahead)
        self.client.shell_channel.send(request)
        return str(request["header"]["msg_id"])

    def result_of(self, mine: str) -> Ran:
        """What a cell that was sent does, to its end."""
        outputs: list[Json] = []
        while True:
            message = self._message(mine)
            kind, said = message["msg_type"], message["content"]
            if kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append(said)
            if kind == "update_display_data":
                self.updates.append(said["data"])
            if kind == "status" and said["execution_state"] == "idle":
                break
        while mine not in self.replies:
            reply = self.client.get_shell_msg(timeout=PATIENCE_SECONDS)
            self.replies[reply["parent_header"].get("msg_id")] = reply
        reply = self.replies.pop(mine)
        return Ran(reply["content"]["status"], outputs, reply["content"])

    def first_output(self, mine: str) -> Json:
        """The data of the first thing that a cell shows; the cell may go on."""
        while True:
            message = self._message(mine)
            if message["msg_type"] == "display_data":
                return message["content"]["data"]

    def _message(self, mine: str) -> Json:
        """The next message that a request caused; those of others are kept for them."""
        for number, message in enumerate(self.others):
            if message["parent_header"].get("msg_id") == mine:
                return self.others.pop(number)
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE_SECONDS)
            if message["parent_header"].get("msg_id") == mine:
                return message
            if message["msg_type"] == "update_display_data":
                self.updates.append(message["content"]["data"])
            else:
                self.others.append(message)

    def updated(self) -> str:
        """The text of the next output that changes in place."""
        return str(self.update()["text/plain"])

    def update(self) -> Json:
        while not self.updates:
            self.next_update()
        return self.updates.pop(0)

    def next_update(self) -> None:
        """Read on until one more output has changed in place."""
        known = len(self.updates)
        while len(self.updates) == known:
            message = self.client.get_iopub_msg(timeout=PATIENCE_SECONDS)
            if message["msg_type"] == "update_display_data":
                self.updates.append(message["content"]["data"])
            else:
                self.others.append(message)


@dataclass
class Jupyter:
    """The running server. `root` is what it serves, `folder` holds all its files."""

    url: str
    folder: Path
    root: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)

    def call(self, method: str, route: str, body: Json = None) -> Json:
        with self.open(method, route, body) as response:
            data = response.read()
            assert response.status < 300, (response.status, data, self.log[-20:])
        return json.loads(data) if data else None

    @contextmanager
    def open(
        self, method: str, route: str, body: Json = None, accept: str = "application/json"
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS
        )
        try:
            connection.request(
                method,
                parts.path + route,
                None if body is None else json.dumps(body),
                {"Authorization": f"token {TOKEN}", "Accept": accept},
            )
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def notebook(self, path: str) -> Kernel:
        """A new notebook with a running kernel."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
        session = self.call(
            "POST",
            "api/sessions",
            {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}},
        )
        kernel = Kernel(self.folder / "runtime" / f"kernel-{session['kernel']['id']}.json")
        kernel.path, kernel.session_id = path, session["id"]
        self.kernels.append(kernel)
        return kernel

    def end(self, kernel: Kernel) -> None:
        """Shut a notebook's kernel down, if the test has not done it."""
        self.kernels.remove(kernel)
        kernel.close()
        with self.open("DELETE", f"api/sessions/{kernel.session_id}") as response:
            assert response.status in (204, 404, 410), response.status

    async def _command(self, session_id: str, command: Json) -> Json:
        parts = urlsplit(self.url)
        address = f"ws://{parts.netloc}{parts.path}agent-lab/sessions/{session_id}/chat?tail=1"
        request = HTTPRequest(
            address.replace("agent-lab/sessions", "agent-lab/api/sessions"),
            headers={"Authorization": f"token {TOKEN}"},
        )
        socket = await websocket_connect(request)
        try:
            await socket.write_message(json.dumps({"id": "mine", **command}))
            while True:
                answer = json.loads(await socket.read_message() or "null")
                if answer.get("id") == "mine":
                    return answer
        finally:
            socket.close()
            while await socket.read_message() is not None:  # until it is closed
                pass

    def command(self, session_id: str, command: Json) -> None:
        """Send a command on the session's WebSocket, as a panel does."""
        answer = asyncio.run(self._command(session_id, command))
        assert answer["type"] == "ack", answer

    def asked(self, kernel: Kernel, words: str) -> list[Json]:
        """The events of the turn of this notebook's session whose prompt has these words."""
        return self.turn(self.session_of(kernel.path)["id"], words)

    def session_of(self, path: str) -> Json:
        found = self.call("GET", "agent-lab/api/sessions")["sessions"]
        return next(each for each in found if each["notebook"] and each["notebook"]["path"] == path)

    def events(self, session_id: str, until: Callable[[Json], bool]) -> list[Json]:
        """The session's log up to the first event that `until` is true for."""
        route = f"agent-lab/api/sessions/{quote(session_id)}/events?after=0&follow=1"
        found: list[Json] = []
        with self.open("GET", route, accept="text/event-stream") as response:
            for line in response:
                if line.startswith(b"data:"):
                    found.append(json.loads(line[5:]))
                    if until(found[-1]):
                        return found
        raise AssertionError(f"the log ended after {found[-3:]}")

    def turn(self, session_id: str, asked: str) -> list[Json]:
        """The events of the turn whose prompt contains `asked`, from it to its end."""
        turn_ids: set[str] = set()

        def ended(event: Json) -> bool:
            if event["type"] == "user_message" and asked in json.dumps(event["content"]):
                turn_ids.add(event["turn_id"])
            return event["type"] == "turn_ended" and event["turn_id"] in turn_ids

        return [event for event in self.events(session_id, ended) if event["turn_id"] in turn_ids]


@contextmanager
def jupyter_server(
    folder: Path,
    base_url: str = "/",
    root: Path | None = None,
    *,
    agent_lab: bool = True,
    agent: Sequence[str] = (sys.executable, str(FAKE_AGENT)),
    variables: Mapping[str, str] | None = None,
) -> Iterator[Jupyter]:
    """A server with the fake agent for its agent; ended with its kernels and agents. `variables`
    are added to its environment."""
    root = root or folder / "root"
    for each in (root, folder / "home"):
        each.mkdir(parents=True, exist_ok=True)
    environment = scratch_environment(folder) | dict(variables or {})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    enabled = {"agent_lab": agent_lab}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "jupyter_server",
            f"--ServerApp.jpserver_extensions={enabled}",
            f"--ServerApp.root_dir={root}", f"--ServerApp.base_url={base_url}",
            "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
            "--ServerApp.open_browser=False", "--ServerApp.allow_root=True",
            f"--IdentityProvider.token={TOKEN}",
            f"--AgentLab.data_dir={folder / 'sessions'}",
            f"--AgentLab.claude_command={list(agent)}",
        ],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server = Jupyter("", folder, root, environment, process)
    ready = threading.Event()
    # A daemon: a server that a failed end leaves behind must not keep the tests from ending.
    reader = threading.Thread(target=_read_log, args=(server, ready), daemon=True)
    reader.start()
    try:
        assert ready.wait(PATIENCE_SECONDS), server.log
        assert server.url, server.log
        _wait_until_it_listens(urlsplit(server.url).port or 80)
        yield server
    finally:
        with ExitStack() as rest:
            rest.callback(reader.join)
            rest.callback(_end, process)
            for kernel in server.kernels:
                rest.callback(kernel.close)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_until_it_listens(port: int) -> None:
    """The server names its address a moment before it listens, and says nothing after."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < until
            select.select([], [], [], 0.02)


def _read_log(server: Jupyter, ready: threading.Event) -> None:
    assert server.process.stderr is not None
    with server.process.stderr as lines:
        for line in lines:
            server.log.append(line)
            if "http://127.0.0.1:" in line and not server.url:
                server.url = line.split()[-1].partition("?")[0]
                ready.set()
    ready.set()

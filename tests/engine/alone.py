"""One process that has its own engine: how it is started, spoken to, and what is left of it."""

from __future__ import annotations

import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # it tells no types
import psutil

from tests.kernel.jupyter_process import PATIENCE_SECONDS, Kernel
from tests.kernel.test_terminals import Terminal

Json = Any


@dataclass
class Alone:
    work: Path
    data: Path
    environment: Mapping[str, str]

    @contextmanager
    def terminal(self, **variables: str) -> Iterator[Terminal]:
        program = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--simple-prompt", "--ext=agent_lab"],
            env={**self.environment, **variables},
            cwd=str(self.work),
            encoding="utf-8",
            dimensions=(50, 200),
        )
        try:
            yield Terminal(program)
        finally:
            program.close(force=True)

    @contextmanager
    def kernel(self) -> Iterator[tuple[Kernel, subprocess.Popen[bytes]]]:
        """An ipykernel and its client. It is ended as a frontend does, if it was not before."""
        file = self.work.parent / f"kernel-{time.monotonic_ns()}.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "ipykernel_launcher", "-f", str(file)],
            env=dict(self.environment),
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: file.exists() and file.stat().st_size > 0)
            kernel = Kernel(file)
            try:
                yield kernel, process
                if process.poll() is None:
                    kernel.client.shutdown()
                    process.wait(PATIENCE_SECONDS)
            finally:
                kernel.close()
        finally:
            process.kill()
            process.wait(PATIENCE_SECONDS)

    def agents(self) -> list[int]:
        """The processes that an agent of this place is, or has started."""
        home = self.environment["CLAUDE_CONFIG_DIR"]
        found = []
        for process in psutil.process_iter():
            try:
                seen = process.environ()
                mine = seen.get("CLAUDE_CONFIG_DIR") == home and "AGENT_LAB_MARKER" in seen
                if mine and process.status() != "zombie":
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


def wait_until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)


class Widget:
    """The front end of an `AgentChat()`: its state, and what is said to it and by it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.said: list[Json] = []
        ran = kernel.run("from agent_lab import AgentChat\nchat = AgentChat()\nchat")
        assert ran.status == "ok", ran.text
        view = "application/vnd.jupyter.widget-view+json"
        self.id = next(
            output["data"][view]["model_id"]
            for output in reversed(ran.outputs)
            if view in output.get("data", {})
        )

    def tell(self, **content: Json) -> None:
        told = {"comm_id": self.id, "data": {"method": "custom", "content": content}}
        message = self.kernel.client.session.msg("comm_msg", told)
        self.kernel.client.shell_channel.send(message)

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The first message to the front end that is wanted; those before it are taken as read."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            while self.said:
                content = self.said.pop(0)
                if wanted(content):
                    return content
            assert time.monotonic() < until
            self._read()

    def _read(self) -> None:
        try:
            message = self.kernel.client.get_iopub_msg(timeout=1)
        except queue.Empty:
            return
        content = message["content"]
        if message["msg_type"] == "comm_msg" and content["comm_id"] == self.id:
            data = content["data"]
            if data.get("method") == "custom":
                self.said.append(data["content"])

    def request(self, method: str, path: str, body: str = "", *, id: int = 1) -> Json:
        self.tell(kind="request", id=id, method=method, path=path, body=body)
        return self.until(lambda one: one["kind"] == "response" and one["id"] == id)

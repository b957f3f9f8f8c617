"""Find a running Jupyter server and speak its REST interface; faults become sentences."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import psutil
from jupyter_core.paths import jupyter_runtime_dir
from msgspec import Struct

from agent_lab.protocol.errors import AgentLabError, NotFound, Unavailable

TIMEOUT_SECONDS = 30.0
SILENCE_SECONDS = 60.0
"""A server says something on every event stream each 15 s, however long the agent thinks."""

_S = TypeVar("_S")


class _Running(Struct, frozen=True):
    """What a Jupyter server writes about itself into the runtime folder."""

    url: str
    pid: int
    token: str = ""
    root_dir: str = ""
    password: bool = False
    sock: str = ""


class _Refusal(Struct, frozen=True):
    message: str = ""
    reason: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One server's `agent-lab/api`. `root` None: it was named by its address, not found.

    Every call raises AgentLabError with a sentence that names the next step.
    """

    url: str
    token: str
    root: Path | None

    def get(self, route: str, answer: type[_S], query: Mapping[str, str] | None = None) -> _S:
        path = f"{route}?{urlencode(query)}" if query else route
        return self._decode("GET", path, None, answer)

    def post(self, route: str, answer: type[_S], body: object) -> _S:
        return self._decode("POST", route, body, answer)

    def _decode(self, method: str, route: str, body: object, answer: type[_S]) -> _S:
        with self.open(method, route, body) as response:
            data = response.read()
        try:
            return msgspec.json.decode(data, type=answer)
        except msgspec.DecodeError:
            raise self._strange(200) from None

    @contextmanager
    def open(
        self, method: str, route: str, body: object = None, accept: str = "application/json"
    ) -> Iterator[http.client.HTTPResponse]:
        """A response that is still to be read."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        data = None if body is None else msgspec.json.encode(body)
        path = f"{parts.path.rstrip('/')}/agent-lab/api/{route}"
        connection = kind(parts.hostname or "localhost", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            if response.status >= 300:
                raise self._error(response.status, response.read())
            if accept == "text/event-stream" and connection.sock is not None:
                connection.sock.settimeout(SILENCE_SECONDS)
            yield response
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, BrokenPipeError):
                raise  # our own standard output
            raise Unavailable(
                f"The Jupyter server at {self.url} cannot be reached ({error or 'no answer'}). "
                "Start it with `jupyter lab`, or name another one with --server."
            ) from None
        finally:
            connection.close()

    def _error(self, status: int, data: bytes) -> AgentLabError:
        try:
            refusal = msgspec.json.decode(data, type=_Refusal)
        except msgspec.DecodeError:
            refusal = _Refusal()
        if refusal.reason == "workspace_untrusted":
            files = f" ({', '.join(refusal.files)})" if refusal.files else ""
            return AgentLabError(f"{refusal.message.rstrip()}{files} Decide in the Agent panel.")
        if refusal.reason and status not in (401, 403):
            kind = NotFound if status == 404 else AgentLabError
            return kind(refusal.message, refusal.reason)
        if status == 404:
            return NotFound(
                f"The Jupyter server at {self.url} runs without Agent Lab. Install agent-lab where "
                "it runs, restart it, and see `jupyter agent-lab doctor`.",
                "no_agent_lab",
            )
        if status in (401, 403):
            said = refusal.message or f"The Jupyter server at {self.url} does not let us in."
            return AgentLabError(
                f"{said} From here, give its token: --server '{self.url}?token=…' "
                "(`jupyter server list` shows it).",
                "forbidden",
            )
        return self._strange(status)

    def _strange(self, status: int) -> AgentLabError:
        return AgentLabError(
            f"The Jupyter server at {self.url} answered something we cannot read (HTTP {status}). "
            "Its log says more."
        )


def find_server(address: str | None) -> Server:
    """The server at `address`, else the running one that serves this folder, else the only one.

    Raises NotFound or AgentLabError naming what to start or to choose from.
    """
    if address is not None:
        return _at(address)
    running = list(_running())
    if not running:
        raise NotFound("No Jupyter server is running here. Start one with `jupyter lab`.")
    here = Path.cwd().resolve()
    serving = [found for found in running if _serves(found, here)]
    serving.sort(key=lambda found: len(_root(found).parts), reverse=True)
    if serving:
        return _server(serving[0])
    if len(running) == 1:
        return _server(running[0])
    listed = "\n".join(f"  {found.url}  serves {found.root_dir}" for found in running)
    raise AgentLabError(f"None of the running servers serves this folder. Name one:\n{listed}")


def _at(address: str) -> Server:
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        known = False
    if not known:
        raise AgentLabError(f"{address!r} is no server's address, such as http://localhost:8888/.")
    token = parse_qs(parts.query).get("token", [""])[0]
    url = parts._replace(query="", fragment="").geturl()
    for found in _running():
        if found.url.rstrip("/") == url.rstrip("/"):
            return Server(url, token or found.token, _root(found))
    return Server(url, token or os.environ.get("JUPYTER_TOKEN", ""), None)


def _running() -> Iterator[_Running]:
    """As `jupyter_server.serverapp.list_running_servers` does, whose import takes half a second."""
    for file in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        try:
            found = msgspec.json.decode(file.read_bytes(), type=_Running)
        except (OSError, msgspec.DecodeError):  # just being written or removed
            continue
        if psutil.pid_exists(found.pid) and not found.sock:
            yield found


def _root(found: _Running) -> Path:
    return Path(found.root_dir).expanduser().resolve()


def _serves(found: _Running, folder: Path) -> bool:
    root = _root(found)
    return root == folder or root in folder.parents


def _server(found: _Running) -> Server:
    return Server(found.url, found.token or os.environ.get("JUPYTER_TOKEN", ""), _root(found))

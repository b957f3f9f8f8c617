"""Carry a kernel's requests to the server that started it, over the kernel routes.

Only the standard library speaks HTTP here, and on first use: this is imported into every person's
kernel. No proxy is asked, because the server is the one whose child this kernel is.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from agent_lab.kernel import own
from agent_lab.protocol.asking import Question, Sent, Sessions
from agent_lab.protocol.errors import AgentLabError, NotFound, Unavailable
from agent_lab.protocol.events import Event, Session, decode_event

if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT_SECONDS = 15.0
"""How long the server may take for one answer: the first question also makes the session."""

SILENCE_SECONDS = 60.0
"""A server says something on every event stream each 15 s, however long the agent thinks."""

_S = TypeVar("_S")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KERNEL_FILE = re.compile(r"kernel-(.+)\.json\Z")


class NoServer(AgentLabError):
    """Nothing of ours started this kernel, or it does not answer any more."""

    http_status = 503
    default_reason = "no_server"


class _Refusal(Struct, frozen=True):
    message: str = ""
    reason: str = ""
    files: tuple[str, ...] = ()


class Events(Protocol):
    """The events of a session, one after another; `close` ends them from any thread."""

    def __iter__(self) -> Iterator[Event]: ...
    def close(self) -> None: ...


class Door(Protocol):
    """What this side asks of whoever has the sessions. From any thread; every call raises
    AgentLabError with a sentence that names the next step."""

    @property
    def is_own(self) -> bool:
        """Are the sessions in this very process?"""
        ...

    def session(self, session_id: str = "") -> Session | None: ...
    def open_session(self) -> Session: ...
    def resume(self, session_id: str) -> Session: ...
    def sessions(self) -> Sessions: ...
    def prompt(self, question: Question) -> Sent: ...
    def cancel(self, session_id: str = "", prompt_id: str = "") -> None: ...
    def follow(self, session_id: str, after: int) -> Events: ...


@dataclass(frozen=True, slots=True)
class KernelClient:
    """One kernel's door to its server. Stateless, so it may be used from any thread.

    `folder`: where it works, for a kernel that runs no notebook of the server. Every call raises
    AgentLabError (NoServer, Unavailable, or what the server said) with a sentence that names the
    next step.
    """

    url: str
    secret: str
    kernel_id: str
    folder: str = ""

    @property
    def is_own(self) -> bool:
        return False

    def session(self, session_id: str = "") -> Session | None:
        """The session of this kernel, or that one; None: there is none yet."""
        try:
            return self._call("GET", "session", Session, query={"session_id": session_id})
        except NotFound as error:
            if error.reason == "session_not_found":
                return None
            raise

    def open_session(self) -> Session:
        """The session of this kernel, made when there is none."""
        return self._call("POST", "session", Session, {})

    def resume(self, session_id: str) -> Session:
        """Make that session this kernel's own, live again when it had ended."""
        return self._call("POST", "session", Session, {"session_id": session_id})

    def sessions(self) -> Sessions:
        """Those of this kernel's folder."""
        return self._call("GET", "sessions", Sessions)

    def prompt(self, question: Question) -> Sent:
        return self._call("POST", "prompt", Sent, question)

    def cancel(self, session_id: str = "", prompt_id: str = "") -> None:
        """Cancel the running turn, or take that prompt back; idle: nothing happens."""
        self._call("POST", "cancel", Any, {"session_id": session_id, "prompt_id": prompt_id})

    def follow(self, session_id: str, after: int) -> Stream:
        """The events of a session later than a seq, then live."""
        return Stream(self, session_id, after)

    def _call(
        self,
        method: str,
        route: str,
        answer: type[_S] | Any,
        body: object = None,
        query: Mapping[str, str] | None = None,
    ) -> _S:
        status, data = self._exchange(method, route, body, query or {})
        try:
            if status < 300:
                return msgspec.json.decode(data or b"null", type=answer)
        except msgspec.DecodeError:
            raise self._strange(status) from None
        raise self.refusal(status, data)

    def refusal(self, status: int, data: bytes) -> AgentLabError:
        """What the server said instead of an answer."""
        try:
            return _error(status, msgspec.json.decode(data, type=_Refusal))
        except msgspec.DecodeError:
            return self._strange(status)

    def _strange(self, status: int) -> AgentLabError:
        return Unavailable(
            f"The answer of {self.url} (HTTP {status}) is not one of Agent Lab's. Install the "
            "same version of agent-lab for this kernel and for the server.",
            "not_understood",
        )

    def lost(self, error: BaseException) -> NoServer:
        return NoServer(
            f"The Jupyter server at {self.url} cannot be reached ({error or 'no answer'}). "
            "Start it again (`jupyter lab`), then open this notebook there."
        )

    def connection(self, timeout: float) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname or "localhost", parts.port, timeout=timeout)

    def path(self, route: str, query: Mapping[str, str]) -> str:
        """A route's address on the connection; empty values of the query are left out."""
        base = urlsplit(self.url).path.rstrip("/")
        asked = {"folder": self.folder, **query}
        said = urlencode(
            [(name, value) for name, value in asked.items() if value], errors="surrogateescape"
        )
        path = f"{base}/agent-lab/kernel/{quote(self.kernel_id or '-', safe='')}/{route}"
        return f"{path}?{said}" if said else path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}

    def _exchange(
        self, method: str, route: str, body: object, query: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """One request on a connection of its own; returns status and body."""
        from http.client import HTTPException

        data = None if body is None else _encoded(body)
        connection = self.connection(TIMEOUT_SECONDS)
        try:
            connection.request(method, self.path(route, query), data, self.headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            raise Unavailable(
                f"The Jupyter server at {self.url} did not answer within {TIMEOUT_SECONDS:.0f} s. "
                "It may be busy: see in the Agent panel whether this arrived before trying again.",
                "timeout",
            ) from None
        except (OSError, HTTPException) as error:
            raise self.lost(error) from None
        finally:
            connection.close()


class Stream:
    """The events of a session on one connection, which `close` ends from any thread.

    Iterating raises NoServer when the connection is cut, AgentLabError when the server refuses; it
    ends when the server has no more, or dropped a reader that was too slow.
    """

    def __init__(self, client: KernelClient, session_id: str, after: int) -> None:
        self._client = client
        self._path = client.path("events", {"session_id": session_id, "after": str(after)})
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Event]:
        from http.client import HTTPException

        connection = self._client.connection(TIMEOUT_SECONDS)
        with self._lock:
            if self._closed.is_set():
                return
            self._connection = connection
        try:
            connection.request("GET", self._path, headers=self._client.headers)
            with connection.getresponse() as response:
                if response.status >= 300:
                    raise self._client.refusal(response.status, response.read())
                if connection.sock is not None:
                    connection.sock.settimeout(SILENCE_SECONDS)
                for line in response:
                    if self._closed.is_set():
                        return
                    if line.startswith(b"data:"):
                        yield decode_event(line[5:])
        except (OSError, ValueError, HTTPException) as error:
            if not self._closed.is_set():
                raise self._client.lost(error) from None
        finally:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already


def _encoded(body: object) -> bytes:
    """As JSON. A lone surrogate, as in the name of a file that is not UTF-8, is shown by its code:
    JSON cannot carry it."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(body), ensure_ascii=False)
        return _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()


def _error(status: int, refusal: _Refusal) -> AgentLabError:
    """The server's refusal as our exception, its sentence made fit for somebody in a notebook."""
    message = refusal.message or f"The server refused this (HTTP {status})."
    if refusal.reason == "workspace_untrusted":
        files = f" ({', '.join(refusal.files)})" if refusal.files else ""
        message = f"{message.rstrip()}{files} Open the Agent panel of this notebook to decide."
    elif status in (401, 403) and refusal.reason != "outside":
        message = (
            "The server does not accept this kernel's key: it was restarted since the kernel "
            "started, or another one has its place. Restart the kernel."
        )
    kind = NotFound if status == 404 else AgentLabError
    return kind(message, refusal.reason or None)


def connect() -> Door:
    """The door of this very kernel: to the server that started it, else to an engine of its own.

    A server that is away for a moment is not replaced: the conversation would be in two places.
    Raises NoServer with what to start.
    """
    server = server_door()
    if server is not None:
        return server
    # Half of what a server gives its kernels is a server's kernel still.
    door = own.door() if "AGENT_LAB_URL" not in os.environ else None
    if door is None:
        raise NoServer(
            "Neither this kernel nor this terminal was started by a Jupyter server with Agent Lab, "
            "and there is no claude that could be started here, so there is no agent to ask. "
            "Install one (`pip install 'agent-lab[claude]'`), or install Agent Lab where Jupyter "
            "runs, start `jupyter lab` and open this notebook there."
        )
    return door


def server_door() -> KernelClient | None:
    """The door to the server that started this kernel, None: none of ours did."""
    url, secret = os.environ.get("AGENT_LAB_URL"), os.environ.get("AGENT_LAB_KERNEL_SECRET")
    if not url or not secret:
        return None
    return KernelClient(url, secret, kernel_id() or "", _folder())


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return ""


def kernel_id() -> str | None:
    """The id under which the server knows this kernel, or None outside of one.

    Read from the connection file's name: JPY_SESSION_NAME is stale after a rename.
    """
    if "ipykernel.kernelapp" not in sys.modules:
        return None  # a terminal's IPython, which need not import it
    try:
        from ipykernel.connect import get_connection_file

        found = _KERNEL_FILE.match(PurePath(get_connection_file()).name)
    except (ImportError, RuntimeError, OSError):
        return None
    return found[1] if found else None

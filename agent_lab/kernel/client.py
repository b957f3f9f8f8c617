"""Carry a kernel's requests to the server that started it, over the kernel routes.

Only the standard library speaks HTTP here: this is imported into every person's kernel. No proxy is
asked, because the server is the one whose child this kernel is.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from agent_lab.protocol.errors import AgentLabError, NotFound, Unavailable
from agent_lab.protocol.events import ContextItem, Session, TextBlock

TIMEOUT_SECONDS = 15.0
"""How long the server may take for one answer: the first question also makes the session."""

_S = TypeVar("_S")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KERNEL_FILE = re.compile(r"kernel-(.+)\.json\Z")


class NoServer(AgentLabError):
    """Nothing of ours started this kernel, or it does not answer any more."""

    http_status = 503
    default_reason = "no_server"


class Sent(Struct, frozen=True):
    """What became of a question: a turn, or a place in the queue."""

    session_id: str
    turn_id: str | None = None
    queued: str | None = None


class _Refusal(Struct, frozen=True):
    message: str = ""
    reason: str = ""
    files: tuple[str, ...] = ()


class _Question(Struct, frozen=True):
    id: str
    content: tuple[TextBlock, ...]
    context: tuple[ContextItem, ...]


@dataclass(frozen=True, slots=True)
class KernelClient:
    """One kernel's door to its server. Stateless, so it may be used from any thread.

    Every call raises AgentLabError (NoServer, Unavailable, or what the server said) with a sentence
    that names the next step.
    """

    url: str
    secret: str
    kernel_id: str

    def session(self) -> Session | None:
        """The session of this kernel's notebook; None: there is none yet."""
        try:
            return self._call("GET", "session", Session)
        except NotFound as error:
            if error.reason == "session_not_found":
                return None
            raise

    def open_session(self) -> Session:
        """The session of this kernel's notebook, made when there is none."""
        return self._call("POST", "session", Session, {})

    def prompt(self, prompt_id: str, text: str, context: tuple[ContextItem, ...]) -> Sent:
        """Ask. The same `prompt_id` twice is one turn."""
        content = (TextBlock(text),) if text else ()
        return self._call("POST", "prompt", Sent, _Question(prompt_id, content, context))

    def cancel(self) -> None:
        """Cancel the running turn; idle: nothing happens."""
        self._call("POST", "cancel", Any, {})

    def _call(self, method: str, route: str, answer: type[_S] | Any, body: object = None) -> _S:
        status, data = self._exchange(method, route, body)
        try:
            if status < 300:
                return msgspec.json.decode(data or b"null", type=answer)
            refusal = msgspec.json.decode(data, type=_Refusal)
        except msgspec.DecodeError:
            raise Unavailable(
                f"The answer of {self.url} (HTTP {status}) is not one of Agent Lab's. Install the "
                "same version of agent-lab for this kernel and for the server.",
                "not_understood",
            ) from None
        raise _error(status, refusal)

    def _exchange(self, method: str, route: str, body: object) -> tuple[int, bytes]:
        """One request on a connection of its own; returns status and body."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        path = f"{parts.path.rstrip('/')}/agent-lab/kernel/{quote(self.kernel_id, safe='')}/{route}"
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        data = None if body is None else _encoded(body)
        connection = kind(parts.hostname or "localhost", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            raise Unavailable(
                f"The Jupyter server at {self.url} did not answer within {TIMEOUT_SECONDS:.0f} s. "
                "It may be busy: see in the Agent panel whether this arrived before trying again.",
                "timeout",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise NoServer(
                f"The Jupyter server at {self.url} cannot be reached ({error}). "
                "Start it again (`jupyter lab`), then open this notebook there."
            ) from None
        finally:
            connection.close()


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
    elif status in (401, 403):
        message = (
            "The server does not accept this kernel's key: it was restarted since the kernel "
            "started, or another one has its place. Restart the kernel."
        )
    kind = NotFound if status == 404 else AgentLabError
    return kind(message, refusal.reason or None)


def connect(environment: Mapping[str, str] | None = None) -> KernelClient:
    """The door of this very kernel. Raises NoServer with what to start."""
    seen = os.environ if environment is None else environment
    url, secret = seen.get("AGENT_LAB_URL"), seen.get("AGENT_LAB_KERNEL_SECRET")
    kernel = kernel_id()
    if not url or not secret or kernel is None:
        raise NoServer(
            "This kernel was not started by a Jupyter server with Agent Lab, so there is no agent "
            "to ask. Install it where Jupyter runs (`pip install agent-lab`), start `jupyter lab` "
            "and open this notebook there."
        )
    return KernelClient(url, secret, kernel)


def kernel_id() -> str | None:
    """The id under which the server knows this kernel, or None outside of one.

    Read from the connection file's name: JPY_SESSION_NAME is stale after a rename.
    """
    try:
        from ipykernel.connect import get_connection_file

        found = _KERNEL_FILE.match(PurePath(get_connection_file()).name)
    except (ImportError, RuntimeError, OSError):
        return None
    return found[1] if found else None

"""The commands that talk to a running server: one function each, from arguments to an exit code."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from agent_lab.cli.client import Server
from agent_lab.cli.text import inert, say, table
from agent_lab.protocol import events
from agent_lab.protocol.errors import AgentLabError
from agent_lab.protocol.events import Session, TextBlock


class _Agent(Struct, frozen=True):
    id: str
    name: str
    installed: bool
    version: str | None = None
    signed_in: bool | None = None
    install: str = ""
    sign_in: str = ""
    problem: str | None = None


class _Agents(Struct, frozen=True):
    agents: tuple[_Agent, ...]


class _Sessions(Struct, frozen=True):
    sessions: tuple[Session, ...]
    cursor: str | None = None


class _Accepted(Struct, frozen=True):
    turn_id: str | None = None
    queued: str | None = None


def agents(server: Server) -> int:
    """List the agents. 1 when none is ready."""
    found = server.get("agents", _Agents).agents
    rows = [("AGENT", "VERSION", "STATE")]
    rows += [(agent.id, agent.version or "-", _state(agent)) for agent in found]
    say(table(rows))
    return 0 if any(agent.installed and not agent.problem for agent in found) else 1


def _state(agent: _Agent) -> str:
    if not agent.installed:
        return f"not installed: {agent.install}"
    if agent.problem:
        return agent.problem
    if agent.signed_in is False:
        return f"not signed in: {agent.sign_in}"
    return "ready" if agent.signed_in else "installed; it cannot be told whether it is signed in"


def sessions(server: Server, search: str) -> int:
    found = server.get("sessions", _Sessions, {"q": search, "limit": "50"})
    if not found.sessions:
        say(f"No session matches {search!r}." if search else "No sessions yet.")
        return 0
    rows = [("ID", "STATUS", "UPDATED", "FOLDER", "TITLE")]
    for session in found.sessions:
        folder, updated = session.workspace.path or ".", session.updated_at[:16].replace("T", " ")
        rows.append((session.id, session.status, updated, folder, " ".join(session.title.split())))
    say(table(rows))
    if found.cursor is not None:
        say("There are more. Search for words: jupyter agent-lab sessions WORDS")
    return 0


def send(server: Server, text: str, session_id: str | None, path: Path | None, follow: bool) -> int:
    """Ask. Prints the session's id; with `follow` the answer, and then 1 means that it failed."""
    if not text.strip():
        raise AgentLabError("There is nothing to send: the text is empty.")
    if session_id is None:
        session_id = server.post("sessions", Session, {"path": _folder(server, path)}).id
    route = f"sessions/{quote(session_id, safe='')}/prompt"
    body = {
        "id": str(uuid.uuid4()),
        "origin": "cli",
        "content": [{"type": "text", "text": text}],
        "context": [],
    }
    if not follow:
        accepted = server.post(route, _Accepted, body)
        say(session_id)
        if accepted.queued:
            sys.stderr.write("The agent is busy; this waits in its queue.\n")
        return 0
    sys.stderr.write(f"Session {session_id}\n")
    try:
        with server.open("POST", route, body, accept="text/event-stream") as response:
            return _print_turn(response)
    except KeyboardInterrupt:
        sys.stderr.write("\nThe turn goes on without us; the Agent panel shows it.\n")
        return 130


def _folder(server: Server, path: Path | None) -> str:
    """The folder as the server names it: relative to its root."""
    folder = (path or Path.cwd()).resolve()
    if server.root is None:
        return path.as_posix() if path is not None else ""
    if folder != server.root and server.root not in folder.parents:
        raise AgentLabError(
            f"{folder} lies outside of {server.root}, which the server at {server.url} serves. "
            "Name a folder inside with --path, or another server with --server."
        )
    relative = folder.relative_to(server.root).as_posix()
    return "" if relative == "." else relative


def _print_turn(response: HTTPResponse) -> int:
    """Print a turn's answer as it comes, and on standard error what happens beside it."""
    at_start = True
    shown: dict[str, str] = {}
    for event in _events(response):
        text, note = "", ""
        match event.body:
            case events.AgentMessageChunk(message_id=message, text=text):
                shown[message] = shown.get(message, "") + text
            case events.AgentMessage(message_id=message, content=content):
                text = _unseen(
                    "".join(part.text for part in content if isinstance(part, TextBlock)),
                    shown.pop(message, ""),
                )
            case events.ToolCall(title=title, status="in_progress"):
                note = f"* {title}"
            case events.PermissionRequest(title=title):
                note = f"? Waiting for you in the Agent panel: {title}"
            case events.Notice(text=note):
                pass
            case events.TurnEnded(stop_reason=stop, error=error):
                if not at_start:
                    say()
                if error is not None:
                    sys.stderr.write(inert(error.message) + "\n")
                elif stop != "end_turn":
                    sys.stderr.write(f"The turn ended early: {stop.replace('_', ' ')}.\n")
                return 0 if stop == "end_turn" else 1
            case _:
                continue
        if note:
            sys.stderr.write(f"{'' if at_start else chr(10)}{inert(note)}\n")
            at_start = True
        if text:
            say(text, end="")
            at_start = text.endswith("\n")
    raise AgentLabError("The connection ended before the turn did. The Agent panel shows the rest.")


def _unseen(message: str, shown: str) -> str:
    """What of a finished message is not on the screen yet. It stands for its last chunks too: those
    that were not sent when it came never are."""
    if message.startswith(shown):
        return f"{message[len(shown) :]}\n" if message else ""
    # A part that was taken back stays above: a terminal forgets nothing.
    return f"\n{message}\n" if message else "\n"


def _events(response: HTTPResponse) -> Iterator[events.Event]:
    """The events of a stream; the server puts each into one line."""
    for line in response:
        if line.startswith(b"data:"):
            yield events.decode_event(line[5:].strip())


def export(server: Server, session_id: str, kind: str, output: Path | None) -> int:
    route = f"sessions/{quote(session_id, safe='')}/export?format={kind}"
    with server.open("GET", route) as response:
        if output is None:
            shutil.copyfileobj(response, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return 0
        try:
            with output.open("wb") as file:
                shutil.copyfileobj(response, file)
        except OSError as error:
            raise AgentLabError(f"{output} cannot be written: {error.strerror}.") from None
    return 0

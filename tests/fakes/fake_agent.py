#!/usr/bin/env python3
"""Stand in for the `claude` program at the far end of stdin and stdout, and misbehave on demand.

It speaks the same structured mode (shapes as in the recordings under tests/transcripts/claude) and
accepts claude's flags. A fault is named in argv (`--crash-after 5`), in the environment variable
FAKE_AGENT (same words), or in one prompt (`!crash-after 5`, `!tokens 20 rate 50`).
`recall` lists the prompts of the conversation; any other prompt P is answered with `Answer to: P`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

VERSION = "2.1.327"
MODEL = "claude-opus-5-5"
MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan")
CHILD_SECONDS = "600"  # a forgotten child ends by itself
MEGABYTE = 1_000_000
ODD_TEXT = (
    "lone \ud800 high, \udc00 low, NUL \x00, bidi \u202eabc\u202c, isolate \u2066x\u2069, "
    "zero\u200bwidth\u200djoiner\ufeff, combining e\u0301, "
    "emoji \U0001f469\u200d\U0001f52c\U0001f9ea, line\u2028paragraph\u2029, "
    "controls \x07\x08\x1b, U+FFFE \ufffe"
)
ANSI_TEXT = (
    "\x1b[31mred\x1b[0m \x1b[2J\x1b[Hcleared \x1b]8;;http://127.0.0.1:9/\x1b\\link\x1b]8;;\x1b\\ "
    "\x1b]52;c;ZmFrZQ==\x07 \x1b]0;title\x07 \x9b31mC1 plain"
)

# Every switch: the type of its value (None for a plain switch) and what it does.
SWITCHES: dict[str, tuple[type | None, str]] = {
    "ansi": (None, "answer with colour codes, an OSC 8 link, OSC 52 clipboard and a title"),
    "bad-api": (int, "CODE (401, 403, 429, 500, 529): retries, then a turn that failed at the API"),
    "bash": (str, "CMD: the turn runs CMD as its Bash tool, in its own process group"),
    "bash-child": (None, f"the Bash tool is `sleep {CHILD_SECONDS}` in a session of its own"),
    "crash-after": (int, "N: kill -9 itself after N text deltas (0: as the turn starts)"),
    "crlf": (None, "end lines with CR LF"),
    "daemonise": (None, "leave a double-forked child in a session of its own running"),
    "exit-at-start": (int, "CODE: one line on stderr, then exit CODE before reading anything"),
    "flood-stderr": (int, "MB: write so much to stderr before the answer"),
    "half-line": (None, "stop in the middle of a JSON line and exit 1"),
    "hang": (None, "take prompts, answer none of them (interrupt works)"),
    "hang-start": (None, "never answer `initialize`"),
    "huge-line": (int, "MB: one text delta of that size; the finished message is short"),
    "ignore-end": (None, "ignore end_session and the end of stdin"),
    "ignore-interrupt": (None, "do not answer interrupt requests, go on"),
    "ignore-sigterm": (None, "ignore SIGTERM and SIGHUP"),
    "merge": (None, "collect the lines of a turn and write them at once"),
    "no-read": (None, "stop reading stdin"),
    "noise": (None, "debug lines, blank lines, arrays and unknown types between the real lines"),
    "permission": (None, "ask the host before the tool runs (the tool is Bash `echo fake`)"),
    "rate": (float, "R: deltas per second for --tokens (default 50, 0: unpaced)"),
    "recall": (None, "answer with a JSON list of all prompts of this conversation"),
    "split-bytes": (int, "N: write in pieces of N bytes"),
    "surrogates": (None, "answer with lone surrogates, NUL, bidi, zero width, emoji"),
    "thinking": (None, "think before answering"),
    "tokens": (int, "N: stream N deltas `w<i>«t=<monotonic ns>» `"),
    "unasked": (None, "after the turn, a second one that nobody asked for"),
}
FLAGS_WITH_VALUE = {
    "--session-id", "--resume", "-r", "--model", "--permission-mode", "--output-format",
    "--input-format", "--permission-prompt-tool", "--setting-sources", "--settings",
    "--mcp-config", "--append-system-prompt", "--system-prompt", "--fallback-model", "--effort",
    "--max-turns", "--max-budget-usd", "--allowedTools", "--disallowedTools", "--add-dir",
    "--agents", "--tools", "--betas", "--plugin-dir",
}  # fmt: skip

Json = dict[str, Any]  # wire objects of the program imitated: their shape is the test's subject
Faults = dict[str, Any]


def parse_faults(words: Iterable[str]) -> tuple[Faults, list[str]]:
    """Take the switches out of `words`; return them and the words that are no switch.

    Raises ValueError for a missing or wrong value.
    """
    faults: Faults = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if name not in SWITCHES:
            rest.append(word)
            if word in FLAGS_WITH_VALUE and queue:
                rest.append(queue.pop(0))
            continue
        kind = SWITCHES[name][0]
        if kind is None:
            faults[name] = True
        elif equals or queue:
            faults[name] = kind(value if equals else queue.pop(0))
        else:
            raise ValueError(f"--{name} needs a value")
    return faults, rest


def parse_prompt(text: str) -> Faults:
    if not text.startswith("!"):
        return {}
    import shlex  # only here: a fast start matters

    try:
        return parse_faults(shlex.split(text[1:]))[0]
    except ValueError:
        return {}  # no switch after all: the answer quotes it, which a test notices


class Output:
    """Lines to stdout, whole or mutilated. One lock: control answers come beside a turn."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.lock = threading.Lock()
        self.held: list[bytes] | None = None
        self.count = 0

    def line(self, message: Json) -> None:
        try:
            data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # lone surrogates travel as \\ud800, as in JavaScript
            data = json.dumps(message, separators=(",", ":")).encode()
        data += b"\r\n" if self.faults.get("crlf") else b"\n"
        with self.lock:
            self.count += 1
            if self.faults.get("noise"):
                data = self.noise() + data
            if self.held is not None:
                self.held.append(data)
            else:
                self.write(data)

    def noise(self) -> bytes:
        return (
            b"[DEBUG] 12:00:00 cache miss {not json}\n",
            b"\n   \n",
            b'["an","array"]\n',
            b'{"type":"telemetry_v9","payload":{"deep":[1,2,3]}}\n',
            b'{"no_type":true}\n',
            b"42\nnull\n",
            b'{"type":"system","subtype":"from_the_future","note":"x"}\n',
        )[self.count % 7]

    def write(self, data: bytes) -> None:
        size = self.faults.get("split-bytes") or len(data)
        view = memoryview(data)
        for start in range(0, len(data), size):
            piece = view[start : start + size]
            while piece:
                piece = piece[os.write(1, piece) :]

    def hold(self) -> None:
        with self.lock:
            self.held = []

    def release(self) -> None:
        with self.lock:
            held, self.held = self.held, None
            if held:
                self.write(b"".join(held))


class Stopped(Exception):
    """The turn was interrupted."""


class Agent:
    def __init__(self, faults: Faults, argv: list[str]) -> None:
        self.base = faults
        self.out = Output(dict(faults))
        self.changed = threading.Condition(threading.RLock())
        self.queue: list[Json] = []
        self.answers: dict[str, Json] = {}
        self.asked: dict[str, Json] = {}
        self.prompts: list[str] = []
        self.seen: set[str] = set()
        self.stop = threading.Event()
        self.running = False
        self.stop_next = False
        self.at_end = False
        self.child = 0
        self.model = option(argv, "--model") or MODEL
        self.mode = option(argv, "--permission-mode") or "default"
        self.states = os.environ.get("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS") == "1"
        self.results = 0
        self.failed = False
        self.messages = 0
        self.total = 0.0
        self.models: Json = {}
        self.since: Json = {}
        self.session = self.open_session(argv)

    # -- conversation file --------------------------------------------------------------------

    def folder(self) -> Path:
        configured = os.environ.get("FAKE_AGENT_HOME") or os.environ.get("CLAUDE_CONFIG_DIR")
        if configured:
            return Path(configured)
        return Path(os.environ.get("TMPDIR", "/tmp")) / f"fake-agent-{os.getuid()}"

    def open_session(self, argv: list[str]) -> str:
        """Choose and load the conversation; exits 1 as claude does for a bad or used id."""
        self.folder().mkdir(parents=True, exist_ok=True)
        chosen = option(argv, "--session-id")
        resumed = option(argv, "--resume") or option(argv, "-r")
        for name in filter(None, (chosen, resumed)):
            try:
                uuid.UUID(name)
            except ValueError:
                self.refuse_start("Error: Invalid session ID. Must be a valid UUID.")
        if resumed is None:
            session = chosen or str(uuid.uuid4())
            if (self.folder() / f"{session}.jsonl").exists():
                self.refuse_start(f"Error: Session ID {session} is already in use.")
            return session
        source = self.folder() / f"{resumed}.jsonl"
        if not source.exists():
            sentence = f"No conversation found with session ID: {resumed}"
            self.session = resumed
            self.out.line(
                {"type": "result", "subtype": "error_during_execution", "duration_ms": 0,
                 "duration_api_ms": 0, "is_error": True, "num_turns": 0, "stop_reason": None,
                 "session_id": resumed, "total_cost_usd": 0, "usage": usage(0, empty=True),
                 "modelUsage": {}, "permission_denials": [], "uuid": str(uuid.uuid4()),
                 "errors": [sentence], "result_index": 0}
            )  # fmt: skip
            self.refuse_start(sentence)
        session = resumed
        if "--fork-session" in argv:
            session = chosen or str(uuid.uuid4())
            (self.folder() / f"{session}.jsonl").write_bytes(source.read_bytes())
        for text in source.read_text("utf-8", "surrogatepass").splitlines():
            entry: Json = json.loads(text)
            if entry["type"] == "prompt":
                self.prompts.append(entry["text"])
                self.seen.update(filter(None, [entry["uuid"]]))
            elif entry["type"] == "cost-state":
                self.total, self.models = entry["total"], entry["models"]
        return session

    def refuse_start(self, sentence: str) -> NoReturn:
        os.write(2, sentence.encode() + b"\n")
        os._exit(1)

    def remember(self, **entry: Any) -> None:
        with (self.folder() / f"{self.session}.jsonl").open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")

    # -- input --------------------------------------------------------------------------------

    def read(self) -> None:
        """Read stdin to its end. Runs on the main thread, so signals are handled at once."""
        pending = b""
        while not self.base.get("no-read"):
            data = os.read(0, 1 << 20)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self.take(line)
        if self.base.get("no-read") or self.base.get("ignore-end"):
            while True:
                time.sleep(0.1)  # pause() misses a signal that comes just before it
        if pending.strip():
            self.take(pending)
        with self.changed:
            self.at_end = True
            self.changed.notify_all()

    def take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except ValueError as error:
            self.refuse_start(f"Error parsing streaming input line: {line[:80]!r}: {error}")
        if not isinstance(message, dict):
            return
        match message.get("type"):
            case "user":
                self.take_prompt(message)
            case "control_request":
                self.control(message["request_id"], message.get("request") or {})
            case "control_response":
                response = message.get("response") or {}
                with self.changed:
                    if response.get("request_id") in self.asked:
                        self.answers[response["request_id"]] = response
                        self.changed.notify_all()
            case _:
                pass

    def take_prompt(self, message: Json) -> None:
        if (message.get("message") or {}).get("role") != "user":
            self.refuse_start("Error: Expected message role 'user', got 'undefined'")
        marker = message.get("uuid")
        if marker in self.seen:
            return
        if marker:
            self.seen.add(marker)
        faults = parse_prompt(text_of(message))
        if faults.get("no-read"):
            self.base["no-read"] = True
        with self.changed:
            if self.states and not self.running and not self.queue:
                self.state("running")
            self.lifecycle(marker, "queued")
            self.queue.append(message)
            self.changed.notify_all()

    def control(self, request_id: str, request: Json) -> None:
        subtype = request.get("subtype")
        answer: Json | None = {}
        beside: Json = {}
        match subtype:
            case "initialize":
                if self.base.get("hang-start"):
                    return
                answer, beside = self.introduction()
            case "interrupt":
                if self.base.get("ignore-interrupt"):
                    return
                answer = self.interrupt(bool(request.get("cancel_queued")))
            case "set_model":
                self.model = request.get("model") or MODEL
                text = f"<local-command-stdout>Set model to `{self.model}`</local-command-stdout>"
                self.out.line(
                    {"type": "user", "message": {"role": "user", "content": text},
                     "session_id": self.session, "parent_tool_use_id": None,
                     "uuid": str(uuid.uuid4()), "timestamp": now(), "isReplay": True}
                )  # fmt: skip
                answer = {"model": self.model}
            case "set_permission_mode":
                mode = {"manual": "default"}.get(request.get("mode", ""), request.get("mode"))
                if mode not in MODES or mode == "bypassPermissions":
                    known = mode in MODES
                    sentence = (
                        "Cannot set permission mode to bypassPermissions because the session was "
                        "not launched with --dangerously-skip-permissions"
                        if known
                        else f"Cannot set permission mode: must be one of {', '.join(MODES)}"
                    )
                    code = "bypass_not_launched" if known else "invalid_mode"
                    self.refuse(request_id, sentence, code)
                    return
                self.set_mode(str(mode))
                answer = {"mode": mode}
            case "get_context_usage":
                answer = self.context_usage()
            case "cancel_async_message":
                answer = {"cancelled": self.withdraw(request.get("message_uuid"))}
            case "mcp_status":
                answer = {"mcpServers": []}
            case "set_max_thinking_tokens" | "apply_flag_settings":
                answer = None
            case "end_session":
                if self.base.get("ignore-end"):
                    return
                self.respond(request_id, None)
                self.leave(1 if self.child else 0)
            case _:
                self.refuse(
                    request_id,
                    f"Unsupported control request subtype: {subtype}",
                    "unsupported_request",
                )
                return
        self.respond(request_id, answer, beside)

    def introduction(self) -> tuple[Json, Json]:
        names = ("compact", "context", "cost", "clear", "review")
        model = {"displayName": "Opus", "description": "A fake model", "supportsEffort": True,
                 "supportedEffortLevels": ["low", "medium", "high"], "resolvedModel": MODEL,
                 "supportsAdaptiveThinking": True, "supportsFastMode": False,
                 "supportsAutoMode": True, "supportsThinkingOff": False}  # fmt: skip
        reply = {
            "commands": [
                {"name": name, "description": f"Fake /{name}", "argumentHint": ""} for name in names
            ],
            "agents": [{"name": "general-purpose", "description": "A fake sub-agent"}],
            "output_style": "default",
            "available_output_styles": ["default"],
            "models": [
                {"value": "default", **model, "displayName": "Default (recommended)"},
                {"value": "opus", **model},
            ],
            "account": {
                "tokenSource": "none",
                "apiKeySource": "ANTHROPIC_API_KEY",
                "apiProvider": "firstParty",
            },
            "pid": os.getpid(),
            "claude_code_version": VERSION,
            "current_permission_mode": self.mode,
            "session_state": "running" if self.running else "idle",
            "capabilities": ["ui_surface_v1"],
        }
        with self.changed:
            pending = list(self.asked.values())
        return reply, {
            "pending_permission_requests": pending,
            "pending_user_dialog_requests": [],
        }

    def interrupt(self, cancel_queued: bool) -> Json:
        with self.changed:
            queued = [message["uuid"] for message in self.queue if message.get("uuid")]
            answer: Json = {"still_queued": queued}
            if cancel_queued:
                self.queue.clear()
                for marker in queued:
                    self.lifecycle(marker, "cancelled")
                answer = {"still_queued": [], "cancelled": queued}
            if self.running:
                self.stop.set()
                for request_id in self.asked:
                    self.out.line({"type": "control_cancel_request", "request_id": request_id})
                self.changed.notify_all()
            elif self.queue:  # as in claude: a prompt just sent is stopped, though still "queued"
                self.stop_next = True
            return answer

    def withdraw(self, marker: object) -> bool:
        with self.changed:
            for message in self.queue:
                if message.get("uuid") == marker:
                    self.queue.remove(message)
                    self.lifecycle(marker, "cancelled")
                    return True
        return False

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self.system("status", status=None, permissionMode=mode)

    def context_usage(self) -> Json:
        used = 2154 + 25 * len(self.prompts)
        return {
            "categories": [
                {"id": "system_prompt", "name": "System prompt", "tokens": used,
                 "color": "promptBorder", "kind": "used"},
                {"id": "free_space", "name": "Free space", "tokens": 1_000_000 - used,
                 "color": "promptBorder", "kind": "free"},
            ],
            "totalTokens": used, "maxTokens": 1_000_000, "rawMaxTokens": 1_000_000,
            "autocompactSource": "model-default", "percentage": 0, "gridRows": [],
            "model": self.model, "memoryFiles": [], "mcpTools": [], "mcpInstructions": [],
            "agents": [], "autoCompactThreshold": 967_000, "isAutoCompactEnabled": True,
            "apiUsage": None,
        }  # fmt: skip

    # -- output -------------------------------------------------------------------------------

    def respond(self, request_id: str, answer: Json | None, beside: Json | None = None) -> None:
        response: Json = {"subtype": "success", "request_id": request_id}
        if answer is not None:
            response["response"] = answer
        self.out.line({"type": "control_response", "response": response | (beside or {})})

    def refuse(self, request_id: str, sentence: str, code: str) -> None:
        self.out.line(
            {"type": "control_response",
             "response": {"subtype": "error", "request_id": request_id, "error": sentence,
                          "error_code": code}}
        )  # fmt: skip

    def system(self, subtype: str, **fields: Any) -> None:
        self.out.line(
            {"type": "system", "subtype": subtype, **fields, "session_id": self.session,
             "uuid": str(uuid.uuid4())}
        )  # fmt: skip

    def state(self, state: str) -> None:
        if self.states:
            self.system("session_state_changed", state=state)

    def lifecycle(self, marker: object, state: str) -> None:
        if marker:
            self.out.line(
                {"type": "command_lifecycle", "command_uuid": marker, "state": state,
                 "uuid": str(uuid.uuid4()), "session_id": self.session}
            )  # fmt: skip

    # -- turns --------------------------------------------------------------------------------

    def serve(self) -> None:
        """Run turns until stdin ends. Runs on its own thread."""
        while True:
            with self.changed:
                while not self.queue and not self.at_end:
                    self.changed.wait()
                if not self.queue:
                    break
                # claude merges what was queued, but a switch belongs to one turn
                batch = [self.queue.pop(0)]
                while self.queue and not parse_prompt(text_of(self.queue[0])):
                    if parse_prompt(text_of(batch[0])):
                        break
                    batch.append(self.queue.pop(0))
                self.running = True
                self.stop.clear()
                if self.stop_next:
                    self.stop.set()
                self.stop_next = False
                for message in batch:
                    self.lifecycle(message.get("uuid"), "started")
            prompt = "\n".join(text_of(message) for message in batch)
            turn = Turn(self, prompt, [message["uuid"] for message in batch if message.get("uuid")])
            for message in batch:
                self.prompts.append(text_of(message))
                self.remember(type="prompt", text=text_of(message), uuid=message.get("uuid"))
            if batch[0].get("shouldQuery") is False:
                turn.only_note()
            else:
                turn.run()
                if turn.faults.get("unasked"):
                    self.running = True
                    self.state("running")
                    Turn(self, "unasked", [], unasked=True).run()
        self.leave(1 if self.failed else 0)

    def leave(self, code: int) -> NoReturn:
        if self.child:
            kill_group(self.child)
        self.remember(type="cost-state", total=self.total, models=self.models)
        os._exit(code)


class Turn:
    """One turn: from `init` to `result`."""

    def __init__(self, agent: Agent, prompt: str, uuids: list[str], unasked: bool = False) -> None:
        self.agent = agent
        self.prompt = prompt
        self.uuids = uuids
        self.unasked = unasked
        self.faults = agent.base | ({} if unasked else parse_prompt(prompt))
        self.started = time.monotonic()
        self.calls = 0
        self.finished = 0
        self.deltas = 0
        self.tokens = 0
        self.denials: list[Json] = []
        self.folded: list[str] = []
        self.text = ""
        self.first = True
        self.message_id = ""

    def run(self) -> None:
        agent, faults = self.agent, self.faults
        agent.out.faults = faults
        if faults.get("merge"):
            agent.out.hold()
        self.init()
        outcome: Json
        try:
            if faults.get("crash-after") == 0:
                kill_self()
            self.requesting()
            if faults.get("flood-stderr"):
                flood(faults["flood-stderr"])
            if faults.get("daemonise"):
                daemonise(agent.folder() / "children")
            if faults.get("hang") or faults.get("no-read"):
                agent.stop.wait()
                raise Stopped
            if faults.get("bad-api"):
                outcome = self.api_error(int(faults["bad-api"]))
            else:
                self.answer()
                outcome = {
                    "subtype": "success", "is_error": False, "terminal_reason": "completed",
                    "stop_reason": "end_turn", "api_error_status": None, "result": self.text,
                }  # fmt: skip
        except Stopped:
            outcome = self.interrupted()
        self.end(outcome)

    def only_note(self) -> None:
        self.init()
        self.end(
            {"subtype": "success", "is_error": False, "terminal_reason": "completed",
             "stop_reason": None, "api_error_status": None, "result": "", "num_turns": 0}
        )  # fmt: skip

    def marked(self) -> Json:
        return {"user_message_uuids": self.uuids} if self.uuids else {}

    def init(self) -> None:
        self.agent.system(
            "init", cwd=str(Path.cwd()), tools=["Task", "AskUserQuestion", "Bash", "Edit", "Read"],
            mcp_servers=[], model=self.agent.model, permissionMode=self.agent.mode,
            slash_commands=["compact", "context", "cost", "clear", "review"],
            apiKeySource="ANTHROPIC_API_KEY", claude_code_version=VERSION, output_style="default",
            agents=["general-purpose"], skills=[], plugins=[],
            capabilities=["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"],
            **self.marked(),
        )  # fmt: skip

    def requesting(self) -> None:
        self.agent.system("status", status="requesting", **self.marked())

    def stream(self, event: Json, **extra: Any) -> None:
        self.agent.out.line(
            {"type": "stream_event", "event": event, "session_id": self.agent.session,
             "parent_tool_use_id": None, "uuid": str(uuid.uuid4()), **extra,
             "api_message_id": self.message_id}
        )  # fmt: skip

    def assistant(self, block: Json, **extra: Any) -> None:
        self.agent.out.line(
            {"type": "assistant",
             "message": {"id": self.message_id, "type": "message", "role": "assistant",
                         "model": self.agent.model, "content": [block], "stop_reason": None,
                         "stop_sequence": None, "usage": call_usage(1), "context_management": None},
             "parent_tool_use_id": None, "session_id": self.agent.session,
             "uuid": str(uuid.uuid4()), "timestamp": now(), **extra, **self.first_marks()}
        )  # fmt: skip

    def first_marks(self) -> Json:
        if not (self.first and self.uuids):
            return {}
        self.first = False
        return {"user_message_uuid": self.uuids[0], "user_message_uuids": self.uuids}

    def user(self, content: list[Json], **extra: Any) -> None:
        self.agent.out.line(
            {"type": "user", "message": {"role": "user", "content": content},
             "parent_tool_use_id": None, "session_id": self.agent.session,
             "uuid": str(uuid.uuid4()), "timestamp": now(), **extra}
        )  # fmt: skip

    def call_start(self) -> None:
        self.calls += 1
        self.agent.messages += 1
        self.message_id = f"msg_{uuid.uuid4().hex[:12]}"
        marks = {"user_message_uuid": self.uuids[0], **self.marked()} if self.uuids else {}
        self.stream(
            {"type": "message_start",
             "message": {"id": self.message_id, "type": "message", "role": "assistant",
                         "model": self.agent.model, "content": [], "stop_reason": None,
                         "stop_sequence": None, "usage": call_usage(1)}},
            ttft_ms=1, **marks,
        )  # fmt: skip

    def call_end(self, stop_reason: str, output: int) -> None:
        self.tokens += output
        self.finished += 1
        self.stream(
            {"type": "message_delta",
             "delta": {"stop_reason": stop_reason, "stop_sequence": None},
             "usage": {k: v for k, v in call_usage(output).items() if k != "service_tier"}}
        )  # fmt: skip
        self.stream({"type": "message_stop"})

    def answer(self) -> None:
        faults = self.faults
        if any(faults.get(name) for name in ("permission", "bash", "bash-child")):
            self.use_tool()
        self.call_start()
        index = 0
        if faults.get("thinking"):
            self.think(index)
            index += 1
        self.stream({"type": "content_block_start", "index": index,
                     "content_block": {"type": "text", "text": ""}})  # fmt: skip
        try:
            self.speak(index)
        except Stopped:
            self.assistant({"type": "text", "text": self.text}, aborted=True)
            raise
        self.assistant({"type": "text", "text": self.text})
        self.stream({"type": "content_block_stop", "index": index})
        self.call_end("end_turn", max(12, self.deltas))

    def think(self, index: int) -> None:
        self.stream({"type": "content_block_start", "index": index,
                     "content_block": {"type": "thinking", "thinking": "",
                                       "signature": ""}})  # fmt: skip
        words = ["let ", "me ", "think ", "about ", "it "]
        for number, word in enumerate(words, 1):
            self.agent.system("thinking_tokens", estimated_tokens=number, estimated_tokens_delta=1)
            self.stream({"type": "content_block_delta", "index": index,
                         "delta": {"type": "thinking_delta", "thinking": word}},
                        thinking_display="updates")  # fmt: skip
        self.stream({"type": "content_block_delta", "index": index,
                     "delta": {"type": "signature_delta", "signature": "ZmFrZQ=="}})  # fmt: skip
        self.assistant(
            {"type": "thinking", "thinking": "".join(words), "signature": "ZmFrZQ=="},
            thinking_duration_ms=1,
        )
        self.stream({"type": "content_block_stop", "index": index})

    def speak(self, index: int) -> None:
        """Write the text of the answer as deltas; raises Stopped between two of them."""
        faults = self.faults
        if faults.get("huge-line"):
            size = int(faults["huge-line"]) * MEGABYTE
            self.delta(index, "x" * size)
            self.text = f"(one delta of {size} bytes)"
            return
        if faults.get("tokens"):
            count, rate = int(faults["tokens"]), float(faults.get("rate", 50.0))
            begin = time.monotonic()
            for number in range(count):
                wait = begin + number / rate - time.monotonic() if rate else 0
                if self.agent.stop.wait(wait) if wait > 0 else self.agent.stop.is_set():
                    raise Stopped
                self.delta(index, f"w{number}«t={time.monotonic_ns()}» ")
            return
        if faults.get("surrogates"):
            text = ODD_TEXT
        elif faults.get("ansi"):
            text = ANSI_TEXT
        elif faults.get("recall"):
            text = json.dumps(self.agent.prompts[:-1])
        elif self.unasked:
            text = "Nobody asked for this turn."
        else:
            text = f"Answer to: {self.prompt}"
            if self.prompt == "recall":
                text = "You said: " + "; ".join(self.agent.prompts)
        words = text.split(" ")
        for number, word in enumerate(words):
            if self.agent.stop.is_set():
                raise Stopped
            self.delta(index, word if number == len(words) - 1 else word + " ")
            if faults.get("half-line"):
                self.half_line(index)
        wanted = int(faults.get("crash-after", 0))
        while self.deltas < wanted:  # the answer was shorter than the crash is late
            self.delta(index, "more ")

    def delta(self, index: int, text: str) -> None:
        self.stream({"type": "content_block_delta", "index": index,
                     "delta": {"type": "text_delta", "text": text}})  # fmt: skip
        self.text += text if len(text) < MEGABYTE else ""
        self.deltas += 1
        if self.deltas == self.faults.get("crash-after"):
            self.agent.out.release()
            kill_self()

    def half_line(self, index: int) -> NoReturn:
        self.agent.out.release()
        os.write(
            1,
            b'{"type":"stream_event","event":{"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"text_delta","te' % index,
        )
        os._exit(1)

    # -- the tool -----------------------------------------------------------------------------

    def use_tool(self) -> None:
        command = self.faults.get("bash") or "echo fake"
        if self.faults.get("bash-child"):
            command = f"exec sleep {CHILD_SECONDS}"
        tool_id = f"toolu_{uuid.uuid4().hex[:12]}"
        block: Json = {"type": "tool_use", "id": tool_id, "name": "Bash",
                 "input": {"command": command, "description": "a fake tool call"}}  # fmt: skip
        self.call_start()
        self.stream({"type": "content_block_start", "index": 0,
                     "content_block": {**block, "input": {}}})  # fmt: skip
        self.stream({"type": "content_block_delta", "index": 0,
                     "delta": {"type": "input_json_delta",
                               "partial_json": json.dumps(block["input"])}})  # fmt: skip
        self.assistant(block)
        self.stream({"type": "content_block_stop", "index": 0})
        self.call_end("tool_use", 12)
        given: Json = block["input"]
        if self.faults.get("permission"):
            self.agent.out.release()  # a question that is held back can never be answered
            decision = self.ask(tool_id, given)
            if decision.get("behavior") != "allow":
                self.reject(tool_id, given, str(decision.get("message", "")))
                if decision.get("interrupt"):
                    raise Stopped
                self.fold_in()
                return
            given = decision.get("updatedInput") or given
            source = "user_permanent" if decision.get("updatedPermissions") else "user_temporary"
            for change in decision.get("updatedPermissions") or []:
                if change.get("type") == "setMode":
                    self.agent.set_mode(change["mode"])
        else:
            source = "config"
        code, output = self.execute(given["command"])
        content = output if code == 0 else f"Exit code {code}\n{output}"
        self.user(
            [{"tool_use_id": tool_id, "type": "tool_result", "content": content,
              "is_error": code != 0}],
            tool_use_result={"stdout": output, "stderr": "", "interrupted": False, "isImage": False,
                             "noOutputExpected": False} if code == 0 else f"Error: {content}",
            tool_result_meta=[
                {"id": tool_id, "permission_decision": {"decision": "accept", "source": source}}
            ],
        )  # fmt: skip
        self.fold_in()
        self.requesting()

    def ask(self, tool_id: str, given: Json) -> Json:
        agent = self.agent
        request_id = str(uuid.uuid4())
        command = given["command"]
        request = {
            "type": "control_request", "request_id": request_id,
            "request": {
                "subtype": "can_use_tool", "tool_name": "Bash", "display_name": "Bash",
                "input": given, "description": given["description"],
                "permission_suggestions": [
                    {"type": "addRules",
                     "rules": [{"toolName": "Bash", "ruleContent": f"{command} *"}],
                     "behavior": "allow", "destination": "localSettings"},
                    {"type": "setMode", "mode": "acceptEdits", "destination": "session"},
                ],
                "tool_use_id": tool_id,
            },
        }  # fmt: skip
        with agent.changed:
            agent.asked[request_id] = request
            agent.state("requires_action")
            agent.out.line(request)
            while request_id not in agent.answers and not agent.stop.is_set() and not agent.at_end:
                agent.changed.wait()
            del agent.asked[request_id]
            agent.state("running")
            response = agent.answers.pop(request_id, None)
        if agent.stop.is_set():
            self.reject(tool_id, given, "")
            raise Stopped
        if response is None:
            return {"behavior": "deny", "message": "Tool permission stream closed"}
        if response.get("subtype") != "success":
            return {"behavior": "deny", "message": str(response.get("error"))}
        decision: Json = response.get("response") or {}
        return decision

    def reject(self, tool_id: str, given: Json, message: str) -> None:
        text = message or (
            "The user doesn't want to proceed with this tool use. The tool use was rejected."
        )
        self.denials.append({"tool_name": "Bash", "tool_use_id": tool_id, "tool_input": given})
        self.user(
            [{"type": "tool_result", "content": text, "is_error": True, "tool_use_id": tool_id}],
            tool_use_result="User rejected tool use" if not message else f"Error: {message}",
            tool_result_meta=[{"id": tool_id, "non_execution_kind": "user-rejected"}],
        )

    def execute(self, command: str) -> tuple[int, str]:
        """Run a command as claude does: own session, marks in its environment."""
        import subprocess  # only here: a fast start matters

        agent = self.agent
        marks = {"CLAUDE_PID": str(os.getpid()), "CLAUDE_CODE_SESSION_ID": agent.session,
                 "CLAUDECODE": "1"}  # fmt: skip
        agent.out.release()
        child = subprocess.Popen(
            ["/bin/sh", "-c", command], start_new_session=True, env=os.environ | marks,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        agent.child = child.pid
        note_child(agent.folder() / "children", child.pid)

        def kill_when_stopped() -> None:
            agent.stop.wait()
            if child.poll() is None:
                kill_group(child.pid)

        threading.Thread(target=kill_when_stopped, name="stop the tool", daemon=True).start()
        output = child.communicate()[0].decode(errors="replace").removesuffix("\n")
        agent.child = 0
        if agent.stop.is_set():
            raise Stopped
        return child.returncode, output

    def fold_in(self) -> None:
        """Prompts that came while the tool ran join this turn, as in claude."""
        agent = self.agent
        with agent.changed:
            taken = [m for m in agent.queue if not parse_prompt(text_of(m))]
            agent.queue = [m for m in agent.queue if m not in taken]
        for message in taken:
            agent.prompts.append(text_of(message))
            agent.remember(type="prompt", text=text_of(message), uuid=message.get("uuid"))
            self.prompt += "\n" + text_of(message)
            if message.get("uuid"):
                self.uuids = [*self.uuids, message["uuid"]]
                self.folded.append(message["uuid"])
                agent.lifecycle(message["uuid"], "started")

    # -- endings ------------------------------------------------------------------------------

    def interrupted(self) -> Json:
        self.agent.failed = True
        in_tool = self.calls == 1 and not self.text and bool(self.denials or self.tokens)
        marker = (
            "[Request interrupted by user for tool use]"
            if in_tool
            else ("[Request interrupted by user]")
        )
        self.user([{"type": "text", "text": marker}])
        return {
            "subtype": "error_during_execution", "is_error": True, "stop_reason": None,
            "terminal_reason": "aborted_tools" if in_tool else "aborted_streaming",
            "errors": ["[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null"],
        }  # fmt: skip

    def api_error(self, code: int) -> Json:
        names = {401: ("authentication_failed", "authentication_error"),
                 403: ("authentication_failed", "permission_error"),
                 429: ("rate_limit", "rate_limit_error"), 500: ("server_error", "api_error"),
                 529: ("overloaded", "overloaded_error")}  # fmt: skip
        name, kind = names.get(code, ("server_error", "api_error"))
        for attempt in (1, 2):
            self.agent.system(
                "api_retry", attempt=attempt, max_retries=2, retry_delay_ms=20,
                error_status=code, error=name,
            )  # fmt: skip
            if self.agent.stop.wait(0.02):
                raise Stopped
        sentence = {
            401: "Invalid API key · Fix external API key",
            429: "API Error: Request rejected (429) · this may be a temporary capacity issue",
            529: "API Error: Repeated 529 Overloaded errors. The API is at capacity — this is "
            "usually temporary. Try again in a moment.",
        }.get(code, f"API Error: {code}")
        self.agent.out.line(
            {"type": "assistant",
             "message": {"diagnostics": None, "id": str(uuid.uuid4()), "container": None,
                         "model": "<synthetic>", "role": "assistant", "stop_details": None,
                         "stop_reason": "stop_sequence", "stop_sequence": "", "type": "message",
                         "usage": usage(0, empty=True),
                         "content": [{"type": "text", "text": sentence}],
                         "context_management": None},
             "parent_tool_use_id": None, "session_id": self.agent.session,
             "uuid": str(uuid.uuid4()), "timestamp": now(),
             "error": "server_error" if code == 529 else name, "is_api_error_message": True,
             "api_error_status": code, "api_error_type": kind}
        )  # fmt: skip
        return {"subtype": "success", "is_error": True, "stop_reason": "stop_sequence",
                "terminal_reason": "api_error", "api_error_status": code, "api_error_type": kind,
                "result": sentence}  # fmt: skip

    def end(self, outcome: Json) -> None:
        agent = self.agent
        agent.failed = bool(outcome["is_error"])
        if self.calls:
            # a call that was cut counts here, but not in the turn's own `usage`
            partial = self.deltas if self.finished < self.calls else 0
            cost = add_model_usage(agent, self.calls, self.tokens + partial)
            agent.total = round(agent.total + cost, 6)
        for marker in self.folded:
            agent.lifecycle(marker, "completed")
        marks: Json = (
            {"user_message_uuid": self.uuids[0], "user_message_uuids": self.uuids}
            if self.uuids
            else {}
        )
        if self.unasked:
            marks["origin"] = {"kind": "task-notification", "producer": "session-task",
                               "runId": "fake"}  # fmt: skip
        timing = {} if outcome["is_error"] else {"ttft_ms": 1}
        milliseconds = round((time.monotonic() - self.started) * 1000)
        with agent.changed:
            # The order of keys is claude's: `type` is not first
            agent.out.line(
                {"duration_api_ms": milliseconds, "session_id": agent.session,
                 "total_cost_usd": agent.total, "usage": usage(self.tokens, self.finished),
                 "modelUsage": agent.models, "permission_denials": self.denials,
                 "num_turns": max(1, self.calls), **outcome, "safety_stops": 0, **timing,
                 "type": "result",
                 "duration_ms": milliseconds, "uuid": str(uuid.uuid4()), **marks,
                 "queued_turn_count": 0, "result_index": agent.results,
                 "model_usage_since_last_result": agent.since}
            )  # fmt: skip
            agent.results += 1
            agent.since = {}
            agent.remember(type="answer", text=self.text)
            agent.running = False
            state = "cancelled" if outcome["subtype"] == "error_during_execution" else "completed"
            for marker in self.uuids:
                if marker not in self.folded:
                    agent.lifecycle(marker, state)
            agent.out.release()
            agent.out.faults = dict(agent.base)
            if not agent.queue:
                agent.state("idle")


def text_of(message: Json) -> str:
    content = message["message"].get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content if isinstance(block, dict))


def call_usage(output: int) -> Json:
    return {"input_tokens": 25, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 200,
            "output_tokens": output, "service_tier": "standard"}  # fmt: skip


def usage(output: int, calls: int = 1, empty: bool = False) -> Json:
    calls = 0 if empty else calls
    return {
        "input_tokens": 25 * calls, "cache_creation_input_tokens": 100 * calls,
        "cache_read_input_tokens": 200 * calls, "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "service_tier": "standard",
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "inference_geo": "", "iterations": [], "speed": "standard", "fallback_credit": None,
    }  # fmt: skip


def add_model_usage(agent: Agent, calls: int, output: int) -> float:
    """Add a turn to the cumulative and to the since-last-result figures; return its cost in USD."""
    cost = (calls * (25 * 4 + 200 * 0.2 + 100 * 5) + output * 20) / 1_000_000
    for table in (agent.models, agent.since):
        entry = table.setdefault(
            agent.model,
            {"inputTokens": 0, "outputTokens": 0, "cacheReadInputTokens": 0,
             "cacheCreationInputTokens": 0, "webSearchRequests": 0, "costUSD": 0.0,
             "contextWindow": 1_000_000, "maxOutputTokens": 128_000, "thinkingTokens": 0,
             "cacheCreationEphemeral5mInputTokens": 0, "cacheCreationEphemeral1hInputTokens": 0,
             "canonicalModel": agent.model, "provider": "firstParty", "costBasis": "list"},
        )  # fmt: skip
        entry["inputTokens"] += 25 * calls
        entry["outputTokens"] += output
        entry["cacheReadInputTokens"] += 200 * calls
        entry["cacheCreationInputTokens"] += 100 * calls
        entry["costUSD"] = round(entry["costUSD"] + cost, 6)
    return cost


def option(argv: list[str], name: str) -> str | None:
    for index, word in enumerate(argv):
        if word.startswith(name + "="):
            return word[len(name) + 1 :]
        if word == name and index + 1 < len(argv):
            return argv[index + 1]
    return None


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


def flood(megabytes: int) -> None:
    block = (b"warning: the fake agent floods its stderr, line after line\n" * 18000)[:MEGABYTE]
    for _ in range(megabytes):
        os.write(2, block)
    os.write(2, b"last words on stderr\n")


def note_child(file: Path, pid: int) -> None:
    with file.open("a") as stream:
        stream.write(f"{pid}\n")


def daemonise(note: Path) -> None:
    """Start `sleep` so that nothing but its environment ties it to this process."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    note_child(note, os.getpid())
    os.execvp("sleep", ["sleep", CHILD_SECONDS])


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def kill_self() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)  # the kill is already on its way


def usage_text() -> str:
    lines = [__doc__ or "", "Switches (as --NAME, as words of FAKE_AGENT, or after ! in a prompt):"]
    for name, (kind, text) in SWITCHES.items():
        lines.append(f"  --{name}{' VALUE' if kind else '':8} {text}")
    lines.append(
        "\nThe conversation is $FAKE_AGENT_HOME/<session id>.jsonl (else in CLAUDE_CONFIG_DIR);"
    )
    lines.append("pids of children are appended to the file `children` beside it.\n")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    if "--help" in argv:
        sys.stdout.write(usage_text())
        return
    if "--version" in argv or "-v" in argv:
        sys.stdout.write(f"{VERSION} (Claude Code, fake)\n")
        return
    try:
        from_environment, unknown = parse_faults(os.environ.get("FAKE_AGENT", "").split())
        faults, flags = parse_faults(argv)
    except ValueError as error:
        sys.exit(f"fake_agent: {error}")
    if unknown:
        sys.exit(f"fake_agent: unknown words in FAKE_AGENT: {' '.join(unknown)}")
    faults = from_environment | faults
    if "exit-at-start" in faults:
        os.write(2, b"Error: the fake agent was told to exit at start\n")
        os._exit(int(faults["exit-at-start"]))
    agent = Agent(faults, flags)

    def on_signal(number: int, _frame: object) -> None:
        agent.leave(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if faults.get("ignore-sigterm") else on_signal)
    if faults.pop("daemonise", False):
        daemonise(agent.folder() / "children")
    turns = threading.Thread(target=agent.serve, name="turns", daemon=True)
    turns.start()
    agent.read()
    turns.join()


if __name__ == "__main__":
    main(sys.argv[1:])

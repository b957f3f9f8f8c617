"""claude's structured mode: its JSON lines in, facts out; commands in, its JSON lines out. Pure.

Sources: the program itself, Claude Code 2.1.327, by recordings (`tests/transcripts/claude`). Its
set of messages grows with each release, so whatever is not known here becomes `Unknown`, kept and
shown.

Rules of the state machine:
- One prompt of ours is with the agent at a time; its uuid is the turn's id.
- Lines belong to the turn that `command_lifecycle started`, or else `system/init`, opened. An
`init`
  that follows no prompt of ours opens a turn nobody asked for, named after that line's uuid.
- Deltas come before the `assistant` line that finishes their block; that line replaces them.
- A turn ends with `result`; failures of the API are `is_error` with subtype "success".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from agent_lab.agents.adapters import claude_reports
from agent_lab.agents.adapters import claude_tools as tools
from agent_lab.agents.adapters.base import (
    Charge,
    ContextSeen,
    Decoded,
    Fact,
    LaunchOptions,
    Reply,
    Send,
    ToolMessage,
)
from agent_lab.agents.adapters.claude_encode import (
    content_block,
    decision,
    fenced,
    request,
    response,
)
from agent_lab.agents.adapters.claude_lines import (
    BlockDelta,
    BlockStart,
    BlockStop,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    Request,
    State,
    Stream,
    StreamEvent,
    Tool,
    as_count,
    as_number,
    decode_line,
    decode_state,
    is_too_deep,
)
from agent_lab.agents.adapters.claude_words import (
    api_error,
    offers,
    retry_notice,
    sentence_of,
    text_block,
    words_of,
)
from agent_lab.protocol.commands import AnswerPermission
from agent_lab.protocol.events import (
    AgentMessage,
    AgentMessageChunk,
    AgentOutputInvalid,
    AgentThought,
    AgentThoughtChunk,
    AnyBody,
    ContentBlock,
    ContextItem,
    Json,
    Notice,
    PermissionOption,
    PermissionRequest,
    PermissionResolved,
    Plan,
    SessionUpdated,
    StopReason,
    TextBlock,
    ToolCall,
    ToolCallUpdate,
    TurnEnded,
    TurnError,
    TurnStarted,
    TurnUsage,
    Unknown,
    encode,
    without_surrogates,
)
from agent_lab.protocol.reports import ContextReport, Rule


class ClaudeAdapter:
    """Keeps `agents.adapters.base.Adapter`. `cwd` only shortens the paths that are shown;
    `notebook` is what a tool of ours is about that names none."""

    def __init__(self, cwd: str = "", notebook: str = "") -> None:
        self._cwd = cwd
        self.notebook = notebook
        self._state = State()

    # ------------------------------------------------------------ launch

    def argv(self, options: LaunchOptions) -> tuple[str, ...]:
        # Equals forms throughout: a value with a leading dash cannot become a flag.
        argv = [
            *options.command,
            "--output-format=stream-json",
            "--input-format=stream-json",
            "--verbose",
            "--permission-prompt-tool=stdio",
            "--include-partial-messages",
            # Another claude of the same user could otherwise start turns here.
            '--settings={"crossSessionInbound":"refuse"}',
            f"--permission-mode={options.permission_mode}",
            # claude has no to-do list in this mode unless its tools are named.
            f"--allowedTools={','.join((*tools.TASK_TOOLS, *options.unasked))}",
        ]
        if options.resume is None:
            argv.append(f"--session-id={options.session_id}")
        else:
            argv.append(f"--resume={options.resume}")
            if options.fork:
                argv += ["--fork-session", f"--session-id={options.session_id}"]
            if options.resume_at is not None:
                argv.append(f"--resume-session-at={options.resume_at}")
        if options.model:
            argv.append(f"--model={options.model}")
        if not options.trusted:
            # Structured mode asks nobody before it runs a folder's hooks and servers.
            argv += ["--setting-sources=user", "--strict-mcp-config"]
        if options.tools is not None:
            server = {"type": "sdk", "name": options.tools, "alwaysLoad": True}
            config = json.dumps({"mcpServers": {options.tools: server}}, separators=(",", ":"))
            argv.append(f"--mcp-config={config}")
        if options.allow_bypass:
            argv.append("--allow-dangerously-skip-permissions")
        return tuple(argv)

    def environment(self) -> dict[str, str]:
        return {
            "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
            "CLAUDE_CODE_MAX_RETRIES": "3",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": "60000",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "MCP_TIMEOUT": "5000",
        }

    # ------------------------------------------------------------ state

    def save(self) -> bytes:
        return encode(self._state)

    def load(self, state: bytes) -> None:
        self._state = decode_state(state)

    # ------------------------------------------------------------ decode

    def decode(self, line: bytes) -> Sequence[Decoded]:
        """One line of stdout. Never raises: what cannot be read becomes an event that says so."""
        try:
            parsed = decode_line(line)
            if parsed.event is not None:
                return self._stream(parsed.event, parsed.parent_tool_use_id)
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            try:
                value = without_surrogates(json.loads(line.decode("utf-8", "replace")))
            except (ValueError, RecursionError):
                return self._unreadable(line)
        except RecursionError:
            return self._unreadable(line)
        if is_too_deep(line, value):
            return self._unreadable(line)
        if not isinstance(value, dict):
            return (self._fact(Unknown(raw=value)),)
        return self._message(value)

    def _unreadable(self, line: bytes) -> Sequence[Decoded]:
        excerpt = line[:500].decode("utf-8", "replace")
        return (self._fact(AgentOutputInvalid(excerpt=excerpt, length=len(line))),)

    def _fact(self, body: AnyBody) -> Fact:
        return Fact(self._state.turn, body)

    def _stream(self, event: StreamEvent, parent: str | None) -> Sequence[Decoded]:
        state = self._state
        key = parent or ""
        match event:
            case BlockDelta():
                stream = state.streams.get(key)
                if stream is None:
                    return ()
                delta = event.delta
                if delta.text:
                    body: AnyBody = AgentMessageChunk(
                        message_id=stream.block,
                        text=delta.text,
                        parent_tool_call_id=parent or UNSET,
                    )
                elif delta.thinking:
                    body = AgentThoughtChunk(
                        message_id=stream.block,
                        text=delta.thinking,
                        parent_tool_call_id=parent or UNSET,
                    )
                else:  # input_json_delta, signature_delta: the finished block has it all
                    return ()
                return (Fact(state.turn, body),)
            case BlockStart():
                stream = state.streams.setdefault(key, Stream("?"))
                block = event.content_block
                stream.kind = block.type
                stream.block = f"{stream.message}:{event.index}"
                stream.unfinished = block.type in ("text", "thinking")
                stream.thought = block.type == "thinking"
                if block.type != "tool_use":
                    return ()
                state.tools[block.id] = Tool(block.name)
                return (
                    self._fact(
                        ToolCall(
                            tool_call_id=block.id,
                            title=tools.label(block.name),
                            name=block.name,
                            kind=tools.kind(block.name),
                            parent_tool_call_id=parent,
                        )
                    ),
                )
            case MessageStart():
                found = self._abandoned(key)
                state.streams[key] = Stream(event.message.id)
                usage = event.message.usage
                if parent is None and usage is not None:
                    return (*found, ContextSeen(used=usage.context))
                return found
            case MessageDelta():
                if parent is None and event.usage is not None and event.usage.context:
                    return (ContextSeen(used=event.usage.context),)
            case BlockStop():
                if key in state.streams:
                    state.streams[key].kind = ""
            case MessageStop():
                found = self._abandoned(key)
                state.streams.pop(key, None)
                return found
            case Ping():
                pass
        return ()

    def _abandoned(self, key: str) -> Sequence[Decoded]:
        """A block whose `assistant` line never came: the call broke off and is made again from its
        start, under a new message id (seen in 2.1.329). What was shown of it is taken back."""
        stream = self._state.streams.get(key)
        if stream is None or not stream.unfinished:
            return ()
        stream.unfinished = False
        kind = AgentThought if stream.thought else AgentMessage
        body = kind(
            message_id=stream.block,
            content=(),
            parent_tool_call_id=key or UNSET,
            partial=True,
        )
        return (self._fact(body),)

    def _message(self, line: dict[str, Json]) -> Sequence[Decoded]:
        try:
            match line.get("type"):
                case "assistant":
                    return self._assistant(line)
                case "user":
                    return self._user(line)
                case "system":
                    return self._system(line)
                case "result":
                    return self._result(line)
                case "control_request":
                    return self._asked(line)
                case "control_response":
                    return self._reply(line)
                case "control_cancel_request":
                    return self._withdrawn(str(line.get("request_id")))
                case "command_lifecycle":
                    return self._lifecycle(line)
                case "rate_limit_event":
                    return self._rate_limit(line)
                case "conversation_reset":
                    text = "The conversation was cleared; the agent starts from nothing."
                    return (self._fact(Notice(level="info", code="cleared", text=text)),)
                case "keep_alive" | "tool_progress" | "prompt_suggestion" | "stream_event":
                    return ()
        except (KeyError, TypeError, ValueError, AttributeError):
            # A known type in an unknown shape: a newer agent. Shown like an unknown type.
            pass
        return (self._fact(Unknown(raw=line)),)

    # ------------------------------------------------------------ the conversation

    def _assistant(self, line: dict[str, Json]) -> Sequence[Decoded]:
        state = self._state
        message = line["message"]
        parent = _text_or_none(line.get("parent_tool_use_id"))
        if line.get("error") or line.get("is_api_error_message"):
            state.error = str(line.get("error") or "unknown")
            state.error_text = words_of(message.get("content"))
            return ()
        partial: bool | UnsetType = True if line.get("aborted") else UNSET
        found: list[Decoded] = []
        content = message.get("content")
        for block in content if isinstance(content, list) else [text_block(content)]:
            match block:
                case {"type": "text", "text": str(text)}:
                    body: AnyBody = AgentMessage(
                        message_id=self._block_id(message, parent, "text"),
                        content=(TextBlock(text),),
                        parent_tool_call_id=parent or UNSET,
                        partial=partial,
                    )
                case {"type": "thinking", "thinking": str(text)}:
                    body = AgentThought(
                        message_id=self._block_id(message, parent, "thinking"),
                        content=(TextBlock(text),),
                        duration_ms=as_count(line.get("thinking_duration_ms")),
                        parent_tool_call_id=parent or UNSET,
                        partial=partial,
                    )
                case {"type": "redacted_thinking"}:
                    continue
                case {"type": "tool_use", "id": str(id), "name": str(name), "input": input}:
                    found += self._called(id, name, input, parent)
                    continue
                case _:
                    body = Unknown(raw=block)
            found.append(self._fact(body))
        return found

    def _block_id(self, message: dict[str, Json], parent: str | None, kind: str) -> str:
        """The id under which this block was streamed, or a new one when it was not streamed."""
        id = str(message.get("id"))
        stream = self._state.streams.get(parent or "")
        if stream is not None and stream.message == id and stream.kind == kind:
            stream.unfinished = False
            return stream.block
        count = self._state.blocks[id] = self._state.blocks.get(id, 0) + 1
        return f"{id}:whole{count}"

    def _called(self, id: str, name: str, input: Json, parent: str | None) -> Sequence[Decoded]:
        target = tools.task(self._state.tasks, name, input) or tools.target_of(
            name, input, self._cwd, self.notebook
        )
        kept = "subject" if name == "TaskUpdate" else "command"
        command = input.get(kept, "") if isinstance(input, dict) else ""
        self._state.tools[id] = Tool(name, command[:2000] if isinstance(command, str) else "")
        found: list[Decoded] = [
            self._fact(
                ToolCall(
                    tool_call_id=id,
                    title=tools.title(name, target),
                    name=name,
                    target=target,
                    kind=tools.kind(name),
                    status="in_progress",
                    raw_input=input,
                    content=tools.call_content(name, input),
                    locations=tools.locations(input),
                    parent_tool_call_id=parent,
                )
            )
        ]
        if name == "TodoWrite" and (entries := tools.plan_entries(input)):
            found.append(self._fact(Plan(entries=entries)))
        return found

    def _user(self, line: dict[str, Json]) -> Sequence[Decoded]:
        content = line["message"].get("content")
        found: list[Decoded] = []
        meta = line.get("tool_result_meta")
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and block.get("type") == "tool_result":
                found += self._result_of_tool(block, line.get("tool_use_result"), meta)
        if found:
            return found
        text = words_of(content)
        if line.get("isReplay") and "<local-command-stdout>" in text:
            said = text.replace("<local-command-stdout>", "").replace("</local-command-stdout>", "")
            return (self._fact(Notice(level="info", code="command", text=said.strip())),)
        if line.get("isSynthetic") and text.startswith("Your response above was cut off"):
            said = "The connection to the model broke off; the agent goes on from there."
            return (self._fact(Notice(level="warning", code="stream_cut", text=said)),)
        if line.get("isSynthetic") and line.get("refused_message_id"):
            said = "The model's safety filter stopped the answer; the agent goes on without it."
            return (self._fact(Notice(level="warning", code="refused", text=said)),)
        # Others are claude's own notes to the model: the mark of an interrupt, the prompt of a
        # sub-agent, the summary after compaction, our prompt played back. Their effect is shown.
        return ()

    def _result_of_tool(
        self, block: dict[str, Json], structured: Json, meta: Json
    ) -> Sequence[Decoded]:
        state = self._state
        id = str(block.get("tool_use_id"))
        tool = state.tools.pop(id, Tool(""))
        content = block.get("content")
        failed = bool(block.get("is_error"))
        refused = any(
            isinstance(one, dict) and one.get("id") == id and one.get("non_execution_kind")
            for one in (meta if isinstance(meta, list) else ())
        )
        if refused or (failed and tools.was_rejected(tool.name, content)):
            update = ToolCallUpdate(
                tool_call_id=id,
                status="cancelled",
                raw_output=tools.limited(tools.error_text(content)),
            )
            return (self._fact(update),)
        # The result of a sub-agent repeats its report, wrapped in words for the model.
        shown = (
            None
            if tool.reported
            else tools.result_content(tool.name, tool.command, content, structured, failed)
        )
        if failed and tool.name != "Bash" and not tool.reported:
            shown = (TextBlock(tools.limited(tools.error_text(content))),)
        update = ToolCallUpdate(
            tool_call_id=id,
            status=("cancelled" if state.cancelling else "failed") if failed else "completed",
            content=UNSET if shown is None else shown,
        )
        after = tools.tasks_after(state.tasks, tool.name, tool.command, structured)
        if after is None:
            return (self._fact(update),)
        state.tasks = after
        return (self._fact(update), self._fact(Plan(entries=tuple(after.values()))))

    # ------------------------------------------------------------ turns

    def _lifecycle(self, line: dict[str, Json]) -> Sequence[Decoded]:
        state = self._state
        state.lifecycle = True
        prompt = str(line["command_uuid"])
        if prompt not in state.prompts:
            return ()
        match line.get("state"):
            case "started":
                state.turn = prompt
            case "completed" | "cancelled" as how:
                # It had no `result` of its own: it was folded into a turn that was running.
                state.prompts.remove(prompt)
                reason: StopReason = "end_turn" if how == "completed" else "cancelled"
                return (*self._settle(None), Fact(prompt, TurnEnded(stop_reason=reason)))
        return ()

    def _opened(self, line: dict[str, Json]) -> Sequence[Decoded]:
        """`init`: a turn begins; whose?"""
        state = self._state
        if state.turn is not None:
            return ()
        if state.prompts and not state.lifecycle:
            state.turn = state.prompts[0]
            return ()
        state.turn = str(line["uuid"])
        return (self._fact(TurnStarted(origin="agent")),)

    def _result(self, line: dict[str, Json]) -> Sequence[Decoded]:
        state = self._state
        turn = state.turn
        named = line.get("user_message_uuids")
        ours = [p for p in state.prompts if isinstance(named, list) and p in named]
        if turn is None and not ours:
            if not state.prompts:
                if line.get("subtype") == "error_during_execution" and line.get("errors"):
                    return ()  # start-up failed (unknown session id): the exit tells
                return (self._fact(Unknown(raw=line)),)
            ours = state.prompts[:1]
        turn = turn or ours[0]
        found: list[Decoded] = []
        usage, charges = self._usage(line, turn)
        found += charges
        models = line.get("modelUsage")
        for model in models.values() if isinstance(models, dict) else ():
            size = as_count(model.get("contextWindow")) if isinstance(model, dict) else None
            if size is not None:
                found.append(ContextSeen(size=size))
            break  # the first is the session's own
        stop, error = self._outcome(line)
        settled = stop in ("cancelled", "error")
        found += self._settle("cancelled" if settled else None)
        ended = TurnEnded(
            stop_reason=stop,
            error=error,
            usage=usage,
            duration_ms=as_count(line.get("duration_ms")),
        )
        found.append(Fact(turn, ended))
        # Prompts that were folded into this turn end with it.
        found += [Fact(p, TurnEnded(stop_reason=stop)) for p in ours if p != turn]
        state.prompts = [p for p in state.prompts if p != turn and p not in ours]
        state.turn = None
        state.cancelling = False
        state.error = state.error_text = ""
        state.blocks.clear()
        return found

    def _settle(self, tool_status: str | None) -> Sequence[Decoded]:
        """Close what the end of a turn leaves open: its calls, when it was cut. What it asked is
        closed with the turn, by the session."""
        state = self._state
        state.requests.clear()
        if tool_status is None:
            return ()
        found = [
            self._fact(ToolCallUpdate(tool_call_id=id, status="cancelled")) for id in state.tools
        ]
        state.tools.clear()
        state.streams.clear()
        return found

    def ended(self) -> Sequence[Decoded]:
        """The process is gone: what was open is settled. The turn itself is the session's to
        end."""
        found = self._settle("cancelled")
        self._state = State(session_id=self._state.session_id)
        return found

    def _usage(self, line: dict[str, Json], turn: str | None) -> tuple[TurnUsage, Sequence[Charge]]:
        """`model_usage_since_last_result` is this turn only, sub-agents included; totals restart
        when the process does and are not used. What is no number counts as nothing: a turn ends
        whatever its figures look like."""
        models = line.get("model_usage_since_last_result")
        if not isinstance(models, dict):
            usage = line.get("usage")
            count = _counts(usage if isinstance(usage, dict) else {})
            return (
                TurnUsage(
                    input_tokens=count("input_tokens"),
                    output_tokens=count("output_tokens"),
                    cache_read_tokens=count("cache_read_input_tokens"),
                    cache_write_tokens=count("cache_creation_input_tokens"),
                ),
                (),
            )
        charges = []
        for name, one in models.items():
            figures = one if isinstance(one, dict) else {}
            count = _counts(figures)
            charge = Charge(
                turn,
                name,
                requests=1,
                input_tokens=count("inputTokens"),
                output_tokens=count("outputTokens"),
                cache_read_tokens=count("cacheReadInputTokens"),
                cache_write_tokens=count("cacheCreationInputTokens"),
                cost_usd=as_number(figures.get("costUSD")),
            )
            charges.append(charge)
        costs = [charge.cost_usd for charge in charges]
        known = [cost for cost in costs if cost is not None]
        return (
            TurnUsage(
                input_tokens=sum(charge.input_tokens for charge in charges),
                output_tokens=sum(charge.output_tokens for charge in charges),
                cache_read_tokens=sum(charge.cache_read_tokens for charge in charges),
                cache_write_tokens=sum(charge.cache_write_tokens for charge in charges),
                cost_usd=sum(known) if len(known) == len(costs) else None,
                cost_source="agent" if len(known) == len(costs) else None,
            ),
            charges,
        )

    def _outcome(self, line: dict[str, Json]) -> tuple[StopReason, TurnError | None]:
        ended = line.get("terminal_reason")
        if ended in ("aborted_streaming", "aborted_tools"):
            return "cancelled", None
        if line.get("subtype") == "error_max_turns" or ended == "max_turns":
            return "max_turn_requests", None
        if not line.get("is_error"):
            stopped = line.get("stop_reason")
            return ("refusal" if stopped == "refusal" else "end_turn"), None
        if self._state.cancelling:
            return "cancelled", None
        said = line.get("result") or self._state.error_text
        if not said and isinstance(line.get("errors"), list):
            said = "; ".join(str(one) for one in line["errors"])
        return "error", api_error(
            self._state.error, line.get("api_error_status"), str(ended or ""), str(said or "")
        )

    # ------------------------------------------------------------ system

    def _system(self, line: dict[str, Json]) -> Sequence[Decoded]:
        match line.get("subtype"):
            case "init":
                found = list(self._opened(line))
                update = self._init_update(line)
                return [*found, Fact(None, update)]
            case "status":
                return self._status(line)
            case "api_retry":
                return (self._fact(retry_notice(line)),)
            case "model_fallback":
                text = f"The agent answers with another model: {sentence_of(line)}"
                return (self._fact(Notice(level="warning", code="model_fallback", text=text)),)
            case "permission_denied":
                text = f"{tools.label(str(line.get('tool_name')))} was not allowed by the mode."
                return (self._fact(Notice(level="info", code="permission_denied", text=text)),)
            case "compact_boundary":
                meta = line.get("compact_metadata") or {}
                before = meta.get("pre_tokens")
                size = f" It held {before:,} tokens." if isinstance(before, int) else ""
                text = "The conversation was summarised to make room." + size
                body = Notice(level="info", code="compacted", text=text, key="compact")
                return (self._fact(body),)
            case "informational" | "notification":
                text = sentence_of(line)
                return (self._fact(Notice(level="info", code="agent", text=text)),)
            case "task_notification":
                return self._task_done(line)
            case "session_title_changed":
                title = _text_or_none(line.get("title"))
                return (Fact(None, SessionUpdated(title=title)),) if title else ()
            case (
                "session_state_changed"
                | "thinking_tokens"
                | "task_started"
                | "task_progress"
                | "task_updated"
                | "background_tasks_changed"
                | "control_request_progress"
                | "files_persisted"
                | "commands_changed"
                | "hook_started"
                | "hook_response"
            ):
                return ()
        return (self._fact(Unknown(raw=line)),)

    def _init_update(self, line: dict[str, Json]) -> SessionUpdated:
        id = line.get("session_id")
        mode = line.get("permissionMode")
        if isinstance(id, str):
            self._state.session_id = id
        return SessionUpdated(
            agent_session_id=id if isinstance(id, str) else UNSET,
            permission_mode=mode if isinstance(mode, str) else UNSET,
        )

    def _status(self, line: dict[str, Json]) -> Sequence[Decoded]:
        mode = line.get("permissionMode")
        if isinstance(mode, str):
            return (Fact(None, SessionUpdated(permission_mode=mode)),)
        if line.get("status") == "compacting":
            text = "The conversation is being summarised to make room …"
            body = Notice(level="info", code="compacting", text=text, key="compact")
            return (self._fact(body),)
        return ()

    def _task_done(self, line: dict[str, Json]) -> Sequence[Decoded]:
        id, summary = line.get("tool_use_id"), line.get("summary")
        if not isinstance(id, str) or not isinstance(summary, str):
            return ()
        done = line.get("status") == "completed"
        if id in self._state.tools:
            self._state.tools[id].reported = True
        return (
            self._fact(
                ToolCallUpdate(
                    tool_call_id=id,
                    status="completed" if done else "failed",
                    content=(TextBlock(tools.limited(summary)),),
                )
            ),
        )

    def _rate_limit(self, line: dict[str, Json]) -> Sequence[Decoded]:
        info = line.get("rate_limit_info") or {}
        if info.get("status") in (None, "allowed"):
            return ()
        text = f"Your plan's limit ({info.get('rateLimitType', 'usage')}) is nearly or fully used."
        body = Notice(level="warning", code="rate_limit", text=text, key="rate_limit")
        return (self._fact(body),)

    # ------------------------------------------------------------ requests of claude

    def _asked(self, line: dict[str, Json]) -> Sequence[Decoded]:
        request, id = line["request"], str(line["request_id"])
        if request.get("subtype") == "mcp_message":
            self._state.calls[id] = request["message"]
            return (ToolMessage(id, request["message"]),)
        if request.get("subtype") != "can_use_tool":
            # Answered at once: a host that stays silent stalls the turn.
            refusal = response(id, error="This host does not offer that.")
            return (Send(refusal), self._fact(Unknown(raw=line)))
        body = self._permission(id, request)
        update = ToolCallUpdate(tool_call_id=body.tool_call_id or "", status="pending")
        return (self._fact(update), self._fact(body))

    def _permission(self, id: str, request: dict[str, Json]) -> PermissionRequest:
        name, input = str(request["tool_name"]), request.get("input")
        call = request.get("tool_use_id")
        call_id = call if isinstance(call, str) else None
        if name == "AskUserQuestion":
            self._state.requests[id] = Request("question", call_id, input=input)
            asked = tools.questions(input)
            count = len(asked)
            return PermissionRequest(
                request_id=id,
                kind="question",
                title="1 question" if count == 1 else f"{count} questions",
                options=(
                    PermissionOption("answer", "allow_once", "Send answers"),
                    PermissionOption("reject_once", "reject_once", "Skip"),
                ),
                tool_call_id=call_id,
                input=input,
                questions=asked,
            )
        if name == "ExitPlanMode":
            plan = input.get("plan") if isinstance(input, dict) else None
            accept = {"type": "setMode", "mode": "acceptEdits", "destination": "session"}
            self._state.requests[id] = Request("plan", call_id, {"accept_edits": accept})
            return PermissionRequest(
                request_id=id,
                kind="plan",
                title="Plan to review",
                description=plan if isinstance(plan, str) else "",
                options=(
                    PermissionOption("allow_once", "allow_once", "Approve, ask before edits"),
                    PermissionOption(
                        "accept_edits",
                        "allow_always",
                        "Approve, accept edits",
                        "edits of files in this session are not asked about again",
                    ),
                    PermissionOption("reject_once", "reject_once", "Keep planning"),
                ),
                tool_call_id=call_id,
                input=input,
            )
        suggestions: dict[str, Json] = {}
        lasting: list[PermissionOption] = []
        offered = request.get("permission_suggestions")
        for number, suggestion in enumerate(offered if isinstance(offered, list) else ()):
            key = f"always_{number}"
            option = tools.suggestion_option(key, suggestion, self._cwd)
            if option is not None:
                suggestions[key] = suggestion
                lasting.append(option)
        self._state.requests[id] = Request("tool", call_id, suggestions)
        reasons = [request.get("description"), request.get("decision_reason")]
        target = tools.target_of(name, input, self._cwd, self.notebook)
        known = (target, "This command requires approval")  # what the card says anyway
        said = [r for r in reasons if isinstance(r, str) and r and r not in known]
        return PermissionRequest(
            request_id=id,
            kind="tool",
            title=tools.title(name, target),
            description="\n".join(said),
            options=(
                PermissionOption("allow_once", "allow_once", "Allow once"),
                *lasting,
                PermissionOption("reject_once", "reject_once", "Reject"),
            ),
            tool_call_id=call_id,
            input=input,
        )

    def _withdrawn(self, id: str) -> Sequence[Decoded]:
        called = self._state.calls.pop(id, None)
        if isinstance(called, dict) and "id" in called:
            params = {"requestId": called["id"]}
            gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            return (ToolMessage("", gone),)
        if self._state.requests.pop(id, None) is None:
            return ()
        return (self._fact(PermissionResolved(request_id=id, outcome="cancelled", by="agent")),)

    def _reply(self, line: dict[str, Json]) -> Sequence[Decoded]:
        response = line["response"]
        id, payload = str(response.get("request_id")), response.get("response")
        if response.get("subtype") != "success":
            return (Reply(id, error=str(response.get("error") or "The agent refused.")),)
        pending = tuple(
            self._permission(str(one["request_id"]), one["request"])
            for one in response.get("pending_permission_requests") or ()
            if one.get("request", {}).get("subtype") == "can_use_tool"
        )
        found: list[Decoded] = []
        if isinstance(payload, dict) and "models" in payload and "commands" in payload:
            found.append(Fact(None, offers(payload)))
        return [*found, Reply(id, payload, pending=pending)]

    # ------------------------------------------------------------ encode

    def initialize(self, request_id: str, instructions: str = "") -> bytes:
        body: dict[str, Json] = {"subtype": "initialize"}
        if instructions:
            body["appendSystemPrompt"] = instructions
        return request(request_id, body)

    def prompt(
        self, turn_id: str, content: Sequence[ContentBlock], context: Sequence[ContextItem]
    ) -> bytes:
        """`turn_id` must be a uuid. The same one sent twice is one turn for claude too."""
        if turn_id not in self._state.prompts:
            self._state.prompts.append(turn_id)
        blocks = [content_block(block) for block in content]
        blocks += [{"type": "text", "text": fenced(item, turn_id)} for item in context]
        message: dict[str, Json] = {
            "type": "user",
            "uuid": turn_id,
            "message": {"role": "user", "content": blocks},
            "parent_tool_use_id": None,
            "session_id": "",
        }
        return encode(message) + b"\n"

    def cancel(self, request_id: str) -> bytes:
        self._state.cancelling = self._state.turn is not None or bool(self._state.prompts)
        return request(request_id, {"subtype": "interrupt", "cancel_queued": True})

    def set_model(self, request_id: str, model: str) -> bytes:
        return request(request_id, {"subtype": "set_model", "model": model})

    def set_permission_mode(self, request_id: str, mode: str) -> bytes:
        return request(request_id, {"subtype": "set_permission_mode", "mode": mode})

    def set_effort(self, request_id: str, effort: str) -> bytes:
        # `set_max_thinking_tokens` is accepted and does nothing on today's models; this works.
        settings = {"effortLevel": effort}
        return request(request_id, {"subtype": "apply_flag_settings", "settings": settings})

    def context_usage(self, request_id: str) -> bytes:
        return request(request_id, {"subtype": "get_context_usage"})

    def read_context(self, reply: Reply) -> ContextReport | None:
        return claude_reports.context_report(reply.payload)

    def rules(self, request_id: str) -> bytes:
        return request(request_id, {"subtype": "list_permission_rules"})

    def read_rules(self, reply: Reply) -> tuple[Rule, ...]:
        return claude_reports.rules(reply.payload)

    def tool_reply(self, request_id: str, answer: Json | None) -> bytes:
        """claude awaits a word on notifications too: an empty result."""
        said = {"jsonrpc": "2.0", "result": {}} if answer is None else answer
        return response(request_id, {"mcp_response": said})

    def tool_replied(self, request_id: str) -> None:
        """The answer has reached claude."""
        self._state.calls.pop(request_id, None)

    def tools_waiting(self) -> tuple[ToolMessage, ...]:
        """What an earlier server did not answer."""
        return tuple(ToolMessage(id, message) for id, message in self._state.calls.items())

    def farewell(self, request_id: str) -> bytes:
        return request(request_id, {"subtype": "end_session", "reason": "host"})

    def grants(self, answer: AnswerPermission) -> tuple[str, ...]:
        """What this answer makes claude write into the folder's own settings; call it before
        `answer`."""
        asked = self._state.requests.get(answer.request_id)
        suggestion = asked.suggestions.get(answer.option_id) if asked is not None else None
        return tools.granted(suggestion)

    def answer(self, answer: AnswerPermission) -> bytes:
        """Raises KeyError when claude does not (any longer) wait for this answer."""
        asked = self._state.requests.pop(answer.request_id)
        return response(answer.request_id, decision(asked, answer))

    def answer_again(self, resolved: PermissionResolved) -> bytes | None:
        """The answer once more, for a request that is in the log as answered but still waits."""
        if resolved.outcome != "selected" or resolved.request_id not in self._state.requests:
            return None
        return self.answer(
            AnswerPermission(
                request_id=resolved.request_id,
                option_id=resolved.option_id or "reject_once",
                message=resolved.said or None,
                updated_input=resolved.updated_input,
                answers=resolved.answers,
            )
        )


def _text_or_none(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _counts(figures: dict[str, Json]) -> Callable[[str], int]:
    return lambda name: as_count(figures.get(name)) or 0

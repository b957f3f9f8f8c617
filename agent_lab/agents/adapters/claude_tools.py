"""How claude's tools are shown: title, target, kind, content of a call and of its result. Pure.

Shapes of `input` and `tool_use_result` are from recordings of Claude Code 2.1.327.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from agent_lab.agents.adapters.base import REJECTED
from agent_lab.agents.adapters.claude_lines import as_count
from agent_lab.protocol.events import (
    DiffBlock,
    ImageBlock,
    Json,
    Location,
    PermissionOption,
    PlanEntry,
    Question,
    QuestionChoice,
    TerminalBlock,
    TextBlock,
    ToolContent,
    ToolKind,
)

MAX_TEXT = 1 << 20
"""Characters of one tool result that go into the log; what is left out is said in its place."""

TASK_TOOLS = ("TaskCreate", "TaskGet", "TaskList", "TaskUpdate")
"""claude's to-do list. They touch nothing but the list."""

_KINDS: Mapping[str, ToolKind] = {
    "Read": "read",
    "NotebookRead": "read",
    "LS": "read",
    "Write": "edit",
    "Edit": "edit",
    "MultiEdit": "edit",
    "NotebookEdit": "edit",
    "Grep": "search",
    "Glob": "search",
    "ToolSearch": "search",
    "WebSearch": "search",
    "WebFetch": "fetch",
    "Bash": "execute",
    "BashOutput": "execute",
    "KillShell": "execute",
    "Agent": "think",
    "Task": "think",
    "TodoWrite": "think",
    "TaskCreate": "think",
    "TaskGet": "think",
    "TaskList": "think",
    "TaskUpdate": "think",
    "ExitPlanMode": "think",
    "EnterPlanMode": "think",
    "AskUserQuestion": "think",
}

_LABELS: Mapping[str, str] = {
    "NotebookEdit": "Edit notebook",
    "WebFetch": "Fetch",
    "WebSearch": "Search the web",
    "Grep": "Search",
    "Glob": "Find files",
    "Agent": "Sub-agent",
    "Task": "Sub-agent",
    "TodoWrite": "Update the to-do list",
    "TaskCreate": "Add to the to-do list",
    "TaskUpdate": "Update the to-do list",
    "TaskGet": "Look at the to-do list",
    "TaskList": "Look at the to-do list",
    "ExitPlanMode": "Plan",
    "EnterPlanMode": "Start planning",
    "AskUserQuestion": "Question",
    "ToolSearch": "Look for a tool",
}

_TARGETS = (
    "file_path",
    "notebook_path",
    "command",
    "pattern",
    "url",
    "query",
    "subject",
    "description",
    "path",
    "name",
    "cell_id",
    "code",
)


def label(name: str) -> str:
    """The tool's name for a person: `mcp__agent_lab__run_cell` is "Run cell"."""
    if name.startswith("mcp__"):
        return name.rsplit("__", 1)[-1].replace("_", " ").capitalize()
    return _LABELS.get(name, name)


OURS = "mcp__agent_lab__"
_PHRASES: Mapping[str, str] = {
    "run_code": "Run code in {notebook}'s kernel",
    "interrupt_kernel": "Interrupt {notebook}'s kernel",
    "restart_kernel": "Restart {notebook}'s kernel",
    "kernel_status": "Look at {notebook}'s kernel",
    "list_variables": "List the variables of {notebook}",
    "read_notebook": "Read {notebook}",
    "insert_cell": "Add a cell to {notebook}",
    "list_notebooks": "List the notebooks",
}


def target_of(name: str, input: Json, cwd: str, notebook: str) -> str:
    """As `target`; of a tool of ours the cell, the variable, or the notebook."""
    if not name.startswith(OURS):
        return target(input, cwd)
    given = input if isinstance(input, dict) else {}
    for key in ("cell_id", "name"):
        value = given.get(key)
        if isinstance(value, str) and value:
            return value[:200]
    named = given.get("notebook")
    return named[:200] if isinstance(named, str) and named else notebook


def title(name: str, target: str) -> str:
    """What a call does, for a person: "Read orders.csv", "Run code in eda.ipynb's kernel"."""
    phrase = _PHRASES.get(name.removeprefix(OURS)) if name.startswith(OURS) else None
    if phrase is not None:
        return phrase.format(notebook=target or "the notebook")
    return f"{label(name)} {target}".strip()


def kind(name: str) -> ToolKind:
    if name.startswith("mcp__"):
        last = name.rsplit("__", 1)[-1]
        for start, found in _MCP_KINDS:
            if last.startswith(start):
                return found
        return "other"
    return _KINDS.get(name, "other")


_MCP_KINDS: Sequence[tuple[str, ToolKind]] = (
    ("run", "execute"),
    ("restart", "execute"),
    ("interrupt", "execute"),
    ("read", "read"),
    ("list", "read"),
    ("inspect", "read"),
    ("insert", "edit"),
    ("edit", "edit"),
    ("move", "move"),
    ("delete", "delete"),
)


def target(input: Json, cwd: str) -> str:
    """What the call is about, in one line of at most 200 characters."""
    if not isinstance(input, dict):
        return ""
    for key in _TARGETS:
        value = input.get(key)
        if isinstance(value, str) and value:
            if key in ("file_path", "notebook_path", "path"):
                return relative(value, cwd)
            first = value.strip().split("\n", 1)[0]
            return first if len(first) <= 200 else first[:199] + "…"
    return ""


def relative(path: str, cwd: str) -> str:
    """A path as seen from the workspace, absolute when it lies outside."""
    if cwd and path.startswith(cwd.rstrip("/") + "/"):
        return os.path.relpath(path, cwd)
    return path


def locations(input: Json) -> tuple[Location, ...]:
    if not isinstance(input, dict):
        return ()
    for key in ("file_path", "notebook_path"):
        path = input.get(key)
        if isinstance(path, str):
            return (Location(path, as_count(input.get("offset"))),)
    return ()


def call_content(name: str, input: Json) -> tuple[ToolContent, ...]:
    """What a call would do, before it did it."""
    if not isinstance(input, dict):
        return ()
    path = _text(input.get("file_path")) or _text(input.get("notebook_path"))
    match name:
        case "Edit":
            return (
                DiffBlock(path, _text(input.get("old_string")), _text(input.get("new_string"))),
            )
        case "MultiEdit":
            edits = input.get("edits")
            return tuple(
                DiffBlock(path, _text(edit.get("old_string")), _text(edit.get("new_string")))
                for edit in (edits if isinstance(edits, list) else [])
                if isinstance(edit, dict)
            )
        case "Write":
            return (DiffBlock(path, None, _text(input.get("content"))),)
        case "NotebookEdit":
            return (DiffBlock(path, None, _text(input.get("new_source"))),)
        case "Bash":
            return (TerminalBlock(_text(input.get("command"))),)
        case "mcp__agent_lab__run_code":
            return (TerminalBlock(_text(input.get("code"))),)
        case _:
            return ()


def result_content(
    name: str, command: str, content: Json, structured: Json, failed: bool
) -> tuple[ToolContent, ...] | None:
    """What a call did. None: the content of the call stands (an edit whose diff was already
    shown)."""
    if name in _CELL_CHANGES and not failed:
        return None  # the change was shown when it was asked about
    if isinstance(structured, dict):
        if name in ("Edit", "MultiEdit", "Write") and not failed:
            return _patches(structured)
        if name == "NotebookEdit" and not failed:
            path = _text(structured.get("notebook_path"))
            old = structured.get("old_source")
            return (
                DiffBlock(
                    path,
                    old if isinstance(old, str) else None,
                    _text(structured.get("new_source")),
                ),
            )
        if name == "Bash" and not failed and not structured.get("isImage"):
            output = _text(structured.get("stdout"))
            errors = _text(structured.get("stderr"))
            joined = output + ("\n" if output and errors else "") + errors
            return (TerminalBlock(command, limited(joined), 0),)
    blocks = _blocks(content)
    if name == "Bash":
        text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
        code, output = _exit_code(text)
        images = tuple(block for block in blocks if isinstance(block, ImageBlock))
        return (TerminalBlock(command, limited(output), code), *images)
    return blocks


_CELL_CHANGES = tuple(f"{OURS}{one}_cell" for one in ("insert", "edit", "delete", "move"))


def was_rejected(name: str, content: Json) -> bool:
    """Did a person say no to a change of a cell?"""
    return name in _CELL_CHANGES and error_text(content).startswith(REJECTED)


def _patches(structured: Mapping[str, Json]) -> tuple[ToolContent, ...] | None:
    path = _text(structured.get("filePath"))
    hunks = structured.get("structuredPatch")
    if not isinstance(hunks, list) or not hunks:
        return None
    found: list[ToolContent] = []
    for hunk in hunks:
        if not isinstance(hunk, dict):
            continue
        lines = [line for line in hunk.get("lines", ()) if isinstance(line, str)]
        old = [line[1:] for line in lines if line[:1] in (" ", "-")]
        new = [line[1:] for line in lines if line[:1] in (" ", "+")]
        start = as_count(hunk.get("newStart"))
        found.append(DiffBlock(path, "\n".join(old), "\n".join(new), start))
    return tuple(found) or None


def _blocks(content: Json) -> tuple[ToolContent, ...]:
    if isinstance(content, str):
        return (TextBlock(limited(content)),) if content else ()
    found: list[ToolContent] = []
    for block in content if isinstance(content, list) else ():
        match block:
            case {"type": "text", "text": str(text)}:
                found.append(TextBlock(limited(text)))
            case {"type": "image", "source": {"data": str(data), "media_type": str(mime)}}:
                found.append(ImageBlock(mime, data))
            case {"type": "tool_reference", "tool_name": str(text)}:
                found.append(TextBlock(text))
            case _:
                found.append(TextBlock(limited(repr(block))))
    return tuple(found)


def _exit_code(text: str) -> tuple[int | None, str]:
    """claude puts "Exit code 3" on the first line of a failed command's output."""
    first, _, rest = text.partition("\n")
    found = re.fullmatch(r"Exit code (-?[0-9]{1,10})\s*", first)
    return (int(found[1]), rest) if found else (None, text)


def limited(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[… {left_out:,} characters left out here …]\n{text[-half:]}"


def error_text(content: Json) -> str:
    """The words of a failed call's result, without claude's own markup."""
    text = "".join(block.text for block in _blocks(content) if isinstance(block, TextBlock))
    return text.removeprefix("<tool_use_error>").removesuffix("</tool_use_error>")


def plan_entries(input: Json) -> tuple[PlanEntry, ...]:
    """The plan in a `TodoWrite` call."""
    todos = input.get("todos") if isinstance(input, dict) else None
    found = []
    for todo in todos if isinstance(todos, list) else ():
        match todo:
            case {"content": str(content), "status": "pending" | "in_progress" | "completed" as s}:
                found.append(PlanEntry(content, s))
            case _:
                pass
    return tuple(found)


def tasks_after(
    tasks: Mapping[str, PlanEntry], tool: str, subject: str, result: Json
) -> dict[str, PlanEntry] | None:
    """The task list after a task tool's call, by id. None: it did not change.

    `subject` is the new one that a `TaskUpdate` gave, or "".
    """
    match tool, result:
        case "TaskCreate", {"task": {"id": str(id), "subject": str(content)}}:
            # A list that is done makes room for the next one.
            over = all(entry.status == "completed" for entry in tasks.values())
            return {**({} if over else tasks), id: PlanEntry(content)}
        case "TaskUpdate", {"success": True, "taskId": str(id)} if id in tasks:
            before = tasks[id]
            status = before.status
            match result.get("statusChange"):
                case {"to": "deleted"}:
                    return {each: entry for each, entry in tasks.items() if each != id}
                case {"to": "pending" | "in_progress" | "completed" as to}:
                    status = to
            return {**tasks, id: PlanEntry(subject or before.content, status)}
    return None


def task(tasks: Mapping[str, PlanEntry], tool: str, input: Json) -> str:
    """Which task of the list a `TaskUpdate` is about, and what it becomes; "" of other calls."""
    match tool, input:
        case "TaskUpdate", {"taskId": str(id), **more} if id in tasks:
            to = _text(more.get("status")).replace("_", " ")
            return f"{tasks[id].content}: {to}" if to else tasks[id].content
    return ""


def questions(input: Json) -> tuple[Question, ...]:
    """The form in an `AskUserQuestion` call."""
    asked = input.get("questions") if isinstance(input, dict) else None
    found = []
    for one in asked if isinstance(asked, list) else ():
        if not isinstance(one, dict):
            continue
        choices = one.get("options")
        found.append(
            Question(
                _text(one.get("question")),
                _text(one.get("header")),
                bool(one.get("multiSelect")),
                tuple(
                    QuestionChoice(_text(choice.get("label")), _text(choice.get("description")))
                    for choice in (choices if isinstance(choices, list) else ())
                    if isinstance(choice, dict)
                ),
            )
        )
    return tuple(found)


def suggestion_option(option_id: str, suggestion: Json, cwd: str) -> PermissionOption | None:
    """One lasting grant that claude offers, with its reach in words; None for one we cannot put so.

    `destination` localSettings is the folder's `.claude/settings.local.json`; session is the
    memory of this agent process.
    """
    if not isinstance(suggestion, dict) or suggestion.get("behavior", "allow") != "allow":
        return None
    reach = _REACH.get(_text(suggestion.get("destination")), "as far as the agent decides")
    match suggestion:
        case {"type": "addRules", "rules": [*rules]}:
            names = [
                f"{_text(rule.get('toolName'))} {_text(rule.get('ruleContent'))}".strip()
                for rule in rules
                if isinstance(rule, dict)
            ]
            what = ", ".join(label(name) if " " not in name else name for name in names)
            return PermissionOption(option_id, "allow_always", f"Always allow {what}", reach)
        case {"type": "addDirectories", "directories": [*folders]}:
            names = [_text(folder) for folder in folders]
            where = ", ".join("this folder" if n == cwd else relative(n, cwd) for n in names)
            return PermissionOption(
                option_id, "allow_always", f"Always allow changes in {where}", reach
            )
        case {"type": "setMode", "mode": "acceptEdits"}:
            return PermissionOption(
                option_id, "allow_always", "Always allow edits of files", f"all files, {reach}"
            )
        case {"type": "setMode", "mode": str(mode)}:
            return PermissionOption(
                option_id, "allow_always", f"Always allow what mode {mode} allows", reach
            )
        case _:
            return None


def granted(suggestion: Json) -> tuple[str, ...]:
    """What a grant adds to the folder's `.claude/settings.local.json`: rules as they stand under
    `permissions.allow`, folders as under `permissions.additionalDirectories`."""
    match suggestion:
        case {"type": "addRules", "rules": [*rules], "destination": "localSettings"}:
            return tuple(_rule(rule) for rule in rules if isinstance(rule, dict))
        case {
            "type": "addDirectories",
            "directories": [*folders],
            "destination": "localSettings",
        }:
            return tuple(_text(folder) for folder in folders)
    return ()


def _rule(rule: Mapping[str, Json]) -> str:
    name, content = _text(rule.get("toolName")), _text(rule.get("ruleContent"))
    return f"{name}({content})" if content else name


_REACH: Mapping[str, str] = {
    "session": "in this session, until its agent stops",
    "localSettings": "in this folder, for every session, until you revoke it",
    "projectSettings": "in this folder, for everybody who uses it, until it is revoked",
    "userSettings": "everywhere, for every session, until you revoke it",
}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""

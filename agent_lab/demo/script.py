"""Decide what the scripted model answers to one API request. Pure: no I/O but reading a script.

A script is TOML: a list of scenes. The first scene whose `match` (a regular expression) is found
in the last prompt plays; its step n answers when the model has already spoken n times since that
prompt. A step may hold `thinking`, `text` and `tool`s, in that order. `${...}` in any string is
filled from the conversation: `${prompt}`, `${result}` (the last tool result), `${cwd}`,
`${plan_file}`, `${1}` or `${name}` (groups of `match`).
So an answer depends on the conversation alone, and any number of sessions can be served at once.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

SCRIPTS = Path(__file__).parent / "scripts"
FILLER = (
    "the report adds the price of every order to its region and then sorts the regions by what "
    "they sold while rows without a price wait until someone has entered it"
)

Json: TypeAlias = Any  # a value of the Messages API, as json.loads gives it
FaultKind: TypeAlias = Literal["status", "cut", "end", "error", "stall", "malformed"]


class ScriptError(ValueError):
    """The script file does not say what a script must say; the message names the place."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong instead of, or in the middle of, an answer."""

    kind: FaultKind
    status: int = 529
    times: int | None = None  # None: always
    after: int = 0  # deltas sent before it happens
    retry_after: str | None = None  # seconds, as the header says it


@dataclass(frozen=True)
class ToolCall:
    name: str
    input: Mapping[str, Json]


@dataclass(frozen=True)
class Usage:
    """Tokens of one API call."""

    input: int
    output: int
    cache_read: int
    cache_write: int


@dataclass(frozen=True)
class Reply:
    """One answer of the model, ready to be streamed."""

    thinking: tuple[str, ...] = ()  # deltas
    text: tuple[str, ...] = ()  # deltas
    tools: tuple[ToolCall, ...] = ()
    stamped: bool = False  # each text delta becomes `w<n>«t=<monotonic ns at sending>» `
    rate: float = 0.0  # deltas per second; 0: at once
    delay: float = 0.0  # seconds before the first byte
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0, 0))
    stop_reason: str = "end_turn"
    fault: Fault | None = None
    place: str = ""  # names the step within its conversation: the key of `times` counters


@dataclass(frozen=True)
class Scene:
    name: str
    match: re.Pattern[str]
    steps: tuple[Mapping[str, Json], ...]


@dataclass(frozen=True)
class Script:
    scenes: tuple[Scene, ...]
    rate: float
    usage: Mapping[str, int] | None  # fixed figures; None: estimated from the conversation
    prompts: tuple[str, ...]  # offered to the person
    last_block: bool  # match the last text block only, not all of the prompt's blocks


STEP_KEYS = {
    "thinking", "text", "tool", "on_error", "rate", "delay_ms", "stamped", "words", "kilobytes",
    "whole", "usage", "stop_reason", "fault",
}  # fmt: skip


def load_script(source: str | Path) -> Script:
    """Read a script by its file, or by its name in this package ("demo", "tests").

    Raises ScriptError, and OSError when the file cannot be read.
    """
    path = SCRIPTS / f"{source}.toml" if source in ("demo", "tests") else Path(source)
    return parse_script(path.read_text("utf-8"))


def parse_script(text: str) -> Script:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(str(error)) from error
    scenes: list[Scene] = []
    for number, scene in enumerate(document.get("scene", ()), 1):
        name = str(scene.get("name", f"scene {number}"))
        try:
            match = re.compile(scene["match"])
        except (KeyError, re.error) as error:
            raise ScriptError(f"{name}: `match` must be a regular expression: {error}") from error
        steps = tuple(scene.get("step", ()))
        if not steps:
            raise ScriptError(f"{name}: has no step")
        for step in steps:
            if unknown := set(step) - STEP_KEYS:
                raise ScriptError(f"{name}: unknown words in a step: {', '.join(sorted(unknown))}")
        scenes.append(Scene(name, match, steps))
    if not scenes or not scenes[-1].match.search(""):
        raise ScriptError("the last scene must match anything")
    return Script(
        tuple(scenes),
        float(document.get("rate", 0)),
        document.get("usage"),
        tuple(document.get("prompts", ())),
        bool(document.get("last_block", False)),
    )


# -- reading the conversation -------------------------------------------------------------------

BESIDE = re.compile(r"<context-\w+>\s*since:")
"""What happened beside the conversation goes with each prompt by itself; nobody wrote it."""
INTERRUPTED = "[Request interrupted by user"
# Texts that claude itself puts into the user's place: not what the person asked.
SYNTHETIC = (
    "<system-reminder>",
    INTERRUPTED,
    "Your response above was cut off",
    "Output token limit hit",
    "Tool loaded.",
    "<local-command-",
    "<command-",
    "Caveat: The messages below",
)
NOTIFICATION = "[SYSTEM NOTIFICATION"  # background work has ended: a turn of its own
# What the person sends while a tool runs: claude folds it into the turn, in a message of its own.
STEER = re.compile(
    r"^The user sent a new message while you were working:\n(.*?)"
    r"(?:\n\n(?:This is how Claude Code|IMPORTANT:).*)?$",
    re.S,
)
WORKING_DIRECTORY = re.compile(r"[Ww]orking directory: (.+)")
PLAN_FILE = re.compile(r"[^\s`'\"]+/plans/[^\s`'\"]+\.md")


@dataclass(frozen=True)
class Conversation:
    """What a script may look at."""

    prompt: str
    place: str  # the same for every call of one turn, different for the next turn
    step: int  # answers the model has given since the prompt
    result: str  # text of the last tool result
    failed: bool  # a result of the last tool calls is an error or a refusal
    cwd: str
    plan_file: str
    steers: tuple[str, ...] = ()  # what the person added since


def read_conversation(request: Mapping[str, Json], last_block: bool = False) -> Conversation:
    messages: Sequence[Mapping[str, Json]] = request.get("messages") or []
    prompt, at = "", -1
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") == "user" and (found := prompt_of(messages[index])):
            prompt, at = found[-1] if last_block else "\n".join(found), index
            break
    step, speaking = 0, False
    result, failed = "", False
    steers: list[str] = []
    for message in messages[at + 1 :]:
        role = message.get("role")
        if role == "assistant":
            step += not speaking
            failed = False
        speaking = role == "assistant"
        for block in blocks_of(message):
            if block.get("type") == "tool_result":
                result = text_of(block.get("content", ""))
                failed |= bool(block.get("is_error"))
            elif steer := STEER.match(str(block.get("text", "")).strip()):
                steers.append(steer[1])
    surroundings = "\n".join(
        [text_of(request.get("system", "")), *(map(text_of, (m.get("content") for m in messages)))]
    )
    where = WORKING_DIRECTORY.search(surroundings)
    plans = PLAN_FILE.findall(surroundings)
    return Conversation(
        prompt, f"{at}:{prompt}", step, result, failed,
        where[1].strip() if where else ".", plans[-1] if plans else "",
        tuple(steers),
    )  # fmt: skip


def prompt_of(message: Mapping[str, Json]) -> list[str]:
    """The texts the person wrote in a user message; none when it carries results or reminders."""
    parts: list[str] = []
    for block in blocks_of(message):
        text = str(block.get("text", "")).strip() if block.get("type") == "text" else ""
        if text.startswith("<system-reminder>") and text.endswith("</system-reminder>"):
            text = text.removeprefix("<system-reminder>").removesuffix("</system-reminder>").strip()
            text = text if text.startswith(NOTIFICATION) else ""
        if text.startswith(INTERRUPTED):
            parts.clear()  # what was asked before it is over
        elif text and not text.startswith(SYNTHETIC) and not BESIDE.match(text):
            parts.append(text)
    return parts


def blocks_of(message: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    content = message.get("content", "")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)]


def text_of(content: Json) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content or () if "text" in block)


def estimate_tokens(value: Json) -> int:
    return len(json.dumps(value, ensure_ascii=False)) // 4 + 1


# -- answering ----------------------------------------------------------------------------------


def answer(script: Script, request: Mapping[str, Json], model_session: str = "") -> Reply:
    """The reply to one `POST /v1/messages`; `model_session` keeps fault counters apart."""
    if schema := wanted_schema(request):
        # claude asks so for titles and the like; the person's scene must not be used up by it
        prompt = read_conversation(request).prompt
        filled = json.dumps(fill_schema(schema, title_from(prompt)), ensure_ascii=False)
        return Reply(text=(filled,), usage=figures(None, request, 12))
    conversation = read_conversation(request, script.last_block)
    if "create a detailed summary of" in conversation.prompt:  # /compact and auto-compaction
        return Reply(
            text=("<summary>\nThe person talked with a scripted model.\n</summary>",),
            usage=figures(script.usage, request, 12),
        )
    reply = play(script, conversation, request, model_session)
    if reply.tools:
        return reply
    for steer in conversation.steers:  # answered at the end of the turn they joined
        joined = replace(conversation, prompt=steer, step=0, result="", failed=False)
        added = play(script, joined, request, model_session).text
        reply = replace(reply, text=(*reply.text, "\n\n", *added))
    return reply


def play(
    script: Script, conversation: Conversation, request: Mapping[str, Json], model_session: str
) -> Reply:
    number, scene, match = find_scene(script, conversation.prompt)
    values = {
        "prompt": conversation.prompt, "result": conversation.result, "cwd": conversation.cwd,
        "plan_file": conversation.plan_file,
        **{str(index): text or "" for index, text in enumerate(match.groups(), 1)},
        **{name: text or "" for name, text in match.groupdict().items()},
    }  # fmt: skip
    index = min(conversation.step, len(scene.steps) - 1)
    step: Mapping[str, Json] = fill(scene.steps[index], values)
    if conversation.failed and "on_error" in step:
        step = {"text": step["on_error"]}
    elif conversation.step >= len(scene.steps) and "tool" in step:
        step = {"text": "The script of this scene is at its end."}
    rate = float(step.get("rate") or script.rate)
    text = tuple(deltas_of(step))
    tools = tuple(ToolCall(tool["name"], tool.get("input", {})) for tool in step.get("tool", ()))
    thinking = tuple(chunks(step.get("thinking", "")))
    spoken = len(text) + len(thinking) + sum(estimate_tokens(tool.input) for tool in tools)
    return Reply(
        thinking=thinking,
        text=text,
        tools=tools,
        stamped=bool(step.get("stamped")),
        rate=rate,
        delay=float(step.get("delay_ms", 0)) / 1000,
        usage=figures(step.get("usage", script.usage), request, spoken),
        stop_reason=step.get("stop_reason") or ("tool_use" if tools else "end_turn"),
        fault=fault_of(step.get("fault")),
        place=f"{model_session}|{conversation.place}|{number}|{index}",
    )


def find_scene(script: Script, prompt: str) -> tuple[int, Scene, re.Match[str]]:
    for number, scene in enumerate(script.scenes):
        if match := scene.match.search(prompt):
            return number, scene, match
    raise AssertionError("parse_script demands a last scene that matches anything")


def fill(value: Json, values: Mapping[str, str]) -> Json:
    """Put the conversation's values into every string below `value`; unknown names stay."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], name[0]), value)
    if isinstance(value, dict):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    return value


def deltas_of(step: Mapping[str, Json]) -> Iterator[str]:
    text = str(step.get("text", ""))
    if step.get("whole"):
        yield text
    else:
        yield from chunks(text)
    filler = FILLER.split()
    for index in range(int(step.get("words", 0))):
        yield filler[index % len(filler)] + " "
    size = round(float(step.get("kilobytes", 0)) * 1000)
    line = FILLER + "\n"
    while size > 0:
        yield line[:size]
        size -= len(line)


def chunks(text: str) -> list[str]:
    """Cut where a model's tokens roughly begin: each word with the white space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def fault_of(value: Mapping[str, Json] | None) -> Fault | None:
    if not value:
        return None
    if value["kind"] not in get_args(FaultKind):
        raise ScriptError(f"unknown fault {value['kind']!r}")
    times, wait = value.get("times"), value.get("retry_after")
    return Fault(
        kind=value["kind"],
        status=int(value.get("status", 529)),
        times=int(times) if times not in (None, "") else None,
        after=int(value.get("after", 0) or 0),
        retry_after=str(wait) if wait not in (None, "") else None,
    )


def figures(fixed: Mapping[str, int] | None, request: Mapping[str, Json], spoken: int) -> Usage:
    """Token counts of a call: the script's, else what a cache that never misses would give."""
    if fixed is not None:
        return Usage(
            fixed.get("input", 0), fixed.get("output", spoken),
            fixed.get("cache_read", 0), fixed.get("cache_write", 0),
        )  # fmt: skip
    messages: Sequence[Mapping[str, Json]] = request.get("messages") or []
    spoke = [i for i, message in enumerate(messages) if message.get("role") == "assistant"]
    before = estimate_tokens([request.get("system"), request.get("tools")])
    if not spoke:
        return Usage(estimate_tokens(messages[-1:]), spoken, 0, before)
    known = before + estimate_tokens(messages[: spoke[-1]])
    return Usage(estimate_tokens(messages[spoke[-1] + 1 :]), spoken, known, 0)


def wanted_schema(request: Mapping[str, Json]) -> Mapping[str, Json] | None:
    wanted = (request.get("output_config") or {}).get("format") or {}
    schema = wanted.get("schema") if wanted.get("type") == "json_schema" else None
    return schema if isinstance(schema, dict) else None


def fill_schema(schema: Mapping[str, Json], text: str) -> Json:
    """The smallest value a JSON schema allows, with `text` for its strings."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties: Mapping[str, Json] = schema.get("properties", {})
            return {name: fill_schema(part, text) for name, part in properties.items()}
        case "array":
            return []
        case "boolean":
            return False
        case "integer" | "number":
            return 0
        case "null":
            return None
        case _:
            return text


def title_from(prompt: str) -> str:
    tagged = re.search(r"<(\w+)>(.*?)</\1>", prompt, re.S)
    text = tagged[2] if tagged else prompt
    return " ".join(text.split()[:6]) or "Conversation"

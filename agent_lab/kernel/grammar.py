"""Read what stands after `%agent`: options, then a word of ours or the person's own words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Verb = Literal[
    "ask",
    "fix",
    "status",
    "stop",
    "sessions",
    "resume",
    "usage",
    "watch",
    "unwatch",
    "answer",
    "trust",
    "help",
]
Condition = Literal["error", "idle", "when"]

FLAGS: Mapping[str, str] = {
    "--wait": "show the answer here, as it comes; interrupting the kernel stops the agent",
    "--plan": "let it plan first; it changes nothing until you accept the plan",
    "--new": "begin a new session; the one before stays in the list",
    "--all-errors": "send the errors of all cells that failed, not only the last one",
    "--no-context": "send the question alone",
    "--again": "ask also when the notebook runs as a whole",
    "--help": "show this help",
}
VALUES: Mapping[str, tuple[str, str]] = {
    "--cell": ("N|ID", "send that cell: its number, as in [3], or its id"),
    "--out": ("N", "send that cell's output only"),
    "--vars": ("a,b", "send what these variables are; no values of tables"),
    "--session": ("ID", "ask that session, once"),
    "--agent": ("NAME", "which agent; another one than now needs --new"),
    "--model": ("NAME", "which model, from now on"),
}
WORDS: Mapping[str, str] = {
    "fix": "mend the last error",
    "status": "what the agent is doing",
    "stop": "cancel what it is doing",
    "sessions": "the sessions of this folder",
    "resume": "go on with another session",
    "usage": "what this session took",
    "watch": "ask when something happens",
    "answer": "answer what the agent asks, where there is no panel",
    "trust": "whether the agent obeys this folder's own settings, where there is no panel",
}

HELP = """Ask the agent of this notebook.

%agent <question>     ask, and show it what the last cell did: its error, else its output
%agent                ask it to explain that error and mend it, or to explain that output
%agent fix            mend the last error: it gets the cell, the traceback, the variables involved
%%agent               the rest of the cell is the question; options stand on the first line

%agent status         what the agent is doing
%agent stop           cancel what it is doing
%agent sessions       the sessions of this folder
%agent resume ID      go on with that session in this notebook; the start of the id is enough
%agent usage          what this session took: turns, tokens, cost

%agent watch on error [question]        ask once, as soon as a cell fails
%agent watch on idle [question]         ask once, when what runs next is done
%agent watch when EXPR [-- question]    ask once, when EXPR is true after a cell
%agent watch                            what is watched
%agent watch stop                       watch no more

Without a Jupyter server of Agent Lab the agent runs in this very process. `AgentChat()` shows its
panel in a notebook; elsewhere there are
%agent answer [N]     what the agent asks, or answer it with the choice of that number
%agent trust [yes|no] what in this folder the agent would obey, or decide about it

The answer appears in the Agent panel and the cell returns at once; with --wait the answer
appears below the cell.

{options}
A question that starts with dashes follows a lone --.
What you name with --cell, --out, --vars or --all-errors is sent in place of the last cell.
There is no --yes: what the agent may do is decided where you see it, in the Agent panel.
"""

NO_YES = (
    "There is no --yes. What the agent may do is decided in the Agent panel, where you see it "
    "first: a cell's text could have been written by anybody, also by the agent."
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a line asks for. `question` "": the default one for what is sent along."""

    verb: Verb
    question: str = ""
    with_context: bool = True
    cell: str = ""
    out: int | None = None
    variables: tuple[str, ...] = ()
    all_errors: bool = False
    agent: str = ""
    model: str = ""
    new: bool = False
    session: str = ""
    wait: bool = False
    plan: bool = False
    again: bool = False
    condition: Condition | None = None
    expression: str = ""
    choice: int | None = None
    trust: bool | None = None

    @property
    def names_context(self) -> bool:
        return bool(self.cell or self.out is not None or self.variables or self.all_errors)


_ALONE: Mapping[str, Verb] = {
    "status": "status",
    "stop": "stop",
    "sessions": "sessions",
    "usage": "usage",
}
_ID = re.compile(r"[0-9a-f-]{4,36}")


def help_text() -> str:
    width = max(len(f"{name} {value}") for name, (value, _) in VALUES.items())
    listed = [(f"{name} {value}", does) for name, (value, does) in VALUES.items()]
    listed += FLAGS.items()
    lines = (f"  {name:{width}}  {does}" for name, does in listed)
    return HELP.format(options="\n".join(("Options, before the question:", *lines))).strip()


def parse(line: str, cell: str | None = None) -> Request:
    """Options first, then the question as it stands: quotes and braces are the person's own words.

    Raises ValueError with a sentence that names the next step.
    """
    request, rest, literal = _options(Request("ask"), line.strip())
    if request.verb == "help":
        return request
    body = (cell or "").strip()
    word, *more = rest.split(maxsplit=1) if rest and not literal else ("",)
    after = more[0] if more else ""
    if word == "watch" and _is_watch(after, cell):
        return _checked(_watch(request, after, body))
    if cell is None and word == "fix":
        # `fix --wait` is our word and its options; `fix the labels` is a question.
        fixing, question, _ = _options(replace(request, verb="fix"), after)
        if fixing.verb == "help":
            return fixing
        if not question:
            return _checked(fixing)
    if cell is None and word == "resume" and (not after or _ID.fullmatch(after)):
        if not after:
            raise ValueError("Name the session: %agent resume ID. `%agent sessions` lists them.")
        return replace(_alone(request, "resume"), session=after)
    if cell is None and word == "answer" and (not after or after.isdecimal()):
        return replace(_alone(request, "answer"), choice=int(after) if after else None)
    if cell is None and word == "trust" and after in ("", "yes", "no"):
        decision = {"yes": True, "no": False}.get(after)
        return replace(_alone(request, "trust"), trust=decision)
    if cell is None and not after and (verb := _ALONE.get(word)) is not None:
        return _alone(request, verb)
    question = "\n".join(part for part in (rest, body) if part)
    return _checked(replace(request, question=question))


def _options(request: Request, rest: str) -> tuple[Request, str, bool]:
    """The options that a text begins with, what is left of it, and whether a lone -- ended them."""
    while rest.startswith("--"):
        word, *more = rest.split(maxsplit=1)
        rest = more[0] if more else ""
        if word == "--":
            return request, rest, True
        name, equals, value = word.partition("=")
        if name in FLAGS and not equals:
            request = _flag(request, name)
        elif name in VALUES:
            if not equals:
                value, *more = rest.split(maxsplit=1) or [""]
                rest = more[0] if more else ""
            if not value or value.startswith("--"):
                raise ValueError(f"{name} needs {VALUES[name][0]}: {VALUES[name][1]}.")
            request = _value(request, name, value)
        elif name == "--yes":
            raise ValueError(NO_YES)
        else:
            offered = ", ".join([*(f"{name} {VALUES[name][0]}" for name in VALUES), *FLAGS])
            raise ValueError(
                f"%agent has no option {word}. Options: {offered}. "
                "A question that starts with dashes follows a lone --."
            )
    return request, rest, False


def _flag(request: Request, name: str) -> Request:
    match name:
        case "--wait":
            return replace(request, wait=True)
        case "--plan":
            return replace(request, plan=True)
        case "--new":
            return replace(request, new=True)
        case "--all-errors":
            return replace(request, all_errors=True)
        case "--no-context":
            return replace(request, with_context=False)
        case "--again":
            return replace(request, again=True)
        case _:
            return replace(request, verb="help")


def _value(request: Request, name: str, value: str) -> Request:
    match name:
        case "--cell":
            return replace(request, cell=value)
        case "--out":
            if not (value.isascii() and value.isdecimal()):
                raise ValueError(f"--out takes the number of a cell, as in [3], not {value!r}.")
            return replace(request, out=int(value))
        case "--vars":
            names = tuple(dict.fromkeys(part for part in value.split(",") if part))
            strange = [name for name in names if not name.isidentifier()]
            if strange or not names:
                said = ", ".join(strange) or value
                raise ValueError(f"--vars takes names with commas between, a,b, not {said!r}.")
            return replace(request, variables=names)
        case "--session":
            return replace(request, session=value)
        case "--agent":
            return replace(request, agent=value)
        case _:
            return replace(request, model=value)


def _checked(request: Request) -> Request:
    if not request.with_context and request.names_context:
        raise ValueError("--no-context sends the question alone: leave out what else to send.")
    if request.new and request.session:
        raise ValueError("Either a --new session or that --session, not both.")
    if request.verb == "fix" and (not request.with_context or request.out is not None):
        raise ValueError("`%agent fix` sends the last error. Leave out --no-context and --out.")
    return request


def _alone(request: Request, verb: Verb) -> Request:
    """A word that takes no options; `--again` says nothing new there."""
    if replace(request, again=False) != Request("ask"):
        raise ValueError(f"`%agent {verb}` takes no options.")
    return Request(verb)


def _is_watch(rest: str, cell: str | None) -> bool:
    words = rest.split()
    if not words or words == ["stop"]:
        return cell is None
    return words[0] == "when" or words[:2] in (["on", "error"], ["on", "idle"])


def _watch(request: Request, rest: str, body: str) -> Request:
    words = rest.split(maxsplit=2)
    if not words or words == ["stop"]:
        return _alone(request, "unwatch" if words else "watch")
    if request.wait or request.plan or request.new or request.model or request.agent:
        raise ValueError("A watch takes --vars, --session and --no-context, no other option.")
    if words[0] == "on":
        condition: Condition = "error" if words[1] == "error" else "idle"
        question = words[2] if len(words) > 2 else ""
        expression = ""
    else:
        condition = "when"
        after = rest.split(maxsplit=1)[1] if len(words) > 1 else ""
        expression, _, question = (part.strip() for part in after.partition(" -- "))
        try:
            compile(expression, "<watch>", "eval")
        except (SyntaxError, ValueError):
            raise ValueError(
                f"{expression!r} is no Python expression. A question follows a --, as in "
                "`%agent watch when loss < 0.1 -- Is it converging?`"
            ) from None
    question = "\n".join(part for part in (question, body) if part)
    return replace(
        request, verb="watch", question=question, condition=condition, expression=expression
    )

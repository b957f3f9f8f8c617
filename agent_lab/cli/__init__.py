"""Run `jupyter agent-lab …`: read the arguments, call one command, put faults into sentences."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_lab.protocol.errors import AgentLabError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 fine, 1 it did not work, 2 wrong arguments, 130 interrupted."""
    given = parser().parse_args(arguments)
    try:
        return _run(given)
    except AgentLabError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _run(given: argparse.Namespace) -> int:
    # Imported here: `--help` needs none of it, and only `demo` needs JupyterLab.
    if given.command == "demo":
        from agent_lab.cli.demo import demo

        return demo(given.workspace, given.port, given.browser)
    if given.command == "doctor":
        from agent_lab.cli.doctor import doctor

        return doctor()
    from agent_lab.cli import commands
    from agent_lab.cli.client import find_server

    server = find_server(given.server)
    match given.command:
        case "agents":
            return commands.agents(server)
        case "sessions":
            return commands.sessions(server, given.search)
        case "send":
            return commands.send(server, given.text, given.session, given.path, given.follow)
        case _:
            return commands.export(server, given.session, given.format, given.output)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="jupyter agent-lab", description="A coding agent beside live notebooks and a terminal."
    )
    add = top.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser

    demo = add("demo", help="JupyterLab on a sample, with a scripted model: no account, no network")
    demo.add_argument("--port", type=_port, default=8888, help="the next free one if taken")
    demo.add_argument("--no-browser", dest="browser", action="store_false", help="open no browser")
    demo.add_argument(
        "--workspace",
        type=Path,
        metavar="DIR",
        help="where the sample goes; files there stay as they are "
        "(default: a fresh temporary folder, removed at the end)",
    )
    add("doctor", help="look for what is missing, and say how to mend it")

    running = argparse.ArgumentParser(add_help=False)
    running.add_argument(
        "--server",
        metavar="URL",
        help="the Jupyter server, where needed with ?token=… "
        "(default: the running one that serves this folder)",
    )
    add("agents", parents=[running], help="the agents that a server knows")
    sessions = add(
        "sessions", parents=[running], help="the sessions of a server, active ones first"
    )
    sessions.add_argument(
        "search", type=_text, nargs="?", default="", help="words in titles and transcripts"
    )

    send = add("send", parents=[running], help="ask something")
    send.add_argument("text", type=_text)
    where = send.add_mutually_exclusive_group()
    where.add_argument(
        "--session", type=_text, metavar="ID", help="in this session (default: a new one)"
    )
    where.add_argument(
        "--path", type=Path, metavar="DIR", help="in a new session of this folder (default: here)"
    )
    send.add_argument("--follow", action="store_true", help="print the answer as it comes")

    export = add("export", parents=[running], help="write a session's transcript")
    export.add_argument("session", type=_text, metavar="ID")
    export.add_argument("--format", choices=["jsonl"], default="jsonl", help="(default: jsonl)")
    export.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="(default: standard output)"
    )
    return top


def _text(argument: str) -> str:
    """An argument that can be sent: bytes that are no UTF-8 arrive here as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{argument!r} is not UTF-8") from None
    return argument


def _port(argument: str) -> int:
    if not (argument.isascii() and argument.isdecimal() and int(argument) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{argument!r} is no port: a number up to 65535")
    return int(argument)

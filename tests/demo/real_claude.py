"""Drive the real claude program over plain pipes, for the tests of the model it talks to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import claude_agent_sdk

from agent_lab.demo.sample import claude_environment

PROGRAM = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
LINE = 64 * 1024 * 1024
DEADLINE = 40.0

Json = dict[str, Any]


class Claude:
    """One process; every line it wrote is kept in `lines`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[Json] = []
        self.session = ""

    async def send(self, message: Json) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def control(self, **request: Any) -> Json:
        request_id = uuid.uuid4().hex
        await self.send({"type": "control_request", "request_id": request_id, "request": request})
        answer = await self.until(
            lambda m: m["type"] == "control_response" and m["response"]["request_id"] == request_id
        )
        response: Json = answer["response"]
        return response

    async def until(self, wanted: Callable[[Json], bool]) -> Json:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            while line := await self.process.stdout.readline():
                message: Json = json.loads(line)
                self.lines.append(message)
                if wanted(message):
                    return message
        raise AssertionError(f"claude ended with {await self.process.wait()}")

    async def prompt(self, text: str) -> None:
        await self.send(
            {
                "type": "user",
                "uuid": str(uuid.uuid4()),
                "message": {"role": "user", "content": text},
            }
        )

    async def allow(self, request: Json, **change: Any) -> None:
        decision = {
            "behavior": "allow",
            "updatedInput": {**request["request"]["input"], **change},
        }
        await self.decide(request, decision)

    async def decide(self, request: Json, decision: Json) -> None:
        response = {
            "subtype": "success",
            "request_id": request["request_id"],
            "response": decision,
        }
        await self.send({"type": "control_response", "response": response})

    async def question(self) -> Json:
        return await self.until(lambda m: m["type"] == "control_request")

    async def result(self) -> Json:
        return await self.until(lambda m: m["type"] == "result")

    async def turn(self, text: str) -> Json:
        """A whole turn in which nothing is asked."""
        await self.prompt(text)
        return await self.result()

    def blocks(self, kind: str) -> list[Json]:
        """The content blocks of that type in all finished messages, in order."""
        return [
            block
            for line in self.lines
            if line["type"] in ("assistant", "user")
            and isinstance(line["message"]["content"], list)
            for block in line["message"]["content"]
            if block["type"] == kind
        ]


@asynccontextmanager
async def running_claude(
    url: str,
    home: Path,
    cwd: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    background: bool = False,
) -> AsyncIterator[Claude]:
    """A claude that was introduced; ended (by SIGTERM, the sure way) when the block is left."""
    bound = {} if background else {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *("--output-format", "stream-json", "--input-format", "stream-json", "--verbose"),
        *("--permission-prompt-tool", "stdio", "--include-partial-messages"),
        *("--setting-sources", "user", "--strict-mcp-config"),
        *flags,
        cwd=cwd,
        env={"PATH": search, **bound, **claude_environment(url, home), **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LINE,
    )
    claude = Claude(process)
    try:
        await claude.control(subtype="initialize")
        yield claude
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()

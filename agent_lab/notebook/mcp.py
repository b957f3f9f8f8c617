"""The Model Context Protocol's JSON-RPC, for tools and resources: a message in, an answer out.
Pure.

Two doors lead here: claude's own control channel and the HTTP route. There are no protocol
sessions, so a restart of the server is invisible. Source: the specification of 2025-11-25.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from agent_lab.protocol.events import Json

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
NO_RESOURCE = -32002


class Param(Struct, frozen=True):
    """An argument of a tool. `type` is JSON schema's."""

    type: str
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()


class Tool(Struct, frozen=True):
    """`changes`: it changes a cell. `runs`: something happens in the kernel. Neither: it reads."""

    name: str
    title: str
    description: str
    params: Mapping[str, Param]
    changes: bool = False
    runs: bool = False

    @property
    def reads(self) -> bool:
        return not (self.changes or self.runs)

    def listed(self) -> Json:
        properties: dict[str, Json] = {}
        for name, param in self.params.items():
            properties[name] = {"type": param.type, "description": param.description}
            if param.choices:
                properties[name]["enum"] = list(param.choices)
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": properties,
                "required": [name for name, param in self.params.items() if param.required],
                "additionalProperties": False,
            },
            "annotations": {
                "readOnlyHint": self.reads,
                "destructiveHint": self.name in ("delete_cell", "restart_kernel"),
                "openWorldHint": False,
            },
            # claude would look for tools of ours with a tool of its own otherwise.
            "_meta": {"anthropic/alwaysLoad": True},
        }


class Result(Struct, frozen=True):
    """MCP content blocks. `is_error`: the tool failed, and the content says how to go on."""

    content: Sequence[Json]
    is_error: bool = False


def text(words: str, is_error: bool = False) -> Result:
    return Result(({"type": "text", "text": words},), is_error)


class Resource(Struct, frozen=True):
    uri: str
    name: str
    size: int


class Server(Protocol):
    """What is behind the protocol."""

    name: str
    version: str
    tools: Sequence[Tool]

    @property
    def instructions(self) -> str: ...

    async def call(self, tool: Tool, arguments: Mapping[str, Any], meta: Json) -> Result: ...
    async def resources(self) -> Sequence[Resource]: ...
    async def read(self, uri: str) -> str | None:
        """None: there is no such resource."""
        ...


async def handle(server: Server, message: Json) -> Json | None:
    """The answer to one message; None for a notification and for an answer to us."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return _error(None, INVALID_REQUEST, "This is no JSON-RPC 2.0 message.")
    id, method = message.get("id"), message.get("method")
    if not isinstance(method, str):
        if "result" in message or "error" in message:
            return None
        return _error(id, INVALID_REQUEST, "A request names its method.")
    if "id" not in message:
        return None  # a notification; `cancelled` was seen to before
    if not isinstance(id, int | str) or isinstance(id, bool):
        return _error(None, INVALID_REQUEST, "An id is a string or a whole number.")
    params = message.get("params")
    if params is not None and not isinstance(params, dict):
        return _error(id, INVALID_PARAMS, "The parameters must be an object.")
    return await _request(server, id, method, params or {})


async def _request(server: Server, id: Json, method: str, params: Mapping[str, Any]) -> Json:
    match method:
        case "initialize":
            wanted = params.get("protocolVersion")
            return _result(
                id,
                {
                    "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
                    "capabilities": {"tools": {}, "resources": {}},
                    "serverInfo": {
                        "name": server.name,
                        "title": "Agent Lab",
                        "version": server.version,
                    },
                    "instructions": server.instructions,
                },
            )
        case "ping":
            return _result(id, {})
        case "tools/list":
            return _result(id, {"tools": [tool.listed() for tool in server.tools]})
        case "tools/call":
            return await _call(server, id, params)
        case "resources/list":
            found = [
                {"uri": one.uri, "name": one.name, "mimeType": "text/plain", "size": one.size}
                for one in await server.resources()
            ]
            return _result(id, {"resources": found})
        case "resources/templates/list":
            return _result(id, {"resourceTemplates": []})
        case "resources/read":
            uri = params.get("uri")
            words = await server.read(uri) if isinstance(uri, str) else None
            if words is None:
                said = "There is no such output (any more). Run the code again."
                return _error(id, NO_RESOURCE, said, {"uri": uri})
            contents = [{"uri": uri, "mimeType": "text/plain", "text": words}]
            return _result(id, {"contents": contents})
    return _error(id, NO_METHOD, f"There is no method {method[:80]!r} here.")


async def _call(server: Server, id: Json, params: Mapping[str, Any]) -> Json:
    name = params.get("name")
    tool = next((tool for tool in server.tools if tool.name == name), None)
    if tool is None:
        return _error(id, INVALID_PARAMS, f"There is no tool {str(name)[:80]!r} here.")
    given = params.get("arguments")
    arguments = given if isinstance(given, dict) else {}
    wrong = "The arguments must be an object." if arguments is not given is not None else ""
    if wrong := wrong or mismatch(tool, arguments):
        result = text(wrong, True)
    else:
        meta = params.get("_meta")
        result = await server.call(tool, arguments, meta if isinstance(meta, dict) else {})
    return _result(id, {"content": list(result.content), "isError": result.is_error})


_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "integer": (int,)}


def mismatch(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments, in a sentence; "" when nothing is."""
    for name, value in arguments.items():
        param = tool.params.get(name)
        if param is None:
            known = ", ".join(tool.params) or "none"
            return f"{tool.name} takes no argument {name[:80]!r}. It takes: {known}."
        if value is None and not param.required:
            continue
        is_bool = isinstance(value, bool) and param.type != "boolean"
        if not isinstance(value, _TYPES[param.type]) or is_bool:
            return f"The argument {name!r} of {tool.name} must be of type {param.type}."
        if param.choices and value not in param.choices:
            return f"The argument {name!r} of {tool.name} is one of: {', '.join(param.choices)}."
    for name, param in tool.params.items():
        if param.required and arguments.get(name) is None:
            return f"{tool.name} needs the argument {name!r}: {param.description}"
    return ""


def _result(id: Json, result: Json) -> Json:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def _error(id: Json, code: int, message: str, data: Json = None) -> Json:
    error: dict[str, Json] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": id, "error": error}


def parse_error() -> Json:
    return _error(None, PARSE_ERROR, "This is not JSON.")

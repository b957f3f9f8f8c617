"""The OpenAPI document says what there is, and all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import agent_lab.server
from agent_lab.server import openapi
from tests.server.lab import Json, Server

FILE = Path(agent_lab.server.__file__).with_name("openapi.json")
METHODS = ("get", "post", "put", "patch", "delete")


def registered(app: Any) -> set[tuple[str, str]]:
    """(method, path) of every handler of ours that a server has."""
    found = set()
    for rule in app.wildcard_router.rules + [
        inner for outer in app.default_router.rules for inner in getattr(outer.target, "rules", [])
    ]:
        shape = getattr(rule.matcher, "regex", None)
        if shape is None or "agent-lab/" not in shape.pattern:
            continue
        path = shape.pattern[shape.pattern.index("/agent-lab/") :].rstrip("$")
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", path)
        if "(?:" in path:  # whatever is not there
            continue
        for method in METHODS:
            # An inherited method is tornado's own, which answers 405.
            ours = [kind for kind in rule.target.mro() if kind.__module__.startswith("agent_lab.")]
            if any(method in vars(kind) for kind in ours):
                found.add((method, path))
    return found


async def test_every_route_is_documented_and_every_documented_route_exists(
    server: Server, jp_serverapp: Any
) -> None:
    document = (await server.call("GET", "openapi.json")).json
    documented = {(method, path) for path, place in document["paths"].items() for method in place}
    assert documented == registered(jp_serverapp.web_app)
    assert len(documented) >= 21


def test_the_file_in_the_package_is_what_the_code_says() -> None:
    wanted = openapi.text()
    assert FILE.read_text() == wanted, "run: python -m agent_lab.server.openapi > " + str(FILE)


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    names = set(document["components"]["schemas"])

    def references(node: Any) -> set[str]:
        if isinstance(node, list):
            return {name for one in node for name in references(one)}
        if not isinstance(node, dict):
            return set()
        here = {node["$ref"].rsplit("/", 1)[1]} if isinstance(node.get("$ref"), str) else set()
        return here | {name for one in node.values() for name in references(one)}

    assert references(document["paths"]) | references(document["components"]) <= names
    operations: list[Json] = [
        operation for place in document["paths"].values() for operation in place.values()
    ]
    assert len({operation["operationId"] for operation in operations}) == len(operations)

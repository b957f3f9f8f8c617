"""The dial of a folder and the list of what was sent, over HTTP and across restarts."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.server.lab import Json, Server, text

KEY = "ghp_" + "a1B2" * 9
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
OUTPUT: Json = {"type": "output", "label": "Out[1]", "text": f"the answer {KEY}\n" + "row\n" * 5}
WITHHELD = '[… not sent: the context dial of this folder is at "schema only"]'


def context_of(turn: list[Json]) -> list[Json]:
    message = next(event for event in turn if event["type"] == "user_message")
    context: list[Json] = message["context"]
    return context


async def test_it_holds_for_the_folder_and_those_below(server: Server, jp_root_dir: Path) -> None:
    for folder in ("a/b", "ab"):
        (jp_root_dir / folder).mkdir(parents=True)
    upper, lower, other = [await server.create(path=path) for path in ("a", "a/b", "ab")]
    default = await server.call("GET", f"sessions/{upper['id']}/dial")
    assert default.json == {
        "sent": "full", "read": "sample", "masks": [], "columns": [], "since": True,
    }  # fmt: skip
    changed = await server.call(
        "PATCH", f"sessions/{upper['id']}/dial",
        {"level": "schema", "masks": ["cust-\\d+"], "columns": ["ssn"]},
    )  # fmt: skip
    assert changed.status == 200
    assert (changed.json["sent"], changed.json["read"]) == ("schema", "schema")
    assert (await server.call("GET", f"sessions/{lower['id']}/dial")).json == changed.json
    assert (await server.call("GET", f"sessions/{other['id']}/dial")).json == default.json
    assert (await server.session(lower["id"]))["dial"] == changed.json
    assert "dial" not in await server.session(other["id"])

    own = await server.call("PATCH", f"sessions/{lower['id']}/dial", {"sent": "full"})
    assert (own.json["sent"], own.json["read"]) == ("full", "schema")
    assert (await server.call("GET", f"sessions/{upper['id']}/dial")).json == changed.json

    [item] = context_of(await server.ask(upper["id"], "why?", context=[OUTPUT]))
    assert item["text"] == f"6 lines, {len(OUTPUT['text'])} characters {WITHHELD}"
    [item] = context_of(await server.ask(lower["id"], "why?", context=[OUTPUT]))
    assert item["text"].startswith("the answer [masked: API key]\nrow")
    late = await server.create(path="a")
    [item] = context_of(await server.ask(late["id"], "why?", context=[OUTPUT]))
    assert WITHHELD in item["text"]


@pytest.mark.parametrize(
    "body",
    [{"masks": ["(a+)+"]}, {"masks": ["("]}, {"columns": [""]}, {"level": "everything"},
     {"masks": "x"}, {"other": 1}, {"masks": ["a"] * 51}],
)  # fmt: skip
async def test_what_cannot_be_a_dial_is_refused(server: Server, body: Json) -> None:
    session = await server.create(path="")
    answer = await server.call("PATCH", f"sessions/{session['id']}/dial", body)
    assert answer.status == 400
    assert (await server.call("GET", f"sessions/{session['id']}/dial")).json["masks"] == []


async def test_what_was_sent_is_listed_exactly(server: Server) -> None:
    session = await server.create(path="")
    picture = {"type": "image", "mime_type": "image/png", "data": PICTURE}
    first = await server.ask(
        session["id"], "", content=[*text("look at this"), picture], context=[OUTPUT]
    )
    await server.ask(session["id"], "!bash 'echo 12345'")
    await server.call("PATCH", f"sessions/{session['id']}/dial", {"sent": "schema"})
    last = await server.ask(session["id"], "again", context=[OUTPUT])

    turns = (await server.call("GET", f"sessions/{session['id']}/sent")).json["turns"]
    assert [turn["turn_id"] for turn in turns][::2] == [first[0]["turn_id"], last[0]["turn_id"]]
    words, image, output = turns[0]["parts"]
    assert (words["kind"], words["by"], words["characters"]) == ("text", "person", 12)
    assert (image["kind"], image["mime_type"]) == ("image", "image/png")
    assert image["bytes"] == len(base64.b64decode(PICTURE))
    assert (output["label"], output["level"]) == ("Out[1]", "full")
    assert output["masked"] == {"API key": 1}
    assert output["characters"] == len(context_of(first)[0]["text"])
    assert not output["withheld"]
    result = turns[1]["parts"][1]
    assert (result["kind"], result["by"], result["level"]) == ("tool_result", "agent", None)
    assert result["characters"] >= 5
    held = turns[2]["parts"][1]
    assert (held["level"], held["withheld"]) == ("schema", True)
    assert turns[2]["dial"]["sent"] == "schema"
    assert turns[0]["dial"]["sent"] == "full"

    one = await server.call("GET", f"sessions/{session['id']}/sent", turn=last[0]["turn_id"])
    assert one.json["turns"] == turns[2:]
    none = await server.call("GET", f"sessions/{session['id']}/sent", turn="x")
    assert none.status == 404


async def test_it_is_a_table_and_a_document_too(server: Server) -> None:
    session = await server.create(path="")
    label = "=cmd|'/c calc'!A1 <b>\n| x"
    await server.ask(session["id"], "hi", context=[{**OUTPUT, "label": label}])
    path = f"sessions/{session['id']}/sent"
    table = await server.call("GET", path, format="csv")
    assert table.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert [row["kind"] for row in rows] == ["text", "output"]
    assert rows[1]["label"] == "'" + label
    assert rows[1]["masked"] == "1 API key"
    document = (await server.call("GET", path, format="md")).body.decode()
    assert "\\<b\\> \\| x" in document
    assert KEY not in document + table.body.decode()
    assert (await server.call("GET", path, format="pdf")).status == 400


async def test_nobody_without_the_right_turns_it(server: Server) -> None:
    session = await server.create(path="")
    for method, name in (("GET", "dial"), ("PATCH", "dial"), ("GET", "sent"), ("GET", "since")):
        stranger = await server.call(method, f"sessions/{session['id']}/{name}", {}, {})
        assert stranger.status == 403
    missing = await server.call("GET", "sessions/none/dial")
    assert missing.status == 404


async def test_a_fork_has_the_folders_dial_in_its_own_log(
    server: Server, jp_serverapp: Any
) -> None:
    session = await server.create(path="")
    await server.call("PATCH", f"sessions/{session['id']}/dial", {"sent": "schema"})
    await server.ask(session["id"], "one", context=[OUTPUT])
    fork = await server.call("POST", f"sessions/{session['id']}/fork", {})
    assert fork.status == 201, fork.body
    await server.ask(fork.json["id"], "two", context=[OUTPUT])
    turns = (await server.call("GET", f"sessions/{fork.json['id']}/sent")).json["turns"]
    assert turns[-1]["parts"][1]["level"] == "schema"

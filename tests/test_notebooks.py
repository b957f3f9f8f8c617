"""The user's documentation, executed: every cell of `notebooks/` in a kernel of a real server, with
the real claude on the demo's script, and what the text says of it."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from agent_lab.agents import registry
from agent_lab.demo.sample import NOTEBOOKS, claude_environment
from agent_lab.demo.script import SCRIPTS
from agent_lab.kernel.watching import IDLE_SECONDS
from agent_lab.notebook.provenance import source_hash
from tests.kernel.jupyter_process import Jupyter, Kernel, Ran, jupyter_server
from tests.stories.lab import scripted_model

PROJECT = Path(__file__).parents[1]
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
OURS = "mcp__agent_lab__"
ALWAYS = "Always allow"
"""The beginning of an option, whose words are the server's."""
SECRET = "a-token-that-stays-here"
FORKS = sys.platform == "linux"

Json = Any


def read(path: Path) -> Json:
    document: Json = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return document


class Reader:
    """Somebody who reads a notebook and does what it says: `document` is as it was shipped."""

    def __init__(self, server: Jupyter, kernel: Kernel, shipped: Path) -> None:
        self.server, self.kernel = server, kernel
        self.file = server.root / kernel.path
        self.file.write_bytes(shipped.read_bytes())
        self.document = read(shipped)
        self.ran: list[str] = []
        self._read: set[str] = set()
        self._answered: set[str] = set()
        assert kernel.run("%load_ext agent_lab").status == "ok"  # an install does it by itself

    # ------------------------------------------------------------ cells

    def cell(self, cell_id: str) -> Json:
        """As it stands in the file now."""
        return next(cell for cell in read(self.file).cells if cell.id == cell_id)

    def begin(self, cell_id: str) -> str:
        cell = self.cell(cell_id)
        if cell_id not in self.ran:
            self.ran.append(cell_id)
        self.kernel.updates.clear()
        return self.kernel.send(cell.source, cell_id)

    def end(self, sent: str) -> Ran:
        return self.kernel.result_of(sent)

    def run(self, cell_id: str) -> Ran:
        """To its end; it fails where its tag says so, and nowhere else."""
        ran = self.end(self.begin(cell_id))
        fails = "raises-exception" in self.cell(cell_id).metadata.get("tags", [])
        assert ran.status == ("error" if fails else "ok"), (cell_id, ran.text)
        return ran

    def again(self, cell_id: str, *, fails: bool = False) -> Ran:
        """Run a cell once more; one that was mended does not fail, whatever its tag says."""
        ran = self.end(self.begin(cell_id))
        assert ran.status == ("error" if fails else "ok"), (cell_id, ran.text)
        return ran

    def ask(self, cell_id: str) -> list[Json]:
        """Run a cell that asks, and give the events of the turn. The cell does not wait for it."""
        ran = self.run(cell_id)
        line = self.kernel.updated() if ran.text.startswith("Sending") else ran.text
        assert line.startswith("Sent to the agent of "), line
        assert "The answer appears in the Agent panel." in line
        assert self.session["status"] == "running"  # nobody waits for it
        return self.turn(words_of(self.cell(cell_id).source))

    def wait(self, cell_id: str) -> tuple[list[Json], str]:
        """Run a cell that waits; the events of the turn, and the markdown below the cell."""
        (output,) = self.run(cell_id).outputs
        shown = [one["text/markdown"] for one in (output["data"], *self.kernel.updates)]
        assert self.session["status"] == "idle"
        turn = self.turn(words_of(self.cell(cell_id).source))
        assert turn[-1]["stop_reason"] == "end_turn", turn[-1]
        assert len({len(text) for text in shown}) > 1  # as it is written
        return turn, shown[-1]

    # ------------------------------------------------------------ the session

    @property
    def session(self) -> Json:
        return self.server.session_of(self.kernel.path)

    def turn(self, words: str) -> list[Json]:
        """The events of the next turn whose prompt has these words, from it to its end."""
        turn_id = ""

        def ended(event: Json) -> bool:
            nonlocal turn_id
            if event["type"] == "user_message" and event["turn_id"] not in self._read:
                turn_id = event["turn_id"] if words in text_of(event["content"]) else turn_id
            return (event["type"], event["turn_id"]) == ("turn_ended", turn_id)

        events = self.server.events(self.session["id"], ended)
        self._read.add(turn_id)
        return [event for event in events if event["turn_id"] == turn_id]

    def messages(self) -> list[str]:
        """What was sent to the agent, in its own words."""
        page = self.call("GET", "events?after=0")["events"]
        return [text_of(one["content"]) for one in page if one["type"] == "user_message"]

    def call(self, method: str, route: str, body: Json = None) -> Json:
        return self.server.call(
            method, f"agent-lab/api/sessions/{self.session['id']}/{route}", body
        )

    def asked(self) -> Json:
        """What the agent asks next."""

        def is_new(event: Json) -> bool:
            asks: bool = event["type"] == "permission_request"
            return asks and event["request_id"] not in self._answered

        return self.server.events(self.session["id"], is_new)[-1]

    def answer(self, request: Json, option: str, message: str | None = None) -> None:
        """As in the panel."""
        self._answered.add(request["request_id"])
        assert option in [one["option_id"] for one in request["options"]]
        body = {"option_id": option, **({"message": message} if message else {})}
        self.call("POST", f"permissions/{request['request_id']}", body)

    def effects(self, request: Json) -> list[Json]:
        """What running it would do, as the card says."""
        told = self._learnt(request, lambda event: bool(event.get("effects")))
        effects: list[Json] = told["effects"]
        return effects

    def trial(self, request: Json) -> Json:
        """What comes of pressing *Try*."""
        self.call("POST", f"permissions/{request['request_id']}/trial")
        is_over = ("done", "refused", "failed")
        return self._learnt(
            request, lambda event: (event.get("trial") or {}).get("status") in is_over
        )["trial"]

    def _learnt(self, request: Json, wanted: Callable[[Json], bool]) -> Json:
        def is_it(event: Json) -> bool:
            return (
                event["type"] == "permission_updated"
                and event["request_id"] == request["request_id"]
                and wanted(event)
            )

        return self.server.events(self.session["id"], is_it)[-1]

    def told(self, expression: str) -> str:
        """A look at the kernel."""
        return self.kernel.run(f"print({expression})").text.strip()


def words_of(source: str) -> str:
    """What a cell asks, without its options."""
    line = source.split("agent", 1)[1].strip().splitlines()
    words = line[0] if line else "Explain this error and fix it."
    words = re.sub(r"--(?:wait|(?:vars|cell) \S+)\s*", "", words)
    return "Fix this error" if words.strip() == "fix" else words.strip()


def text_of(content: Sequence[Json]) -> str:
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def answer_of(turn: Sequence[Json]) -> str:
    parts = [text_of(one["content"]) for one in turn if one["type"] == "agent_message"]
    return "\n".join(parts)


def results(turn: Sequence[Json]) -> dict[str, tuple[str, list[Json]]]:
    """The tools of ours that were used, in order: how each ended, and what it gave back."""
    names: dict[str, str] = {}
    found: dict[str, tuple[str, list[Json]]] = {}
    for event in turn:
        if event["type"] == "tool_call" and event["name"].startswith(OURS):
            names[event["tool_call_id"]] = event["name"].removeprefix(OURS)
        name = names.get(event.get("tool_call_id", ""))
        if name is not None and event["type"] in ("tool_call", "tool_call_update"):
            status, content = found.get(name, ("", []))
            found[name] = (event.get("status") or status, event.get("content") or content)
    return found


def source_in(document: Json, cell_id: str) -> str:
    return next(str(cell.source) for cell in document.cells if cell.id == cell_id)


def context_of(turn: Sequence[Json]) -> list[Json]:
    """What went along, but for what happened since, which goes with each message."""
    message = next(one for one in turn if one["type"] == "user_message")
    return [item for item in message["context"] if item["type"] != "since"]


def of_type(turn: Sequence[Json], kind: str) -> list[Json]:
    return [event for event in turn if event["type"] == kind]


@contextmanager
def reading(folder: Path, name: str) -> Iterator[Reader]:
    """A server with the notebook of that name, and a model that plays the demo's script, faster."""
    program = registry.claude_command(())
    assert program is not None
    folder.mkdir(exist_ok=True)
    script = folder / "script.toml"
    demo = (SCRIPTS / "demo.toml").read_text()
    script.write_text(re.sub(r"(?m)^rate = \d+$", "rate = 100", demo))
    with (
        scripted_model(folder, script) as model,
        jupyter_server(
            folder, agent=program, variables=claude_environment(model, folder / "home")
        ) as server,
    ):
        yield Reader(server, server.notebook(name), NOTEBOOKS / name)


# -- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_it_is_valid_and_stored_without_outputs(file: Path) -> None:
    document = read(file)
    nbformat.validate(document)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    assert cells
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []
    assert not any("agent_lab" in cell.metadata for cell in document.cells)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_what_it_calls_by_name_is_called_so(file: Path) -> None:
    """*Words in slanted letters* are what a button or a menu says."""
    prose = "\n".join(cell.source for cell in read(file).cells if cell.cell_type == "markdown")
    found = re.findall(r"(?<![*\w])\*([A-Z][^*]+)\*(?!\*)", prose)
    named = [" ".join(name.split()) for name in found]
    words = (PROJECT / "agent_lab" / "locale" / "agent_lab.pot").read_text()
    unknown = [name for name in named if f'msgid "{name}"' not in words and name != ALWAYS]
    assert named
    assert unknown == []


# -- getting started ----------------------------------------------------------------------------


def test_getting_started(tmp_path: Path) -> None:
    with reading(tmp_path, "getting-started.ipynb") as reader:
        reader.run("orders")
        turn = reader.ask("ask-output")
        assert [(item["type"], item["cell_id"]) for item in context_of(turn)] == [
            ("output", "orders")
        ]
        assert "decimal" in answer_of(turn)

        reader.run("fails")
        turn = reader.ask("ask-error")
        (item,) = context_of(turn)
        assert (item["type"], item["ename"]) == ("error", "KeyError")
        assert "sorted(" in item["source"]
        assert "Traceback" in item["traceback"]
        assert "KeyError: 'region'" in answer_of(turn)

        turn = reader.ask("prompt")
        assert reader.messages()[-1] == reader.cell("prompt").source.split("\n", 1)[1]
        assert "| `regoin` | 1 |" in answer_of(turn)

        assert "3 turns" in reader.run("status").text
        assert reader.run("stop").text == "Nothing is running."
        (shown,) = reader.run("chat").outputs
        assert WIDGET in shown["data"]
        assert all(
            one["origin"] == "magic"
            for one in reader.call("GET", "events?after=0")["events"]
            if one["type"] == "user_message"
        )
    assert reader.ran == [c.id for c in reader.document.cells if c.cell_type == "code"]


# -- the tour -----------------------------------------------------------------------------------


def test_the_tour(tmp_path: Path) -> None:
    chapters: Sequence[Callable[[Reader], None]] = (
        ask, choose_what_goes_along, look_at_variables, fix_what_fails, draw, review, watch, count
    )  # fmt: skip
    with reading(tmp_path, "tour.ipynb") as reader:
        for chapter in chapters:
            chapter(reader)
    assert reader.ran == [c.id for c in reader.document.cells if c.cell_type == "code"]
    nbformat.validate(read(reader.file))


def ask(reader: Reader) -> None:
    cells = [source_in(reader.document, name) for name in ("orders", "revenue", "ask")]
    together = reader.kernel.run_all(*cells)
    line = together[-1].text
    line = reader.kernel.updated() if line.startswith("Sending") else line
    assert line.startswith("Not sent: this cell ran together with others.")

    reader.run("orders")
    sums = reader.run("revenue").text
    assert 50 < sum_of("West", sums) / sum_of("North", sums) < 200
    turn = reader.ask("ask")
    (item,) = context_of(turn)
    assert (item["type"], item["cell_id"], item["text"]) == ("output", "revenue", sums)
    assert "unit" in answer_of(turn)
    assert of_type(turn, "user_message")[0]["origin"] == "magic"


def sum_of(region: str, output: str) -> float:
    return float(next(line.split()[1] for line in output.splitlines() if region in line))


def choose_what_goes_along(reader: Reader) -> None:
    turn, shown = reader.wait("ask-variable")
    (item,) = context_of(turn)
    assert (item["type"], item["name"]) == ("variable", "orders")
    assert "price: float64" in item["text"]
    assert "@example.org" not in item["text"]
    assert shown == answer_of(turn)

    turn, shown = reader.wait("ask-cell")
    (item,) = context_of(turn)
    assert (item["type"], item["cell_id"]) == ("cell", "orders")
    assert item["source"] == reader.cell("orders").source.replace(SECRET, "[masked: secret]")
    assert "- `region`, `quantity`" in shown
    number = item["execution_count"]
    assert reader.kernel.run(f"%agent --wait --cell {number} What is it?").status == "ok"
    assert context_of(reader.turn("What is it?"))[0]["cell_id"] == "orders"


def look_at_variables(reader: Reader) -> None:
    turn, shown = reader.wait("look")
    used = results(turn)
    assert list(used) == ["list_variables", "inspect_variable"]
    assert not of_type(turn, "permission_request")
    listed, seen = (text_of(used[name][1]) for name in used)
    assert re.search(r"till_token: str.* = .*not shown", listed)
    assert SECRET not in json.dumps(turn)
    assert re.search(r"\| customer\d+@example\.org \|", seen)
    assert shown.startswith("- List the variables of tour.ipynb\n")

    reader.call("PATCH", "dial", {"columns": ["email"]})
    turn, _ = reader.wait("look-again")
    seen = text_of(results(turn)["inspect_variable"][1])
    assert "- email: str, [not shown: masked]" in seen
    assert "@example.org" not in json.dumps(turn)
    assert "| West | … |" in seen
    sent = reader.call("GET", "sent")["turns"][-1]
    assert [(part["kind"], part["level"]) for part in sent["parts"]] == [
        ("text", None), ("output", "full"), ("tool_result", "sample")
    ]  # fmt: skip
    assert sent["parts"][-1]["label"] == "Inspect variable orders"

    reader.call("PATCH", "dial", {"read": "schema"})
    turn, _ = reader.wait("look-again")
    seen = text_of(results(turn)["inspect_variable"][1])
    assert "- price: float64" in seen
    assert not re.search(r"North|West|2026|min|first rows", seen)
    reader.call("PATCH", "dial", {"read": "sample"})


def fix_what_fails(reader: Reader) -> None:
    assert reader.run("monthly").reply["ename"] == "AttributeError"
    before = reader.file.read_bytes()
    fixing = reader.begin("fix")
    request = reader.asked()
    assert (request["kind"], request["change"]["cell_id"]) == ("cell_change", "monthly")
    shown = reader.kernel.first_output(fixing)
    while "Waiting for you" not in shown["text/markdown"]:
        shown = reader.kernel.update()
    assert "**Waiting for you in the Agent panel:** Change cell" in shown["text/markdown"]
    assert reader.file.read_bytes() == before
    if FORKS:
        tried = reader.trial(request)  # the cell that waits is no obstacle
        assert (tried["status"], tried["reason"]) == ("done", "")
    reader.answer(request, "accept")
    assert reader.end(fixing).status == "ok"
    turn = reader.turn("Fix this error")

    error, *others = context_of(turn)
    assert (error["type"], error["cell_id"]) == ("error", "monthly")
    assert error["source"] == source_in(reader.document, "monthly")
    assert "Traceback" in error["traceback"]
    assert [(item["type"], item["name"]) for item in others] == [("variable", "orders")]
    assert list(results(turn)) == ["inspect_variable", "edit_cell"]
    assert reader.kernel.updates[-1]["text/markdown"].endswith("Run it again.")
    cell = reader.cell("monthly")
    assert cell.source == request["change"]["new_source"]
    mark = cell.metadata["agent_lab"]
    assert (mark["session"], mark["hash"]) == (reader.session["id"], source_hash(cell.source))
    again = reader.again("monthly")
    assert "Name: revenue" in again.text


def draw(reader: Reader) -> None:
    before = reader.file.read_bytes()
    reader.run("draw")
    request = reader.asked()
    assert (request["kind"], request["title"]) == ("tool", "Run code in tour.ipynb's kernel")
    assert "pivot_table" in request["input"]["code"]
    always = next(one for one in request["options"] if one["label"].startswith(ALWAYS))
    assert always["scope"].startswith("in this folder")
    names = reader.told("sorted(name for name in globals() if name[0] != '_')")
    reader.answer(request, "allow_once")
    turn = reader.turn("Draw the revenue")
    status, content = results(turn)["run_code"]
    assert status == "completed"
    (picture,) = [block for block in content if block["type"] == "image"]
    assert picture["mime_type"] == "image/png"
    assert len(base64.b64decode(picture["data"])) > 5000
    assert "**every** month" in answer_of(turn)
    assert reader.file.read_bytes() == before
    assert reader.told("sorted(name for name in globals() if name[0] != '_')") == names

    # Also within a cell that waits, and what it puts out is not that cell's.
    waiting = reader.kernel.send("%agent --wait Draw the revenue of each region by month.")
    reader.kernel.first_output(waiting)
    reader.answer(reader.asked(), "allow_once")
    ran = reader.end(waiting)
    assert (ran.status, ran.outputs) == ("ok", [])
    status, content = results(reader.turn("Draw the revenue"))["run_code"]
    assert status == "completed"
    assert [block["type"] for block in content].count("image") == 1


def review(reader: Reader) -> None:
    old = reader.cell("revenue").source
    reader.run("mend")
    first = reader.asked()
    assert first["change"]["old_source"] == old
    assert "/= 100" in first["change"]["new_source"]
    waits = reader.run("status").text
    assert f"Waiting for you in the Agent panel: {first['title']}" in waits
    assert [(one["kind"], one["name"]) for one in reader.effects(first)] == [
        ("rebinds", "orders.loc[orders['region'] == 'West', 'price']"),
        ("rebinds", "orders['revenue']"),
    ]
    reader.answer(first, "reject_once", "that divides again with each run")

    second = reader.asked()
    assert reader.cell("revenue").source == old
    assert "/= 100" not in second["change"]["new_source"]
    if FORKS:
        kept = reader.told("orders['revenue'].sum(), 'euros' in globals()")
        tried = reader.trial(second)
        before, after = tried["before"]["text"], tried["after"]["text"]
        assert sum_of("West", before) / sum_of("South", before) > 50
        assert sum_of("West", after) / sum_of("South", after) < 2
        assert reader.told("orders['revenue'].sum(), 'euros' in globals()") == kept
    reader.answer(second, "accept")
    turn = reader.turn("Mend the revenue")
    assert "and says: that divides again with each run" in answer_of(turn)
    assert reader.cell("revenue").source == second["change"]["new_source"]
    assert reader.file.read_text().count('agent_lab": {') == 2  # this cell, and that of the months

    in_euros = reader.again("revenue").text
    assert sum_of("West", in_euros) / sum_of("South", in_euros) < 2
    assert reader.again("revenue").text == in_euros
    assert reader.again("monthly").status == "ok"
    assert [len(line.split()) for line in reader.run("regions").text.splitlines()[2:]] == [4, 4, 4]


def watch(reader: Reader) -> None:
    before = reader.messages()
    reader.run("watch-when")
    reader.run("spread")
    assert "when len(spread) >= 2000" in reader.kernel.run("%agent watch").text
    assert reader.messages() == before
    reader.run("more-spread")
    turn = reader.turn("Is that enough")
    (item,) = context_of(turn)
    assert (item["type"], item["cell_id"]) == ("output", "more-spread")
    assert "Two thousand rounds are enough" in answer_of(turn)
    reader.again("more-spread")
    assert reader.kernel.run("%agent watch").text.startswith("Nothing is watched.")

    reader.run("watch-error")
    reader.run("watch-idle")
    listed = reader.run("watching").text
    assert "  on error: " in listed
    assert "  on idle: How did it go?" in listed
    began = datetime.now(UTC)
    reader.run("lunch")
    turn = reader.turn("while I was away")
    assert {item["cell_id"] for item in context_of(turn) if item["type"] == "error"} == {"lunch"}
    assert "`KeyError: 3000`" in answer_of(turn)
    turn = reader.turn("How did it go?")
    assert [(item["type"], item["cell_id"]) for item in context_of(turn)] == [("error", "lunch")]
    assert IDLE_SECONDS == 2
    sent_at = datetime.fromisoformat(of_type(turn, "user_message")[0]["time"])
    assert (sent_at - began).total_seconds() > IDLE_SECONDS
    reader.again("lunch", fails=True)
    assert reader.kernel.run("%agent watch").text.startswith("Nothing is watched.")

    reader.kernel.run("%agent watch on error")
    assert reader.kernel.run("%agent watch stop").text == "Watches ended: 1."
    reader.again("lunch", fails=True)
    sent = reader.messages()[len(before) :]
    assert [words.splitlines()[0] for words in sent] == [
        "Is that enough, and who is ahead?",
        "This cell failed while I was away. Explain the error and mend it.",
        "How did it go?",
    ]


def count(reader: Reader) -> None:
    used = reader.run("usage").text
    assert f": {len(reader.messages())} turns" in used
    for fact in (r"tokens in +[\d,]+", r"tokens out +[\d,]+", r"cost +[\d.]+  US dollars"):
        assert re.search(fact, used)
    first = reader.session["id"]
    assert f"*  {first[:8]}" in reader.run("sessions").text
    reader.kernel.run("%agent --wait --new Hello")
    listed = reader.run("sessions").text
    assert f"   {first[:8]}" in listed
    assert listed.count("*  ") == 1
    reader.kernel.run(f"%agent resume {first[:8]}")
    assert f"*  {first[:8]}" in reader.run("sessions").text

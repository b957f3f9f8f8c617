"""The real claude program against the scripted model: every kind of scene, and the demo's story."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_lab.demo.model import ScriptedModel
from agent_lab.demo.sample import FAKE_KEY, NOTEBOOKS, WORKSPACE, prepare_workspace
from agent_lab.demo.script import ScriptError, answer, load_script, parse_script
from tests.demo.real_claude import Claude, running_claude

PROJECT = Path(__file__).parents[2]
ASKED = re.compile(
    r"%%?agent\s+(?:--wait\s+|--(?:vars|cell)\s+\S+\s+|watch on idle\s+|watch when .* -- )*"
    r"([A-Z].*)",
)

Json = dict[str, Any]


@asynccontextmanager
async def talk(
    folder: Path, *flags: str, script: str = "tests", **options: Any
) -> AsyncIterator[Claude]:
    """A claude in `folder`/work, whose model plays that script, as fast as it can."""
    async with (
        ScriptedModel(replace(load_script(script), rate=0)) as model,
        running_claude(model.url, folder / "home", folder / "work", *flags, **options) as claude,
    ):
        yield claude


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def request(prompt: str, *later: Json) -> Json:
    return {"messages": [{"role": "user", "content": prompt}, *later]}


def is_tool_use(message: Json) -> bool:
    return bool(
        message["type"] == "assistant" and message["message"]["content"][0]["type"] == "tool_use"
    )


# -- the script, without a server ---------------------------------------------------------------


def test_an_answer_depends_on_the_conversation_alone() -> None:
    script = load_script("tests")
    first = answer(script, request("first: a then: b"))
    assert [tool.input["command"] for tool in first.tools] == ["a"]
    spoken: list[Json] = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Bash"}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "A", "is_error": False}]},
    ]
    second = answer(script, request("first: a then: b", *spoken))
    assert "".join(second.text) == "The first said: A"
    assert [tool.input["command"] for tool in second.tools] == ["b"]
    assert answer(script, request("first: a then: b")) == first


def test_reminders_and_interrupted_prompts_are_not_the_prompt() -> None:
    reply = answer(
        load_script("tests"),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "<system-reminder>\nhush\n</system-reminder>"},
                        {"type": "text", "text": "echo: given up"},
                        {"type": "text", "text": "[Request interrupted by user]"},
                        {"type": "text", "text": "echo: wanted"},
                    ],
                }
            ]
        },
    )
    assert "".join(reply.text) == "wanted"


def test_text_survives_being_cut_into_deltas() -> None:
    text = "  a  b\n\n\tc d \n"
    reply = answer(load_script("tests"), request(f"echo: x{text}y"))
    assert "".join(reply.text) == f"x{text}y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[scene]", "Expected"),
        ("", "must match anything"),
        ("[[scene]]\nmatch = '('\n[[scene.step]]", "regular expression"),
        ("[[scene]]\nmatch = ''", "no step"),
        ("[[scene]]\nmatch = ''\n[[scene.step]]\ntxt = 'x'", "unknown words in a step: txt"),
    ],
)
def test_a_wrong_script_names_the_place(text: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        parse_script(text)


def test_every_prompt_of_the_demo_has_its_scene() -> None:
    script = load_script("demo")
    fallback = "".join(answer(script, request("no such thing")).text)
    for prompt in script.prompts[:-1]:
        assert "".join(answer(script, request(prompt)).text) != fallback
        assert prompt in fallback
    assert "scripted demo model" in fallback


def test_an_error_in_the_prompt_chooses_the_scene() -> None:
    script = load_script("demo")
    ours = "Why?\n```\nValueError: could not convert string to float: ''\n```"
    other = "Why does this cell fail?\n```\nTraceback ...\nKeyError: 'x'\n```"
    assert [tool.name for tool in answer(script, request(ours)).tools] == ["Read", "Read"]
    quoted = answer(script, request(other))
    assert not quoted.tools
    assert "KeyError: 'x'" in "".join(quoted.text)


# -- the endpoint -------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", ""])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        ScriptedModel(load_script("tests"), host=host)


def test_it_runs_as_a_program_and_keeps_no_key() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_lab.demo.model", "--script", "tests"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        body = json.dumps(request("echo: hello")).encode()
        call = urllib.request.Request(
            f"{url}/v1/messages", body, {"X-Api-Key": "the-secret", "Content-Type": "text/json"}
        )
        with urllib.request.urlopen(call) as reply:
            assert json.load(reply)["content"] == [{"type": "text", "text": "hello"}]
        with urllib.request.urlopen(f"{url}/v1/models") as reply:
            assert json.load(reply)["data"]
        call.add_header("Origin", "http://127.0.0.1:8888")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(call)
        with refused.value as reply:
            assert reply.code == 403
        process.send_signal(signal.SIGINT)
        assert b"the-secret" not in process.stdout.read()
    assert process.returncode == 0


def test_stamps_are_comparable_across_processes(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            begin = time.monotonic_ns()
            result = await claude.turn("stream 20 tokens at 200/s, stamped")
            end = time.monotonic_ns()
        stamps = [int(stamp) for stamp in re.findall(r"w\d+«t=(\d+)»", result["result"])]
        assert len(stamps) == 20
        assert stamps == sorted(stamps)
        assert begin < stamps[0] < stamps[-1] < end
        assert stamps[-1] - stamps[0] > 19 / 200 * 1e9 * 0.9

    run(test)


# -- with the real claude -----------------------------------------------------------------------


def test_text_thinking_and_exact_figures(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            assert (await claude.turn("echo: one\ntwo"))["result"] == "one\ntwo"
            result = await claude.turn("think then answer")
            assert claude.blocks("thinking")[0]["thinking"].startswith("First I look")
            assert result["usage"]["output_tokens"] == 12
            usage = result["modelUsage"]["claude-opus-5-5"]
            assert (usage["inputTokens"], usage["cacheReadInputTokens"]) == (50, 400)
            title = await claude.control(
                subtype="generate_session_title", description="Why the sums differ"
            )
            assert title["response"]["title"] == "Why the sums differ"
            # the title did not use up a scene
            assert (await claude.turn("anything"))["result"] == "Answer to: anything"

    run(test)


def test_a_tool_waits_for_permission(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            await claude.prompt("bash: touch made && echo yes")
            question = await claude.question()
            assert question["request"]["tool_name"] == "Bash"
            assert not (folder / "work" / "made").exists()
            await claude.allow(question)
            assert (await claude.result())["result"] == "The command said: yes"
            assert (folder / "work" / "made").exists()

            await claude.prompt("write: f.txt some text")
            question = await claude.question()
            await claude.decide(question, {"behavior": "deny", "message": "not today"})
            assert (await claude.result())["result"] == "Not written: not today"

            result = await claude.turn("parallel: echo a | echo b")
            said = str(result["result"])  # the two run at once, in any order
            assert said.startswith("Both are done; the last said: ")
            assert said[-1] in "ab"

    run(test)


def test_a_prompt_sent_while_a_tool_runs_is_answered(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            os.mkfifo(folder / "work" / "gate")
            await claude.prompt("bash: cat gate")
            await claude.until(is_tool_use)  # reading asks nobody
            await claude.prompt("echo: also this")
            await claude.until(lambda m: m.get("state") == "queued")
            opened = await asyncio.to_thread((folder / "work" / "gate").open, "w")
            with opened as gate:
                gate.write("through the gate")
            result = await claude.result()
            assert result["result"] == "The command said: through the gate\n\nalso this"
            assert len(result["user_message_uuids"]) == 2

    run(test)


def test_a_question_and_a_plan(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            await claude.prompt("ask: Which colour?")
            await claude.allow(await claude.question(), answers={"Which colour?": "Blue"})
            assert '"Which colour?"="Blue"' in (await claude.result())["result"]

            await claude.prompt("enter plan mode")
            question = await claude.question()
            assert question["request"]["tool_name"] == "ExitPlanMode"
            assert "First look, then act." in question["request"]["input"]["plan"]
            await claude.allow(question)
            assert (await claude.result())["result"] == "The plan was approved."

            await claude.control(subtype="set_permission_mode", mode="plan")
            await claude.prompt("plan: paint it")
            question = await claude.question()
            assert question["request"]["input"]["plan"] == "# Plan\n\n1. paint it\n"
            await claude.decide(question, {"behavior": "deny", "message": "think again"})
            assert "think again" in (await claude.result())["result"]

    run(test)


def test_sub_agents(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder, background=True) as claude:
            result = await claude.turn("agent: echo: from below")
            assert "from below" in result["result"]

            await claude.turn("background agent: echo: from behind")
            unasked = await claude.result()
            assert unasked["origin"]["kind"] == "task-notification"
            assert unasked["result"] == "The background work has ended."
            texts = [block["text"] for block in claude.blocks("text")]
            assert "from behind" in texts

    run(test)


@pytest.mark.parametrize(
    ("prompt", "answered"),
    [
        ("retry: 529 x2", "Answered after 2 failures."),
        ("cut", "These words come before and after the connection was cut."),
        ("early end", "These words come before and after the end."),
        ("stream error", "These words come before and after the error."),
        ("malformed", "These words come before and after the malformed line."),
        ("max tokens", "but it ends here."),
    ],
)
def test_claude_recovers(folder: Path, prompt: str, answered: str) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            result = await claude.turn(prompt)
            assert (result["is_error"], result["result"]) == (False, answered)

    run(test)


@pytest.mark.parametrize(("code", "retries"), [(401, 1), (403, 0), (413, 0), (529, 1)])
def test_the_api_refuses(folder: Path, code: int, retries: int) -> None:
    async def test() -> None:
        async with talk(folder, env={"CLAUDE_CODE_MAX_RETRIES": "1"}) as claude:
            result = await claude.turn(f"fail: {code}")
            assert result["is_error"]
            assert result["api_error_status"] == code
            shown = [line for line in claude.lines if line.get("subtype") == "api_retry"]
            assert len(shown) == retries
            assert (await claude.turn("echo: well again"))["result"] == "well again"

    run(test)


def test_a_stalled_stream_can_be_interrupted(folder: Path) -> None:
    async def test() -> None:
        async with talk(folder) as claude:
            await claude.prompt("stall after 2")
            await claude.until(
                lambda m: (
                    m["type"] == "stream_event"
                    and m["event"].get("delta", {}).get("text") == " two"
                )
            )
            await claude.control(subtype="interrupt")
            result = await claude.result()
            assert result["terminal_reason"] == "aborted_streaming"
            assert (await claude.turn("echo: on"))["result"] == "on"

    run(test)


def test_many_conversations_at_once_do_not_mix(folder: Path) -> None:
    async def test() -> None:
        async with ScriptedModel(load_script("tests")) as model:

            async def one(name: str) -> list[str]:
                async with running_claude(model.url, folder / "home", folder / "work") as claude:
                    return [
                        (await claude.turn(prompt))["result"]
                        for prompt in (f"echo: {name}", "retry: 529 x1", f"echo: {name} again")
                    ]

            answers = await asyncio.gather(*(one(name) for name in ("A", "B", "C")))
            assert answers == [
                [name, "Answered after 1 failures.", f"{name} again"] for name in ("A", "B", "C")
            ]

    run(test)


# -- the demo -----------------------------------------------------------------------------------


def test_the_documentation_is_with_the_sample_also_where_it_is_installed(tmp_path: Path) -> None:
    prepare_workspace(tmp_path / "here")
    notebooks = [file.name for file in NOTEBOOKS.glob("*.ipynb")]
    assert sorted(notebooks) == ["getting-started.ipynb", "tour.ipynb"]
    for name in notebooks:
        copied = (tmp_path / "here" / name).read_bytes()
        assert copied == (PROJECT / "notebooks" / name).read_bytes()

    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=PROJECT,
        env={**os.environ, "SKIP_JUPYTER_BUILDER": "1"},
        capture_output=True,
        check=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    prepare = (
        "import sys; from pathlib import Path; from agent_lab.demo import sample\n"
        "assert Path(sample.__file__).is_relative_to(Path.cwd()), sample.__file__\n"
        "sample.prepare_workspace(Path(sys.argv[1]))"
    )
    program = [sys.executable, "-c", prepare, str(tmp_path / "there")]
    subprocess.run(program, cwd=tmp_path / "site", check=True)
    here, there = (
        {file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()}
        for folder in ("here", "there")
    )
    assert here == there


def test_the_questions_of_the_documentation_have_answers() -> None:
    """So says the script itself; errors are answered as they come."""
    script = load_script("demo")
    fallback = "".join(answer(script, request("no such thing")).text)
    asked = []
    for file in NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(file.read_text())["cells"]:
            found = ASKED.match("".join(cell["source"]))
            if cell["cell_type"] == "code" and found:
                asked.append(found[1])
    assert len(asked) >= 10
    for words in asked:
        reply = answer(script, request(words))
        assert reply.tools or "".join(reply.text) != fallback, words


def test_the_sample_fails_as_it_should_and_is_small(tmp_path: Path) -> None:
    prepare_workspace(tmp_path / "new")
    assert sum(file.stat().st_size for file in (tmp_path / "new").iterdir()) < 40_000
    (tmp_path / "new" / "report.py").write_text("# mine")
    prepare_workspace(tmp_path / "new")
    assert (tmp_path / "new" / "report.py").read_text() == "# mine"
    failing = subprocess.run(
        [sys.executable, WORKSPACE / "report.py"], capture_output=True, text=True, check=False
    )
    assert "ValueError: could not convert string to float: ''" in failing.stderr


def test_the_story_repairs_the_report(folder: Path) -> None:
    async def test() -> None:
        prepare_workspace(folder / "work")
        async with talk(folder, script="demo") as claude:
            await claude.prompt("Why does the last cell fail? Fix it.")
            asked: list[str] = []
            while True:
                message = await claude.until(lambda m: m["type"] in ("control_request", "result"))
                if message["type"] == "result":
                    break
                asked.append(message["request"]["tool_name"])
                await claude.allow(message)
            # reading and searching ask nobody; changing does; here is no kernel to run in
            assert asked == ["Edit"]
            assert claude.blocks("thinking")
            used = [block["name"] for block in claude.blocks("tool_use")]
            assert used == ["Read", "Read", "Bash", "Edit", "mcp__agent_lab__run_cell"]
            assert "run the last cell again" in message["result"]

            again = await claude.turn("Which orders have no price?")
            assert "1058" in again["result"]
            assert "scripted demo model" in (await claude.turn("Write me a poem"))["result"]

    run(test)
    repaired = subprocess.run(
        [sys.executable, folder / "work" / "report.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "| South | 15,156.32 |" in repaired.stdout
    assert "if not order" not in (WORKSPACE / "report.py").read_text()


def test_the_story_stays_honest_when_the_person_says_no(folder: Path) -> None:
    async def test() -> None:
        prepare_workspace(folder / "work")
        async with talk(folder, script="demo") as claude:
            await claude.prompt("Fix the last cell")
            question = await claude.question()
            await claude.decide(question, {"behavior": "deny", "message": "leave that file alone"})
            result = (await claude.result())["result"]
            assert "I did not change `report.py`" in result
            assert "leave that file alone" in result
        unchanged = (folder / "work" / "report.py").read_bytes()
        assert unchanged == (WORKSPACE / "report.py").read_bytes()

    run(test)


def test_the_notebook_runs_after_the_repair(tmp_path: Path) -> None:
    """Its cells, run by IPython in one process, with the repair made between two runs."""
    prepare_workspace(tmp_path)
    notebook = json.loads((tmp_path / "analysis.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    edit = next(
        step["tool"][0]["input"]
        for scene in load_script("demo").scenes
        if scene.name == "the failing cell"
        for step in scene.steps
        if step.get("tool", [{}])[0].get("name") == "Edit"
    )
    program = f"""
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
cells = {cells!r}
results = [shell.run_cell(cell) for cell in cells]
assert [result.success for result in results] == [True, True, False], results
file = Path("report.py")
source = file.read_text()
assert {edit["old_string"]!r} in source
file.write_text(source.replace({edit["old_string"]!r}, {edit["new_string"]!r}))
again = shell.run_cell(cells[-1])
assert again.success, again
print("REPAIRED", again.result.data)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "REPAIRED | region | revenue |" in done.stdout, done.stdout + done.stderr


def test_no_key_of_the_person_is_used() -> None:
    assert "sk-" not in FAKE_KEY

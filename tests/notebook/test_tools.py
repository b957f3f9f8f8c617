"""The tools on real kernels and real files: bad input, floods, and notebooks that move away."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

from agent_lab.protocol.events import Notebook
from tests.notebook.conftest import Bind
from tests.notebook.lab import BEGIN, UNTIL_ENOUGH, Bonded


async def test_fifteen_tools_are_listed_with_schemas(lab: Bonded) -> None:
    tools = (await lab.message("tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in tools] == [
        "list_notebooks", "read_notebook", "read_cell", "insert_cell", "edit_cell", "delete_cell",
        "move_cell", "run_cell", "run_code", "list_variables", "inspect_variable", "kernel_status",
        "interrupt_kernel", "restart_kernel", "read_terminal",
    ]  # fmt: skip
    assert all(tool["_meta"] == {"anthropic/alwaysLoad": True} for tool in tools)


async def test_a_cell_runs_and_its_outputs_are_stored(lab: Bonded) -> None:
    await lab.fine("run_cell", cell_id="c0")
    assert "42" in (await lab.fine("run_cell", cell_id="c1")).text
    cell = lab.saved()["cells"][1]
    assert cell["outputs"][0]["data"]["text/plain"] in ("42", ["42"])
    assert cell["execution_count"] == 2
    assert cell["metadata"]["agent_lab"]["outputs"]["session"] == lab.session.id


async def test_a_failing_cell_is_a_failed_result_with_its_traceback(bind: Bind) -> None:
    lab = await bind("def f():\n    return 1 / 0\nf()")
    said = await lab.failed("run_cell", cell_id="c0")
    assert "ZeroDivisionError" in said
    assert "return 1 / 0" in said
    assert "\x1b" not in said
    assert lab.saved()["cells"][0]["outputs"][0]["ename"] == "ZeroDivisionError"


async def test_tables_come_as_markdown_and_pictures_as_pictures(lab: Bonded) -> None:
    told = await lab.fine(
        "run_code", code="import pandas; pandas.DataFrame({'region': ['N', 'S'], 'n': [1, 2]})"
    )
    assert "|  | region | n |\n| --- | --- | --- |\n| 0 | N | 1 |" in told.text
    code = (
        "import struct, zlib; from IPython.display import Image, display\n"
        "def png(w, h):\n"
        "    chunk = lambda k, d: struct.pack('>I', len(d)) + k + d + "
        "struct.pack('>I', zlib.crc32(k + d))\n"
        "    raw = b''.join(b'\\0' + b'\\0' * w for _ in range(h))\n"
        "    return (b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 0,"
        " 0, 0, 0)) + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))\n"
        "display(Image(png(3, 2))); display(Image(png(9000, 2)))"
    )
    told = await lab.fine("run_code", code=code)
    assert [one["mimeType"] for one in told.images] == ["image/png"]
    assert "9000 x 2" in told.text


async def test_unknown_cells_tools_and_arguments_are_refused(lab: Bonded) -> None:
    for tool in ("read_cell", "run_cell", "delete_cell"):
        assert "no cell 'zz'" in await lab.failed(tool, cell_id="zz")
    assert "no cell 'zz'" in await lab.failed("edit_cell", cell_id="zz", source="")
    assert "no cell 'zz'" in await lab.failed("insert_cell", source="", after_cell_id="zz")
    assert "needs the argument 'cell_id'" in await lab.failed("run_cell")
    assert "takes no argument 'index'" in await lab.failed("run_cell", cell_id="c0", index=1)
    assert "must be of type string" in await lab.failed("run_code", code=7)
    assert "one of: code" in await lab.failed("insert_cell", source="", cell_type="sql")
    answer = await lab.message("tools/call", {"name": "rm", "arguments": {}})
    assert answer["error"]["code"] == -32602
    assert (await lab.message("nothing"))["error"]["code"] == -32601


@pytest.mark.parametrize("path", ["../x.ipynb", "/etc/passwd", "a.txt", "link/x.ipynb", "\0.ipynb"])
async def test_paths_outside_the_root_are_refused(lab: Bonded, path: str, tmp_path: Path) -> None:
    (lab.root / "link").symlink_to(tmp_path)
    (tmp_path / "x.ipynb").write_text("{}")
    await lab.failed("read_notebook", notebook=path)


async def test_input_is_refused_clearly(lab: Bonded) -> None:
    assert "nobody can type" in await lab.failed("run_code", code="input('name? ')")


async def test_a_flood_is_cut_and_kept_in_pages(lab: Bonded) -> None:
    await lab.dial(level="full")
    told = await lab.fine("run_code", code="for n in range(200_000): print('line', n)")
    assert len(told.text) < 26_000
    assert "line 0\n" in told.text
    assert "line 199999" in told.text
    uri = re.search(r"agent-lab://output/[0-9a-f]{8}", told.text)
    assert uri is not None
    listed = (await lab.message("resources/list"))["result"]["resources"]
    assert [one["uri"] for one in listed] == [uri[0]]
    second = await lab.message("resources/read", {"uri": f"{uri[0]}/2"})
    assert re.search(r"line \d{4}\n", second["result"]["contents"][0]["text"])
    assert (await lab.message("resources/read", {"uri": "agent-lab://output/../x"}))["error"]


async def test_a_hundred_megabytes_leave_little_behind(lab: Bonded) -> None:
    code = "for _ in range(100): print('x' * 1_000_000)\nprint('the end')"
    told = await lab.fine("run_code", code=code)
    assert told.text.rstrip().endswith("the end")
    kept = sum(file.stat().st_size for file in lab.session.outputs.iterdir())
    assert 40 << 20 < kept <= 50 << 20


async def test_binary_output_is_harmless(lab: Bonded) -> None:
    code = (
        "import sys; sys.stdout.write('a\\0b\\x1b]52;c;aGk=\\x07c\\ud800d\\r\\n'); "
        "sys.stdout.flush(); print('10%\\r100%')"
    )
    told = await lab.tool("run_code", code=code)
    assert "\0" not in told.text
    assert "\x1b" not in told.text
    json.dumps(told.content).encode()


async def test_a_call_that_is_cancelled_stops_the_loop_only(lab: Bonded) -> None:
    await lab.kernel_runs("import time\nseen = []")
    more = "seen.append(time.time()); time.sleep(0.01)"
    loop = f"while len(seen) < 4: {more}\n{BEGIN}while True: {more}"
    running = asyncio.ensure_future(
        lab.message("tools/call", {"name": "run_code", "arguments": {"code": loop}})
    )
    await lab.begun()
    await lab.cancel(1)
    assert await running is None
    assert "True" in (await lab.fine("run_code", code="len(seen) > 3")).text


async def test_a_call_that_is_cancelled_as_it_begins_stops(lab: Bonded) -> None:
    slow = "lambda info: time.sleep(0.03)"  # what IPython calls then keeps an interrupt to itself
    await lab.kernel_runs(f"import time\nget_ipython().events.register('pre_run_cell', {slow})")
    for number in range(1, 16):
        call = {"name": "run_code", "arguments": {"code": "while True: pass"}}
        running = asyncio.ensure_future(lab.message("tools/call", call))
        await asyncio.sleep(number / 500)
        await lab.cancel(number)
        assert await running is None
    assert "42" in (await lab.fine("run_code", code="6 * 7")).text


async def test_a_run_that_waits_behind_a_persons_cell_does_not_interrupt_it(lab: Bonded) -> None:
    await lab.kernel_runs("pass")  # it has started
    theirs = asyncio.ensure_future(lab.kernel_runs(UNTIL_ENOUGH + "mine = 'whole'"))
    await lab.begun()
    ours = asyncio.ensure_future(
        lab.message("tools/call", {"name": "run_code", "arguments": {"code": "mine = 'lost'"}})
    )
    await asyncio.sleep(0.3)
    await lab.cancel(1)
    assert await ours is None
    lab.enough()
    await theirs  # asserts that it went well
    assert "NameError" not in (await lab.fine("run_code", code="mine")).text


async def test_a_dead_kernel_is_told(lab: Bonded) -> None:
    said = await lab.failed("run_code", code="import os; os._exit(3)")
    assert "died while this ran" in said or "was restarted while this ran" in said


async def test_a_restart_is_told_once(lab: Bonded) -> None:
    await lab.fine("run_code", code="x = 1")
    await lab.kernels.restart_kernel(lab.kernel_id)
    told = await lab.tool("run_code", code="'x' in globals()")
    assert "was restarted since you last used it" in told.text
    assert "False" in told.text
    assert "restarted" not in (await lab.fine("run_code", code="1")).text


async def test_the_agents_own_restart_is_no_news(lab: Bonded) -> None:
    await lab.fine("run_code", code="x = 1")
    assert "Its memory is empty" in (await lab.fine("restart_kernel")).text
    assert "NameError" in await lab.failed("run_code", code="x")


async def test_a_kernel_that_was_shut_down_is_started_again(lab: Bonded) -> None:
    await lab.server.fetch("DELETE", f"{lab.server.url}api/kernels/{lab.kernel_id}")
    assert "restart_kernel starts one" in await lab.failed("run_code", code="1")
    assert "cell c0" in (await lab.fine("read_notebook")).text
    await lab.fine("restart_kernel")
    assert "42" in (await lab.fine("run_code", code="42")).text


async def test_another_kernel_is_found_and_told(lab: Bonded) -> None:
    await lab.fine("run_code", code="1")
    url = f"{lab.server.url}api/sessions"
    (one,) = (await lab.server.fetch("GET", url)).json
    before = lab.kernel_id
    await lab.server.fetch("PATCH", f"{url}/{one['id']}", {"kernel": {"name": "python3"}})
    assert "another kernel now" in (await lab.fine("run_code", code="1")).text
    assert lab.kernel_id != before


async def test_a_renamed_notebook_is_followed(lab: Bonded) -> None:
    url = f"{lab.server.url}api/sessions"
    (one,) = (await lab.server.fetch("GET", url)).json
    (lab.root / "eda.ipynb").rename(lab.root / "new.ipynb")
    await lab.server.fetch("PATCH", f"{url}/{one['id']}", {"path": "new.ipynb"})
    told = await lab.fine("run_cell", cell_id="c0")
    assert "it is new.ipynb now" in told.text
    assert lab.session.info.notebook == Notebook("new.ipynb", lab.kernel_id)
    assert not (lab.root / "eda.ipynb").exists()


async def test_a_deleted_notebook_is_told(lab: Bonded) -> None:
    (lab.root / "eda.ipynb").unlink()
    assert "no notebook eda.ipynb" in await lab.failed("run_cell", cell_id="c0")
    assert not (lab.root / "eda.ipynb").exists()


async def test_two_notebooks_on_one_kernel_are_kept_apart(lab: Bonded) -> None:
    (lab.root / "other.ipynb").write_text((lab.root / "eda.ipynb").read_text())
    url = f"{lab.server.url}api/sessions"
    new = {"path": "other.ipynb", "name": "", "type": "notebook", "kernel": {"id": lab.kernel_id}}
    assert (await lab.server.fetch("POST", url, new)).status == 201
    before = (lab.root / "other.ipynb").read_text()
    await lab.fine("run_cell", cell_id="c0")
    assert (lab.root / "other.ipynb").read_text() == before
    assert "Several notebooks share" in (await lab.fine("kernel_status")).text
    mine = next(o for o in (await lab.server.fetch("GET", url)).json if o["path"] == "eda.ipynb")
    new = {"kernel": {"name": "python3"}}
    await lab.server.fetch("PATCH", f"{url}/{mine['id']}", new)
    assert "another kernel now" in (await lab.fine("run_code", code="1")).text


async def test_a_cell_that_was_edited_while_it_ran_keeps_the_persons_version(bind: Bind) -> None:
    lab = await bind(UNTIL_ENOUGH)
    running = asyncio.ensure_future(lab.tool("run_cell", cell_id="c0"))
    await lab.begun()
    content = lab.saved()
    content["cells"][0]["source"] = "theirs"
    (lab.root / "eda.ipynb").write_text(json.dumps(content))
    lab.enough()
    told = await running
    assert "not stored in the notebook" in told.text
    assert "".join(lab.saved()["cells"][0]["source"]) == "theirs"


async def test_all_changes_can_be_made_and_carry_their_author(bind: Bind) -> None:
    lab = await bind("a", "b")
    lab.session.journal.session.permission_mode = "acceptEdits"
    await lab.fine("insert_cell", source="# T", cell_type="markdown", before_cell_id="c0")
    await lab.fine("move_cell", cell_id="c0", after_cell_id="c1")
    await lab.fine("edit_cell", cell_id="c1", source="B")
    content = lab.saved()
    assert ["".join(cell["source"]) for cell in content["cells"]] == ["# T", "B", "a"]
    assert [bool(c["metadata"].get("agent_lab")) for c in content["cells"]] == [True, True, False]
    nbformat.validate(content)
    await lab.fine("delete_cell", cell_id="c0")
    assert len(lab.saved()["cells"]) == 2
    await lab.fine("edit_cell", cell_id="c1", source="# B", cell_type="markdown")
    events = (await lab.server.call("GET", f"sessions/{lab.session.id}/events")).json["events"]
    shown = [block["change"] for e in events for block in e.get("content") or ()]
    # The first is the title that stands before all.
    told = [(c["operation"], c.get("old_after_cell_id"), c.get("old_cell_type")) for c in shown]
    assert told == [
        ("insert", None, None), ("move", shown[0]["cell_id"], None), ("edit", None, "code"),
        ("delete", "c1", None), ("edit", None, "code"),
    ]  # fmt: skip


async def test_cells_of_an_old_notebook_get_ids_that_last(bind: Bind) -> None:
    lab = await bind("a", "a", "b")
    content = lab.saved() | {"nbformat_minor": 4}
    for cell in content["cells"]:
        del cell["id"]
    (lab.root / "eda.ipynb").write_text(json.dumps(content))
    ids = re.findall(r"cell (\w+) · code", (await lab.fine("read_notebook")).text)
    # labextension/tests/lab/cellIds.test.ts has the like.
    assert ids == ["b500292d", "79aa29b3", "2c097897"]
    lab.session.journal.session.permission_mode = "acceptEdits"
    told = await lab.fine("edit_cell", cell_id=ids[1], source="second")
    assert "It is 4.5 now" in told.text
    assert "It is 4.5 now" not in (await lab.fine("edit_cell", cell_id=ids[0], source="1st")).text
    saved = lab.saved()
    assert [cell["id"] for cell in saved["cells"]] == ids
    assert "".join(saved["cells"][1]["source"]) == "second"


async def test_planning_changes_nothing(lab: Bonded) -> None:
    lab.session.journal.session.permission_mode = "plan"
    assert "You are planning" in await lab.failed("edit_cell", cell_id="c0", source="x")
    assert "".join(lab.saved()["cells"][0]["source"]) == "a = 41"


async def test_variables_are_listed(lab: Bonded) -> None:
    await lab.fine("run_code", code="%load_ext agent_lab\nnumbers = [1, 2]\nimport numpy")
    assert "numbers: list, 2 items" in (await lab.fine("list_variables")).text
    assert "no variable nope" in await lab.failed("inspect_variable", name="nope")


async def test_a_kernel_of_another_language_runs_code(bind: Bind, jp_data_dir: Path) -> None:
    pytest.importorskip("bash_kernel")
    spec = {
        "argv": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
        "display_name": "Bash", "language": "bash", "env": {"PS1": "$"},
    }  # fmt: skip
    folder = jp_data_dir / "kernels" / "bash"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    lab = await bind("echo $((6 * 7))", kernel="bash")
    assert "42" in (await lab.fine("run_cell", cell_id="c0")).text
    assert "boom" in (await lab.tool("run_code", code="echo boom >&2; false")).text


async def test_terminals_are_read_as_plain_text(lab: Bonded) -> None:
    assert "No terminal" in await lab.failed("read_terminal")
    new = await lab.server.fetch("POST", f"{lab.server.url}api/terminals")
    name = new.json["name"]
    manager = lab.app.web_app.settings["terminal_manager"]
    manager.terminals[name].ptyproc.write("echo $((40+2))wow\n")
    async with asyncio.timeout(20):
        while "42wow" not in (await lab.tool("read_terminal")).text:  # noqa: ASYNC110 - no news
            await asyncio.sleep(0.1)
    text = (await lab.fine("read_terminal", name=name)).text
    assert "\x1b" not in text
    assert "no terminal 'x'" in await lab.failed("read_terminal", name="x")

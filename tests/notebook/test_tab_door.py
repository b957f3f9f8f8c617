"""The tools on a notebook that is open in a page: its tab is changed, and the file only when there
is none that answers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from agent_lab.notebook.document import source_of
from agent_lab.notebook.provenance import source_hash
from tests.notebook.conftest import Bind
from tests.notebook.lab import BEGIN, Bonded, write
from tests.notebook.living import Notebook, heard, person_at
from tests.notebook.page import held, opened

SLOW = BEGIN + "import time\nfor n in range(4):\n    print(n, flush=True); time.sleep(0.6)"


def sources(content: Any) -> list[str]:
    return [source_of(cell) for cell in content["cells"]]


async def test_cells_are_read_and_changed_in_the_tab_and_the_file_stays(lab: Bonded) -> None:
    await lab.server.call("PATCH", f"sessions/{lab.session.id}", {"permission_mode": "acceptEdits"})
    before = lab.saved()
    async with opened(lab) as page:
        page.cell("c1")["source"] = "unsaved + 1"
        assert "unsaved + 1" in (await lab.fine("read_notebook")).text
        await lab.fine("edit_cell", cell_id="c1", source="a + 2")
        await lab.fine("insert_cell", source="new = 1", after_cell_id="c0")
        await lab.fine("move_cell", cell_id="c1", before_cell_id="c0")
        assert sources(page.content) == ["a + 2", "a = 41", "new = 1"]
        mark = page.cell("c1")["metadata"]["agent_lab"]
        assert mark["session"] == lab.session.id
        assert mark["hash"] == source_hash("a + 2")
        await lab.fine("delete_cell", cell_id="c0")
        assert sources(page.content) == ["a + 2", "new = 1"]
        assert lab.saved() == before


async def test_cells_edited_in_the_tab_are_told_before_they_are_saved(lab: Bonded) -> None:
    notebook = Notebook(lab.server, lab.app, "eda.ipynb", lab.kernel_id, lab.session.id)
    async with person_at(notebook) as person, opened(lab) as page:
        await heard(notebook, person)
        count = (await person.run("a = 41"))["content"]["execution_count"]
        await person.run("a + 2")
        await notebook.until(lambda text: "a + 2" in text)
        page.cell("c0")["execution_count"] = count
        page.cell("c1").update(execution_count=count + 1, source="a + 2")
        # What lies in the file is not what the person sees.
        content = lab.saved()
        content["cells"][1]["execution_count"] = count + 1
        write(lab.root / "eda.ipynb", content)
        assert "edited" not in await notebook.text()
        page.cell("c0")["source"] = "a = 40"
        told = f"cells edited since they ran: c0 (ran as [{count}])"
        assert told in await notebook.until(lambda text: "edited" in text)
        # A page that sleeps holds no prompt up, and the file is not taken for it.
        page.asleep = True
        began = time.monotonic()
        assert "edited" not in await notebook.text()
        assert time.monotonic() - began < 3
    told = f"cells edited since they ran: c1 (ran as [{count + 1}])"
    assert told in await notebook.until(lambda text: "edited" in text)


async def test_a_running_cell_shows_so_with_its_outputs_and_ends(bind: Bind) -> None:
    lab = await bind(SLOW)
    async with opened(lab) as page:
        running = asyncio.ensure_future(lab.fine("run_cell", cell_id="c0"))
        await page.until(lambda: page.cell("c0").get("running"))
        await page.until(lambda: page.cell("c0")["outputs"])
        assert page.cell("c0")["running"]
        assert "3" not in page.cell("c0")["outputs"][0]["text"]
        told = await running
        assert "0\n1\n2\n3" in told.text
        cell = page.cell("c0")
        assert not cell["running"]
        assert cell["outputs"][0]["text"] == "0\n1\n2\n3\n"
        assert cell["metadata"]["agent_lab"]["outputs"]["execution_count"] == 1
        asked = [one for one in page.asked if one["op"] == "outputs"]
        assert 3 <= len(asked) <= 8
        assert lab.saved()["cells"][0]["outputs"] == []


async def test_the_end_goes_to_the_file_when_the_tab_closes_meanwhile(bind: Bind) -> None:
    lab = await bind(SLOW)
    async with opened(lab) as page:
        running = asyncio.ensure_future(lab.fine("run_cell", cell_id="c0"))
        await page.until(lambda: page.cell("c0")["outputs"])
    await running
    assert "".join(lab.saved()["cells"][0]["outputs"][0]["text"]) == "0\n1\n2\n3\n"


async def test_the_end_goes_to_a_tab_that_opens_meanwhile(bind: Bind) -> None:
    lab = await bind(SLOW)
    running = asyncio.ensure_future(lab.fine("run_cell", cell_id="c0"))
    await lab.begun()
    async with opened(lab) as page:
        await running
        assert page.cell("c0")["outputs"][0]["text"] == "0\n1\n2\n3\n"
        assert not page.cell("c0")["running"]
    assert lab.saved()["cells"][0]["outputs"] == []


async def test_a_page_that_sleeps_gives_way_to_the_file_and_the_agent_is_told(lab: Bonded) -> None:
    tabs = lab.app.web_app.settings["agent_lab"].tabs
    tabs.patience = 0.3
    async with opened(lab) as page:
        page.dirty = True
        await page.tell()
        await held(lab, page)
        page.asleep = True
        told = await lab.fine("run_cell", cell_id="c0")
        assert told.text.count("does not answer") == 1
        assert "unsaved" in told.text
        assert lab.saved()["cells"][0]["execution_count"] == 1
        assert len(page.asked) == 1, "it is waited for once"


async def test_an_unknown_outcome_is_said_and_nothing_is_done_twice(lab: Bonded) -> None:
    await lab.server.call("PATCH", f"sessions/{lab.session.id}", {"permission_mode": "acceptEdits"})
    async with opened(lab) as page:
        page.dies_at = "insert"
        said = await lab.failed("insert_cell", source="once = 1")
        assert "Read the notebook before going on" in said
    assert sources(lab.saved()) == ["a = 41", "a + 1"]


async def test_a_cell_edited_while_it_runs_has_its_outputs_in_the_tab(bind: Bind) -> None:
    lab = await bind(SLOW)
    async with opened(lab) as page:
        running = asyncio.ensure_future(lab.fine("run_cell", cell_id="c0"))
        await page.until(lambda: page.cell("c0")["outputs"])
        page.cell("c0")["source"] = "theirs"
        assert "edited while it ran" in (await running).text
        assert page.cell("c0")["source"] == "theirs"
        assert page.cell("c0")["outputs"][0]["text"].endswith("3\n")
        assert not page.cell("c0")["running"]


async def test_a_cancelled_run_leaves_no_running_cell(bind: Bind) -> None:
    lab = await bind(BEGIN + "while True: pass")
    async with opened(lab) as page:
        running = asyncio.ensure_future(lab.message("tools/call", {
            "name": "run_cell", "arguments": {"cell_id": "c0"}}))  # fmt: skip
        await page.until(lambda: page.cell("c0").get("running"))
        await lab.begun()
        await lab.cancel(1)
        await running
        await page.until(lambda: page.cell("c0")["running"] is False)
    await lab.kernel_runs("b = 1")


# ---------------------------------------------------------------- fault 31, with a tab


async def test_a_renamed_notebook_is_followed_in_its_tab(lab: Bonded) -> None:
    await lab.fine("read_notebook")
    async with opened(lab) as page:
        contents = f"{lab.server.url}api/contents/eda.ipynb"
        assert (await lab.server.fetch("PATCH", contents, {"path": "new.ipynb"})).status == 200
        (one,) = (await lab.server.fetch("GET", f"{lab.server.url}api/sessions")).json
        url = f"{lab.server.url}api/sessions/{one['id']}"
        await lab.server.fetch("PATCH", url, {"path": "new.ipynb"})
        page.path = "new.ipynb"
        await page.tell()
        await held(lab, page)
        told = await lab.fine("run_cell", cell_id="c0")
        assert "it is new.ipynb now" in told.text
        assert page.cell("c0")["execution_count"] == 1
        assert "now" not in (await lab.fine("read_notebook")).text


async def test_a_notebook_renamed_while_its_cell_runs_gets_its_outputs(bind: Bind) -> None:
    lab = await bind(SLOW)
    running = asyncio.ensure_future(lab.fine("run_cell", cell_id="c0"))
    await lab.begun()
    contents = f"{lab.server.url}api/contents/eda.ipynb"
    assert (await lab.server.fetch("PATCH", contents, {"path": "new.ipynb"})).status == 200
    (one,) = (await lab.server.fetch("GET", f"{lab.server.url}api/sessions")).json
    url = f"{lab.server.url}api/sessions/{one['id']}"
    await lab.server.fetch("PATCH", url, {"path": "new.ipynb"})
    assert "it is new.ipynb now" in (await running).text
    assert "".join(lab.saved("new.ipynb")["cells"][0]["outputs"][0]["text"]).endswith("3\n")
    assert not (lab.root / "eda.ipynb").exists()


async def test_a_notebook_deleted_below_its_tab_is_still_changed_there(lab: Bonded) -> None:
    async with opened(lab) as page:
        await lab.server.fetch("DELETE", f"{lab.server.url}api/contents/eda.ipynb")
        await lab.fine("run_cell", cell_id="c0")
        assert page.cell("c0")["execution_count"] == 1
    assert "no notebook eda.ipynb" in await lab.failed("run_cell", cell_id="c0")
    assert not (lab.root / "eda.ipynb").exists()


async def test_a_restart_is_told_once_with_the_tab_open(lab: Bonded) -> None:
    async with opened(lab) as page:
        await lab.fine("run_cell", cell_id="c0")
        await lab.kernels.restart_kernel(lab.kernel_id)
        told = await lab.tool("run_cell", cell_id="c1")
        assert "was restarted since you last used it" in told.text
        assert "NameError" in told.text
        assert page.cell("c1")["outputs"][0]["ename"] == "NameError"
        assert "restarted" not in (await lab.fine("run_cell", cell_id="c0")).text


async def test_the_kernel_that_the_tab_names_counts(lab: Bonded) -> None:
    await lab.fine("run_code", code="mine = 1")
    before = lab.kernel_id
    made = await lab.server.fetch("POST", f"{lab.server.url}api/kernels", {"name": "python3"})
    other = made.json["id"]
    async with opened(lab, kernel_id=other):
        told = await lab.fine("run_code", code="'mine' in globals()")
        assert "another kernel now" in told.text
        assert "False" in told.text
        assert lab.kernel_id == other != before


async def test_two_notebooks_on_one_kernel_each_in_its_tab(lab: Bonded) -> None:
    (lab.root / "other.ipynb").write_text((lab.root / "eda.ipynb").read_text())
    new = {"path": "other.ipynb", "name": "", "type": "notebook", "kernel": {"id": lab.kernel_id}}
    assert (await lab.server.fetch("POST", f"{lab.server.url}api/sessions", new)).status == 201
    async with opened(lab) as mine, opened(lab, "other.ipynb") as other:
        await lab.fine("run_cell", cell_id="c0")
        assert mine.cell("c0")["execution_count"] == 1
        assert other.cell("c0")["execution_count"] is None
        assert other.asked == []
        await lab.fine("run_cell", cell_id="c1", notebook="other.ipynb")
        assert other.cell("c1")["outputs"]
        assert mine.cell("c1")["outputs"] == []

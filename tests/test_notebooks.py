"""The user's documentation, executed: every cell of `notebooks/` in a kernel of a real server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.kernel.jupyter_process import jupyter_server

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_does_what_the_text_says(notebook: Path, tmp_path: Path) -> None:
    document = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(document)
    with jupyter_server(tmp_path) as server:
        kernel = server.notebook(notebook.name)
        shutil.copy(notebook, server.root / notebook.name)
        assert kernel.run("%load_ext agent_lab").status == "ok"  # an install does it by itself
        asked, shown = list[str](), list[Any]()
        for cell in document.cells:
            if cell.cell_type != "code":
                continue
            assert not cell.outputs, "documentation is stored without outputs"
            ran = kernel.run(cell.source, cell_id=cell.id)
            fails = "raises-exception" in cell.metadata.get("tags", [])
            assert ran.status == ("error" if fails else "ok"), (cell.source, ran.text)
            shown += [output["data"] for output in ran.outputs if WIDGET in output.get("data", {})]
            if cell.source.startswith(("%agent", "%%agent")):
                line = kernel.updated() if ran.text.startswith("Sending") else ran.text
                assert line.strip(), cell.source
                if cell.source.split()[-1] not in ("status", "stop"):
                    assert line.startswith(("Sent to the agent", "Queued")), line
                    asked.append(cell.source)
        assert asked
        session = server.session_of(notebook.name)
        for source in asked:
            words = source.split("agent", 1)[1].strip() or "Explain this error and fix it."
            message, *_, _ended = server.turn(
                session["id"], json.dumps(words.splitlines()[0])[1:-1]
            )
            assert message["origin"] == "magic"
        assert len(shown) == 1  # AgentChat()

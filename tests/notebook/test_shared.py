"""jupyter-collaboration's document is changed where it holds the notebook; everybody sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent_lab.notebook.document import source_of
from tests.notebook.lab import Bonded

pytest.importorskip("jupyter_server_ydoc")


@pytest.fixture
def jp_server_config(lab_config: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    extensions = {"agent_lab": True, "jupyter_server_ydoc": True, "jupyter_server_fileid": True}
    return {
        "ServerApp": {"jpserver_extensions": extensions},
        "AgentLab": lab_config,
        "SQLiteYStore": {"db_path": str(tmp_path / "y.db")},
        "BaseFileIdManager": {"db_path": str(tmp_path / "ids.db")},
    }


async def test_cells_are_changed_in_the_shared_document(lab: Bonded) -> None:
    await lab.server.call("PATCH", f"sessions/{lab.session.id}", {"permission_mode": "acceptEdits"})
    (collaboration,) = lab.app.extension_manager.extension_apps["jupyter_server_ydoc"]
    shared = await collaboration.get_document(
        path="eda.ipynb", content_type="notebook", file_format="json", copy=False, create=True
    )
    kept = shared.ycells[1]
    await lab.fine("edit_cell", cell_id="c0", source="a = 42")
    await lab.fine("insert_cell", source="new = 1", after_cell_id="c0")
    await lab.fine("run_cell", cell_id="c0")
    cells = shared.get()["cells"]
    assert [source_of(cell) for cell in cells] == ["a = 42", "new = 1", "a + 1"]
    assert cells[0]["execution_count"] == 1
    assert cells[0]["metadata"]["agent_lab"]["session"] == lab.session.id
    source = kept["source"]
    source += " + 1"
    assert "a + 1 + 1" in (await lab.fine("read_notebook")).text

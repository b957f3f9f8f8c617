"""Sessions in which cell changes are proposed, tried and answered, for the panel without a server."""

# ruff: noqa: E501, RUF001 -- the code and the words of a card are one line each, with their signs

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenes import OPTIONS, Body, Scene, chart, text, waiting

NOTEBOOK = "analysis/eda.ipynb"
ANSWERS = [
    {"option_id": "accept", "kind": "allow_once", "label": "Accept", "scope": ""},
    {
        "option_id": "accept_all",
        "kind": "allow_always",
        "label": "Accept all in this session",
        "scope": "edits of cells and files in this session are not asked about again",
    },
    {"option_id": "reject_once", "kind": "reject_once", "label": "Reject", "scope": ""},
]
OLD = 'df = orders.merge(customers, on="customer_id")\nmeans = df.groupby("region_x")["value"].mean()\nmeans'
NEW = 'df = orders.merge(customers, on=["customer_id", "region"],\n                  how="left", validate="many_to_one")\nmeans = df.groupby("region")["value"].mean()\nmeans'
EFFECTS = [
    {
        "kind": "rebinds",
        "name": "df",
        "detail": "DataFrame, 1,204,118 × 15, 134 MB, took 34 s to compute, in cell [2]",
        "certain": True,
    },
    {"kind": "writes", "name": "out.csv", "detail": "file", "certain": False},
    {"kind": "unknown", "name": "train(…)", "detail": "which function it is", "certain": False},
]


def table(rows: int, *columns: str) -> str:
    heads = "".join(f"<th>{name}</th>" for name in ("", *columns))
    return f'<table class="dataframe"><thead><tr>{heads}</tr></thead><tbody><tr><td>1</td></tr></tbody></table><p>{rows} rows × {len(columns)} columns</p>'


def side(score: float, rows: int, *columns: str, picture: str) -> Body:
    return {
        "status": "ok",
        "seconds": 0.4 if score > 0.85 else 0.52,
        "memory": 41_000_000,
        "outputs": [
            {
                "output_type": "stream",
                "name": "stdout",
                "text": f"rows read: 1204118\naccuracy: {score}\n",
            },
            {
                "output_type": "execute_result",
                "data": {"text/html": table(rows, *columns), "text/plain": f"{rows} regions"},
            },
            {
                "output_type": "display_data",
                "data": {"image/png": picture, "text/plain": "<Figure>"},
            },
        ],
        "text": "",
        "error": "",
    }


def trial() -> Body:
    before = side(0.812, 8, "region_x", "value", picture=chart())
    return {
        "status": "done",
        "reason": "",
        "before": before,
        "after": side(0.907, 9, "region", "value", "orders", picture=chart()),
    }


def change(operation: str, cell: str, **fields: Any) -> Body:
    return {
        "operation": operation,
        "notebook": NOTEBOOK,
        "cell_id": cell,
        "cell_type": "code",
        "old_source": None,
        "new_source": None,
        "after_cell_id": None,
        "old_after_cell_id": None,
        "old_cell_type": None,
        **fields,
    }


def proposed(scene: Scene, name: str, title: str, told: Body, **fields: Any) -> Body:
    call = scene.call(
        title,
        "mcp__agent_lab__edit_cell",
        0,
        None,
        kind="edit",
        raw_input={},
        content=[{"type": "cell_diff", "change": told}],
    )
    return {
        "request_id": name,
        "kind": "cell_change",
        "title": title,
        "tool_call_id": call,
        "options": ANSWERS,
        "input": None,
        "change": told,
        "effects": None,
        "trial": None,
        **fields,
    }


def edit(**fields: Any) -> Scene:
    scene = Scene(ago=14).ask("The groupby in [7] fails. Fix it at its root.")
    told = change("edit", "c7", old_source=OLD, new_source=NEW)
    return waiting(scene, proposed(scene, "p1", "Change cell [7]", told, **fields))


def several() -> Scene:
    scene = Scene(ago=14).ask("Tidy up this notebook.")
    asked = [
        proposed(
            scene,
            "p1",
            "Add a cell",
            change(
                "insert",
                "c9",
                new_source="import pandas as pd\nimport numpy as np",
                after_cell_id="",
            ),
            effects=[],
        ),
        proposed(
            scene,
            "p2",
            "Delete cell [4]",
            change("delete", "c4", old_source="df.head()\ndf.tail()"),
        ),
        proposed(
            scene,
            "p3",
            "Move cell [2]",
            change("move", "c2", old_source="seed = 7", new_source="seed = 7", after_cell_id="c5"),
        ),
    ]
    for request in asked:
        waiting(scene, request)
    scene.session["pending_permissions"] = [{"type": "permission_request", **one} for one in asked]
    return scene


def answered() -> Scene:
    """One accepted, one rejected with its reason, one that could not be done any more."""
    scene = Scene(ago=200)
    scene.session = {"status": "idle"}
    scene.ask("Tidy up this notebook.")
    told = change("edit", "c7", old_source=OLD, new_source=NEW)
    for number, (option, words, status) in enumerate(
        (
            ("accept", None, "completed"),
            ("reject_once", "Keep the join as it is, and rename the columns.", "failed"),
            ("accept", None, "failed"),
        )
    ):
        request = proposed(scene, f"p{number}", f"Change cell [{number + 5}]", told)
        scene.add("permission_request", **request)
        scene.add(
            "permission_resolved",
            3,
            request_id=request["request_id"],
            outcome="selected",
            option_id=option,
            message=words,
            by="user",
        )
        why = text("The cell was changed meanwhile, so nothing was done. Read it again.")
        content = [{"type": "cell_diff", "change": told}] if status == "completed" else why
        scene.add(
            "tool_call_update",
            tool_call_id=request["tool_call_id"],
            status=status,
            content=content,
        )
    return scene.say("Done as far as you let me.").end()


def run() -> Scene:
    scene = Scene(ago=14).ask("Train it once more.")
    code = {"code": "model.fit(X, y)\ndf = train(df)"}
    call = scene.call(
        "Run code", "mcp__agent_lab__run_code", 0, None, kind="execute", raw_input=code
    )
    refused = "2 other threads run in the kernel, and a copy of it would stop them"
    return waiting(
        scene,
        {
            "request_id": "p1",
            "kind": "tool",
            "title": "Run code in eda.ipynb's kernel",
            "tool_call_id": call,
            "options": OPTIONS[::2],
            "input": code,
            "effects": EFFECTS,
            "trial": {"status": "refused", "reason": refused, "before": None, "after": None},
        },
    )


CHANGES: dict[str, Callable[[], Scene]] = {
    "change": lambda: edit(effects=EFFECTS),
    "change-tried": lambda: edit(effects=EFFECTS, trial=trial()),
    "changes": several,
    "changed": answered,
    "run": run,
}

"""What the server answers besides a conversation: the list, the reports, the first run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scenes import OPTIONS, Scene, session

Json = dict[str, Any]


def _one(n: int, title: str, minutes: float, **fields: Any) -> Json:
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    changed = {"title": title, "updated_at": at.isoformat(timespec="milliseconds")}
    usage = {"cost_usd": 0.03 * n, "cost_source": "agent"}
    made = {**session(f"s{n}", Scene()), "id": f"s{n}", **changed, "status": "idle"}
    return {**made, "unseen": False, "usage": {**made["usage"], **usage}, **fields}


def sessions() -> list[Json]:
    asked = {
        "request_id": "p1",
        "kind": "tool",
        "title": "pip install pyarrow",
        "options": OPTIONS,
    }
    elsewhere = {"path": "backfill", "cwd": "/srv/backfill", "trusted": True}
    return [
        _one(
            1,
            "Save the table as parquet",
            0.2,
            status="awaiting_permission",
            pending_permissions=[asked],
        ),
        _one(2, "Fix the groupby error", 1, status="running"),
        _one(3, "Backfill the 2023 orders", 12, unseen=True, workspace=elsewhere, notebook=None),
        _one(4, "Why is EMEA-South so high?", 55),
        _one(5, "A title that is much longer than any list has room for, even a wide one", 180),
        _one(
            6,
            "Translate the report",
            60 * 26,
            status="failed",
            status_reason="claude is not signed in",
        ),
        _one(7, "Plot mean and median by region", 60 * 27, status="ended", model="sonnet"),
        _one(8, "Clean the customers table", 60 * 24 * 3),
        _one(9, "First steps", 60 * 24 * 40, status="ended", notebook=None),
    ]


HITS = {
    "s2": [
        {
            "seq": 4,
            "text": "… both tables have one, so the \u0002merge\u0003 in [5] made region_x …",
        },
        {"seq": 9, "text": "Repair the \u0002merge\u0003, then run the cells again"},
    ],
    "s8": [{"seq": 7, "text": "I \u0002merge\u0003 the two spellings of each name"}],
}
CLI = [
    {"agent_session_id": "c1", "title": "review the diff before I push", "path": "backfill"},
    {"agent_session_id": "c2", "title": "explain the failing test", "path": "analysis/old"},
]


def listed(kind: str, query: str, cli: bool) -> Json:
    found = [] if kind in ("empty", "new") else sessions()
    if query:
        found = [one for one in found if one["id"] in HITS] if query == "merge" else []
    answer: Json = {"sessions": found, "cursor": None, "hits": HITS if query == "merge" else {}}
    if cli:
        at = datetime.now(UTC) - timedelta(days=2)
        made = [{**one, "updated_at": at.isoformat(timespec="milliseconds")} for one in CLI]
        answer |= {"cli": made, "cli_complete": True}
    return answer


def readiness(kind: str) -> list[Json]:
    """`kind`: new (nothing is there), signed_out, untrusted, still (no kernel), else all well."""

    def check(id: str, ok: bool | None, text: str, mend: Json | None = None) -> Json:
        return {"id": id, "ok": ok, "text": text, "mend": mend}

    if kind == "new":
        install = {"command": "pip install 'agent-lab[claude]'"}
        return [
            check("agent", False, "Claude is not installed in this server's environment.", install),
            check("version", None, "The version is not known yet."),
            check("signed_in", None, "Whether Claude is signed in shows when it is installed."),
            check("trust", True, "Nothing in this folder runs by itself."),
        ]
    sign_in = {"action": "sign_in", "command": "claude /login"}
    signed = (
        check("signed_in", False, "Claude is not signed in.", sign_in)
        if kind == "signed_out"
        else check("signed_in", True, "Claude is signed in.")
    )
    files = "`.mcp.json` of this folder starts programs; claude leaves it alone until you trust it."
    trust = (
        check("trust", False, files, {"action": "trust"})
        if kind == "untrusted"
        else check("trust", True, "Nothing in this folder runs by itself.")
    )
    still = (
        [check("kernel", False, "`eda.ipynb` has no kernel.", {"action": "start_kernel"})]
        if kind == "still"
        else [check("kernel", True, "The kernel of `eda.ipynb` runs.")]
    )
    return [
        check("agent", True, "Claude is installed."),
        check("version", True, "Version 2.1.330 will do."),
        signed,
        trust,
        *still,
    ]


CONTEXT: Json = {
    "used": 24100,
    "size": 200000,
    "threshold": 167000,
    "categories": [
        {"name": "System prompt", "tokens": 2400, "kind": "used"},
        {"name": "System tools", "tokens": 11600, "kind": "used"},
        {"name": "MCP tools (deferred)", "tokens": 6100, "kind": "deferred"},
        {"name": "Memory files", "tokens": 900, "kind": "used"},
        {"name": "Messages", "tokens": 9200, "kind": "used"},
        {"name": "Autocompact buffer", "tokens": 33000, "kind": "buffer"},
        {"name": "Free space", "tokens": 142900, "kind": "free"},
    ],
    "detail": [
        {"group": "Memory files", "name": "/srv/analysis/CLAUDE.md", "tokens": 900},
        {"group": "MCP tools", "name": "mcp__agent_lab__run_cell", "tokens": 420},
        {"group": "MCP tools", "name": "mcp__agent_lab__inspect_variable", "tokens": 380},
    ],
}


def cost(events: list[Json]) -> Json:
    def row(key: str | None, share: float) -> Json:
        return {
            "key": key,
            "input_tokens": int(21000 * share),
            "output_tokens": int(3100 * share),
            "cache_read_tokens": int(90000 * share),
            "cache_write_tokens": int(8000 * share),
            "cost_usd": 0.14 * share,
            "cost_source": "agent",
        }

    turns = [event["turn_id"] for event in events if event["type"] == "turn_started"]
    by_turn = [row(turn, 1 / len(turns)) for turn in turns]
    return {"by_turn": by_turn, "by_model": [row("opus", 0.9), row("haiku", 0.1)]}


RULES = [
    {
        "id": "r1",
        "rule": "Bash(pip install *)",
        "behavior": "allow",
        "scope": "folder",
        "where": "In this folder, for every session",
        "file": "/srv/analysis/.claude/settings.local.json",
        "revocable": True,
    },
    {
        "id": "r2",
        "rule": "Edit",
        "behavior": "allow",
        "scope": "session",
        "where": "In this session, until its agent stops",
        "file": None,
        "revocable": True,
    },
    {
        "id": "r3",
        "rule": "Read(/etc/**)",
        "behavior": "deny",
        "scope": "managed",
        "where": "For everybody on this machine",
        "file": "/etc/claude-code/managed-settings.json",
        "revocable": False,
    },
]
FILES = ["analysis/clean.py", "analysis/eda.ipynb", "data/orders.csv", "data/customers.csv", "data"]

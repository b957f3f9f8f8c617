"""The conversations that claude's own program left on disk, as the list of sessions offers them."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path

from agent_lab.agents.conversations import below


def leave(home: Path, cwd: Path, *prompts: str, age: int = 0, then: str = "") -> str:
    """A conversation as claude writes it; `then`: a command of it went to that folder."""
    name = str(uuid.uuid4())
    folder = home / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", str(cwd))[:190]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"type": "user", "cwd": str(cwd), "uuid": name, "message": {"content": prompt}}
        for prompt in prompts
    ]
    if then:
        lines.append({"type": "user", "cwd": then, "uuid": name, "message": {"content": "later"}})
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(file, (1_700_000_000 - age, 1_700_000_000 - age))
    return name


def test_all_folders_below_the_root_newest_first(tmp_path: Path) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    deep = root / "a.b" / ("long" * 30) / ("longer" * 20)
    beside, gone = tmp_path / "root-beside", root / "gone"
    for folder in (deep, beside):
        folder.mkdir(parents=True)
    environment = {"CLAUDE_CONFIG_DIR": str(home)}
    oldest = leave(home, root, "in the root", age=90)
    middle = leave(home, deep, "deep below", age=60, then=str(root))
    for n in range(7):  # folders were counted once
        (root / f"f{n}").mkdir()
        leave(home, root / f"f{n}", f"number {n}", age=n)
    leave(home, beside, "of another root")
    leave(home, gone, "of a folder that is gone")
    leave(home, root)  # nobody said anything
    made = below(environment, str(root))
    assert made.complete
    numbers = [f"number {n}" for n in range(7)]
    assert [one.title for one in made.found] == [*numbers, "deep below", "in the root"]
    assert [one.agent_session_id for one in made.found[-2:]] == [middle, oldest]
    assert made.found[-2].path == str(deep)

    alone = below(environment, str(root), alone=True)
    assert [one.title for one in alone.found] == ["in the root"]
    assert [one.title for one in below(environment, str(deep), alone=True).found] == ["deep below"]


def test_it_ends_in_time_and_says_so(tmp_path: Path) -> None:
    leave(tmp_path, tmp_path, "hello")
    made = below({"CLAUDE_CONFIG_DIR": str(tmp_path)}, str(tmp_path), seconds=-1)
    assert not made.complete
    assert made.found == ()
    assert below({"CLAUDE_CONFIG_DIR": str(tmp_path / "none")}, str(tmp_path)).complete

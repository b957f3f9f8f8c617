"""The TypeScript side under Node's own test runner: the fold's twin, and the plugins' pure
parts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FRONT_END = Path(__file__).parents[1] / "labextension"


def test_typescript_tests_pass() -> None:
    node = shutil.which("node")
    if node is None or not (FRONT_END / "node_modules").is_dir():
        pytest.skip("needs Node and labextension/node_modules (`cd labextension && jlpm install`)")
    ran = subprocess.run(
        [node, "scripts/test.mjs"],
        cwd=FRONT_END,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    assert "pass 0" not in ran.stdout

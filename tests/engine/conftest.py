"""Fixtures: a folder and an environment in which only the real claude is there, and its model."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_lab.demo.model import ScriptedModel
from agent_lab.demo.sample import claude_environment
from agent_lab.demo.script import load_script
from tests.engine.alone import Alone, wait_until
from tests.kernel.jupyter_process import scratch_environment


@pytest.fixture(scope="package")
def model() -> Iterator[str]:
    """The address of a scripted model, which runs on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    model = ScriptedModel(load_script(Path(__file__).with_name("model.toml")))
    asyncio.run_coroutine_threadsafe(model.start(), loop).result(30)
    yield model.url
    asyncio.run_coroutine_threadsafe(model.close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def alone(model: str, tmp_path: Path) -> Iterator[Alone]:
    """A folder, and an environment in which only the real claude is there."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **scratch_environment(tmp_path),
        **claude_environment(model, home),
        "TERM": "dumb",
        "PATH": search,
    }
    place = Alone(work, tmp_path / "data" / "agent_lab", environment)
    yield place
    wait_until(lambda: place.agents() == [])  # of a process that was killed they see the end

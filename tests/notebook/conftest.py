"""A bonded session for each test that asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from tests.notebook.lab import Bonded, bonded, notebook
from tests.server.lab import Server

Bind = Callable[..., Awaitable[Bonded]]


@pytest.fixture
def bind(jp_serverapp: ServerApp, server: Server) -> Bind:
    """Make a notebook of these cells, with a kernel, and a session beside it."""

    async def make(*cells: Any, path: str = "eda.ipynb", kernel: str | None = "python3") -> Bonded:
        return await bonded(jp_serverapp, server, path, notebook(*cells), kernel)

    return make


@pytest.fixture
def lab(bind: Bind, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Bonded:
    """Two cells: a = 41, and one that shows a + 1."""
    return jp_asyncio_loop.run_until_complete(_make(bind))


async def _make(bind: Bind) -> Bonded:
    return await bind("a = 41", "a + 1")

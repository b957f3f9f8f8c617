"""One running Jupyter server for all tests that ask from inside a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.jupyter_process import Jupyter, Kernel, jupyter_server

LOAD = "%load_ext agent_lab"


@pytest.fixture(scope="package")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), "/user/ada/") as running:
        yield running


@pytest.fixture
def kernel(jupyter: Jupyter, request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A notebook of this test's own, with Agent Lab loaded; its folder is its own too."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    kernel = jupyter.notebook(f"{name}/it.ipynb")
    assert kernel.run(LOAD).status == "ok"
    yield kernel
    jupyter.end(kernel)

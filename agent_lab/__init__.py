"""Entry points for Jupyter Server, IPython and notebooks; each imports its part on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_lab.kernel.panel import AgentChat as AgentChat

__all__ = ["AgentChat"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from agent_lab.server.app import AgentLab

    return [{"module": "agent_lab", "app": AgentLab}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    # Only `jupyter-builder develop` asks; an install puts the files where JupyterLab looks.
    return [{"src": "labextension", "dest": "@agent-lab/labextension"}]


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext agent_lab` calls."""
    from agent_lab.kernel import magics

    magics.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """What `%unload_ext agent_lab` calls."""
    from agent_lab.kernel import magics

    magics.unload_ipython_extension(shell)


def __getattr__(name: str) -> Any:
    if name == "AgentChat":
        from agent_lab.kernel.panel import AgentChat

        return AgentChat
    if name == "__version__":
        from agent_lab.server.version import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

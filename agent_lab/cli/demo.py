"""Start JupyterLab on the sample analysis, with the real claude and a scripted model behind it.

The model runs in the server's own event loop, so nothing can outlive the demo. Settings, sessions
and claude's files go to a scratch folder: a person's own are neither read nor changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agent_lab.agents import registry
from agent_lab.cli.text import say
from agent_lab.demo.model import ScriptedModel
from agent_lab.demo.sample import claude_environment, prepare_workspace
from agent_lab.demo.script import load_script
from agent_lab.protocol.errors import AgentLabError, AgentUnavailable

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

NOTEBOOK = "analysis.ipynb"
PAGE = f"/lab/tree/{NOTEBOOK}"
LOOPBACK = "127.0.0.1"


def demo(workspace: Path | None, port: int, browser: bool) -> int:
    """Serve until Ctrl-C. Raises AgentLabError when claude, JupyterLab or the folder is missing."""
    if registry.claude_command(()) is None:
        raise AgentUnavailable(
            "The demo drives the real claude program, and there is none on this machine. "
            f"Install it (no account is needed): {registry.CLAUDE_INSTALL}"
        )
    if find_spec("jupyterlab") is None:
        raise AgentLabError("The demo needs JupyterLab. Install it: pip install 'agent-lab[lab]'")
    with tempfile.TemporaryDirectory(prefix="agent-lab-demo-", ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        root = (workspace or scratch / "analysis").expanduser().resolve()
        try:
            prepare_workspace(root)
        except OSError as error:
            raise AgentLabError(f"The sample cannot be put into {root}: {error}.") from None
        return _serve(scratch, root, port, browser)


def _serve(scratch: Path, root: Path, port: int, browser: bool) -> int:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # the server takes the current loop for its own
    model = loop.run_until_complete(ScriptedModel(load_script("demo")).start())
    try:
        environment = claude_environment(model.url, scratch / "home")
        server = _lab(scratch, root, port, browser, environment)
        # Jupyter asks back on Ctrl-C, and cleans nothing up when its input is no terminal.
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows keeps Jupyter's
            asked = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, _stop, server, asked)
        # The server listens from its loop's first step on; this is the step after it.
        server.io_loop.add_callback(_welcome, server, root)
        server.start()
    finally:
        loop.run_until_complete(model.close())
    return 0


def _lab(
    scratch: Path, root: Path, port: int, browser: bool, environment: Mapping[str, str]
) -> ServerApp:
    """JupyterLab, ready and listening."""
    # Before the import: JupyterLab computes its folders then.
    os.environ["JUPYTER_CONFIG_DIR"] = str(scratch / "jupyter")
    import zmq
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]  # it has no types
    from traitlets.config import Config

    config = Config()
    config.ServerApp.update(
        root_dir=str(root),
        ip=LOOPBACK,
        port=port,
        open_browser=browser,
        allow_root=True,  # on loopback, behind a token, with a model that only plays its script
    )
    config.Application.log_level = "ERROR"  # Jupyter's warnings are about what we set on purpose
    if zmq.has("curve"):  # else ipykernel warns the newcomer of listeners, on loopback
        config.KernelManager.transport_encryption = "auto"
    # A token that Jupyter makes itself is printed by it, among other things.
    config.IdentityProvider.token = secrets.token_hex(24)
    config.LabApp.update(
        default_url=PAGE,
        extension_manager="readonly",
        user_settings_dir=str(_lab_settings(scratch)),
        workspaces_dir=str(scratch / "workspaces"),
    )
    config.AgentLab.update(
        demo=True, data_dir=str(scratch / "data"), agent_environment=dict(environment)
    )
    server: ServerApp = LabApp.make_serverapp(
        jpserver_extensions={"jupyterlab": True, "agent_lab": True}, config=config
    )
    server.aliases.update(LabApp.aliases)
    server.initialize(argv=[], starter_extension=LabApp.name)
    return server


def _lab_settings(scratch: Path) -> Path:
    """JupyterLab's question about news covers a corner of the page, and asks for the network."""
    folder = scratch / "settings"
    file = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    file.parent.mkdir(parents=True)
    file.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    return folder


def _stop(server: ServerApp, asked: asyncio.Event) -> None:
    if not asked.is_set():
        asked.set()
        server.stop()
        with contextlib.suppress(OSError):  # the terminal may be what went away
            say("\nEnding the demo …")


def _welcome(server: ServerApp, root: Path) -> None:
    address = f"{server.connection_url.rstrip('/')}{PAGE}?token={server.identity_provider.token}"
    say(
        f"""
Agent Lab demo

    {address}

The claude program is real; the model behind it is scripted: it knows this sample, and nothing else.
The cost it shows is made up: nothing is paid. Try this:

  1. Run all cells of {NOTEBOOK}: the last one fails. Press "Fix with agent" on its error.
  2. Ask: Why does the last cell fail? Fix it.
  3. In a new cell:  %agent What is in this folder?
  4. Open tour.ipynb: an analysis with the agent beside it, from the first question to the last.

The sample is in {root}
Ctrl-C ends the demo and everything it started."""
    )

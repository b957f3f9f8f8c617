"""Jupyter Server's managers as the kernel bond sees them: kernels, open notebooks, contents,
terminals."""

from __future__ import annotations

import asyncio
import posixpath
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from tornado import web

from agent_lab.notebook.bond import Opened, Terminal
from agent_lab.notebook.document import Content, Contents, Shared, Stored
from agent_lab.notebook.kernel import KernelManager
from agent_lab.protocol.errors import Conflict, Invalid, NotFound, Unavailable
from agent_lab.protocol.events import Json

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

MOST_FOLDERS = 300
START_SECONDS = 60.0
COLLABORATION = "jupyter_server_ydoc"
SHARED_DRIVE = "RTC:"
"""jupyter-collaboration's drive stands before the paths of what it opened."""


class JupyterServer:
    """Keeps `notebook.bond.Jupyter`."""

    def __init__(self, app: ServerApp) -> None:
        self._app = app
        self._contents = FileContents(app.contents_manager)

    @property
    def contents(self) -> Contents:
        return self._contents

    @property
    def _kernels(self) -> Any:
        return self._app.kernel_manager

    async def opened(self) -> Sequence[Opened]:
        found = await ensure_async(self._app.session_manager.list_sessions())
        return [
            Opened(str(one["path"]).removeprefix(SHARED_DRIVE), str(one["kernel"]["id"]))
            for one in found
            if one.get("type") == "notebook" and one.get("kernel")
        ]

    def kernel(self, kernel_id: str) -> KernelManager | None:
        found: KernelManager | None = (
            self._kernels.get_kernel(kernel_id) if kernel_id in self._kernels else None
        )
        return found

    async def kernel_state(self, kernel_id: str) -> Mapping[str, Json]:
        try:
            model: Mapping[str, Json] = self._kernels.kernel_model(kernel_id)
        except web.HTTPError:
            raise NotFound("This kernel is gone.", "no_kernel") from None
        return model

    async def start_kernel(self, path: str) -> str:
        stored = await self._contents.load(path)
        wanted = (stored.content.get("metadata", {}).get("kernelspec") or {}).get("name")
        specs: Any = self._app.kernel_spec_manager
        known = specs.find_kernel_specs()
        try:
            async with asyncio.timeout(START_SECONDS):
                model = await ensure_async(
                    self._app.session_manager.create_session(
                        path=path,
                        name=posixpath.basename(path),
                        type="notebook",
                        kernel_name=wanted if wanted in known else None,
                    )
                )
        except TimeoutError:
            text = f"The kernel did not start within {START_SECONDS:.0f} s."
            raise Unavailable(text, "kernel_start_failed") from None
        except (web.HTTPError, OSError) as error:
            raise Unavailable(
                f"The kernel could not start: {error}", "kernel_start_failed"
            ) from None
        return str(model["kernel"]["id"])

    async def restart_kernel(self, kernel_id: str) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await ensure_async(self._kernels.restart_kernel(kernel_id))
        except TimeoutError:
            text = f"The kernel did not answer within {START_SECONDS:.0f} s of its restart."
            raise Unavailable(text, "kernel_start_failed") from None
        except web.HTTPError as error:
            raise Unavailable(
                f"The kernel could not be restarted: {error}", "kernel_start_failed"
            ) from None

    async def interrupt_kernel(self, kernel_id: str) -> None:
        await ensure_async(self._kernels.interrupt_kernel(kernel_id))

    async def notebooks(self, folder: str, most: int) -> Sequence[str]:
        found: list[str] = []
        folders = deque([folder])
        looked = 0
        files: Any = self._app.contents_manager
        while folders and len(found) < most and looked < MOST_FOLDERS:
            looked += 1
            try:
                model = await ensure_async(files.get(folders.popleft(), type="directory"))
            except (web.HTTPError, OSError):
                continue  # it went away, or may not be read
            for one in sorted(model["content"], key=lambda one: str(one["name"])):
                if one["type"] == "directory":
                    folders.append(one["path"])
                elif one["type"] == "notebook":
                    found.append(one["path"])
            await asyncio.sleep(0)
        return found[:most]

    async def shared(self, path: str) -> Shared | None:
        apps = self._app.extension_manager.extension_apps.get(COLLABORATION) or ()
        for app in apps:
            get: Any = getattr(app, "get_document", None)
            if get is not None:
                found: Shared | None = await get(
                    path=path, content_type="notebook", file_format="json", copy=False
                )
                return found
        return None

    def terminals(self) -> Sequence[Terminal]:
        manager = self._app.web_app.settings.get("terminal_manager")
        terminals: Mapping[str, Any] = getattr(manager, "terminals", None) or {}
        return [
            Terminal(name, "".join(getattr(terminal, "read_buffer", ())))
            for name, terminal in terminals.items()
        ]


class FileContents:
    """Keeps `notebook.document.Contents` over Jupyter's contents manager."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def load(self, path: str) -> Stored:
        model = await self._get(path, content=True)
        content: Content = model["content"]
        if not isinstance(content.get("cells"), list):
            raise Invalid(f"{path} is no notebook of nbformat 4.", "not_a_notebook")
        return Stored(content, model["last_modified"])

    async def version(self, path: str) -> object:
        return (await self._get(path, content=False))["last_modified"]

    async def _get(self, path: str, content: bool) -> Any:
        try:
            return await ensure_async(self._manager.get(path, content=content, type="notebook"))
        except web.HTTPError as error:
            if error.status_code == 404:
                text = (
                    f"There is no notebook {path}; it may have been renamed or deleted. "
                    "list_notebooks tells which there are."
                )
                raise NotFound(text, "notebook_not_found") from None
            raise Invalid(f"{path} cannot be read: {error.log_message}", "not_a_notebook") from None

    async def save(self, path: str, content: Content) -> None:
        model = {"type": "notebook", "format": "json", "content": content}
        try:
            await ensure_async(self._manager.save(model, path))
        except (web.HTTPError, OSError) as error:
            raise Conflict(f"{path} cannot be saved: {error}", "not_saved") from None

"""What a page of JupyterLab and the server say to each other about the notebooks open in it. Pure.

The page tells at each change what it holds. The server asks for one thing at a time. A request that
changes something is announced: the page says that it is `ready`, and acts at `go` alone; so what
came to a page that slept is not done after the server has given it up.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from agent_lab.protocol.events import Json


class TabsHello(Struct, frozen=True, tag="hello", tag_field="type"):
    """`max_bytes`: a longer message closes the connection."""

    protocol: int
    max_bytes: int


class TabRequest(Struct, frozen=True, tag="request", tag_field="type", omit_defaults=True):
    """`op` is read, insert, edit, delete, move, outputs or reveal; `fields` are what it takes:

    read         {cell_id?, outputs?: false}; gives nbformat JSON as it is in the tab, or that cell
    insert       {cell: {id, cell_type, source, metadata, outputs?, execution_count?, attachments?},
                  after_cell_id}
    edit         {cell_id, expected_source, source, cell_type?, metadata?}
    delete       {cell_id, expected_source}
    move         {cell_id, after_cell_id}
    outputs      {cell_id, expected_source?, outputs, execution_count, running, metadata?}
    reveal       {cell_id}

    What changes something gives {index, upgraded?: true}; `upgraded`: the notebook was of a format
    that keeps no ids of cells, and is no more. `after_cell_id` "" is the top, null the end.
    `metadata` is laid over the cell's, one key at a time; `agent_lab` one level deeper.
    """

    id: str
    op: str
    key: str
    notebook: str
    fields: Json
    announced: bool = False


class TabGo(Struct, frozen=True, tag="go", tag_field="type"):
    id: str


class OpenNotebook(Struct, frozen=True):
    """`key` stays while the notebook is open, `path` may change. `active`: milliseconds since it
    had the person's focus."""

    key: str
    path: str
    kernel_id: str | None = None
    dirty: bool = False
    active: float = 0.0


class OpenNotebooks(Struct, frozen=True, tag="open", tag_field="type"):
    notebooks: tuple[OpenNotebook, ...]


class TabReady(Struct, frozen=True, tag="ready", tag_field="type"):
    id: str


class TabReply(Struct, frozen=True, tag="reply", tag_field="type"):
    id: str
    ok: bool
    result: Json | UnsetType = UNSET
    reason: str = ""
    message: str = ""


Said: TypeAlias = OpenNotebooks | TabReady | TabReply
"""What a page says."""

"""Which page of a browser holds which notebook, and what is asked of it: one thing at a time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct

from agent_lab.protocol.errors import (
    AgentLabError,
    Conflict,
    Invalid,
    NotFound,
    TooLarge,
    Unavailable,
)
from agent_lab.protocol.events import Json, encode
from agent_lab.protocol.tabs import (
    OpenNotebook,
    OpenNotebooks,
    Said,
    TabGo,
    TabReady,
    TabReply,
    TabRequest,
)

PATIENCE_SECONDS = 10.0
"""For each answer of a page."""
HARMLESS = frozenset({"read", "reveal"})
"""Requests that may be done although nobody waits any more."""

Send: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Raises ConnectionError when the page is gone."""

_REFUSALS: dict[str, type[AgentLabError]] = {
    "cell_not_found": NotFound,
    "invalid": Invalid,
    "too_large": TooLarge,
}


Kind: TypeAlias = Literal["opened", "closed", "renamed", "kernel"]


class TabChange(Struct, frozen=True):
    """`path` is the notebook's now, `old_path` what it was before a rename."""

    kind: Kind
    path: str
    old_path: str = ""
    kernel_id: str | None = None


Listener: TypeAlias = Callable[[TabChange], None]


class Tabs:
    """All notebooks that are open in pages of this server."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self.patience = patience
        self._pages: list[Page] = []
        self._listeners: list[Listener] = []

    def __iter__(self) -> Iterator[Tab]:
        return (tab for page in self._pages for tab in page.tabs)

    def holder(self, path: str, without: Collection[Tab] = ()) -> Tab | None:
        """Of the tabs with this notebook the one that had a person's focus last."""
        wanted = path.strip("/")
        return max(
            (tab for tab in self if tab.path == wanted and tab not in without),
            key=lambda t: t.focused,
            default=None,
        )

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell what is opened, closed, renamed. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def connect(self, send: Send) -> Page:
        page = Page(self, send)
        self._pages.append(page)
        return page

    def forget(self, page: Page) -> None:
        if page in self._pages:
            self._pages.remove(page)

    def tell(self, change: TabChange) -> None:
        for listener in tuple(self._listeners):
            listener(change)


class Page:
    """One page of a browser, from its connection to the end of that."""

    def __init__(self, tabs: Tabs, send: Send) -> None:
        self._all = tabs
        self._send = send
        self._tabs: dict[str, Tab] = {}
        self._turn = asyncio.Lock()
        self._count = 0
        self._waiting: _Waiting | None = None

    @property
    def tabs(self) -> tuple[Tab, ...]:
        return tuple(self._tabs.values())

    def said(self, message: Said) -> None:
        """Take what the page says."""
        if isinstance(message, OpenNotebooks):
            self._opened(message.notebooks)
        elif self._waiting is not None and message.id == self._waiting.id:
            self._waiting.hear(message)
        # Else it is the answer to what was given up.

    def close(self) -> None:
        self._opened(())
        self._all.forget(self)

    def _opened(self, notebooks: tuple[OpenNotebook, ...]) -> None:
        before, self._tabs = self._tabs, {}
        for told in notebooks:
            tab = before.get(told.key) or Tab(self, told)
            self._tabs[told.key] = tab
            tab.hold(told)
        for key in before.keys() - self._tabs.keys():
            before[key].end()
        waiting = self._waiting
        if waiting is not None and waiting.key not in self._tabs:
            waiting.lose()

    def changed(self, kind: Kind, tab: Tab, old_path: str = "") -> None:
        self._all.tell(TabChange(kind, tab.path, old_path, tab.kernel_id))

    async def ask(self, tab: Tab, op: str, fields: dict[str, Json]) -> Json:
        async with self._turn:
            if tab.gone:
                raise _gone(tab)
            self._count += 1
            announced = op not in HARMLESS
            request = TabRequest(str(self._count), op, tab.key, tab.path, fields, announced)
            self._waiting = waiting = _Waiting(request.id, tab.key)
            try:
                return await self._exchange(request, waiting, tab)
            finally:
                self._waiting = None

    async def _exchange(self, request: TabRequest, waiting: _Waiting, tab: Tab) -> Json:
        try:
            await self._send(encode(request))
            if request.announced:
                await self._heard(waiting.ready)
        except TimeoutError:
            text = (
                f"The browser's page with {tab.path} does not answer; nothing was changed. Wake "
                "that page or close it, then try again."
            )
            raise Unavailable(text, "tab_silent") from None
        except ConnectionError:
            raise _gone(tab) from None
        try:
            if request.announced:
                await self._send(encode(TabGo(request.id)))
            reply = await self._heard(waiting.reply)
        except (TimeoutError, ConnectionError):
            if request.announced:
                text = (
                    f"The browser's page with {tab.path} went away or fell silent while it did "
                    "this, so whether it is done is not known. Read the notebook before going on."
                )
                raise Unavailable(text, "outcome_unknown") from None
            if tab.gone:
                raise _gone(tab) from None
            text = f"The browser's page with {tab.path} does not answer. Wake it or close it."
            raise Unavailable(text, "tab_silent") from None
        if not reply.ok:
            kind = _REFUSALS.get(reply.reason, Conflict)
            raise kind(reply.message or "The page refused.", reply.reason or "refused")
        return None if reply.result is UNSET else reply.result

    async def _heard(self, future: asyncio.Future[TabReply]) -> TabReply:
        async with asyncio.timeout(self._all.patience):
            return await future


class Tab:
    """A notebook that is open in a page. It stays the same through a rename and a new kernel."""

    def __init__(self, page: Page, told: OpenNotebook) -> None:
        self._page = page
        self.key = told.key
        self.path = ""
        self.kernel_id: str | None = None
        self.dirty = False
        self.focused = -math.inf
        """When it had a person's focus last, on the clock of `time.monotonic`."""
        self.gone = False

    def hold(self, told: OpenNotebook) -> None:
        """Take what its page tells of it."""
        path = told.path.strip("/")
        old_path, old_kernel = self.path, self.kernel_id
        self.path, self.kernel_id, self.dirty = path, told.kernel_id, told.dirty
        self.focused = time.monotonic() - max(0.0, told.active) / 1000
        if not old_path:
            self._page.changed("opened", self)
            return
        if path != old_path:
            self._page.changed("renamed", self, old_path)
        if told.kernel_id != old_kernel:
            self._page.changed("kernel", self)

    def end(self) -> None:
        self.gone = True
        self._page.changed("closed", self)

    async def ask(self, op: str, **fields: Json) -> Json:
        """Have the page do this and return what it says. Never done twice.

        Raises Conflict `tab_gone` and Unavailable `tab_silent` when nothing was done, Unavailable
        `outcome_unknown` when that is not known, and the page's own refusals: NotFound
        `cell_not_found`, Conflict `cell_changed`, `cell_exists`, `locked`, `not_open`, TooLarge.
        """
        return await self._page.ask(self, op, fields)


class _Waiting:
    """The one request that a page is at."""

    def __init__(self, id: str, key: str) -> None:
        self.id = id
        self.key = key
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[TabReply] = loop.create_future()
        self.reply: asyncio.Future[TabReply] = loop.create_future()

    def hear(self, message: TabReady | TabReply) -> None:
        if isinstance(message, TabReply):
            _settle(self.reply, message)
            _settle(self.ready, message)  # refused before it was ready
        else:
            _settle(self.ready, TabReply(self.id, True))

    def lose(self) -> None:
        for future in (self.ready, self.reply):
            if not future.done():
                future.set_exception(ConnectionResetError())
                future.exception()  # nobody may wait for this one


def _settle(future: asyncio.Future[TabReply], value: TabReply) -> None:
    if not future.done():
        future.set_result(value)


def _gone(tab: Tab) -> Conflict:
    text = f"{tab.path} was closed in the browser meanwhile; nothing was changed there. Try again."
    return Conflict(text, "tab_gone")

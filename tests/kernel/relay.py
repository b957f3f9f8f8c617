"""Stands between a kernel and its server, and cuts what goes through it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Relay:
    """Hands bytes on in both directions until it cuts all connections, or is closed for good."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._paused = False
        self._all: list[socket.socket] = []
        self._lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def _start(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._paused:
                near.close()
                continue
            far = socket.create_connection(self._target)
            with self._lock:
                self._open += [near, far]
                self._all += [near, far]
            self._start(self._copy, near, far)
            self._start(self._copy, far, near)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def cut(self) -> None:
        """Every connection ends; new ones are accepted."""
        with self._lock:
            cut, self._open = self._open, []
        for one in cut:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def pause(self) -> None:
        """As a server that is away: new connections end at once."""
        self._paused = True
        self.cut()

    def resume(self) -> None:
        self._paused = False

    def join(self) -> None:
        for thread in self.threads:
            thread.join()
        for one in self._all:
            one.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


@contextmanager
def relay(url: str) -> Iterator[Relay]:
    parts = urlsplit(url)
    between = Relay((parts.hostname or "", parts.port or 80))
    try:
        yield between
    finally:
        between.close()
        between.join()

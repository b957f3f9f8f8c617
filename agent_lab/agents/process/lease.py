"""The right to drive the session of one folder: a file lock, so that it ends with its holder."""

import os
import sys
from pathlib import Path
from typing import ClassVar

from agent_lab.agents.process.errors import LeaseHeld

if sys.platform != "win32":
    import fcntl


class Lease:
    """The right to drive the session of one folder; the kernel takes it back if we are killed."""

    # Where the file system has no locks: this server at least knows what it drives.
    _without_locks: ClassVar[set[Path]] = set()

    def __init__(self, fd: int, alone: Path | None) -> None:
        self._fd = fd
        self._alone = alone

    @classmethod
    def take(cls, folder: Path) -> "Lease":
        """Raises LeaseHeld."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder / "lease", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if lock(fd):
                return cls(fd, None)
            alone = folder.resolve()
            if alone in cls._without_locks:
                raise BlockingIOError
        except BlockingIOError:
            os.close(fd)
            raise LeaseHeld("Another Jupyter server is using this session.") from None
        cls._without_locks.add(alone)
        return cls(fd, alone)

    def release(self) -> None:
        if self._fd < 0:
            return
        if self._alone is not None:
            self._without_locks.discard(self._alone)
        else:
            # A child between fork and exec shares the lock: closing alone would not give it back.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        self._fd = -1


def lock(fd: int) -> bool:
    """False where there are no locks; raises BlockingIOError when another holds it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True

"""A server reduced to its promise: takes up the agent, stores each line with its offset, once.

owner.py FOLDER DATABASE MARKER PROGRAM [ARGUMENT...]    prints a dot for each transaction
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from agent_lab.agents.framing import LineFramer
from agent_lab.agents.process import AgentProcess, Exit, Launch, Lease


class Store:
    """A sink whose state is the database alone."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS line (text BLOB, after INTEGER)")
        [(self.base,)] = self.database.execute("SELECT coalesce(max(after), 0) FROM line")
        self.framer = LineFramer()
        self.process: AgentProcess | None = None
        self.ended = asyncio.Event()

    def received(self, data: bytes) -> None:
        if lines := self.framer.push(data):
            after = self.base + self.framer.consumed
            self.database.execute("BEGIN")
            self.database.executemany(
                "INSERT INTO line VALUES (?, ?)", [(line, after) for line in lines]
            )
            self.database.execute("COMMIT")
            if self.process is not None:
                self.process.applied(after)
            os.write(1, b".")

    def exited(self, end: Exit) -> None:
        self.ended.set()


async def own(folder: Path, database: str, marker: str, argv: list[str]) -> None:
    lease = Lease.take(folder)
    store = Store(database)
    store.process = await AgentProcess.adopt(folder, store.base, store)
    if store.process is None:
        launch = Launch(tuple(argv), os.environ, str(folder), marker)
        store.process = await AgentProcess.start(launch, folder, store)
    await store.ended.wait()
    lease.release()


asyncio.run(own(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))

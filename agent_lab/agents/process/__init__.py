"""Start, adopt, feed, follow and end one agent program; the only folder that knows pipes and pids.

A run lives in a folder of its own, so that it outlives the server that started it:

    lease      locked by the one server that drives the session     lease.py
    in.fifo    stdin: the agent holds both ends, so it never sees   links.py
               an end of file
    out.jsonl  stdout: appended by the agent, followed by us; an    links.py, growing.py
               offset in it is a resume point
    err.log    stderr: cut when it grows                            stderr.py
    meta.json  who the process is (Run)                             run.py, identity.py

`opening.py` starts a run or opens one it finds, `agent_process.py` is its life from then on.
Nothing here blocks the event loop.
"""

from agent_lab.agents.process.agent_process import AgentProcess, Sink
from agent_lab.agents.process.errors import (
    AgentError,
    AgentGone,
    AgentNotEnding,
    AgentNotFound,
    AgentNotReading,
    AgentStartFailed,
    LeaseHeld,
)
from agent_lab.agents.process.identity import sweep
from agent_lab.agents.process.lease import Lease
from agent_lab.agents.process.run import Exit, Launch, Run, read_run

__all__ = [
    "AgentError",
    "AgentGone",
    "AgentNotEnding",
    "AgentNotFound",
    "AgentNotReading",
    "AgentProcess",
    "AgentStartFailed",
    "Exit",
    "Launch",
    "Lease",
    "LeaseHeld",
    "Run",
    "Sink",
    "read_run",
    "sweep",
]

"""A client's commands to a session, and the frames that a conversation of the two is made of.

Whatever carries the frames: a WebSocket of the server, a widget's own connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from agent_lab.protocol.commands import (
    AnswerPermission,
    AnyCommand,
    Cancel,
    Look,
    Ping,
    Prompt,
    QueueEdit,
    QueueRemove,
    QueueSendNow,
    Set,
)
from agent_lab.protocol.errors import Invalid
from agent_lab.protocol.events import Session as SessionObject

if TYPE_CHECKING:
    from agent_lab.sessions.session import Accepted, Session

PROTOCOL = 1


class Hello(Struct, frozen=True, tag="hello", tag_field="type"):
    """`first_seq`: the next event sent has at least this seq; `last_seq`: the last one by now."""

    protocol: int
    session: SessionObject
    first_seq: int
    last_seq: int


class Ack(Struct, frozen=True, tag="ack", tag_field="type", omit_defaults=True):
    """For a prompt also what became of it."""

    id: str
    turn_id: str | None = None
    queued: str | None = None


class Reject(Struct, frozen=True, tag="reject", tag_field="type"):
    id: str
    reason: str
    message: str


class Commands:
    """What one client asks of a session. `who`: by what it is known to look."""

    def __init__(self, session: Session, who: object) -> None:
        self._session = session
        self._who = who
        self._in_order = asyncio.Lock()

    async def run(self, command: AnyCommand) -> Ack:
        """Raises AgentLabError. Stop and answers do not wait for what came before."""
        session = self._session
        match command:
            case Cancel():
                await session.cancel()
            case AnswerPermission():
                await session.answer(command)
            case Look():
                await session.look(self._who, command.visible)
            case Ping():
                pass
            case _:
                async with self._in_order:
                    return await self._run_in_order(command)
        return Ack(command.id)

    async def _run_in_order(
        self, command: Prompt | Set | QueueEdit | QueueRemove | QueueSendNow
    ) -> Ack:
        session = self._session
        match command:
            case Prompt():
                if command.origin == "agent":
                    raise Invalid("Only an agent's own turn has the origin 'agent'.")
                return Ack(command.id, **accepted_fields(await session.prompt(command)))
            case Set():
                await session.set(command)
            case QueueEdit():
                await session.queue_edit(command.item_id, command.content)
            case QueueRemove():
                await session.queue_remove(command.item_id)
            case QueueSendNow():
                await session.queue_send_now(command.item_id)
        return Ack(command.id)


def accepted_fields(accepted: Accepted) -> dict[str, str | None]:
    if accepted.turn_id is None:
        return {"queued": accepted.queued}
    return {"turn_id": accepted.turn_id}

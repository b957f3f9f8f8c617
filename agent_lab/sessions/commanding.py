"""A client's commands to a session, whatever carries them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

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
    parse_command,
)
from agent_lab.protocol.errors import AgentLabError, Invalid, TooMany
from agent_lab.protocol.frames import Ack, Reject, id_of

if TYPE_CHECKING:
    from agent_lab.sessions.session import Session

MOST_WAITING = 100
"""Commands of one client that may wait for their answer."""

_log = logging.getLogger(__name__)


class Commands:
    """What one client asks of a session. `who`: by what it is known to look."""

    def __init__(self, session: Session, who: object) -> None:
        self._session = session
        self._who = who
        self._in_order = asyncio.Lock()
        self._waiting = 0

    def take(self, message: str | bytes) -> AnyCommand | Reject:
        """A command, which `obey` is then owed; or why it is none."""
        try:
            command = parse_command(message)
            if self._waiting >= MOST_WAITING:
                raise TooMany("Too many commands wait for their answer. Try again in a moment.")
        except AgentLabError as error:
            return Reject(id_of(message), error.reason, error.message)
        except RecursionError:
            return Reject("", "invalid", "This message is nested too deeply.")
        self._waiting += 1
        return command

    async def obey(self, command: AnyCommand) -> Ack | Reject:
        """To be run in a task of its own: what waits for the agent must not hold up Stop."""
        try:
            return await self.run(command)
        except AgentLabError as error:
            return Reject(command.id, error.reason, error.message)
        except Exception:
            _log.exception("agent_lab: a command failed")
            text = "Something went wrong in Agent Lab. Try again; the server's log has the details."
            return Reject(command.id, "internal", text)
        finally:
            self._waiting -= 1

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
                return Ack(command.id, **(await session.prompt(command)).fields())
            case Set():
                await session.set(command)
            case QueueEdit():
                await session.queue_edit(command.item_id, command.content)
            case QueueRemove():
                await session.queue_remove(command.item_id)
            case QueueSendNow():
                await session.queue_send_now(command.item_id)
        return Ack(command.id)

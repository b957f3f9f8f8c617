"""What a session asks of the side that watches kernels: what happened since, what may leave.

The kernel bond implements it; sessions know nothing of kernels.
"""

from __future__ import annotations

from typing import Protocol

from agent_lab.protocol.events import ContextDial, ContextItem, Notebook, Session


class Account(Protocol):
    """`session` is the session object; it is read, never changed."""

    async def of_prompt(
        self,
        session: Session,
        dial: ContextDial,
        context: tuple[ContextItem, ...],
        without: tuple[str, ...],
    ) -> tuple[ContextItem, ...]:
        """What goes with a prompt that begins its turn now: `context` as the dial lets it out, and
        what happened since the last prompt. Does not raise, and takes 150 ms beside the masking.
        """
        ...

    def turn_began(self, session: Session) -> None:
        """What `of_prompt` gave last is on its way: it is not given again."""
        ...

    def bound(self, session: Session, before: Notebook | None) -> None:
        """The session is here, or has another notebook or kernel than `before`."""
        ...

    def turn_ended(self, session: Session) -> None:
        """What the agent did in its own turn is not told to it again."""
        ...

    def forgotten(self, session_id: str) -> None:
        """The session has ended or was deleted."""
        ...


class NoAccount:
    """Where nobody watches kernels: what was attached goes as it is."""

    async def of_prompt(
        self,
        session: Session,
        dial: ContextDial,
        context: tuple[ContextItem, ...],
        without: tuple[str, ...],
    ) -> tuple[ContextItem, ...]:
        return context

    def turn_began(self, session: Session) -> None:
        pass

    def bound(self, session: Session, before: Notebook | None) -> None:
        pass

    def turn_ended(self, session: Session) -> None:
        pass

    def forgotten(self, session_id: str) -> None:
        pass

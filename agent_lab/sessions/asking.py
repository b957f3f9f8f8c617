"""A kernel's questions: whose session they go to, and what they may change of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from agent_lab.protocol.commands import NewSession, Prompt, Set
from agent_lab.protocol.errors import Conflict, NotFound

if TYPE_CHECKING:
    from agent_lab.sessions.manager import Manager
    from agent_lab.sessions.session import Accepted, Session

LISTED = 200
"""Sessions of a folder that are told of, and found by the start of their id."""


class Place(Struct, frozen=True):
    """Whose session is meant: a notebook's, or where there is none its folder's. Both are relative
    to the root."""

    notebook: str | None
    folder: str
    kernel_id: str | None = None

    def new(
        self, agent: str | None = None, model: str | None = None, plan: bool = False
    ) -> NewSession:
        return NewSession(
            notebook=self.notebook,
            kernel_id=self.kernel_id,
            path=None if self.notebook is not None else self.folder,
            agent=agent,
            model=model,
            permission_mode="plan" if plan else None,
        )


async def own(manager: Manager, place: Place) -> Session | None:
    """The session that a question from there would go to, None when it would make one."""
    if place.notebook is not None:
        return await manager.of_notebook(place.notebook, place.kernel_id)
    return await manager.of_folder(place.folder)


async def named(manager: Manager, place: Place, start: str) -> Session:
    """A session of the same folder by its id or the start of it: a kernel reaches no others."""
    listed = await manager.listed(path=place.folder, limit=LISTED, children=True)
    found = [one.id for one in listed.sessions if one.id.startswith(start)]
    if not found:
        text = f"This folder has no session {start[:60]!r}. `%agent sessions` lists them."
        raise NotFound(text, "no_such_session")
    if len(found) > 1:
        text = f"{len(found)} sessions begin with {start!r}. Write more of the id."
        raise Conflict(text, "ambiguous")
    return await manager.get(found[0])


async def change(session: Session, agent: str | None, model: str | None, plan: bool) -> None:
    """What a question asks of a session that was there before. Raises Conflict, Invalid."""
    info = session.info
    if agent is not None and agent != info.agent:
        text = f"This session's agent is {info.agent}. Another one needs --new."
        raise Conflict(text, "other_agent")
    new_model = model if model is not None and model != info.model else None
    new_mode = "plan" if plan and info.permission_mode != "plan" else None
    if new_model is None and new_mode is None:
        return
    if session.is_running:
        text = (
            "The agent is busy, and --model and --plan would change how it goes on. Wait until it "
            "is done, or stop it (`%agent stop`)."
        )
        raise Conflict(text, "busy")
    await session.set(Set(model=new_model, permission_mode=new_mode))


async def ask(manager: Manager, session: Session, message: Prompt) -> tuple[Accepted, int]:
    """What became of the prompt, and the seq after which its turn or its wait lies."""
    after = session.info.last_seq
    accepted = await session.prompt(message)
    if accepted.turn_id is not None:
        after = await manager.seq_before_turn(session, accepted.turn_id)
    return accepted, after

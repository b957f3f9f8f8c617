"""What a kernel asks of the engine in its own process: the calls of `kernel.client.Door`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from agent_lab.engine.engine import Engine
from agent_lab.engine.panel import Panel, Send
from agent_lab.engine.routes import Variables
from agent_lab.protocol.asking import Question, Sent, Sessions
from agent_lab.protocol.brief import brief
from agent_lab.protocol.commands import AnswerPermission, Prompt
from agent_lab.protocol.errors import AgentLabError, Conflict, Forbidden, NotFound
from agent_lab.protocol.events import Event, decode_event
from agent_lab.protocol.events import Session as SessionObject
from agent_lab.sessions import asking
from agent_lab.sessions.asking import LISTED, Place
from agent_lab.sessions.session import Session
from agent_lab.sessions.workspace import relative_to

CALL_SECONDS = 60.0
"""A first question starts the agent, which takes a second or two."""


class Door:
    """One process's door to its engine. From any thread; an answer takes CALL_SECONDS at most.

    Every call raises AgentLabError with a sentence that names the next step.
    """

    is_own = True

    def __init__(self, engine: Engine, variables: Variables | None = None) -> None:
        self._engine = engine
        self._variables = variables
        self._chosen = ""
        """The session that this process asks; another process in the same folder has its own."""

    # ------------------------------------------------------------ sessions

    def session(self, session_id: str = "") -> SessionObject | None:
        """The session of this process, or that one; None: there is none yet."""
        found = self._engine.call(self._found(session_id), CALL_SECONDS)
        return found.info if found is not None else None

    def open_session(self) -> SessionObject:
        """The session of this process, made when there is none."""
        return self._engine.call(self._opened(Question(id="", content=())), CALL_SECONDS)[0].info

    def resume(self, session_id: str) -> SessionObject:
        """Make that session this process's own, live again when it had ended."""
        return self._engine.call(self._resumed(session_id), CALL_SECONDS).info

    def sessions(self) -> Sessions:
        """Those of the folder that this process works in."""
        return self._engine.call(self._listed(), CALL_SECONDS)

    def prompt(self, question: Question) -> Sent:
        return self._engine.call(self._sent(question), CALL_SECONDS)

    def cancel(self, session_id: str = "", prompt_id: str = "") -> None:
        """Cancel the running turn, or take that prompt back; idle: nothing happens."""
        self._engine.call(self._cancelled(session_id, prompt_id), CALL_SECONDS)

    def answer(self, session_id: str, answer: AnswerPermission) -> None:
        """Answer a permission that waits."""
        self._engine.call(self._answered(session_id, answer), CALL_SECONDS)

    def trust(self, decision: bool | None = None) -> tuple[tuple[str, ...], bool | None]:
        """The files of the folder that would run something, and what is decided about them.

        `decision` decides; None as the second: nobody has decided yet.
        """
        return self._engine.call(self._trusted(decision), CALL_SECONDS)

    def follow(self, session_id: str, after: int) -> Stream:
        """The events of a session later than a seq, then live."""
        return Stream(self._engine, session_id, after)

    def panel(self, send: Send) -> Panel:
        """A panel's connection to the sessions, on messages of the host's own. From any thread."""
        return Panel(self._engine, send, self._variables)

    # ------------------------------------------------------------ on the engine's loop

    def _place(self) -> Place:
        """The folder that this process works in now. Raises Forbidden outside of the root."""
        root = self._engine.root.resolve()
        try:
            folder = Path.cwd()
            folder.relative_to(root)
        except (OSError, ValueError):
            text = (
                f"The agent works in {root}, where it was first asked, and below. Change back "
                "(%cd), or begin anew here: %unload_ext agent_lab, then %load_ext agent_lab."
            )
            raise Forbidden(text, "outside") from None
        return Place(None, relative_to(root, folder))

    async def _found(self, session_id: str) -> Session | None:
        place = self._place()
        if session_id:
            return await asking.named(self._engine.manager, place, session_id)
        if self._chosen:
            try:
                session = await self._engine.manager.get(self._chosen)
            except NotFound:
                self._chosen = ""
            else:
                if session.info.status != "ended" and session.info.workspace.path == place.folder:
                    return session
        return await asking.own(self._engine.manager, place)

    async def _opened(self, question: Question) -> tuple[Session, bool]:
        """The session that a question goes to, and is it new."""
        manager, place = self._engine.manager, self._place()
        if question.session_id:
            return await asking.named(manager, place, question.session_id), False
        session = None if question.new else await self._found("")
        if session is not None and session.id != self._chosen:
            try:
                await session.hold()
            except Conflict as error:
                if error.reason != "in_use":
                    raise
                session = None  # another process asks it
        is_new = session is None
        if session is None:
            wanted = place.new(question.agent, question.model, question.plan)
            session, _ = await manager.for_kernel(wanted, fresh=True)
        self._chosen = session.id
        return session, is_new

    async def _resumed(self, start: str) -> Session:
        session = await asking.named(self._engine.manager, self._place(), start)
        await session.resume()
        self._chosen = session.id
        return session

    async def _listed(self) -> Sessions:
        manager, place = self._engine.manager, self._place()
        listed = await manager.listed(path=place.folder, limit=LISTED)
        own = await self._found("")
        briefs = tuple(brief(one) for one in listed.sessions)
        return Sessions(briefs, own.id if own is not None else None)

    async def _sent(self, question: Question) -> Sent:
        session, is_new = await self._opened(question)
        if not is_new:
            await asking.change(session, question.agent, question.model, question.plan)
        message = Prompt(
            id=question.id,
            content=question.content,
            context=question.context,
            origin="magic",
            without=question.without,
        )
        accepted, after = await asking.ask(self._engine.manager, session, message)
        return Sent(session.id, after, accepted.turn_id, accepted.queued)

    async def _cancelled(self, session_id: str, prompt_id: str) -> None:
        session = await self._found(session_id)
        if session is None:
            return
        if prompt_id:
            await session.withdraw(prompt_id)
        else:
            await session.cancel()

    async def _answered(self, session_id: str, answer: AnswerPermission) -> None:
        await (await self._engine.manager.get(session_id)).answer(answer)

    async def _trusted(self, decision: bool | None) -> tuple[tuple[str, ...], bool | None]:
        manager, folder = self._engine.manager, self._place().folder
        if decision is not None:
            await manager.decide_trust(folder, decision)
        return await manager.trust_of(folder)


class Stream:
    """The events of a session, which `close` ends from any thread.

    It ends by itself when there are no more, or this reader was too slow.
    """

    def __init__(self, engine: Engine, session_id: str, after: int) -> None:
        self._engine = engine
        self._session_id = session_id
        self._after = after
        self._events: queue.SimpleQueue[Event | AgentLabError | None] = queue.SimpleQueue()
        self._end: Callable[[], None] | None = None
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Event]:
        self._engine.call(self._begin(), CALL_SECONDS)
        while True:
            event = self._events.get()
            if event is None or self._closed.is_set():
                return
            if isinstance(event, AgentLabError):
                raise event
            yield event

    async def _begin(self) -> None:
        manager = self._engine.manager
        session = await manager.get(self._session_id)
        subscriber = await session.subscribe(self._after)

        async def read() -> None:
            try:
                async for events in subscriber:
                    for event in events:
                        self._events.put(decode_event(event.json))
            except AgentLabError as error:
                self._events.put(error)
            finally:
                session.unsubscribe(subscriber)
                self._events.put(None)

        task = manager.start_task(read(), f"{session.id}: stream")
        self._end = task.cancel  # type: ignore[assignment]  # what it returns does not matter
        if self._closed.is_set():
            task.cancel()

    def close(self) -> None:
        self._closed.set()
        self._events.put(None)
        end = self._end
        if end is not None:
            self._engine.soon(end)

"""`--wait`: follow a turn to its end and show its answer in the cell, whatever comes between."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from agent_lab.kernel.answer import Answer
from agent_lab.kernel.client import Door, NoServer
from agent_lab.kernel.showing import Growing, write
from agent_lab.protocol.asking import Question, Sent
from agent_lab.protocol.errors import AgentLabError, Conflict, Unavailable
from agent_lab.protocol.events import Event, PermissionRequest, QueueUpdated

FRAME_SECONDS = 0.1
"""How often an answer that grows is shown anew, while it is short."""
LARGE = 20_000
"""Characters from which on it is shown less often: each time all of it goes over the wire."""
SLOWEST_SECONDS = 2.0
LOST_SECONDS = 30.0
"""How long a server may be away before we give up; the turn goes on without us."""
STOP_SECONDS = 10.0
"""How long a turn that was told to stop may take."""
WITHDRAWN_SECONDS = 2.0
"""A prompt that left the queue and has become no turn after this time was taken out."""


class Stopped(KeyboardInterrupt):
    """The kernel was interrupted while a cell waited for an answer; cells behind it do not run."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, which would be of our own code."""
        return [str(self)]


class Follower:
    """Reads a session's events in a thread of its own into `news`, across cuts of the connection.

    An exception in `news` is the last thing there.
    """

    def __init__(self, client: Door, session_id: str, after: int) -> None:
        self.news: queue.SimpleQueue[Event | AgentLabError] = queue.SimpleQueue()
        self._client = client
        self._session_id = session_id
        self._after = after
        self._closed = threading.Event()
        self._stream = client.follow(session_id, after)
        self._thread = threading.Thread(target=self._run, name="agent_lab: events", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._stream.close()

    def _run(self) -> None:
        try:
            self._follow()
        except AgentLabError as error:
            self.news.put(error)
        except Exception as error:  # the thread's top: whoever waits hears of it
            self.news.put(Unavailable(f"The answer could not be read: {error!r}."))

    def _follow(self) -> None:
        lost_at: float | None = None
        pause = 0.1
        while not self._closed.is_set():
            error: NoServer | None = None
            try:
                for event in self._stream:
                    self._after, lost_at, pause = event.seq, None, 0.1
                    self.news.put(event)
            except NoServer as caught:
                error = caught
            if self._closed.is_set():
                return
            # Ended in peace: we were too slow, the server stops, or the session has ended.
            if error is None and self._has_ended():
                raise Conflict("The session was ended meanwhile.", "session_ended")
            now = time.monotonic()
            lost_at = now if lost_at is None else lost_at
            if now - lost_at > LOST_SECONDS:
                raise error or Unavailable("The server does not tell what the agent does.")
            self._closed.wait(pause)
            pause = min(2 * pause, 2.0)
            self._stream = self._client.follow(self._session_id, self._after)
            if self._closed.is_set():
                self._stream.close()

    def _has_ended(self) -> bool:
        try:
            session = self._client.session(self._session_id)
        except NoServer:
            return False
        return session is None or session.status == "ended"


Decide = Callable[[str, PermissionRequest], None]
"""Have a person decide about what a session (its id) asks, while the cell waits."""


def wait(
    client: Door,
    question: Question,
    in_place: bool,
    busy: str,
    decide: Decide | None = None,
    attend: Callable[[], None] | None = None,
) -> None:
    """Ask, and show the answer until the turn ends. `busy`: what to say while it is queued.
    `decide` None: what the agent asks meanwhile is answered elsewhere. `attend` is called again
    and again: what else this thread has to do.

    Raises Stopped when the kernel was interrupted, which cancels the turn, and AgentLabError when
    the turn failed.
    """
    sent: Sent | None = None
    try:
        # An interrupt may come between any two lines from here on: the question may have been sent.
        sent = client.prompt(question)
        session = client.session(sent.session_id)
        if session is None:
            raise Conflict("The session was ended meanwhile.", "session_ended")
        panel = "" if decide is not None else " in the Agent panel"
        answer = Answer(session, question.id, sent.turn_id, panel)
        showing = _InPlace(answer) if in_place else _AsItComes(answer)
        if sent.turn_id is None:
            showing.waits(busy)
        with Follower(client, sent.session_id, sent.after) as follower:
            ask = partial(decide, sent.session_id) if decide else None
            try:
                _until_end(follower, answer, showing, None, ask, attend)
            except KeyboardInterrupt:
                _stop(client, question, sent, follower, answer, showing)
            finally:
                showing.last()
    except Stopped:
        raise
    except KeyboardInterrupt:
        client.cancel(sent.session_id if sent is not None else question.session_id, question.id)
        if sent is None:
            raise Stopped("Stopped before the question was answered.") from None
        raise Stopped(_stopped(sent.turn_id is None)) from None
    if answer.failure:
        raise AgentLabError(answer.failure, "turn_failed")


def _stopped(was_queued: bool) -> str:
    return "Stopped: the question was taken back." if was_queued else "Stopped: so was the agent."


def _stop(
    client: Door,
    question: Question,
    sent: Sent,
    follower: Follower,
    answer: Answer,
    showing: _InPlace | _AsItComes,
) -> NoReturn:
    """Cancel, then show what is said until the turn has ended; a second interrupt does not wait."""
    queued = answer.turn_id is None
    try:
        client.cancel(sent.session_id, question.id)
        if not queued:
            _until_end(follower, answer, showing, time.monotonic() + STOP_SECONDS)
    except KeyboardInterrupt:
        raise Stopped("Stopped waiting. The Agent panel shows what the agent does.") from None
    raise Stopped(_stopped(queued))


def _until_end(
    follower: Follower,
    answer: Answer,
    showing: _InPlace | _AsItComes,
    deadline: float | None = None,
    decide: Callable[[PermissionRequest], None] | None = None,
    attend: Callable[[], None] | None = None,
) -> None:
    decided: set[str] = set()
    gone_at: float | None = None
    left_queue = answer.turn_id is not None
    while answer.ended is None:
        if attend is not None:
            attend()
        try:
            news = follower.news.get(timeout=FRAME_SECONDS)
        except queue.Empty:
            showing.frame()
            waiting = answer.waiting if decide is not None else None
            if decide is not None and waiting is not None and waiting.request_id not in decided:
                # Only after a moment of silence: what was answered elsewhere has come by then.
                decided.add(waiting.request_id)
                decide(waiting)
            if deadline is not None and time.monotonic() > deadline:
                return
            if gone_at is not None and time.monotonic() - gone_at > WITHDRAWN_SECONDS:
                text = "The question was taken out of the queue, so there is no answer."
                raise Conflict(text, "not_queued") from None
            continue
        if isinstance(news, AgentLabError):
            raise news
        if answer.push(news):
            showing.changed = True
        if answer.turn_id is not None:
            gone_at, left_queue = None, True
        elif not left_queue and isinstance(news.body, QueueUpdated):
            queued = any(item.id == answer.prompt_id for item in news.body.items)
            gone_at = None if queued else time.monotonic()
        showing.frame()


class _InPlace:
    """An output that is shown anew."""

    def __init__(self, answer: Answer) -> None:
        self.changed = False
        self._answer = answer
        self._output = Growing()
        self._next = 0.0

    def waits(self, text: str) -> None:
        self._output.show(f"*{text}*", text)

    def frame(self) -> None:
        if self.changed and time.monotonic() >= self._next:
            self.last()

    def last(self) -> None:
        if not self.changed:
            return
        self.changed = False
        markdown = self._answer.markdown()
        self._output.show(markdown, self._answer.plain())
        pause = FRAME_SECONDS * (1 + len(markdown) / LARGE)
        self._next = time.monotonic() + min(pause, SLOWEST_SECONDS)


class _AsItComes:
    """Text that only grows."""

    def __init__(self, answer: Answer) -> None:
        self.changed = False
        self._answer = answer

    def waits(self, text: str) -> None:
        write(f"{text}\n")

    def frame(self) -> None:
        if self.changed:
            self.changed = False
            write(self._answer.news())

    last = frame

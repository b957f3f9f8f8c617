"""Create, get, list and close sessions; the owner of every task. There is one Manager."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from agent_lab.agents import conversations, registry
from agent_lab.agents.conversations import Conversation, Made
from agent_lab.agents.process import AgentError, read_run
from agent_lab.agents.registry import Agent
from agent_lab.protocol.commands import NewSession
from agent_lab.protocol.errors import (
    AgentLabError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
)
from agent_lab.protocol.events import (
    ContextDial,
    ForkedFrom,
    Notebook,
    SessionUsage,
    Workspace,
    encode,
    now,
)
from agent_lab.protocol.events import Session as SessionObject
from agent_lab.sessions import workspace
from agent_lab.sessions.account import Account, NoAccount
from agent_lab.sessions.changes import Changes
from agent_lab.sessions.files import File, FileIndex
from agent_lab.sessions.session import NEW_TITLE, Session, plain_title, plain_value
from agent_lab.sessions.settings import Settings
from agent_lab.sessions.tools import Tools
from agent_lab.store import catalogue, ledger
from agent_lab.store.catalogue import Hit
from agent_lab.store.event_log import EventLog, Stored

_log = logging.getLogger(__name__)
_NO_SESSION = "There is no such session. It may have been deleted."
IDLE_CHECK_SECONDS = 60.0
AGENTS_AGE_SECONDS = 60.0
DELETED_KEPT_DAYS = 1


class Listed(Struct, frozen=True):
    """One page of the list. `cursor` None: there is no more. `hits`: of a search, by session."""

    sessions: tuple[SessionObject, ...]
    cursor: str | None
    hits: Mapping[str, list[Hit]] = {}


class Manager:
    """Owns the log, the sessions and all their tasks. `start` before use, `stop` at the end."""

    def __init__(
        self, settings: Settings, tools: Tools | None = None, account: Account | None = None
    ) -> None:
        self.settings = settings
        self._tools = tools
        self.account: Account = account or NoAccount()
        self.log = EventLog(settings.data_dir / "sessions.sqlite")
        self.changes = Changes()
        self.files = FileIndex()
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._binding = asyncio.Lock()
        self._loading: dict[str, asyncio.Future[Session]] = {}
        self._agents: tuple[float, tuple[Agent, ...]] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._stopped = False

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Open the log and take up the agents that outlived an earlier server."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self.log.open()
        await self.log.read(partial(catalogue.purge, days=DELETED_KEPT_DAYS))
        for folder in await asyncio.to_thread(self._left_behind):
            try:
                session = await self._get(folder)
                await session.adopt()
            except NotFound:
                run = self.settings.data_dir / "run" / folder
                await asyncio.to_thread(shutil.rmtree, run, True)
            except (AgentLabError, AgentError, OSError) as error:
                _log.warning("agent_lab: session %s is left alone: %s", folder, error)
        self._idle = asyncio.get_running_loop().call_later(IDLE_CHECK_SECONDS, self._check_idle)

    def _left_behind(self) -> list[str]:
        """Runs that may have lost their owner. One that only servers make is left to a server."""
        folders = _run_folders(self.settings.data_dir)
        if self.settings.durable:
            return folders
        runs = ((name, read_run(self.settings.data_dir / "run" / name)) for name in folders)
        return [name for name, run in runs if run is not None and not run.durable]

    async def stop(self) -> None:
        """End every agent with everything it started, then close the log. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        if self._idle is not None:
            self._idle.cancel()
        stopping = (session.shut_down() for session in self._sessions.values())
        for error in await asyncio.gather(*stopping, return_exceptions=True):
            if error is not None:  # the others are stopped all the same
                _log.error("agent_lab: a session could not be stopped", exc_info=error)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.log.close()

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something to its end; what it raises is logged once."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, AgentLabError):
            return
        _log.error("agent_lab: %s failed", task.get_name(), exc_info=error)

    def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(IDLE_CHECK_SECONDS, self._check_idle)
        oldest = loop.time() - self.settings.idle_timeout
        for session in self._sessions.values():
            unused = not session.is_running and not session.journal.watched
            if session.is_live and unused and session.last_used < oldest:
                self.start_task(session.sleep(), f"{session.id}: sleep")

    # ------------------------------------------------------------ sessions

    async def get(self, session_id: str) -> Session:
        """A session of this server's root. Raises NotFound."""
        session = await self._get(session_id)
        root = self.settings.root_dir.resolve()
        if not Path(session.info.workspace.cwd).is_relative_to(root):
            # Of the same person's other server, whose log this is too.
            raise NotFound(_NO_SESSION)
        return session

    async def _get(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is not None:
            return session
        loading = self._loading.get(session_id)
        if loading is None:
            loading = asyncio.get_running_loop().create_future()
            loading.add_done_callback(lambda done: done.exception())  # seen even if nobody waits
            self._loading[session_id] = loading
            try:
                loading.set_result(await self._load(session_id))
            except BaseException as error:
                loading.set_exception(error)
                raise
            finally:
                del self._loading[session_id]
        return await loading

    async def _load(self, session_id: str) -> Session:
        stored = await self.log.load(session_id)
        if stored is None:
            raise NotFound(_NO_SESSION)
        info = stored.session
        if info.status not in ("ended", "stopped", "failed"):
            # Its process belongs to another server, or it ended with a server: `adopt` knows.
            info.status = "stopped"
        return self._add(stored.number, info)

    def _add(self, number: int, info: SessionObject) -> Session:
        session = Session(
            self.log,
            number,
            info,
            self.settings,
            self.start_task,
            self,
            self._tools,
            self.account,
        )
        session.journal.changed = self.changes.changed
        self._sessions[info.id] = session
        self.account.bound(info, None)
        self.changes.changed(info)
        return session

    async def create(self, new: NewSession) -> tuple[Session, bool]:
        """Make a session, or find the one of the kernel, notebook or conversation.

        Returns (session, is it new). Raises Conflict (workspace_untrusted, resume_not_found),
        Invalid, Forbidden, NotFound, TooMany.
        """
        async with self._lock:
            self._check_new(new)
            root = self.settings.root_dir
            if new.notebook is not None:
                cwd = workspace.folder_of(root, new.notebook)
            else:
                cwd = workspace.folder(root, new.path or "")
            if new.notebook is not None and new.resume is None:
                known = await self._of_notebook(new.notebook, new.kernel_id, cwd)
                if known is not None:
                    return known, False
            known = None if new.resume is None else await self._of_conversation(new.resume)
            if known is None:
                trusted = await self._decide_trust(cwd, new.trust)
                session = await self._make(new, cwd, trusted)
        # Out of the lock: a conversation takes its time to come up, other sessions do not wait.
        if known is not None:
            await known.resume(must_exist=True)
            return known, False
        if new.resume is not None:
            await self._resume_new(session)
        return session, True

    def _check_new(self, new: NewSession) -> None:
        if new.agent not in (None, "claude"):
            raise Invalid(f"There is no agent {new.agent!r} here. Known: claude.", "unknown_agent")
        if new.mode not in (None, "structured"):
            raise Invalid("Only the mode 'structured' is offered.", "wrong_mode")
        if new.permission_mode == "bypassPermissions":
            raise Invalid("A session begins with permissions. Bypass them afterwards, if you must.")
        if new.model is not None:
            plain_value(new.model, "model")
        if new.permission_mode is not None:
            plain_value(new.permission_mode, "permission mode")
        if new.resume is not None and not registry.UUID.match(new.resume):
            raise Conflict(
                f"There is no conversation {new.resume[:60]!r} to resume. Ids look like "
                "f285c6a0-643e-4b65-9b3f-5dee7178712d; `claude --resume` lists yours.",
                "resume_not_found",
            )

    async def of_notebook(self, notebook: str, kernel_id: str | None) -> Session | None:
        """The live session of this kernel or notebook, None when there is none. Raises
        Forbidden."""
        async with self._lock:
            cwd = workspace.folder_of(self.settings.root_dir, notebook)
            return await self._of_notebook(notebook, kernel_id, cwd)

    async def _of_notebook(self, notebook: str, kernel_id: str | None, cwd: Path) -> Session | None:
        """The live session of this kernel; else that of this notebook, which then has this
        kernel."""
        async for session in self._bound(notebook, kernel_id, cwd):
            assert session.info.notebook is not None, "it is bound"
            await session.rebind(Notebook(notebook, kernel_id or session.info.notebook.kernel_id))
            return session
        return None

    async def _bound(
        self, notebook: str, kernel_id: str | None, cwd: Path
    ) -> AsyncIterator[Session]:
        """The live sessions of this kernel, then those of this notebook, the newest first."""
        found = await self.log.read(partial(catalogue.of_kernel, kernel_id=kernel_id, cwd=str(cwd)))
        for session_id in found:
            session = await self.get(session_id)
            bound = session.info.notebook
            if bound is None or session.info.status == "ended":
                continue
            if (kernel_id is not None and bound.kernel_id == kernel_id) or bound.path == notebook:
                yield session

    async def for_kernel(self, new: NewSession, fresh: bool = False) -> tuple[Session, bool]:
        """The session that a kernel's questions go to, and is it new: its notebook's, or without a
        notebook the newest of its folder that has none either.

        `fresh`: a new one takes the place of that. Raises as `create` does.
        """
        async with self._binding:
            if new.notebook is not None:
                left = await self._unbind(new.notebook, new.kernel_id) if fresh else []
                try:
                    return await self.create(new)
                except AgentLabError:
                    for session, notebook in left:
                        await session.rebind(notebook)
                    raise
            known = None if fresh else await self.of_folder(new.path or "")
            return (known, False) if known is not None else await self.create(new)

    async def of_folder(self, path: str) -> Session | None:
        """The newest live session of a folder that belongs to no notebook. Raises Forbidden,
        NotFound."""
        cwd = workspace.folder(self.settings.root_dir, path)
        find = partial(catalogue.of_kernel, kernel_id=None, cwd=str(cwd))
        for session_id in await self.log.read(find):
            session = await self.get(session_id)
            if session.info.notebook is None and session.info.status != "ended":
                return session
        return None

    async def bind(self, session: Session, notebook: str, kernel_id: str | None) -> None:
        """Make this the session of a notebook's kernel; what was it before keeps all but that."""
        async with self._binding:
            await self._unbind(notebook, kernel_id, but=session)
            await session.rebind(Notebook(notebook, kernel_id))

    async def _unbind(
        self, notebook: str, kernel_id: str | None, but: Session | None = None
    ) -> list[tuple[Session, Notebook | None]]:
        async with self._lock:
            cwd = workspace.folder_of(self.settings.root_dir, notebook)
            bound = [one async for one in self._bound(notebook, kernel_id, cwd) if one is not but]
            left = [(one, one.info.notebook) for one in bound]
            for one in bound:
                await one.rebind(None)
            return left

    async def _of_conversation(self, agent_session_id: str) -> Session | None:
        """The session that already holds this conversation of the agent: it goes on there."""
        found = await self.log.read(partial(catalogue.of_conversation, id=agent_session_id))
        return await self.get(found) if found is not None else None

    async def _check_room(self) -> None:
        count = await self.log.read(catalogue.count)
        if count >= self.settings.max_sessions:
            raise TooMany(
                f"There are {count} sessions, the most this server keeps. Delete some, or raise "
                "AgentLab.max_sessions."
            )

    async def _make(self, new: NewSession, cwd: Path, trusted: bool) -> Session:
        await self._check_room()
        time = now()
        title = plain_title(new.title or "") or NEW_TITLE
        info = SessionObject(
            id=str(uuid.uuid4()),
            title=title,
            agent="claude",
            agent_session_id=new.resume,
            workspace=Workspace(
                path=workspace.relative_to(self.settings.root_dir, cwd),
                cwd=str(cwd),
                branch=await asyncio.to_thread(workspace.branch, cwd),
                trusted=trusted,
            ),
            notebook=Notebook(new.notebook, new.kernel_id) if new.notebook else None,
            model=new.model or self.settings.default_model,
            permission_mode=new.permission_mode or self.settings.default_permission_mode,
            demo=self.settings.demo,
            created_at=time,
            updated_at=time,
        )
        return self._add(await self.log.create(info), info)

    async def _resume_new(self, session: Session) -> None:
        try:
            await session.resume(must_exist=True)
        except AgentLabError:
            await self.delete(session.id)
            raise

    async def delete(self, session_id: str) -> None:
        """End a session and take it off the lists."""
        session = await self.get(session_id)
        await session.end(deleted=True)
        if self._sessions.pop(session_id, None) is None:
            return  # deleted twice at once
        self.account.forgotten(session_id)
        self.changes.deleted(session_id)
        await self.log.read(partial(catalogue.mark_deleted, session_id=session_id, time=now()))
        folder = self.settings.data_dir / "run" / session_id
        await asyncio.to_thread(shutil.rmtree, folder, True)
        outputs = self.settings.data_dir / "outputs" / session_id
        await asyncio.to_thread(shutil.rmtree, outputs, True)
        if self._tools is not None:
            self._tools.forget(session_id)

    async def restore(self, session_id: str) -> Session:
        """Take the deletion of a session back. Raises NotFound when it is too long ago."""
        if not await self.log.read(partial(catalogue.restore, session_id=session_id)):
            raise NotFound("There is no such deleted session; after a day they are gone for good.")
        return await self.get(session_id)

    async def forgotten(self, ids: Sequence[str]) -> list[str]:
        """Those of the sessions that were deleted for good; of one never heard of nothing is
        known."""
        return await self.log.read(partial(catalogue.forgotten, ids=ids))

    async def fork(self, session_id: str, at_seq: int | None = None) -> Session:
        """A new session that goes on from this one's history up to a seq; this one stays.

        Whole turns only: it is cut at the end of the last finished turn that had begun by then.
        Raises NotFound, TooMany, Conflict `resume_not_found` when the agent has lost it.
        """
        source = await self.get(session_id)
        await source.journal.stored()
        number = source.journal.number
        wanted = source.info.last_seq if at_seq is None else at_seq
        upto = await self.log.read(partial(catalogue.last_of_turn, number=number, at_seq=wanted))
        if upto and await source.conversation() is None:
            raise Conflict(
                "The agent no longer has this conversation, so it cannot be forked. Start a new "
                "session and attach what it needs to know.",
                "resume_not_found",
            )
        time = now()
        info = msgspec.structs.replace(
            source.info,
            id=str(uuid.uuid4()),
            title=f"{source.info.title} (fork)",
            agent_session_id=None,
            notebook=None,  # the notebook's session stays the one it was forked from
            forked_from=ForkedFrom(source.id, upto),
            dial=UNSET,  # said anew in the log of the fork, with its first prompt
            status="stopped",
            status_reason=None,
            usage=SessionUsage(context_size=source.info.usage.context_size),
            queue=(),
            pending_permissions=(),
            terminal=None,
            unseen=False,
            created_at=time,
            updated_at=time,
            last_seq=upto,
        )
        async with self._lock:
            await self._check_room()
            target = await self.log.create(info)
        copy = partial(catalogue.copy_history, source=number, target=target, upto=upto)
        await self.log.read(copy)
        return self._add(target, info)

    async def listed(
        self,
        q: str = "",
        status: str = "",
        path: str | None = None,
        agent: str = "",
        children: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> Listed:
        """Active sessions first, then the newest. `q` searches titles and transcripts."""
        limit = max(1, min(limit, 200))
        try:
            offset = int(cursor or 0)
        except ValueError:
            raise Invalid("This cursor is not one of ours.") from None
        root = self.settings.root_dir
        wanted = catalogue.Wanted(
            root=str(root.resolve()),
            q=q,
            status=status,
            cwd=str(workspace.inside(root, path)) if path is not None else "",
            agent=agent,
            children=children,
        )

        def find(db: sqlite3.Connection) -> tuple[list[SessionObject], Mapping[str, list[Hit]]]:
            states = catalogue.listed(db, wanted, limit + 1, offset)
            found = [msgspec.json.decode(state, type=SessionObject) for state in states]
            return found, catalogue.hits(db, q, [info.id for info in found[:limit]])

        found, hits = await self.log.read(find)
        live = ((info, self._sessions.get(info.id)) for info in found[:limit])
        sessions = tuple(info if session is None else session.info for info, session in live)
        return Listed(sessions, str(offset + limit) if len(found) > limit else None, hits)

    async def cli_conversations(self, path: str | None) -> Made:
        """What the agent's own CLI made in this folder, None: in any below the root, and no session
        of ours holds. Their paths are relative to the root."""
        root = self.settings.root_dir
        cwd = str(workspace.folder(root, path or ""))
        made = await asyncio.to_thread(
            conversations.below, self.settings.environment(), cwd, alone=path is not None
        )

        def free(db: sqlite3.Connection) -> list[Conversation]:
            return [
                one
                for one in made.found
                if catalogue.of_conversation(db, one.agent_session_id) is None
            ]

        found = [
            msgspec.structs.replace(one, path=workspace.relative_to(root, Path(one.path)))
            for one in await self.log.read(free)
        ]
        return Made(tuple(found), made.complete)

    async def find_files(self, session: Session, q: str, limit: int) -> list[File]:
        """Files and folders below the session's folder whose path matches."""
        cwd = Path(session.info.workspace.cwd)
        return await asyncio.to_thread(self.files.search, cwd, q, limit)

    async def charges(self, by: ledger.By, session_id: str | None = None) -> list[ledger.UsageRow]:
        """The ledger's sums."""
        return await self.log.read(partial(ledger.sums, by=by, session_id=session_id))

    async def events(
        self, session: Session, after: int, before: int | None, limit: int
    ) -> list[Stored]:
        await session.journal.stored()
        return await session.journal.events(after, before, limit)

    async def seq_before_turn(self, session: Session, turn_id: str) -> int:
        """The seq after which a turn lies, with the message that began it."""
        number = session.journal.number
        first = await self.log.read(partial(catalogue.first_seq, number=number, turn_id=turn_id))
        return max(first - 2, 0)

    async def was_withdrawn(self, session: Session, client_id: str) -> bool:
        """Is this prompt no longer in the queue without having become a turn?"""
        if any(item.id == client_id for item in session.info.queue):
            return False
        await session.journal.stored()
        _, turn_id = await session.journal.prompt_of(client_id)
        return turn_id is None

    def running(self) -> int:
        """How many sessions have a turn that runs."""
        return sum(session.is_running for session in self._sessions.values())

    # ------------------------------------------------------------ health

    async def durable_turns(self) -> bool:
        """Can a turn outlive the server here? The file system of the data folder must have
        FIFOs."""
        return await asyncio.to_thread(_has_fifos, self.settings.data_dir)

    async def log_problem(self) -> str | None:
        """What is wrong with the log, None when it can be read."""
        try:
            await self.log.read(catalogue.count)
        except sqlite3.Error as error:
            return f"The sessions cannot be read: {error}."
        return None

    # ------------------------------------------------------------ trust (what a Session asks)

    async def grant(self, cwd: Path, rules: tuple[str, ...], session_id: str) -> None:
        """A person always allows this in the folder: the agent will write it into its settings."""
        await self.log.read(
            partial(catalogue.grant, cwd=str(cwd), rules=rules, session_id=session_id)
        )

    async def is_trusted(self, cwd: Path) -> bool:
        """May the agent read this folder's settings? Yes where there are none that run anything.

        Raises Forbidden when the folder lies outside the root by now (a symlink took its place).
        """
        await asyncio.to_thread(_check_inside, self.settings.root_dir, cwd)
        settings = await self._project_settings(cwd)
        if not settings.files:
            return True
        known = await self.log.read(partial(catalogue.trust_of, cwd=str(cwd)))
        return known is not None and known == (settings.digest, True)

    async def _project_settings(self, cwd: Path) -> workspace.Settings:
        granted = await self.log.read(partial(catalogue.grants, cwd=str(cwd)))
        return await asyncio.to_thread(workspace.project_settings, cwd, granted)

    async def _decide_trust(self, cwd: Path, decision: bool | None) -> bool:
        settings = await self._project_settings(cwd)
        if not settings.files:
            return True
        if decision is None:
            known = await self.log.read(partial(catalogue.trust_of, cwd=str(cwd)))
            if known is not None and known[0] == settings.digest:
                return known[1]
            raise Conflict(
                "This folder has settings that would run programs as soon as the agent starts. "
                "Look at them, then trust the folder or go on without them.",
                "workspace_untrusted",
                {"files": list(settings.files)},
            )
        await self.log.read(
            partial(catalogue.trust, cwd=str(cwd), digest=settings.digest, trusted=decision)
        )
        return decision

    async def trust_of(self, path: str) -> tuple[tuple[str, ...], bool | None]:
        """The files of a folder that would run something, and what a person decided about them.

        None: nothing yet. Raises Forbidden, NotFound.
        """
        cwd = workspace.folder(self.settings.root_dir, path)
        settings = await self._project_settings(cwd)
        known = await self.log.read(partial(catalogue.trust_of, cwd=str(cwd)))
        decided = known is not None and known[0] == settings.digest
        return settings.files, known[1] if known is not None and decided else None

    async def decide_trust(self, path: str, trusted: bool) -> None:
        """Keep a person's decision about a folder. Raises Forbidden, NotFound."""
        await self._decide_trust(workspace.folder(self.settings.root_dir, path), trusted)

    # ------------------------------------------------------------ the context dial

    async def dial_of(self, cwd: str) -> ContextDial:
        """What may leave the kernels of this folder: its own dial, else that of the nearest above.

        What cannot be read lets nothing out.
        """
        folders = [cwd, *(str(parent) for parent in Path(cwd).parents)]
        try:
            settings = await self.log.read(partial(catalogue.dial, folders=folders))
            if settings is None:
                return ContextDial()
            return msgspec.json.decode(settings, type=ContextDial)
        except (sqlite3.Error, msgspec.DecodeError):
            return ContextDial(sent="off", read="off", since=False)

    async def set_dial(self, session: Session, dial: ContextDial) -> None:
        """Turn the dial of a session's folder; it holds at once for all that work below it."""
        cwd = session.info.workspace.cwd
        settings = encode(dial).decode()
        await self.log.read(partial(catalogue.set_dial, cwd=cwd, settings=settings))
        for one in list(self._sessions.values()):
            place = one.info.workspace.cwd
            if one.info.status != "ended" and Path(place).is_relative_to(cwd):
                try:
                    await one.set_dial(await self.dial_of(place))
                except Conflict as error:  # another server's, which reads it at the next prompt
                    _log.info("agent_lab: session %s: %s", one.id, error)

    # ------------------------------------------------------------ whose notebook

    async def bound_to(self, path: str, kernel_id: str | None) -> list[Session]:
        """The sessions of a notebook (with a trailing slash: of those in a folder), or of a
        kernel, that have not ended."""
        found = await self.log.read(partial(catalogue.of_notebook, path=path, kernel_id=kernel_id))
        sessions = []
        for session_id in found:
            try:
                session = await self.get(session_id)
            except NotFound:
                continue
            if session.info.notebook is not None and session.info.status != "ended":
                sessions.append(session)
        return sessions

    # ------------------------------------------------------------ agents

    async def agents(self, fresh: bool = False) -> tuple[Agent, ...]:
        """The agents known here; looked at anew once a minute, or now."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - AGENTS_AGE_SECONDS
        if fresh or self._agents is None or self._agents[0] < oldest:
            settings = self.settings
            found = await asyncio.to_thread(
                registry.claude, settings.claude_command, settings.environment()
            )
            self._agents = (loop.time(), (found,))
        return self._agents[1]


# ---------------------------------------------------------------- queries


def _run_folders(data_dir: Path) -> list[str]:
    try:
        return sorted(folder.name for folder in (data_dir / "run").iterdir() if folder.is_dir())
    except OSError:
        return []


def _check_inside(root: Path, cwd: Path) -> None:
    base, path = root.resolve(), cwd.resolve()
    if path != cwd or (path != base and base not in path.parents):
        raise Forbidden(
            f"The session's folder {cwd} is not in the folder that this server serves any more."
        )


def _has_fifos(folder: Path) -> bool:
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="check-") as place:
            os.mkfifo(Path(place) / "fifo", 0o600)
    except (AttributeError, OSError):
        return False
    return True

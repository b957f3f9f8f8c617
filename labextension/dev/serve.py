"""Serves the built panel with scripted sessions in place of a server: `python serve.py [PORT]`.

Open `http://127.0.0.1:8899/?scene=NAME`, or `?list=full` for the list of sessions. A prompt is
answered with a streamed text; `?scene=stream` takes `{"chunks": n, "gap": seconds}` as
the prompt, for measuring.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import tornado.web
import tornado.websocket
from change_scenes import CHANGES, trial
from lists import CONTEXT, FILES, RULES, cost, listed, readiness
from scenes import SCENES, Scene, session, text

HERE = Path(__file__).parent
STATIC = HERE.parent.parent / "agent_lab" / "static"
LIVE: dict[str, Scene] = {}
CHATS: dict[str, list[Chat]] = {}
TAIL = 20


def scene_of(name: str) -> Scene:
    if name not in LIVE:
        LIVE[name] = (SCENES | CHANGES).get(name, SCENES["empty"])()
    return LIVE[name]


class Page(tornado.web.RequestHandler):
    def get(self, name: str) -> None:
        if name in ("chat.js", "math.js"):
            self.set_header("Content-Type", "text/javascript")
            self.set_header("Cache-Control", "no-store")
            self.write((STATIC / name).read_bytes())
        else:
            self.write((HERE / "index.html").read_bytes())


class Listed(tornado.web.RequestHandler):
    """`loading` never answers, `failing` cannot."""

    async def get(self) -> None:
        kind = self.get_argument("kind", "")
        if kind == "loading":
            await asyncio.sleep(60)
        if kind == "failing":
            self.set_status(503)
            message = "The sessions cannot be opened (disk I/O error). Make room, then try again."
            self.finish({"message": message, "reason": "storage"})
            return
        cli = self.get_argument("include", "") == "cli"
        self.finish(listed(kind, self.get_argument("q", ""), cli))


class Report(tornado.web.RequestHandler):
    """What a session's windows ask for."""

    def get(self, name: str, what: str) -> None:
        match what:
            case "context":
                self.finish(CONTEXT)
            case "rules":
                self.finish({"rules": RULES})
            case "files":
                kinds = (
                    {"path": path, "kind": "file" if "." in path else "folder"} for path in FILES
                )
                self.finish({"files": list(kinds)})
            case _:
                scene = scene_of(name)
                self.finish({**session(name, scene), "cost": cost(scene.events)})


class Ready(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish({"checks": readiness(self.get_argument("kind", ""))})


class Events(tornado.web.RequestHandler):
    def get(self, name: str) -> None:
        before, limit = int(self.get_argument("before")), int(self.get_argument("limit"))
        older = [event for event in scene_of(name).events if event["seq"] < before]
        self.write({"events": older[-limit:], "more": len(older) > limit})


class Try(tornado.web.RequestHandler):
    """Tells its outcome after two seconds."""

    async def post(self, name: str, request: str) -> None:
        running = {"status": "running", "reason": "", "before": None, "after": None}
        for chat in CHATS[name]:
            chat.tell("permission_updated", request_id=request, trial=running)
        self.set_status(202)
        self.finish({})
        await asyncio.sleep(2)
        for chat in CHATS[name]:
            chat.tell("permission_updated", request_id=request, trial=trial())


class Chat(tornado.websocket.WebSocketHandler):
    scene: Scene
    turn: asyncio.Task[None] | None = None

    def open(self, name: str) -> None:
        self.scene = scene_of(name)
        CHATS[name] = [self]
        events = self.scene.events
        after = self.get_argument("after", "")
        if after:
            shown = [event for event in events if event["seq"] > int(after)]
        else:
            starts = [event["seq"] for event in events if event["type"] == "user_message"]
            first = starts[-TAIL] if len(starts) > TAIL else 1
            shown = [event for event in events if event["seq"] >= first]
        hello = {
            "type": "hello",
            "protocol": 1,
            "session": session(name, self.scene),
            "first_seq": 1,
            "last_seq": len(events),
        }
        self.write_message(json.dumps(hello))
        for event in shown:
            self.write_message(json.dumps(event))
        if name in ("signed_out", "gone"):
            self.close(4401 if name == "signed_out" else 4404)

    def tell(self, type: str, **fields: Any) -> None:
        before = len(self.scene.events)
        self.scene.add(type, **fields)
        self.write_message(json.dumps(self.scene.events[before]))

    def on_message(self, message: str | bytes) -> None:
        command: dict[str, Any] = json.loads(message)
        self.write_message(json.dumps({"type": "ack", "id": command["id"]}))
        match command:
            case {"type": "prompt"}:
                content, context = command["content"], command.get("context", [])
                self.turn = asyncio.create_task(self.answer(command["id"], content, context))
            case {"type": "cancel"} if self.turn is not None:
                self.turn.cancel()
            case {"type": "answer_permission"}:
                answer = {k: v for k, v in command.items() if k not in ("id", "type")}
                self.tell("permission_resolved", outcome="selected", by="user", **answer)
                self.tell("turn_ended", stop_reason="end_turn", duration_ms=2000)
                self.tell("session_updated", status="idle")
            case {"type": "set"}:
                changed = {k: v for k, v in command.items() if k not in ("id", "type")}
                self.tell("session_updated", **changed)
            case {"type": "queue_remove"}:
                self.tell("queue_updated", items=[])
            case _:
                pass

    async def answer(self, name: str, content: list[Any], context: list[Any]) -> None:
        self.scene.turn = name
        self.scene.ago, self.scene.clock = 0, 0
        self.tell("user_message", message_id=name, content=content, context=context)
        self.tell("turn_started")
        self.tell("session_updated", status="running")
        words = "".join(block.get("text", "") for block in content)
        order: dict[str, Any] = (
            json.loads(words) if words.startswith("{") else {"chunks": 200, "gap": 0.02}
        )
        sample = (
            "The **means** are back for all regions, `region_x` too. " * 6 + "\n\n"
            "- one point, and a *second* one\n- another\n\n"
            '```python\ndf.groupby("region").mean()  # all of it\nprint(1)\n```\n\n'
        )
        said, stop = "", "end_turn"
        try:
            for n in range(order["chunks"]):
                at = n * 25 % len(sample)
                piece = (sample + sample)[at : at + 25]
                said += piece
                self.tell("agent_message_chunk", message_id=f"m-{name}", text=piece)
                await asyncio.sleep(order["gap"])
        except asyncio.CancelledError:
            stop = "cancelled"
        partial = {"partial": True} if stop == "cancelled" else {}
        self.tell("agent_message", message_id=f"m-{name}", content=text(said), **partial)
        self.tell("turn_ended", stop_reason=stop, duration_ms=4000)
        self.tell("session_updated", status="idle")


def application() -> tornado.web.Application:
    api = r"/agent-lab/api/sessions/([^/]+)"
    return tornado.web.Application(
        [
            (api + "/chat", Chat),
            (api + "/events", Events),
            (api + "/permissions/([^/]+)/trial", Try),
            (api + r"/?(context|rules|files|)", Report),
            (r"/agent-lab/api/sessions", Listed),
            (r"/agent-lab/api/readiness", Ready),
            (r"/(.*)", Page),
        ]
    )


async def main(port: int) -> None:
    application().listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8899))

"""The WebSocket of all sessions, as a list in a page uses it."""

from __future__ import annotations

from tests.server.lab import Server, text


async def test_a_list_follows_every_session(server: Server) -> None:
    following = await server.socket("changes")
    assert await following.next() == {"type": "hello", "protocol": 1}
    session = await server.create(title="First")
    seen = await following.until(lambda frame: frame["type"] == "session")
    assert (seen["session"]["id"], seen["session"]["title"]) == (session["id"], "First")
    path = f"sessions/{session['id']}"
    await server.call("POST", f"{path}/prompt", {"content": text("!permission")})
    asked = await following.until(lambda frame: frame["session"]["status"] == "awaiting_permission")
    (permission,) = asked["session"]["pending_permissions"]
    option = next(one for one in permission["options"] if one["kind"] == "allow_once")
    answer = {"option_id": option["option_id"]}
    await server.call("POST", f"{path}/permissions/{permission['request_id']}", answer)
    done = await following.until(lambda frame: frame["session"]["unseen"])
    assert done["session"]["pending_permissions"] == []
    await server.call("DELETE", path)
    assert await following.until("deleted") == {"type": "deleted", "id": session["id"]}
    following.socket.close()
    await following.closed()


async def test_who_looks_has_seen_it(server: Server) -> None:
    session = await server.create()
    tab = await server.chat(session["id"])
    await tab.until("hello")
    for visible, unseen in ((True, False), (False, True), (True, False)):
        tab.socket.write_message(f'{{"type":"look","id":"l","visible":{str(visible).lower()}}}')
        await tab.until("ack")
        await server.ask(session["id"], "hello")
        assert (await server.session(session["id"]))["unseen"] is unseen
    tab.socket.close()
    await tab.closed()
    await server.ask(session["id"], "hello")
    assert (await server.session(session["id"]))["unseen"]


async def test_a_stranger_is_told_nothing(server: Server) -> None:
    stranger = await server.socket("changes", {})
    await server.create(title="Somebody's")
    assert await stranger.closed() == 4401
    assert stranger.frames == []

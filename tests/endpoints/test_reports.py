"""What logins and logouts report: what happened, to whom, why; and nothing that a client typed."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from gateway.observe.events import Event
from tests.conftest import token_of
from tests.support.endpoints import BODY, World, answer, world
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer, redis_server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ASKED = {"X_Real_IP": "192.0.2.7", "User_Agent": FIREFOX, "X_Request_Id": "r-1"}
WHO = {"address": "192.0.2.7", "device": "Firefox on Linux", "request_id": "r-1"}


async def log_in(place: World, **fields: str) -> str:
    """Logs alice in; returns the session's id."""
    place.backend.answer = answer({"token": token_of("alice")})
    body = (await place.ask("POST", "/login", BODY, **ASKED, **fields))[2]
    return (await place.resolved(json.loads(body)["token"])).session.id


async def test_a_login(place: World) -> None:
    """Who, which session, from where, on what."""
    session_id = await log_in(place)
    assert place.events == [Event("login", "alice", session_id, **WHO)]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer({"detail": "wrong password"}, 401), "status_401"),
        (answer({"detail": "too often"}, 429), "status_429"),
        (answer({"detail": "broken"}, 500), "status_500"),
        (web.Response(status=302, headers={"Location": "/login?error"}), "status_302"),
        (answer({"ok": True}), "no_token"),
        (answer({"token": token_of("alice", exp=1)}), "no_token"),
        (answer(b"x", Content_Encoding="unheard-of"), "login_reply"),
    ],
)
async def test_a_login_that_fails(place: World, reply: web.Response, reason: str) -> None:
    """Why, in one stable word. Who it was for is the backend's to say; what was typed is not told:
    many a password has been typed into the field for the name.
    """
    place.backend.answer = reply
    await place.ask("POST", "/login", BODY, **ASKED)
    assert place.events == [Event("login_failed", reason=reason, **WHO)]


async def test_a_login_without_a_backend(redis: RedisServer) -> None:
    """No server listens there, or none answers in time."""
    away = {"upstreams": {"accounts": f"http://127.0.0.1:{free_port()}"}}
    async with world(redis.url, timeouts={"connect": 0.1}, **away) as place:
        await place.ask("POST", "/login", BODY, **ASKED)
        assert place.events == [Event("login_failed", reason="upstream_unreachable", **WHO)]
        assert [refusal.reason for refusal in place.refused] == ["upstream_unreachable"]


async def test_a_login_without_a_store(tmp_path: Path) -> None:
    """The backend said yes, and the client got no key."""
    with redis_server(tmp_path) as server:
        async with world(server.url) as place:
            place.backend.answer = answer({"token": token_of("alice")})
            with server.client() as client:
                client.config_set("maxmemory", 1)
            await place.ask("POST", "/login", BODY, **ASKED)
            assert place.events == [Event("login_failed", reason="store_unavailable", **WHO)]
            assert [refusal.reason for refusal in place.refused] == ["store_unavailable"]


async def test_what_is_no_login_is_no_failed_one(place: World) -> None:
    """A browser's question before it, and another method."""
    place.backend.answer = answer({})
    await place.ask("OPTIONS", "/login", Access_Control_Request_Method="POST")
    await place.ask("GET", "/login")
    assert place.events == []
    assert [refusal.reason for refusal in place.refused] == ["method_not_allowed"]


async def test_a_browser_that_logs_in_anew(place: World) -> None:
    """wire-rules.md#E5: its former session ends, which is no logout."""
    before = await log_in(place)
    place.events.clear()
    cookie = {"X_Latchkey_Session": before, "X_Latchkey_Carrier": "cookie"}
    after = await log_in(place, **cookie)
    assert place.events == [
        Event("revoke", "alice", before, reason="replaced", **WHO),
        Event("login", "alice", after, **WHO),
    ]


async def test_a_logout(place: World) -> None:
    """The session's device, from where it was asked for; a second one has nothing to tell."""
    session_id = await log_in(place)
    place.events.clear()
    asked = {**ASKED, "X_Real_IP": "198.51.100.9", "X_Latchkey_Session": session_id}
    for _ in range(2):
        assert (await place.ask("POST", "/logout", **asked))[0] == 204
    assert place.events == [
        Event("logout", "alice", session_id, **{**WHO, "address": "198.51.100.9"})
    ]

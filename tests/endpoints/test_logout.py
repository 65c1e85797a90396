"""Logging out: that one session and no other, told to the backend, never falsely called done."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.store.errors import StoreUnavailable
from tests.conftest import token_of
from tests.support.callers import OWN, by_cookie, by_header, log_in
from tests.support.endpoints import BODY, World, answer, world
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

TOLD = {"path": "/logout", "upstream": "accounts", "backend_path": "/backend/logout"}


@pytest.fixture
async def told(redis: RedisServer) -> AsyncIterator[World]:
    """The endpoints with a backend that wants to be told of logouts."""
    async with world(redis.url, logout=TOLD) as built:
        yield built


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_the_session_ends_and_no_other(place: World, method: str) -> None:
    """A logout is for one device; others of the same subject stay logged in."""
    key, session_id = await log_in(place)
    other, _ = await log_in(place)
    status, headers, body = await place.ask(method, "/logout", **by_header(session_id))
    assert (status, body) == (204, b"")
    assert headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in headers
    assert not await place.is_known(key)
    assert await place.is_known(other)


async def test_a_second_logout_answers_like_the_first(place: World) -> None:
    """wire-rules.md#E4: so do a logout of an unknown key, and one without any."""
    _, session_id = await log_in(place)
    first = await place.ask("POST", "/logout", **by_header(session_id))
    for fields in (by_header(session_id), by_header("0" * 64), {}):
        again = await place.ask("POST", "/logout", **fields)
        assert (again[0], again[2]) == (first[0], first[2])
        assert set(again[1]) == set(first[1])


async def test_a_store_that_is_down_is_not_a_logout(
    told: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wire-rules.md#E4: 503, the cookie stays, and the backend is not told of it."""
    _, session_id = await log_in(told)

    async def down(_session_id: str) -> bool:
        raise StoreUnavailable

    monkeypatch.setattr(told.sessions, "revoke", down)
    asked = len(told.backend.asked)
    status, headers, body = await told.ask("POST", "/logout", **by_cookie(session_id), **OWN)
    assert (status, json.loads(body)["reason"]) == (503, "store_unavailable")
    assert "Set-Cookie" not in headers
    assert len(told.backend.asked) == asked


# Telling the backend.


async def test_the_backend_is_told_with_the_token(told: World) -> None:
    """Its own logout gets what a route would send: token, identity, and who asks; and no body."""
    _, session_id = await log_in(told)
    await told.ask(
        "POST",
        "/logout?x=1",
        b'{"a": 1}',
        Content_Type="application/json",
        Cookie="theme=dark",
        X_Forwarded_Proto="https",
        X_Request_Id="r1",
        **by_header(session_id),
    )
    got = told.backend.last
    assert (got.method, got.target, got.body) == ("POST", "/backend/logout", b"")
    assert got.headers["Authorization"] == f"Bearer {token_of('alice')}"
    assert got.headers["X-User-Id"] == "alice"
    assert (got.headers["Cookie"], got.headers["X-Forwarded-Proto"]) == ("theme=dark", "https")
    assert "Content-Type" not in got.headers
    assert not [name for name in got.headers if name.lower().startswith("x-latchkey")]


async def test_nobody_is_told_of_a_key_that_opened_nothing(told: World) -> None:
    """Without a session there is no token to log out."""
    await told.ask("POST", "/logout", Authorization="Basic YTpi")
    assert told.backend.asked == []


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
async def test_what_the_backend_answers_changes_nothing(told: World, status: int) -> None:
    """wire-rules.md#E4: the key has ended, whatever its logout says, and a redirect is followed by
    none.
    """
    key, session_id = await log_in(told)
    told.backend.answer = web.Response(
        status=status, text=token_of("alice"), headers={"Location": "/x"}
    )
    asked = len(told.backend.asked)
    got, headers, body = await told.ask("POST", "/logout", **by_header(session_id))
    assert (got, body) == (204, b"")
    assert "Location" not in headers
    assert not await told.is_known(key)
    assert len(told.backend.asked) == asked + 1


async def test_a_backend_that_is_away_keeps_no_key_alive(redis: RedisServer) -> None:
    """wire-rules.md#E4: its failure is in the log, and the client is logged out."""
    away = f"http://127.0.0.1:{free_port()}"
    async with world(redis.url) as first:
        upstreams = {"accounts": first.backend.url, "away": away}
        logout = {**TOLD, "upstream": "away"}
        async with world(redis.url, upstreams=upstreams, logout=logout) as place:
            first.backend.answer = answer({"token": token_of("alice")})
            key = json.loads((await place.ask("POST", "/login", BODY))[2])["token"]
            session_id = (await place.resolved(key)).session.id
            assert (await place.ask("POST", "/logout", **by_header(session_id)))[0] == 204
            assert not await place.is_known(key)


async def test_cookies_that_the_backend_deletes_are_deleted(told: World) -> None:
    """Only the backend knows the path and domain of its cookies; no token comes along."""
    _, session_id = await log_in(told)
    response = web.Response()
    response.headers.add("Set-Cookie", "jwt=; Path=/app; Max-Age=0")
    response.headers.add("Set-Cookie", f"new={token_of('alice')}; Path=/")
    told.backend.answer = response
    _, headers, _ = await told.ask("POST", "/logout", **by_cookie(session_id), **OWN)
    assert headers.getall("Set-Cookie") == [
        "jwt=; Path=/app; Max-Age=0",
        "jwt=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax",
    ]


# Keys in cookies.


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("jwt", "Max-Age=0; Path=/; HttpOnly; SameSite=Lax"),
        ("__Host-key", "Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ("__Secure-key", "Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"),
    ],
)
async def test_the_cookie_of_a_key_is_deleted(place: World, name: str, attributes: str) -> None:
    """The browser forgets the key; cookies with a prefix are deleted only when Secure is said."""
    _, session_id = await log_in(place)
    _, headers, _ = await place.ask("POST", "/logout", **by_cookie(session_id, name), **OWN)
    assert headers.getall("Set-Cookie") == [f"{name}=; {attributes}"]


@pytest.mark.parametrize(
    ("method", "fields", "passes"),
    [
        ("POST", {}, False),
        ("GET", {}, False),
        ("GET", {"Sec_Fetch_Site": "same-origin"}, True),
        ("GET", {"Sec_Fetch_Site": "none"}, True),
        ("GET", {"Sec_Fetch_Site": "same-site"}, False),
        ("GET", {"Sec_Fetch_Site": "cross-site"}, False),
        ("POST", {"Sec_Fetch_Site": "cross-site"}, False),
        ("POST", {"Sec_Fetch_Site": "same-origin"}, True),
        ("GET", {"Origin": "https://app.example"}, True),
        ("GET", {"Referer": "https://app.example/page?x=1"}, False),
        ("POST", {"Origin": "https://app.example.evil.example"}, False),
        ("POST", {"Origin": "https://app.example@evil.example"}, False),
        ("POST", {"Origin": "https://app.example:444"}, False),
        ("POST", {"Origin": "https://evil.example"}, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Origin": "https://app.example"}, True),
        ("GET", {"Sec_Fetch_Site": "cross-site", "Origin": "https://app.example"}, False),
    ],
)
async def test_another_site_cannot_log_out_by_cookie(
    place: World, method: str, fields: dict[str, str], passes: bool
) -> None:
    """With a cookie, a request has to show that the site's own page sent it."""
    key, session_id = await log_in(place)
    status, headers, body = await place.ask(method, "/logout", **by_cookie(session_id), **fields)
    if passes:
        assert status == 204
    else:
        assert (status, json.loads(body)["reason"]) == (403, "cross_site")
        assert "Set-Cookie" not in headers
    assert await place.is_known(key) is not passes


async def test_a_key_in_a_header_needs_no_such_sign(place: World) -> None:
    """No other site can make a browser send a key in a header."""
    key, session_id = await log_in(place)
    fields = {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"}
    status, _, _ = await place.ask("GET", "/logout", **by_header(session_id), **fields)
    assert (status, await place.is_known(key)) == (204, False)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(place: World, method: str) -> None:
    """A logout is asked for by GET, HEAD or POST, and by nothing else."""
    key, session_id = await log_in(place)
    status, headers, _ = await place.ask(method, "/logout", **by_header(session_id))
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST")
    assert await place.is_known(key)


async def test_head_is_answered_as_get(place: World) -> None:
    """wire-rules.md#C7: with its effect, for what is answered 204 has to be done."""
    key, session_id = await log_in(place)
    status, _, _ = await place.ask("HEAD", "/logout", **by_header(session_id))
    assert (status, await place.is_known(key)) == (204, False)

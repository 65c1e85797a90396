"""The list of the caller's sessions as programs see it, and how sessions end from there."""

import asyncio
import json
import os
import re
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from tests.support.callers import OWN, by_cookie, by_header, log_in
from tests.support.endpoints import SECRET, World, world
from tests.support.processes import HANG
from tests.support.redis_server import RedisServer, redis_server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Answer = tuple[int, CIMultiDict[str], bytes]


async def listed(place: World, session_id: str) -> list[dict[str, Any]]:
    """The list that a session sees."""
    status, _, body = await place.ask("GET", "/sessions", **by_header(session_id))
    assert status == 200, body
    sessions = json.loads(body)["sessions"]
    assert isinstance(sessions, list)
    return sessions


def reason(answer: Answer) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["reason"]


# The list.


async def test_the_list_as_json(place: World) -> None:
    """Handle, device, address, times in RFC 3339, and which one is the caller's; nothing else."""
    _, own = await log_in(place, User_Agent=FIREFOX, X_Real_Ip="192.0.2.7")
    _, other = await log_in(place)
    status, headers, body = await place.ask("GET", "/sessions", **by_header(own))
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Accept, Accept-Language"
    data = json.loads(body)
    assert set(data) == {"sessions"}
    first, second = data["sessions"]
    times = first.pop("created"), first.pop("last_seen")
    assert first == {
        "handle": own,
        "device": "Firefox on Linux",
        "address": "192.0.2.7",
        "current": True,
    }
    assert (second["handle"], second["device"], second["current"]) == (
        other,
        "Unknown device",
        False,
    )
    for moment in times:
        assert RFC3339.fullmatch(moment)
        age = datetime.now(UTC) - datetime.fromisoformat(moment)
        assert timedelta(seconds=-2) < age < timedelta(minutes=5)


async def test_each_sees_its_own_subject_only(place: World) -> None:
    """A list holds no session of another subject, and its order puts the caller's own first."""
    one, two, three = [(await log_in(place))[1] for _ in range(3)]
    _, bob = await log_in(place, "bob")
    for own in (one, two, three):
        handles = [session["handle"] for session in await listed(place, own)]
        assert handles[0] == own
        assert set(handles) == {one, two, three}
        assert [session["current"] for session in await listed(place, own)] == [True, False, False]
    assert [session["handle"] for session in await listed(place, bob)] == [bob]


@pytest.mark.parametrize(
    "subject", ["앨리스", 'a"b', "<script>alert(1)</script>", "%41 é/#?&", "x" * 1024]
)
async def test_any_subject(place: World, subject: str) -> None:
    """Whatever a subject is called, it is found, and is no other one."""
    _, own = await log_in(place, subject)
    _, also = await log_in(place, subject)
    await log_in(place, "somebody else")
    assert {session["handle"] for session in await listed(place, own)} == {own, also}
    assert (await place.ask("DELETE", f"/sessions/{also}", **by_header(own)))[0] == 204
    assert [session["handle"] for session in await listed(place, own)] == [own]


async def test_the_time_of_the_last_use(redis: RedisServer) -> None:
    """`last_seen` moves with the session's use (touches are throttled to a tenth of the timeout),
    `created` does not.
    """
    async with world(redis.url, session={"secrets": [SECRET], "idle_timeout": 10}) as place:
        key, own = await log_in(place)
        _, idle = await log_in(place)
        until = time.monotonic() + HANG
        while True:
            await asyncio.sleep(0.2)
            place.sessions.near.clear()
            await place.resolved(key)
            by_handle = {session["handle"]: session for session in await listed(place, own)}
            if by_handle[own]["last_seen"] > by_handle[own]["created"]:
                break
            assert time.monotonic() < until
        assert by_handle[idle]["last_seen"] == by_handle[idle]["created"]


async def test_head_is_get_without_a_body(place: World) -> None:
    """RFC 9110 §9.3.2."""
    _, own = await log_in(place)
    got = await place.ask("GET", "/sessions", **by_header(own))
    head = await place.ask("HEAD", "/sessions", **by_header(own))
    assert (head[0], head[2]) == (200, b"")
    assert head[1]["Content-Length"] == got[1]["Content-Length"]
    assert head[1]["Content-Type"] == got[1]["Content-Type"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "no_key"),
        ({"X_Latchkey_Carrier": "header"}, "invalid_key"),
        ({"X_Latchkey_Carrier": "cookie", "X_Latchkey_Cookie": "jwt", **OWN}, "invalid_key"),
        (by_header("0" * 43), "invalid_key"),
    ],
)
async def test_without_a_session(place: World, fields: dict[str, str], expected: str) -> None:
    """401 with a challenge (RFC 6750 §3) and a JSON problem, for each request; the cookie stays."""
    for method, path in (
        ("GET", "/sessions"),
        ("DELETE", f"/sessions/{'0' * 43}"),
        ("POST", f"/sessions/{'0' * 43}"),
        ("POST", "/logout?scope=all"),
        ("POST", "/logout?scope=others"),
    ):
        answer = await place.ask(method, path, **fields)
        assert reason(answer) == (401, expected)
        assert answer[1]["Content-Type"] == "application/problem+json"
        assert answer[1]["WWW-Authenticate"].startswith('Bearer realm="latchkey"')
        assert ("invalid_token" in answer[1]["WWW-Authenticate"]) is (expected == "invalid_key")
        assert "Set-Cookie" not in answer[1]


async def test_a_session_that_has_ended_sees_and_ends_nothing(place: World) -> None:
    """The relay may remember a session for a moment longer than it lives; this does not."""
    _, own = await log_in(place)
    key, other = await log_in(place)
    await place.sessions.revoke(own)
    for method, path in (
        ("GET", "/sessions"),
        ("DELETE", f"/sessions/{other}"),
        ("POST", "/logout?scope=all"),
        ("POST", "/logout?scope=others"),
    ):
        assert reason(await place.ask(method, path, **by_header(own))) == (401, "invalid_key")
    assert await place.is_known(key)


# Ending one.


async def test_another_device_is_ended(place: World) -> None:
    """204; that session is refused, the caller's own goes on, and the audit log tells of it."""
    key, own = await log_in(place, User_Agent=FIREFOX)
    other_key, other = await log_in(place)
    place.events.clear()
    status, headers, body = await place.ask(
        "DELETE", f"/sessions/{other}", X_Request_Id="r7", X_Real_Ip="192.0.2.9", **by_header(own)
    )
    assert (status, body, headers["Cache-Control"]) == (204, b"", "no-store")
    assert "Set-Cookie" not in headers
    assert await place.is_known(key)
    assert not await place.is_known(other_key)
    [event] = place.events
    assert (event.kind, event.by, event.subject) == ("revoke", "device", "alice")
    assert (event.session_id, event.address, event.request_id) == (other, "192.0.2.9", "r7")
    assert reason(await place.ask("DELETE", f"/sessions/{other}", **by_header(own))) == (
        404,
        "no_session",
    )


async def test_others_are_not_to_be_found(place: World) -> None:
    """The answer for another subject's session is, to the byte, the one for none at all."""
    _, own = await log_in(place)
    key, bob = await log_in(place, "bob")
    unknown = [
        await place.ask(method, f"/sessions/{handle}", X_Request_Id="r", **by_header(own))
        for method in ("DELETE", "POST")
        for handle in (bob, "0" * 43, "x", bob + "A", "%2e%2e", "%EB%82%98", "a%2Fb", "%FF", "*")
    ]
    assert {(status, body) for status, _, body in unknown} == {(404, unknown[0][2])}
    assert {tuple(sorted(reply[1])) for reply in unknown} == {tuple(sorted(unknown[0][1]))}
    assert json.loads(unknown[0][2])["reason"] == "no_session"
    assert await place.is_known(key)


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_ending_the_own_one_is_a_logout(redis: RedisServer, method: str) -> None:
    """The cookie is deleted, the backend is told with the token, and the audit log says logout. A
    form leads to the page that says so.
    """
    logout = {"path": "/logout", "upstream": "accounts", "backend_path": "/backend/logout"}
    async with world(redis.url, logout=logout) as place:
        key, own = await log_in(place)
        place.events.clear()
        status, headers, _ = await place.ask(method, f"/sessions/{own}", **by_cookie(own), **OWN)
        assert status == {"DELETE": 204, "POST": 303}[method]
        assert headers.get("Location") == {"DELETE": None, "POST": "/logout"}[method]
        assert headers["Set-Cookie"].startswith("jwt=; Max-Age=0; ")
        assert not await place.is_known(key)
        told = place.backend.last
        assert (told.target, told.headers["Authorization"][:7]) == ("/backend/logout", "Bearer ")
        assert [event.kind for event in place.events] == ["logout"]


async def test_a_form_ends_one_as_well(place: World) -> None:
    """Forms can do no DELETE; their POST leads back to the list (RFC 9110 §15.4.4)."""
    _, own = await log_in(place)
    key, other = await log_in(place)
    status, headers, _ = await place.ask("POST", f"/sessions/{other}", **by_cookie(own), **OWN)
    assert (status, headers["Location"]) == (303, "/sessions")
    assert "Set-Cookie" not in headers
    assert not await place.is_known(key)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *[(method, "/sessions", "GET, HEAD") for method in ("POST", "PUT", "DELETE", "OPTIONS")],
        *[(method, "/sessions/x", "DELETE, POST") for method in ("GET", "HEAD", "PUT", "PATCH")],
    ],
)
async def test_other_methods_are_refused(place: World, method: str, path: str, allow: str) -> None:
    """405 with the methods that there are (RFC 9110 §15.5.6), for every client."""
    _, own = await log_in(place)
    for fields in ({}, by_header(own), by_cookie(own)):
        status, headers, _ = await place.ask(method, path, **fields)
        assert (status, headers["Allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/sessions/", "/sessions/a/b", "/sessions/a/"])
async def test_nothing_else_is_below_the_list(place: World, path: str) -> None:
    """404, with a session and without."""
    _, own = await log_in(place)
    for method in ("GET", "DELETE"):
        answer = await place.ask(method, path, **by_header(own))
        assert reason(answer) == (404, "no_route")


SIGNS: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({"Sec_Fetch_Site": "same-origin"}, True),
    ({"Sec_Fetch_Site": "same-site"}, False),
    ({"Sec_Fetch_Site": "cross-site"}, False),
    ({"Origin": "https://app.example"}, True),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Referer": "https://app.example/sessions"}, False),
]


@pytest.mark.parametrize(("fields", "passes"), SIGNS)
@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_another_site_cannot_end_one_by_cookie(
    place: World, method: str, fields: dict[str, str], passes: bool
) -> None:
    """With a key in a cookie, a request that does not show that it is the site's own is refused."""
    _, own = await log_in(place)
    key, other = await log_in(place)
    answer = await place.ask(method, f"/sessions/{other}", **by_cookie(own), **fields)
    if passes:
        assert answer[0] in (204, 303)
    else:
        assert reason(answer) == (403, "cross_site")
    assert await place.is_known(key) is not passes


async def test_a_key_in_a_header_needs_no_such_sign(place: World) -> None:
    """No other site can make a browser send a key in a header."""
    _, own = await log_in(place)
    _, other = await log_in(place)
    fields = {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"}
    answer = await place.ask("DELETE", f"/sessions/{other}", **by_header(own), **fields)
    assert answer[0] == 204


# Logging out with a scope.


async def three(place: World) -> tuple[list[str], list[str]]:
    """Keys and session ids of three devices of alice's."""
    pairs = [await log_in(place) for _ in range(3)]
    return [key for key, _ in pairs], [session_id for _, session_id in pairs]


async def known(place: World, keys: list[str]) -> list[bool]:
    return [await place.is_known(key) for key in keys]


async def test_all_ends_every_session_of_the_subject(redis: RedisServer) -> None:
    """This one, and no other subject's; the backend is told with the one token that is known."""
    logout = {"path": "/logout", "upstream": "accounts", "backend_path": "/backend/logout"}
    async with world(redis.url, logout=logout) as place:
        keys, (own, *others) = await three(place)
        bobs, _ = await log_in(place, "bob")
        place.events.clear()
        asked = len(place.backend.asked)
        status, headers, body = await place.ask(
            "POST", "/logout?scope=all", **by_cookie(own), **OWN
        )
        assert (status, body, headers["Cache-Control"]) == (204, b"", "no-store")
        assert headers["Set-Cookie"].startswith("jwt=; Max-Age=0; ")
        assert await known(place, keys) == [False, False, False]
        assert await place.is_known(bobs)
        assert len(place.backend.asked) == asked + 1
        assert {(event.kind, event.reason) for event in place.events} == {("logout", "all")}
        assert [event.session_id for event in place.events][-1] == own
        assert {event.session_id for event in place.events} == {own, *others}


async def test_others_ends_all_but_this_one(redis: RedisServer) -> None:
    """The cookie stays, and the backend hears nothing: this device goes on."""
    logout = {"path": "/logout", "upstream": "accounts", "backend_path": "/backend/logout"}
    async with world(redis.url, logout=logout) as place:
        keys, (own, *others) = await three(place)
        place.events.clear()
        asked = len(place.backend.asked)
        status, headers, body = await place.ask(
            "POST", "/logout?scope=others", **by_cookie(own), **OWN
        )
        assert (status, body) == (204, b"")
        assert "Set-Cookie" not in headers
        assert await known(place, keys) == [True, False, False]
        assert len(place.backend.asked) == asked
        assert {(event.kind, event.reason) for event in place.events} == {("logout", "others")}
        assert {event.session_id for event in place.events} == set(others)
        again = await place.ask("POST", "/logout?scope=others", **by_cookie(own), **OWN)
        assert again[0] == 204


@pytest.mark.parametrize(
    "query",
    ["scope=", "scope=this", "scope=ALL", "scope=all&scope=all", "scope=all&scope=others", "scope"],
)
async def test_an_unknown_scope_ends_nothing(place: World, query: str) -> None:
    """400: what was meant to end more must not silently end less."""
    keys, (own, *_) = await three(place)
    answer = await place.ask("POST", f"/logout?{query}", **by_header(own))
    assert reason(answer) == (400, "unknown_scope")
    assert await known(place, keys) == [True, True, True]


@pytest.mark.parametrize("scope", ["all", "others"])
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", {}),
        ("GET", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", {"Origin": "https://evil.example"}),
    ],
)
async def test_another_site_cannot_log_out_everywhere(
    place: World, scope: str, method: str, fields: dict[str, str]
) -> None:
    """The rule of a plain logout holds for its scopes."""
    keys, (own, *_) = await three(place)
    answer = await place.ask(method, f"/logout?scope={scope}", **by_cookie(own), **fields)
    assert reason(answer) == (403, "cross_site")
    assert await known(place, keys) == [True, True, True]


async def test_a_form_leads_on(place: World) -> None:
    """A browser that asks with a scope sees what is left: the list, or that it is logged out."""
    _, (own, *_) = await three(place)
    page = {"Accept": "text/html,*/*;q=0.8", **OWN}
    status, headers, _ = await place.ask("POST", "/logout?scope=others", **by_cookie(own), **page)
    assert (status, headers["Location"], "Set-Cookie" in headers) == (303, "/sessions", False)
    status, headers, body = await place.ask("POST", "/logout?scope=all", **by_cookie(own), **page)
    assert (status, "Set-Cookie" in headers) == (200, True)
    assert b"You are logged out" in body


# When the store is away.


async def test_a_store_that_is_down(tmp_path: Path) -> None:
    """wire-rules.md#E4: 503 and Retry-After; nothing is called done, no backend is told, the cookie
    stays.
    """
    with redis_server(tmp_path) as server:
        async with world(server.url) as place:
            _, (own, other, _) = await three(place)
            place.events.clear()
            asked = len(place.backend.asked)
            os.kill(server.pid, signal.SIGKILL)
            for method, path in (
                ("GET", "/sessions"),
                ("DELETE", f"/sessions/{other}"),
                ("DELETE", f"/sessions/{own}"),
                ("POST", f"/sessions/{own}"),
                ("POST", "/logout?scope=all"),
                ("POST", "/logout?scope=others"),
            ):
                answer = await place.ask(method, path, **by_cookie(own), **OWN)
                assert reason(answer) == (503, "store_unavailable")
                assert answer[1]["Retry-After"]
                assert "Set-Cookie" not in answer[1]
            assert place.events == []
            assert len(place.backend.asked) == asked

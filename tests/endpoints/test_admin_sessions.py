"""The admin API: who may use it, and what it does."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis as redis_client
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from gateway.core.secret import Secret
from gateway.core.sessions.session import Device
from gateway.endpoints.admin import build_admin
from gateway.observe.events import Event
from tests.conftest import token_of
from tests.support.endpoints import World, world
from tests.support.redis_server import RedisServer, redis_server

SECRET = "an admin's secret of the tests"
WITH_SECRET = {"Authorization": f"Bearer {SECRET}"}
PHONE = Device("Safari on iPhone", "192.0.2.7")

Client = TestClient[Request, Application]


@asynccontextmanager
async def listener(place: World, secret: str | None) -> AsyncIterator[Client]:
    app = build_admin(
        place.sessions,
        secret=None if secret is None else Secret(secret),
        is_draining=lambda: False,
        metrics=lambda: b"",
        refused=place.refused.append,
    )
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def admin(place: World) -> AsyncIterator[Client]:
    async with listener(place, SECRET) as client:
        yield client


async def issue(place: World, subject: str = "alice") -> str:
    """A new session; returns its id."""
    issued = await place.sessions.issue(
        token=token_of(subject), subject=subject, login="/login", device=PHONE, token_expiry=None
    )
    return issued.session.id


async def ask(
    client: Client, method: str, path: str, headers: Mapping[str, str] = WITH_SECRET
) -> tuple[int, Any]:
    async with client.request(method, path, headers=headers) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, json.loads(await answer.read())


async def handles(place: World, subject: str) -> set[str]:
    return set(await place.sessions.directory.of(subject))


ALL = [
    ("GET", "/sessions?subject=alice"),
    ("GET", "/sessions/count"),
    ("DELETE", "/sessions?subject=alice"),
    ("DELETE", "/sessions/abc"),
    ("GET", "/sessions"),
    ("POST", "/sessions"),
    ("GET", "/sessions/nothing/here"),
]


@pytest.mark.parametrize(("method", "path"), ALL)
async def test_without_a_secret_in_the_configuration_it_is_off(
    place: World, method: str, path: str
) -> None:
    """Whatever a caller sends: what config.yaml does not ask for must not be open."""
    await issue(place)
    async with listener(place, None) as client:
        for headers in ({}, WITH_SECRET, {"Authorization": "Bearer "}):
            status, problem = await ask(client, method, path, headers)
            assert (status, problem["reason"]) == (403, "admin_off")
    assert len(await handles(place, "alice")) == 1


@pytest.mark.parametrize(("method", "path"), ALL)
async def test_who_does_not_know_the_secret(
    admin: Client, place: World, method: str, path: str
) -> None:
    """401, counted and audited without what was tried; that is so before anything is looked up."""
    await issue(place)
    wrong = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {SECRET}x"},
        {"Authorization": f"Bearer {SECRET[:-1]}"},
        {"Authorization": f"Bearer  {SECRET}"},
        {"Authorization": f"Bearer {SECRET}, Bearer {SECRET}"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": SECRET},
        {"Authorization": "Bearer é"},
        {"Cookie": f"secret={SECRET}"},
    ]
    for headers in wrong:
        status, problem = await ask(admin, method, path, headers)
        assert (status, problem["reason"]) == (401, "admin_secret")
    assert place.events == [Event("refused", address="127.0.0.1", reason="admin_secret")] * len(
        wrong
    )
    assert {refusal.reason for refusal in place.refused} == {"admin_secret"}
    assert len(await handles(place, "alice")) == 1


async def test_the_challenge(admin: Client) -> None:
    """RFC 6750 §3."""
    answer = await admin.get("/sessions?subject=alice")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="latchkey admin"'
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_listing(admin: Client, place: World) -> None:
    """A subject's own devices with their handles and times, and no secret."""
    mine = {await issue(place), await issue(place)}
    await issue(place, "bob")
    status, answer = await ask(admin, "GET", "/sessions?subject=alice")
    assert (status, set(answer)) == (200, {"sessions"})
    assert {session["handle"] for session in answer["sessions"]} == mine
    for session in answer["sessions"]:
        assert (session["device"], session["address"]) == ("Safari on iPhone", "192.0.2.7")
        times = session["created"], session["last_seen"], session["ends"]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at) for at in times)
        assert session["created"] == session["last_seen"] < session["ends"]
    assert "eyJ" not in json.dumps(answer)
    assert await ask(admin, "GET", "/sessions?subject=nobody") == (200, {"sessions": []})


@pytest.mark.parametrize("subject", ["Zoë & co", "a/b?c#d", "한국", "x" * 300, "a+b@c.example"])
async def test_a_subject_of_any_spelling(admin: Client, place: World, subject: str) -> None:
    await issue(place, subject)
    path = f"/sessions?subject={quote(subject, safe='')}"
    _, answer = await ask(admin, "GET", path)
    assert len(answer["sessions"]) == 1
    assert await ask(admin, "DELETE", path) == (200, {"revoked": 1})


async def test_counting(admin: Client, place: World) -> None:
    """All, and a subject's."""
    for subject in ("alice", "alice", "bob"):
        await issue(place, subject)
    assert await ask(admin, "GET", "/sessions/count") == (200, {"count": 3})
    assert await ask(admin, "GET", "/sessions/count?subject=alice") == (200, {"count": 2})
    assert await ask(admin, "GET", "/sessions/count?subject=carol") == (200, {"count": 0})


async def test_ending_one(admin: Client, place: World) -> None:
    """That one and no other; it is reported, and there is no ending it twice."""
    one, other = await issue(place), await issue(place)
    assert await ask(admin, "DELETE", f"/sessions/{one}") == (200, {"revoked": 1})
    assert await handles(place, "alice") == {other}
    event = Event("revoke", "alice", one, "192.0.2.7", "Safari on iPhone", by="admin")
    assert place.events == [event]
    status, problem = await ask(admin, "DELETE", f"/sessions/{one}")
    assert (status, problem["reason"]) == (404, "no_session")
    assert place.events == [event]


@pytest.mark.parametrize("handle", ["x", "*", "%2a", "%7b%7d", "%00", "a%0d%0aDEL", "%ff", "é"])
async def test_a_handle_that_is_none(admin: Client, place: World, handle: str) -> None:
    """It names no session, and reaches nothing else in Redis."""
    await issue(place)
    assert (await ask(admin, "DELETE", f"/sessions/{handle}"))[0] == 404
    assert len(await handles(place, "alice")) == 1


async def test_ending_all_of_a_subject(admin: Client, place: World, redis: RedisServer) -> None:
    """Each is reported, also one that only a newer gateway can read."""
    ids = {await issue(place) for _ in range(3)}
    await issue(place, "bob")
    newer = min(ids)
    with redis_client.from_url(redis.url) as client:
        name = f"{place.config.store.prefix}s:{{{newer}}}"
        client.setrange(name, 0, b"\x03")
        assert await ask(admin, "DELETE", "/sessions?subject=alice") == (200, {"revoked": 3})
        assert not client.exists(name)
    assert {(event.kind, event.subject, event.by) for event in place.events} == {
        ("revoke", "alice", "admin")
    }
    assert {event.session_id for event in place.events} == ids
    assert len(await handles(place, "bob")) == 1
    assert await ask(admin, "DELETE", "/sessions?subject=alice") == (200, {"revoked": 0})


async def test_ending_what_was_issued_before_a_moment(
    admin: Client, place: World, redis: RedisServer
) -> None:
    """Of whomever; in RFC 3339 or in UNIX seconds."""
    old, new = [await issue(place), await issue(place, "bob")], [await issue(place)]
    with redis_client.from_url(redis.url) as client:
        for session_id in old:  # the record's third number is when it was issued
            client.setrange(f"{place.config.store.prefix}s:{{{session_id}}}", 5, b"\x60\0\0\0")
    moment = 0x60000000
    path = "/sessions?issued_before="
    assert await ask(admin, "DELETE", f"{path}{moment}") == (200, {"revoked": 0})
    assert await ask(admin, "DELETE", f"{path}2022-01-01T00:00:00Z") == (200, {"revoked": 2})
    assert {event.session_id for event in place.events} == set(old)
    assert {replace(event, session_id="") for event in place.events} == {
        Event("revoke", who, "", "192.0.2.7", "Safari on iPhone", by="admin")
        for who in ("alice", "bob")
    }
    assert await handles(place, "alice") == set(new)
    assert await handles(place, "bob") == set()


BAD = [
    ("GET", "/sessions", "Say whose"),
    ("GET", "/sessions?subject=", "Say whose"),
    ("GET", "/sessions?subject=alice&subject=bob", "said twice"),
    ("GET", "/sessions?subjct=alice", "not known"),
    ("GET", "/sessions/count?subject=", "is empty"),
    ("GET", "/sessions/count?user=alice", "not known"),
    ("DELETE", "/sessions", "Say which"),
    ("DELETE", "/sessions?subject=", "Say which"),
    ("DELETE", "/sessions?issued_before=", "Say which"),
    ("DELETE", "/sessions?subject=alice&issued_before=1", "Say which"),
    ("DELETE", "/sessions?subject=alice&dry_run=1", "not known"),
    ("DELETE", "/sessions?issued_before=yesterday", "is a time as"),
    ("DELETE", "/sessions?issued_before=2026-01-31T12:00:00", "is a time as"),
    ("DELETE", "/sessions/abc?subject=alice", "not known"),
]


@pytest.mark.parametrize(("method", "path", "said"), BAD)
async def test_bad_parameters(
    admin: Client, place: World, method: str, path: str, said: str
) -> None:
    """400 that says what would be right; nothing is ended by mistake."""
    await issue(place)
    status, problem = await ask(admin, method, path)
    assert (status, problem["reason"]) == (400, "bad_parameter")
    assert said in problem["title"]
    assert len(await handles(place, "alice")) == 1
    assert place.events == []


async def test_other_methods_and_paths(admin: Client) -> None:
    assert (await ask(admin, "POST", "/sessions"))[0] == 405
    assert (await ask(admin, "GET", "/sessions/abc"))[0] == 405
    assert (await ask(admin, "DELETE", "/sessions/abc/def"))[0] == 404


async def test_a_store_that_is_away(tmp_path: Path) -> None:
    """503 with Retry-After: nothing is called done, and nothing reported."""
    with ExitStack() as running:
        server = running.enter_context(redis_server(tmp_path))
        async with world(server.url) as place, listener(place, SECRET) as client:
            await issue(place)
            running.close()
            for method, path in (*ALL[:4], ("DELETE", "/sessions?issued_before=1")):
                async with client.request(method, path, headers=WITH_SECRET) as answer:
                    text = await answer.text()
                assert (answer.status, json.loads(text)["reason"]) == (503, "store_unavailable")
                assert int(answer.headers["Retry-After"]) > 0
            assert place.events == []

"""Sessions that last: which logins ask for one, and what their records and cookies say."""

import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict

from gateway.core.sessions.records import SessionInfo
from tests.conftest import token_of
from tests.endpoints.test_carriers import FORM, JSON, OWN, cookie_in
from tests.support.endpoints import World, answer, world
from tests.support.redis_server import RedisServer
from tests.support.signing_keys import signing

DAY = 86400
REMEMBER = {"field": "remember_me", "idle_timeout": "8d", "max_age": "20d"}
WHO = {"username": "alice", "password": "wonderland"}


@pytest.fixture
async def here(redis: RedisServer) -> AsyncIterator[World]:
    """Logins that can remember, by a backend and by the gateway's own tokens."""
    common = {"upstream": "accounts", "backend_path": "/backend/login", "remember": REMEMBER}
    renew = {"upstream": "accounts", "backend_path": "/refresh"}
    logins: list[dict[str, Any]] = [
        {"kind": "backend", "path": "/login", "renew": renew, **common},
        {"kind": "mint", "path": "/mint", "claims": {"sub": "/name"}, **common},
        {"kind": "backend", "path": "/short", **common, "remember": None, "idle_timeout": "5m"},
        {"kind": "backend", "path": "/always", "renew": renew, **common},
        {"kind": "backend", "path": "/deep", "renew": renew, **common},
    ]
    logins[3]["remember"] = {**REMEMBER, "always": True}
    logins[4]["remember"] = {**REMEMBER, "field": "/variables/remember"}
    for login in logins:
        login["subject_prefix"] = f"{login['path'][1:]}:"
        if login["remember"] is None:
            del login["remember"]
    async with world(redis.url, login=logins, signing=signing()) as running:
        running.backend.answer = answer(
            {"token": token_of("alice"), "refresh_token": "r" * 40, "name": "Alice"}
        )
        yield running


def key_in(fields: CIMultiDict[str], body: bytes) -> str:
    found = re.search(r"lk_[\w-]{49}", "".join(fields.getall("Set-Cookie", [])) + body.decode())
    assert found
    return found[0]


async def info(place: World, key: str) -> SessionInfo:
    """What the record says, and that the store keeps it for as long."""
    resolved = await place.resolved(key)
    found = (await place.sessions.directory.infos([resolved.session.id]))[resolved.session.id]
    left = await place.sessions.seconds_left(resolved.session.id)
    assert left is not None
    assert abs(left - (found.life.idle_timeout or 1800)) < 60
    return found


@pytest.mark.parametrize("path", ["/login", "/mint"])
@pytest.mark.parametrize(
    ("said", "remembered"),
    [({}, False), ({"remember_me": ""}, False), ({"remember_me": "false"}, False),
     ({"remember_me": "0"}, False), ({"remember_me": "on"}, True), ({"other": "on"}, False),
     ({"remember_me": "forever"}, True), ({"remember_me": "True"}, True)],
)  # fmt: skip
async def test_a_form_asks_by_a_field(
    here: World, path: str, said: dict[str, str], remembered: bool
) -> None:
    """As browsers send a checkbox: its value, or nothing. Then the cookie lasts a little longer
    than the session may be idle; otherwise the browser forgets it when it closes.
    """
    body = urlencode({**WHO, **said}).encode()
    _, fields, _ = await here.ask("POST", path, body, **FORM, **OWN)
    cookie = cookie_in(fields)
    found = await info(here, key_in(fields, b""))
    assert ("Max-Age" in cookie) == remembered
    if remembered:
        age = re.search(r"; Max-Age=(\d+); Path=/; HttpOnly; SameSite=Lax", cookie)
        assert age
        assert abs(int(age[1]) - 9 * DAY) < 60
        assert abs(found.cookie_until - time.time() - 9 * DAY) < 60
        assert abs(found.ends_at - time.time() - 20 * DAY) < 60
    else:
        assert (found.life.idle_timeout, found.cookie_until) == (0, 0)
        assert abs(found.ends_at - time.time() - DAY / 2) < 60


@pytest.mark.parametrize(
    ("path", "body", "remembered"),
    [
        ("/login", {**WHO, "remember_me": True}, True),
        ("/login", {**WHO, "remember_me": 1}, True),
        ("/login", {**WHO, "remember_me": "yes"}, True),
        ("/login", {**WHO, "remember_me": False}, False),
        ("/login", {**WHO, "remember_me": None}, False),
        ("/login", {**WHO, "remember_me": {}}, False),
        ("/login", WHO, False),
        ("/always", WHO, True),
        ("/deep", {"variables": {**WHO, "remember": True}}, True),
        ("/deep", {"remember": True, "variables": WHO}, False),
    ],
)
async def test_a_program_asks_by_a_member(
    here: World, path: str, body: dict[str, Any], remembered: bool
) -> None:
    """It gets the key in its reply, so there is no cookie that could last."""
    _, fields, reply = await here.ask("POST", path, json.dumps(body).encode(), **JSON)
    assert "Set-Cookie" not in fields
    found = await info(here, key_in(fields, reply))
    assert (found.life.idle_timeout == 8 * DAY) == remembered
    assert found.cookie_until == 0


async def test_a_page_of_another_origin_asks_by_a_member(here: World) -> None:
    """Its user has checked the box there; the key is in the reply."""
    body = json.dumps({**WHO, "remember_me": True}).encode()
    page = {"Origin": "https://app.example", "Sec_Fetch_Site": "cross-site"}
    _, fields, reply = await here.ask("POST", "/login", body, **JSON, **page)
    assert (await info(here, key_in(fields, reply))).life.idle_timeout == 8 * DAY


async def test_a_login_may_have_timeouts_of_its_own(here: World) -> None:
    """What it leaves out is that of all sessions."""
    _, fields, reply = await here.ask("POST", "/short", json.dumps(WHO).encode(), **JSON)
    found = await info(here, key_in(fields, reply))
    assert (found.life.idle_timeout, found.life.max_age) == (300, 0)


@pytest.mark.parametrize("ends", ["; Max-Age=900", "; Expires=Wed, 01 Jan 2098 00:00:00 GMT"])
@pytest.mark.parametrize("path", ["/short", "/login"])
async def test_a_backends_cookie_that_lasts_ends_with_the_session(
    here: World, path: str, ends: str
) -> None:
    """It had the end of the token, which the gateway may renew."""
    setting = f"jwt={token_of('alice')}; Path=/{ends}; Secure; SameSite=Strict"
    here.backend.answer = answer({}, Set_Cookie=setting)
    _, fields, _ = await here.ask("POST", path, json.dumps(WHO).encode(), **JSON)
    cookie = cookie_in(fields)
    age = re.fullmatch(r"jwt=lk_[\w-]{49}; Max-Age=(\d+); Path=/; Secure; SameSite=Strict", cookie)
    assert age
    idle = 300 if path == "/short" else 1800
    assert abs(int(age[1]) - idle * 9 / 8) < 60
    resolved = await here.resolved(key_in(fields, b""))
    assert resolved.session.cookie == "jwt; Path=/; SameSite=Strict; Secure"


async def test_a_backends_cookie_that_ends_with_the_browser_does_so(here: World) -> None:
    here.backend.answer = answer({}, Set_Cookie=f"jwt={token_of('alice')}; Path=/")
    _, fields, _ = await here.ask("POST", "/login", json.dumps(WHO).encode(), **JSON)
    assert "Max-Age" not in cookie_in(fields)
    body = json.dumps({**WHO, "remember_me": True}).encode()
    _, fields, _ = await here.ask("POST", "/login", body, **JSON)
    assert "; Max-Age=" in cookie_in(fields)


async def test_no_cookie_outlives_the_greatest_age(redis: RedisServer) -> None:
    """However long a session may be idle."""
    login = {
        "kind": "backend",
        "path": "/login",
        "upstream": "accounts",
        "remember": {"always": True, "idle_timeout": "20d", "max_age": "2h"},
    }
    async with world(redis.url, login=login) as running:
        running.backend.answer = answer({"token": token_of("alice", exp=int(time.time()) + DAY)})
        _, fields, _ = await running.ask("POST", "/login", urlencode(WHO).encode(), **FORM, **OWN)
        age = re.search(r"Max-Age=(\d+)", cookie_in(fields))
        assert age
        assert abs(int(age[1]) - 7200) < 60

"""Lasting cookies, and timeouts of one login, over two gateways.

The store is asked and told about times, so no test waits for one.
"""

import json
import re
import struct
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from gateway.core.sessions.records import COOKIE_AT
from tests.sessions.conftest import sections
from tests.support.gateway import Gateway, gateway
from tests.support.processes import eventually
from tests.support.raw import ask, request, set_cookies, status
from tests.support.redis_server import RedisServer
from tests.support.renewing import Renewing
from tests.support.store import record_name

Pair = tuple[Gateway, Gateway]

DAY = 86400
IDLE = 8 * DAY
ATTRIBUTES = "Path=/; HttpOnly; SameSite=Lax"


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, running_backend: Renewing
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("lasting")
    changed = sections(running_backend)
    common = {"kind": "backend", "upstream": "api", "backend_path": "/login"}
    changed["login"] = [
        {"path": "/login", "remember": {"idle_timeout": "8d", "max_age": "40d"}, **common},
        {"path": "/short", "idle_timeout": "5m", "subject_prefix": "short:", **common},
    ]
    changed["routes"] += [{"path": "/api/poll", "upstream": "api", "extends_session": False}]
    changed["verify"] = "/verify"
    with (
        gateway(folder / "one", redis.url, **changed) as one,
        gateway(folder / "two", redis.url, **changed) as two,
    ):
        yield one, two


def logged_in(relay: Gateway, path: str = "/login", **fields: str) -> str:
    """A browser logs in. Returns the key in its cookie."""
    body = json.dumps({"username": "alice", "password": "x", **fields})
    answer = ask(
        relay.port,
        request(
            f"POST {path}",
            "Content-Type: application/json",
            "X-Requested-With: cookie",
            "Sec-Fetch-Site: same-origin",
            body=body,
        ),
    )
    assert status(answer) == 200
    [cookie] = set_cookies(answer)
    assert ("Max-Age" in cookie) == bool(fields)
    return cookie.partition("=")[2].partition(";")[0]


@pytest.fixture
def key(pair: Pair, backend: Renewing) -> str:
    """The key of a session that lasts."""
    backend.life = 600
    return logged_in(pair[0], remember_me="on")


def cookie_until(redis: RedisServer, key: str) -> int:
    with redis.client() as client:
        return int(struct.unpack_from(">I", client.get(record_name(key)), COOKIE_AT - 1)[0])


def make_due(redis: RedisServer, key: str, seconds: int = IDLE) -> None:
    """Let the browser keep the cookie for no longer than the session may be idle from now on."""
    with redis.client() as client:
        until = struct.pack(">I", int(time.time()) + seconds)
        client.setrange(record_name(key), COOKIE_AT - 1, until)


def called(relay: Gateway, key: str, path: str = "/api/x", *lines: str) -> list[str]:
    """What a request with the cookie gets set."""
    answer = ask(relay.port, request(f"GET {path}", *(lines or (f"Cookie: latchkey={key}",))))
    assert status(answer) == 200
    return set_cookies(answer)


def test_a_cookie_is_set_anew_before_it_ends(pair: Pair, redis: RedisServer, key: str) -> None:
    """While the session is used: once, for all gateways; and it is for that browser alone."""
    assert called(pair[0], key) == []
    make_due(redis, key)
    answer = b""

    def is_set() -> bool:
        nonlocal answer
        answer = ask(pair[1].port, request("GET /api/x", f"Cookie: latchkey={key}"))
        return bool(set_cookies(answer))

    eventually(is_set)
    [cookie] = set_cookies(answer)
    age = re.fullmatch(rf"latchkey={key}; Max-Age=(\d+); {ATTRIBUTES}", cookie)
    assert age
    assert abs(int(age[1]) - 9 * DAY) < 60
    assert b"\r\nCache-Control: no-store\r\n" in answer
    eventually(lambda: cookie_until(redis, key) > time.time() + IDLE + 60)
    for relay in pair:
        eventually(partial(_sets_nothing, relay, key))


def _sets_nothing(relay: Gateway, key: str) -> bool:
    return called(relay, key) == []


def test_no_cookie_is_set_beyond_the_greatest_age(pair: Pair, redis: RedisServer, key: str) -> None:
    """Nor before it has to be: one that is young enough stays."""
    make_due(redis, key, IDLE * 17 // 16 + 60)
    for relay in pair:
        assert called(relay, key) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/api/poll", "Cookie: latchkey=KEY"),
        ("/api/x", "Authorization: Bearer KEY"),
        ("/sessions", "Cookie: latchkey=KEY"),
    ],
)
def test_what_sets_no_cookie(
    pair: Pair, redis: RedisServer, key: str, path: str, line: str
) -> None:
    """A poll extends no session; a key in a field is in no cookie; endpoints set their own."""
    make_due(redis, key)
    for _ in range(3):
        assert called(pair[0], key, path, line.replace("KEY", key)) == []


def test_a_logout_brings_no_cookie_back(pair: Pair, redis: RedisServer, key: str) -> None:
    make_due(redis, key)
    answer = ask(
        pair[0].port,
        request("POST /logout", f"Cookie: latchkey={key}", "Sec-Fetch-Site: same-origin", body="x"),
    )
    assert status(answer) == 204
    assert all("Max-Age=0" in cookie for cookie in set_cookies(answer))
    answer = ask(pair[0].port, request("GET /api/x", f"Cookie: latchkey={key}"))
    assert status(answer) == 401
    assert all("Max-Age=0" in cookie for cookie in set_cookies(answer))


def test_a_proxy_that_asks_gets_the_cookie_each_time(
    pair: Pair, redis: RedisServer, key: str
) -> None:
    """It may keep it from the browser, so it does not count as set."""
    make_due(redis, key)
    until = cookie_until(redis, key)
    described = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /api/x", "X-Forwarded-Host: a")
    lines = (*described, "X-Forwarded-Proto: http", f"Cookie: latchkey={key}")
    eventually(lambda: bool(called(pair[0], key, "/verify", *lines)))
    assert cookie_until(redis, key) == until


@pytest.mark.parametrize(
    ("path", "fields", "idle"),
    [("/login", {"remember_me": "on"}, IDLE), ("/login", {}, 1800), ("/short", {}, 300)],
)
def test_a_session_has_the_idle_timeout_of_its_login(
    pair: Pair, redis: RedisServer, backend: Renewing, path: str, fields: dict[str, str], idle: int
) -> None:
    """Whichever gateway is asked, and after a renewal of its token."""
    backend.life = 600
    key = logged_in(pair[0], path, **fields)
    with redis.client() as client:
        for relay in pair:
            client.pexpire(record_name(key), 30_000)
            eventually(partial(_is_touched, relay, key, client))
            assert idle - 30 < client.pttl(record_name(key)) / 1000 <= idle


def _is_touched(relay: Gateway, key: str, client: Any) -> bool:
    called(relay, key)
    return bool(client.pttl(record_name(key)) > 30_000)


def test_a_renewal_keeps_what_is_the_sessions_own(
    pair: Pair, redis: RedisServer, backend: Renewing
) -> None:
    """Its timeouts, its end and its cookie."""
    backend.life = 1
    key = logged_in(pair[0], remember_me="on")
    with redis.client() as client:
        before = client.get(record_name(key))
        eventually(lambda: called(pair[0], key) == [] and client.get(record_name(key)) != before)
        after = client.get(record_name(key))
        assert len(backend.tokens) > 1
        assert after[:1] == before[:1] == b"\x02"
        assert after[COOKIE_AT - 9 : COOKIE_AT + 3] == before[COOKIE_AT - 9 : COOKIE_AT + 3]
        assert client.pttl(record_name(key)) / 1000 > IDLE - 60
    assert called(pair[1], key) == []

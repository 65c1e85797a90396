"""Routes that require a recent login (`require.max_age`, RFC 9470), on the wire."""

import struct
import time
from typing import Any
from urllib.parse import quote

import pytest

from gateway.core.sessions.keys import parse_key, session_id
from tests.conftest import LOGIN, SIGNING_SECRET, Start, log_in, token_of
from tests.support.command_line import run
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, ask, fields_by_name, status
from tests.support.redis_server import RedisServer, eventually

HOUR = 3600
NAVIGATION = ("Accept: text/html", "Sec-Fetch-Mode: navigate")
CHALLENGE = (
    'Bearer realm="latchkey", error="insufficient_user_authentication", '
    'error_description="A more recent login is needed", max_age="600"'
)


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    shop: dict[str, Any] = {"upstream": "shop", "accept_jwt": "verify"}
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        login_page="/enter",
        keys={"schemes": ["Bearer", "Basic"]},
        jwt={"secret": SIGNING_SECRET, "subject_prefix": "services:"},
        verify={},
        routes=[
            {"path": "/enter", "upstream": "shop", "auth": "public"},
            {"path": "/pay/*", "require": {"max_age": "10m"}, **shop},
            {"path": "/pay/own/*", "require": {"max_age": "20m"}, **shop},
            {"path": "/*", **shop},
        ],
    )


def request(target: str, key: str, *lines: str, method: str = "GET") -> bytes:
    text = "".join(f"{line}\r\n" for line in (f"Authorization: Bearer {key}", *lines))
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{text}\r\n".encode()


def question(target: str, key: str, *lines: str) -> bytes:
    asked = (f"X-Forwarded-Uri: {target}", "X-Forwarded-Method: GET", *lines)
    return request("/.well-known/latchkey/verify", key, *asked)


def aged(gate: Gateway, redis: RedisServer, key: str, seconds: int) -> str:
    """The key, with a session that began so long ago: its record says so in the open."""
    parsed = parse_key(key.encode())
    assert parsed is not None
    with redis.client() as client:
        [name] = [name for name in client.keys("*") if session_id(parsed).encode() in name]
        record = client.get(name)
        began = struct.pack(">I", int(time.time()) - seconds)
        client.set(name, record[:5] + began + record[9:], keepttl=True)
    return key


def pays(gate: Gateway, key: str, *lines: str) -> int:
    return status(ask(gate.port, request("/pay/1", key, *lines)))


def test_an_old_login_is_challenged(gate: Gateway, redis: RedisServer, shop: Upstream) -> None:
    """RFC 9470 §3; other routes do not mind, and nothing asks for a password by Basic."""
    key = log_in(gate.port, "old")
    assert pays(gate, key) == 200
    aged(gate, redis, key, HOUR)
    eventually(lambda: pays(gate, key) == 401)
    for ask_about in (request, question):
        answer = ask(gate.port, ask_about("/pay/1", key))
        assert status(answer) == 401
        assert fields_by_name(answer)["WWW-Authenticate"] == CHALLENGE
        assert b'"reason": "login_too_old"' in answer
        assert status(ask(gate.port, ask_about("/other", key))) == 200


def test_a_browser_logs_in_again(gate: Gateway, redis: RedisServer, shop: Upstream) -> None:
    """It comes back to where it was, and its new login counts."""
    key = aged(gate, redis, log_in(gate.port, "browser"), HOUR)
    for ask_about in (request, question):
        answer = ask(gate.port, ask_about("/pay/1?n=2", key, *NAVIGATION))
        assert status(answer) == 303
        location = fields_by_name(answer)["Location"].removeprefix("http://a")
        assert location == f"/enter?max_age=600&return_to={quote('/pay/1?n=2', safe='/')}"
    assert pays(gate, log_in(gate.port, "browser"), *NAVIGATION) == 200


def test_the_stricter_age_decides(gate: Gateway, redis: RedisServer, shop: Upstream) -> None:
    """For a path that may be meant by both routes."""
    key = aged(gate, redis, log_in(gate.port, "both"), 900)
    assert status(ask(gate.port, request("/pay/own/1", key))) == 200
    assert status(ask(gate.port, request("/pay/OWN/1", key))) == 401


def test_a_token_tells_of_an_earlier_login(gate: Gateway, shop: Upstream) -> None:
    """A caller's JWT says by `auth_time` when its user has logged in; without one it is unknown."""
    now = int(time.time())
    said: list[tuple[dict[str, Any], int]] = [
        ({"auth_time": now - 60}, 200),
        ({"auth_time": now - HOUR}, 401),
        ({"auth_time": "now"}, 401),
        ({"iat": now}, 401),
    ]
    for claims, expected in said:
        assert pays(gate, token_of("robot", **claims)) == expected, claims


def test_a_named_key_is_no_login(gate: Gateway, shop: Upstream) -> None:
    """An operator has issued it: no user has logged in."""
    file = str(gate.log.parent / "config.yaml")
    said = ("--subject", "robot", "--token-file", "-")
    issued = run("keys", "issue", "-c", file, *said, stdin=token_of("robot").encode())
    [key] = [word for word in issued.stdout.split() if word.startswith("lk_")]
    assert status(ask(gate.port, request("/other", key))) == 200
    assert pays(gate, key) == 401

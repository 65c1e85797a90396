"""wire-rules.md#B15: an answer that sets a cookie with a key anew is for one browser alone."""

import json
import struct
import time

import pytest

from gateway.core.sessions import keys
from gateway.core.sessions.records import COOKIE_AT
from gateway.store.layout import Layout
from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.processes import eventually
from tests.support.raw import Upstream, always, ask, field_lines, request, set_cookies, status
from tests.support.redis_server import RedisServer

DAY = 86400


@pytest.fixture(scope="module")
def gate(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login={
            "kind": "backend",
            "path": "/login",
            "upstream": "accounts",
            "token": "/token",
            "remember": {"always": True, "idle_timeout": "10m", "max_age": "1d"},
        },
        routes=[{"path": "/*", "upstream": "shop"}],
    )


def due_key(gate: Gateway, redis: RedisServer) -> str:
    """The key of a session whose cookie has to be set anew."""
    body = json.dumps({"username": "alice"})
    fields = ("Content-Type: application/json", "X-Requested-With: cookie")
    own = "Sec-Fetch-Site: same-origin"
    [cookie] = set_cookies(ask(gate.port, request("POST /login", *fields, own, body=body)))
    key = cookie.partition("=")[2].partition(";")[0]
    parsed = keys.parse_key(key.encode())
    assert parsed is not None
    with redis.client() as client:
        name = Layout("latchkey:").session(keys.session_id(parsed))
        client.setrange(name, COOKIE_AT - 1, struct.pack(">I", int(time.time()) + 600))
    return key


@pytest.mark.parametrize(
    "lines",
    [
        "Cache-Control: public, max-age=600\r\n",
        "Cache-Control: s-maxage=600\r\nCDN-Cache-Control: max-age=600\r\n",
        "X-Accel-Expires: 600\r\nSurrogate-Control: max-age=600\r\n",
        "",
    ],
)
def test_no_cache_keeps_an_answer_with_a_key(
    gate: Gateway, shop: Upstream, redis: RedisServer, lines: str
) -> None:
    """Whatever the upstream allows. The next answer is the upstream's again."""
    key = due_key(gate, redis)
    shop.clear(always(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n".encode()))
    answer = b""

    def is_set() -> bool:
        nonlocal answer
        answer = ask(gate.port, request("GET /x", f"Cookie: latchkey={key}"))
        return bool(set_cookies(answer))

    eventually(is_set)
    told = [line for line in field_lines(answer) if b"ontrol:" in line or b"X-Accel" in line]
    assert told == [b"Cache-Control: no-store"]
    assert b"Vary: Cookie" in field_lines(answer)
    eventually(lambda: not is_set())
    assert status(answer) == 200
    if "public" in lines:
        assert b"Cache-Control: public, max-age=600" in field_lines(answer)

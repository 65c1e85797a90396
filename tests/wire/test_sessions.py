"""wire-rules.md#E3 to #E12: sessions while things go wrong.

wire-rules.md#E3, #E4 are proved here with a Redis that is stopped, and one that is gone. What needs
a Redis that fails in more ways is proved in tests/store and tests/sessions.
"""

import json
import os
import random
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.sessions.keys import new_key
from tests.conftest import accounts, log_in, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, status
from tests.support.redis_server import RedisServer, redis_server
from tests.wire.vectors import API, LOGIN, LOGOUT, SAMPLES, cases


@pytest.fixture
def fragile(
    tmp_path: Path, upstream: Upstream, login_upstream: Upstream
) -> Iterator[tuple[Gateway, RedisServer]]:
    """A gateway with a Redis of its own, which the test may stop."""
    login_upstream.clear(accounts)
    with (
        redis_server(tmp_path) as server,
        gateway(
            tmp_path / "gateway",
            server.url,
            upstreams={"shop": upstream.url, "accounts": login_upstream.url},
            login={"kind": "backend", "path": "/login", "upstream": "accounts"},
            routes=[
                {"path": "/api/*", "upstream": "shop"},
                {"path": "/public/*", "upstream": "shop", "auth": "public"},
            ],
        ) as running,
    ):
        yield running, server


def test_a_silent_store_is_503_and_logs_no_session_out(
    fragile: tuple[Gateway, RedisServer], shop: Upstream, login_upstream: Upstream
) -> None:
    """wire-rules.md#E3, #E4: 503 with Retry-After, never 401; no key handed out, no logout called
    done; public routes go on; everything comes back by itself.
    """
    relay, server = fragile
    key = log_in(relay.port).encode()
    assert status(ask(relay.port, API % key)) == 200
    os.kill(server.pid, signal.SIGSTOP)
    try:
        answer = ask(relay.port, LOGIN % b"")
        assert status(answer) == 503
        assert b"lk_" not in answer
        assert b"eyJ" not in answer
        assert status(ask(relay.port, LOGOUT % key)) == 503
        until = time.monotonic() + HANG
        # Until the near cache knows that it is told of no logouts.
        while status(answer := ask(relay.port, API % key)) == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert status(answer) == 503
        assert b"\r\nRetry-After: " in answer
        public = b"GET /public/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert status(ask(relay.port, public)) == 200
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until = time.monotonic() + HANG
    while status(answer := ask(relay.port, API % key)) == 503:
        assert time.monotonic() < until
        time.sleep(0.1)
    # The logout was not called done; the server may or may not have got its command.
    assert status(answer) in (200, 401)


def test_a_dead_store_is_503_and_logs_no_session_out(
    fragile: tuple[Gateway, RedisServer], shop: Upstream
) -> None:
    """wire-rules.md#E3, #E4: a dead store is 503 for logins, logouts and calls; it ends no session."""
    relay, server = fragile
    key = log_in(relay.port).encode()
    os.kill(server.pid, signal.SIGKILL)
    for request in (LOGIN % b"", LOGOUT % key):
        answer = ask(relay.port, request)
        assert status(answer) == 503
        assert b"\r\nRetry-After: " in answer
        assert b"lk_" not in answer
        assert b"eyJ" not in answer
    shop.clear()
    for unknown in (API % key, API % unseen_key()):
        assert status(ask(relay.port, unknown)) == 503
    assert shop.got == b""


def unseen_key() -> bytes:
    """A well-formed key that the gateway has never seen."""
    return str(new_key(bytes(32)).reveal()).encode()


def test_a_logout_is_instant_and_for_one_device_alone(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#E4: instant, for that device alone; a second one and one of an unknown key
    answer alike.
    """
    other = log_in(relay.port)
    assert status(ask(relay.port, API % key.encode())) == 200
    first = ask(relay.port, LOGOUT % key.encode())
    second = ask(relay.port, LOGOUT % key.encode())
    unknown = ask(relay.port, LOGOUT % (b"lk_" + b"A" * 49))
    keyless = ask(relay.port, b"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert [status(reply) for reply in (first, second, unknown, keyless)] == [204] * 4
    assert status(ask(relay.port, API % key.encode())) == 401
    assert status(ask(relay.port, API % other.encode())) == 200


def test_a_logout_by_get(relay: Gateway, shop: Upstream, key: str) -> None:
    """A key in a header may log out by GET; one in a cookie needs a page of the site's own."""
    by_cookie = b"%b /logout HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nCookie: session=%b\r\n%b\r\n"
    cross = by_cookie % (b"GET", key.encode(), b"")
    assert status(ask(relay.port, cross)) == 403
    cross = by_cookie % (b"GET", key.encode(), b"Sec-Fetch-Site: cross-site\r\n")
    assert status(ask(relay.port, cross)) == 403
    cross = by_cookie % (b"POST", key.encode(), b"Origin: https://evil.example\r\n")
    assert status(ask(relay.port, cross)) == 403
    assert status(ask(relay.port, API % key.encode())) == 200
    own = by_cookie % (b"GET", key.encode(), b"Sec-Fetch-Site: same-origin\r\n")
    answer = ask(relay.port, own)
    assert status(answer) == 204
    assert b"\r\nSet-Cookie: session=; Max-Age=0;" in answer
    assert status(ask(relay.port, API % key.encode())) == 401
    another = log_in(relay.port).encode()
    assert status(ask(relay.port, by_cookie % (b"POST", another, b""))) == 403
    origin = b"Origin: http://a.example\r\n"
    assert status(ask(relay.port, by_cookie % (b"POST", another, origin))) == 204
    third = log_in(relay.port).encode()
    assert status(ask(relay.port, (LOGOUT % third).replace(b"POST", b"GET"))) == 204
    assert status(ask(relay.port, API % third)) == 401


def test_every_login_makes_a_new_key(relay: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#E5: a presented key is never adopted; the same browser's former session ends."""
    answer = ask(relay.port, LOGIN % (b"Cookie: session=" + key.encode() + b"\r\n"))
    assert status(answer) == 200
    assert key.encode() not in answer
    assert status(ask(relay.port, API % key.encode())) == 401
    forged = b"lk_" + b"B" * 49
    answer = ask(relay.port, LOGIN % (b"Cookie: session=" + forged + b"\r\n"))
    assert status(answer) == 200
    assert forged not in answer


def test_a_malformed_request_is_never_echoed(relay: Gateway, key: str) -> None:
    """wire-rules.md#E6: neither in the answer nor in a log."""
    answer = ask(
        relay.port,
        b"GET /api/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
        + key.encode()
        + b"\r\nBad Name: x\r\n\r\n",
    )
    assert status(answer) == 400
    assert key.encode() not in answer
    assert key not in relay.access_log.read_text()
    assert key not in relay.log.read_text()


@cases("request_", SAMPLES)
def test_no_key_of_a_bad_request_is_told(relay: Gateway, key: str, request_: bytes) -> None:
    """wire-rules.md#E6: wherever the key stands in it: the target, a field, the line that is wrong."""
    secret = b"Authorization: Bearer %b\r\nCookie: session=%b\r\n" % (key.encode(), key.encode())
    bad = request_.replace(b"/public/", b"/public/" + key.encode(), 1)
    bad = bad.replace(b"\r\n", b"\r\n" + secret, 1).replace(b" : ", b" : " + key.encode())
    answer = ask(relay.port, bad)
    assert status(answer) in (400, 401, 501)  # 401: no key in a URL
    assert key.encode() not in answer
    relay.records(status=status(answer))
    assert key not in relay.access_log.read_text()
    assert key not in relay.log.read_text()


STRANGE_METHODS = [b"FOO", b"get", b"PRI", b"POST!", b"X" * 40]
TWICE = [b"Content-Type", b"content-type", b"User-Agent", b"ETag", b"Max-Forwards", b"Server"]


@pytest.mark.parametrize("path", [b"/login", b"/logout", b"/sessions", b"/sessions/x"])
def test_the_endpoints_repeat_no_request_either(relay: Gateway, key: str, path: bytes) -> None:
    """wire-rules.md#E6, #B14: what the endpoints' own server would refuse in its words is refused
    in ours.
    """
    secret = key[3:].encode()  # the whole key would be refused before
    fields = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n"
    # Methods that a login or a logout does not serve belong to the routes.
    for method in STRANGE_METHODS if path.startswith(b"/sessions") else ():
        answer = ask(relay.port, b"%b %b?q=%b%b\r\n" % (method, path, secret, fields))
        assert status(answer) == 501, answer
        _assert_ours(answer, secret)
    for name in TWICE:
        lines = b"%b: %b\r\n%b: 2\r\n" % (name, secret, name.upper())
        answer = ask(relay.port, b"POST %b%b%b\r\n" % (path, fields, lines))
        assert status(answer) == 400, answer
        _assert_ours(answer, secret)
    assert key[3:] not in relay.log.read_text()


def _assert_ours(answer: bytes, secret: bytes) -> None:
    assert b"\r\nContent-Type: application/problem+json" in answer
    assert b"\r\nServer:" not in answer
    assert secret not in answer


UPGRADE = b"GET /ws/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n"


def test_an_upgrade_smuggles_nothing(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E9: no body, no early bytes, no tunnel for a 200, and the end after a refusal."""
    smuggled = b"GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = ask(relay.port, UPGRADE % b"Content-Length: 5\r\n" + b"hello" + smuggled)
    assert status(answer) == 400
    assert shop.got == b""
    for reply in (OK, b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"):
        shop.clear(always(reply))
        answer = ask(relay.port, UPGRADE % b"" + smuggled)
        assert status(answer) == status(reply)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"smuggled" not in shop.got


def test_no_answer_reaches_another_user(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E10, without the delaying proxy: many users, random cancellation, each answer
    is one's own.
    """

    def echo(visit: Visit) -> None:
        for request in visit.requests():
            time.sleep(random.random() / 200)
            line = next(x for x in request.split(b"\r\n") if x.startswith(b"X-User-Id: "))
            name = line.removeprefix(b"X-User-Id: ")
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))

    shop.clear(echo)
    keys = {f"user{n}": log_in(relay.port, f"user{n}") for n in range(12)}
    wrong: list[object] = []

    def use(name: str, key: str) -> None:
        chance = random.Random(name)
        request = (API % key.encode()).replace(b"Connection: close\r\n", b"")
        for _ in range(25):
            try:
                with Client(relay.port) as client:
                    for _ in range(3):
                        client.send(request)
                        if chance.random() < 0.3:
                            break
                        code, _, body = client.answer()
                        if (code, body) != (200, name.encode()):
                            wrong.append((code, body, name))
            except OSError as error:
                wrong.append(error)

    threads = [threading.Thread(target=use, args=item) for item in keys.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_redirects_are_passed_and_not_followed(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E12: no redirect is followed; no request field moves the upstream's address."""
    shop.clear(
        always(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    )
    for target in (b"/public//evil.example/", b"http://evil.example/public/", b"/public/@evil"):
        answer = ask(
            relay.port,
            b"GET " + target + b" HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        )
        assert status(answer) == 302
    assert len(shop.got.split(b" HTTP/1.1\r\n")) == 4


def test_bytes_before_the_101_end_the_upgrade(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#E9 [6455 §4.1]: a client that does not wait for the 101 has no tunnel; nothing
    of it reaches the upstream, before or after.
    """

    goes_on = threading.Event()

    def switches(visit: Visit) -> None:
        visit.head()
        goes_on.wait(HANG)
        visit.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )

    for pieces in ((b"early",), (b"", b"early"), (b"GET /api/early HTTP/1.1\r\nHost: a\r\n\r\n",)):
        shop.clear(switches)
        goes_on.clear()
        with Client(relay.port) as client:
            client.send(UPGRADE % b"" + pieces[0])
            for piece in pieces[1:]:
                shop.wait(lambda: bool(shop.got))
                client.send(piece)
            time.sleep(0.1)  # so that it is there before the 101
            goes_on.set()
            time.sleep(0.2)
        shop.wait(lambda: all(visit.ended for visit in shop.visits))
        assert b"early" not in shop.got


NOT_READ = {
    "a field of its own": ("X-Api-Key: KEY", "", "key_not_read"),
    "another scheme": ("Authorization: Token KEY", "", "key_not_read"),
    "no scheme": ("Authorization: KEY", "", "key_not_read"),
    "the name of Basic": ("Authorization: Basic NAME", "", "key_not_read"),
    "the password of Basic": ("authorization: basic PASSWORD", "", "key_not_read"),
    "a cookie, among other things": ('Cookie: a="key KEY"', "", "key_not_read"),
    "a form": ("Content-Type: application/x-www-form-urlencoded", "key=KEY&a=b", "key_not_read"),
    "JSON": ("Content-Type: application/json", '{"key": "KEY"}', "key_not_read"),
    "a token": ("Authorization: Bearer JWT", "", "token_not_key"),
    "a key and more": ("Authorization: Bearer KEYx", "", "not_a_key"),
    "a key behind two spaces": ("Authorization: Bearer  KEY", "", "not_a_key"),
    "something else": ("Authorization: Bearer undefined-1", "", "not_a_key"),
    "two fields": ("Authorization: Bearer KEY\r\nAuthorization: Bearer KEY", "", "ambiguous_key"),
}


@cases("case", NOT_READ)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_logout_with_a_key_where_none_is_read_is_not_done(
    relay: Gateway, shop: Upstream, key: str, method: str, case: tuple[str, str, str]
) -> None:
    """wire-rules.md#E4: its session lives, so a logout is not called done; the answer says what to
    do instead.
    """
    lines, body, reason = case
    places = {
        "NAME": b64encode(f"{key}:".encode()).decode(),
        "PASSWORD": b64encode(f"alice:{key}".encode()).decode(),
        "JWT": token_of("alice"),
        "KEY": key,
    }
    for name, text in places.items():
        lines, body = lines.replace(name, text), body.replace(name, text)
    request = f"{method} /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n"
    answer = ask(relay.port, f"{request}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    assert status(answer) in (400, 401)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == reason
    assert key.encode() not in answer
    assert status(ask(relay.port, API % key.encode())) == 200


def test_a_logout_with_a_key_that_came_twice(relay: Gateway, shop: Upstream, key: str) -> None:
    """wire-rules.md#E4: one that came twice has ended; and a person reads in his language that it
    has not.
    """
    request = b"POST /logout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Copy: %b\r\n%b\r\n"
    page = b"Accept: text/html\r\nAccept-Language: %b\r\n"
    for language, words in ((b"en", "may still be logged in"), (b"ko", "아직 로그인되어 있을 수")):
        answer = ask(relay.port, request % (key.encode(), page % language))
        assert (status(answer), words in answer.decode()) == (400, True)
    bearer = b"Authorization: Bearer %b\r\n" % key.encode()
    assert status(ask(relay.port, request % (key.encode(), bearer))) == 204
    assert status(ask(relay.port, API % key.encode())) == 401

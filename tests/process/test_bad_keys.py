"""What is sent in a key's place, and what becomes of a session's record: each is answered clearly,
counted, and written down without the value; and nothing is lost.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core.sessions import keys, records
from tests.conftest import log_in, token_of
from tests.support.gateway import Gateway, gateway
from tests.support.raw import Client, Upstream, ask, status
from tests.support.redis_server import RedisServer, redis_server

API = b"GET /api/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%b\r\n"
BEARER = b"Authorization: Bearer %b\r\n"


def sections(
    backend: Upstream, secret: str = "a secret of the tests, long enough"
) -> dict[str, object]:
    return {
        "session": {"secrets": [secret]},
        "upstreams": {"api": backend.url},
        "login": {"kind": "backend", "path": "/login", "upstream": "api"},
        "routes": [
            {"path": "/api/*", "upstream": "api"},
            {"path": "/api/admin/*", "upstream": "api", "claims": {"role": "admin"}},
            {"path": "/guest/*", "upstream": "api", "auth": "optional", "bad_key": "anonymous"},
        ],
    }


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def one(
    tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer, backend: Upstream
) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("one"), own_redis.url, **sections(backend)) as running:
        yield running


class Told:
    """What a gateway has counted and written down of one request."""

    def __init__(self, relay: Gateway) -> None:
        self._relay = relay
        self._before = relay.metrics()

    def check(
        self, answer: bytes, code: int, reason: str, told: str, *values: bytes
    ) -> dict[str, str]:
        """The answer says `reason`, the audit log `told`, and neither any of the values."""
        head, _, body = answer.partition(b"\r\n\r\n")
        problem = json.loads(body)
        assert (status(answer), problem["reason"]) == (code, reason)
        if code == 401:
            assert b'\r\nWWW-Authenticate: Bearer realm="latchkey", error="invalid_token"' in head
        [event] = self._relay.events(request_id=problem["request_id"])
        assert (event["event"], event["reason"], event["address"]) == ("refused", told, "127.0.0.1")
        after = self._relay.metrics()
        for name in (
            f'latchkey_refusals_total{{reason="{reason}"}}',
            f'latchkey_events_total{{event="refused",reason="{told}"}}',
        ):
            assert after[name] == self._before.get(name, 0) + 1
        [record] = self._relay.records(request_id=problem["request_id"])
        assert (record["status"], record["reason"]) == (code, reason)
        relay = self._relay
        for text in (
            answer,
            *(log.read_bytes() for log in (relay.log, relay.access_log, relay.audit_log)),
            " ".join(after).encode(),
        ):
            for value in values:
                assert value not in text
        return dict(event)


KEY = keys.new_key(bytes(range(32))).reveal().encode()
LAST = b"B" if KEY.endswith(b"A") else b"A"

NO_KEYS = {
    "too short": KEY[:-1],
    "too long": KEY + b"A",
    "much too long": b"lk_" + b"A" * 20_000,
    "another alphabet": KEY[:10] + b"+" + KEY[11:],
    "not ASCII": KEY[:10] + b"\xff" + KEY[11:],
    "a wrong checksum": KEY[:-1] + LAST,
    "another prefix": b"sk_" + KEY[3:],
    "other letters of the prefix": b"LK_" + KEY[3:],
    "something else": b"0123456789abcdef",
}


@pytest.mark.parametrize("value", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key(one: Gateway, backend: Upstream, value: bytes) -> None:
    """Of a wrong length, alphabet, prefix or checksum: 401 not_a_key."""
    told = Told(one)
    event = told.check(
        ask(one.port, API % (BEARER % value)),
        401,
        "not_a_key",
        "not_a_key",
        *([value] * bool(value)),
    )
    assert "session" not in event
    assert "subject" not in event


def test_a_wrong_checksum_in_a_cookie(one: Gateway) -> None:
    value = KEY[:-1] + LAST
    told, answer = Told(one), ask(one.port, API % b"Cookie: a=1; session=%b\r\n" % value)
    told.check(answer, 401, "not_a_key", "not_a_key", value)


@pytest.mark.parametrize("role", ["user", "x" * 3000])
def test_a_jwt_in_place_of_a_key(one: Gateway, backend: Upstream, role: str) -> None:
    """401 token_not_key, which says what to send; tokens do not come from outside."""
    told, token = Told(one), token_of("mallory", role=role).encode()
    answer = ask(one.port, API % (BEARER % token))
    told.check(answer, 401, "token_not_key", "token_not_key", token, token.split(b".")[2])
    assert b"Send the key that the login gave, not a JWT." in answer
    assert b"mallory" not in one.audit_log.read_bytes()


def two_keys(first: bytes, second: bytes) -> dict[str, bytes]:
    return {
        "header and cookie": BEARER % first + b"Cookie: session=%b\r\n" % second,
        "cookie and header": b"Cookie: session=%b\r\n" % second + BEARER % first,
        "two headers": BEARER % first + BEARER % second,
        "two headers and a cookie": BEARER % first * 2 + b"Cookie: session=%b\r\n" % first,
    }


@pytest.mark.parametrize("how", two_keys(b"", b""))
def test_two_keys(one: Gateway, how: str) -> None:
    """400 ambiguous_key, even if both are good: none is picked by chance, and none is looked up."""
    pair = log_in(one.port).encode(), log_in(one.port, "bob").encode()
    told = Told(one)
    answer = ask(one.port, API % two_keys(*pair)[how])
    told.check(answer, 400, "ambiguous_key", "ambiguous_key", *pair)
    for key in pair:
        assert status(ask(one.port, API % (BEARER % key))) == 200


@pytest.mark.parametrize("lines", [b"Cookie: a=%b; b=%b\r\n", b"Cookie: a=%b\r\nCookie: b=%b\r\n"])
def test_the_cookies_of_two_people(one: Gateway, lines: bytes) -> None:
    """401 several_keys: either of them may have planted a cookie in the other one's browser."""
    pair = log_in(one.port).encode(), log_in(one.port, "bob").encode()
    told = Told(one)
    told.check(ask(one.port, API % (lines % pair)), 401, "several_keys", "several_keys", *pair)


def test_a_key_whose_session_has_ended(one: Gateway) -> None:
    """401 invalid_key; the line names the session that it had, so what was stolen can be traced."""
    key = log_in(one.port, "eve").encode()
    session = one.events(event="login", subject="eve")[-1]["session"]
    ask(one.port, (API % (BEARER % key)).replace(b"GET /api/x", b"POST /logout"))
    told = Told(one)
    event = told.check(ask(one.port, API % (BEARER % key)), 401, "invalid_key", "invalid_key", key)
    assert event["session"] == session


def test_a_key_of_a_gateway_with_another_redis(
    one: Gateway, backend: Upstream, redis: RedisServer, tmp_path: Path
) -> None:
    """401 invalid_key on one, and good on the other as before."""
    with gateway(tmp_path, redis.url, **sections(backend)) as other:
        key = log_in(other.port).encode()
        told = Told(one)
        told.check(ask(one.port, API % (BEARER % key)), 401, "invalid_key", "invalid_key", key)
        assert status(ask(other.port, API % (BEARER % key))) == 200


def test_a_key_of_a_gateway_with_another_secret(
    one: Gateway, backend: Upstream, own_redis: RedisServer, tmp_path: Path
) -> None:
    """The session is there and cannot be opened: the client gets 401 like for any unknown key, the
    operator is told; and the session is good on the other gateway as before.
    """
    settings = sections(backend, "another secret, of another gateway")
    with gateway(tmp_path, own_redis.url, **settings) as other:
        key = log_in(other.port).encode()
        for _ in range(2):
            told, answer = Told(one), ask(one.port, API % (BEARER % key))
            told.check(answer, 401, "invalid_key", "unreadable_session", key)
        assert status(ask(other.port, API % (BEARER % key))) == 200
    assert "a secret of the tests" not in one.log.read_text()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit in the seal": lambda record: record[:-1] + bytes([record[-1] ^ 1]),
    "another subject in the open": lambda record: record.replace(b"alice", b"admin", 1),
    "another end": lambda record: record[:1] + b"\xff\xff\xff\xff" + record[5:-1] + b"\x00",
    "cut off in the seal": lambda record: record[:-20],
    "cut off in the texts": lambda record: record[:20],
    "cut off in the head": lambda record: record[:8],
    "nothing": lambda record: b"",
    "something else": lambda record: b"\x01eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.",
    "of an older version": lambda record: b"\x00" + record[1:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_record_that_cannot_be_read(
    one: Gateway, own_redis: RedisServer, damage: Callable[[bytes], bytes]
) -> None:
    """wire-rules.md#E13: tampered with or truncated, it is 401; and when it is put right, nothing
    is lost, the browser's cookie neither.
    """
    key = log_in(one.port).encode()
    name, record = record_of(own_redis, key)
    with own_redis.client() as client:
        client.set(name, damage(record), keepttl=True)
        told, answer = Told(one), ask(one.port, API % (BEARER % key))
        told.check(answer, 401, "invalid_key", "unreadable_session", key)
        by_cookie = ask(one.port, API % (b"Cookie: latchkey=" + key + b"\r\n"))
        assert (status(by_cookie), b"Set-Cookie" in by_cookie) == (401, False)
        client.set(name, record, keepttl=True)
    assert status(ask(one.port, API % (BEARER % key))) == 200


def test_a_record_of_a_newer_version(one: Gateway, own_redis: RedisServer) -> None:
    """wire-rules.md#E13: a newer gateway can read it, so no user is logged out: 503, and the record
    stays.
    """
    key = log_in(one.port).encode()
    name, record = record_of(own_redis, key)
    newer = bytes([records.OWN_VERSION + 1]) + record[1:]
    with own_redis.client() as client:
        client.set(name, newer, keepttl=True)
        for request in (API, API.replace(b"GET /api/x", b"POST /logout")):
            told, answer = Told(one), ask(one.port, request % (BEARER % key))
            told.check(answer, 503, "newer_session", "newer_session", key)
            assert re.search(rb"\r\nRetry-After: \d+\r\n", answer)
        assert client.get(name) == newer
        client.set(name, record, keepttl=True)
    assert status(ask(one.port, API % (BEARER % key))) == 200


def record_of(server: RedisServer, key: bytes) -> tuple[str, bytes]:
    """Where a key's session is in Redis, and what is there."""
    found = keys.parse_key(key)
    assert found is not None
    name = f"latchkey:s:{{{keys.session_id(found)}}}"
    with server.client() as client:
        return name, client.get(name)


def test_a_session_without_the_claims(one: Gateway) -> None:
    """403 forbidden: whose session it was is known, and said."""
    key = log_in(one.port, "carol").encode()
    told = Told(one)
    answer = ask(one.port, (API % (BEARER % key)).replace(b"/api/x", b"/api/admin/x"))
    event = told.check(answer, 403, "forbidden", "forbidden", key)
    assert event["subject"] == "carol"


def test_who_carries_no_credential_leaves_no_line(one: Gateway) -> None:
    """A 401 without a key is in the access log and the metrics; so is a key that no route needs."""
    before = len(one.audit_log.read_text().splitlines())
    refused = one.metrics().get('latchkey_refusals_total{reason="no_key"}', 0)
    assert status(ask(one.port, API % b"")) == 401
    assert status(ask(one.port, API % b"Authorization: Basic eDp5\r\n")) == 401
    guest = (API % (BEARER % b"nonsense")).replace(b"/api/", b"/guest/")
    assert status(ask(one.port, guest)) == 200
    assert one.metrics()['latchkey_refusals_total{reason="no_key"}'] == refused + 2
    assert len(one.audit_log.read_text().splitlines()) == before


def test_a_bad_key_over_and_over(tmp_path: Path, redis: RedisServer, backend: Upstream) -> None:
    """A client cannot fill the audit log with one bad key, nor with many: the first refusals have
    lines, the others are counted in a line at the window's end, or at the gateway's. The metrics
    count each.
    """
    with gateway(tmp_path, redis.url, **sections(backend)) as relay:
        with Client(relay.port) as client:
            request = API.replace(b"Connection: close\r\n", b"")
            for number in range(1000):
                made_up = keys.new_key(number.to_bytes(32, "big")).reveal().encode()
                client.send(request % (BEARER % (KEY if number % 2 else made_up)))
                assert client.answer()[0] == 401
        counted = relay.metrics()['latchkey_events_total{event="refused",reason="invalid_key"}']
        assert counted == 1000
    lines = [json.loads(line) for line in relay.audit_log.read_text().splitlines()]
    assert len(lines) <= 102
    assert sum(line.get("repeated", 1) for line in lines) == 1000

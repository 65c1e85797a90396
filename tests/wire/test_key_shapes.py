"""A key in the shape of a JWT is the key: everywhere that a key is taken, cut, or ended.

It is known on every gateway, so that keys stay valid when `keys.form` changes.
"""

import json

import pytest

from tests.conftest import token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, ask, status
from tests.wire.test_authentication import MADE_UP

HEAD = b"eyJ0eXAiOiJKV1QiLCJhbGciOiJsYXRjaGtleSJ9"
SHAPES = [HEAD + b".eyJzdWIiOiJhbGljZSIsImV4cCI6MX0.", HEAD + b".eyJyb2xlIjoiYWRtaW4ifQ.", b"x.y."]


def call(relay: Gateway, lines: bytes, target: bytes = b"GET /api/x") -> bytes:
    request = target + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n" + lines + b"\r\n"
    return ask(relay.port, request)


def bearer(text: bytes) -> bytes:
    return b"Authorization: Bearer " + text + b"\r\n"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("line", [b"Authorization: Bearer %b\r\n", b"Cookie: a=b; latchkey=%b\r\n"])
def test_it_is_taken_and_swapped_as_the_key(
    relay: Gateway, shop: Upstream, key: str, shape: bytes, line: bytes
) -> None:
    """Neither the key nor the text before it goes upstream. A payload that the client has changed
    changes nothing, for nothing reads it.
    """
    assert status(call(relay, line % (shape + key.encode()))) == 200
    assert b"Authorization: Bearer " + token_of("alice").encode()[:20] in shop.got
    assert shape not in shop.got
    assert key.encode() not in shop.got
    if line.startswith(b"Cookie"):
        assert b"Cookie: a=b\r\n" in shop.got


def test_it_is_the_same_credential_as_the_bare_key(relay: Gateway, key: str) -> None:
    """Beside the bare key in a cookie it is no second key."""
    lines = bearer(SHAPES[0] + key.encode()) + b"Cookie: latchkey=" + key.encode() + b"\r\n"
    assert status(call(relay, lines)) == 200
    other = lines + b"Cookie: other=" + SHAPES[1] + key.encode() + b"\r\n"
    assert status(call(relay, other)) == 200


def test_a_logout_by_one_spelling_ends_all(relay: Gateway, key: str) -> None:
    """Each had been remembered by the near cache."""
    texts = [key.encode(), *(shape + key.encode() for shape in SHAPES)]
    assert [status(call(relay, bearer(text))) for text in texts] == [200] * len(texts)
    ended = call(relay, bearer(texts[1]) + b"Content-Length: 0\r\n", b"POST /logout")
    assert status(ended) == 204
    assert [status(call(relay, bearer(text))) for text in texts] == [401] * len(texts)


@pytest.mark.parametrize(
    "lines",
    [
        bearer(SHAPES[0] + MADE_UP),
        bearer(b".".join([HEAD, b"e30", b"KEYx"])),
        bearer(b".".join([HEAD, b"KEY", b"e30"])),
        bearer(b".".join([b"KEY", b"e30", b"KEY"])),
        bearer(b".".join([HEAD, b"KEY", b"KEY"])),
        b"Authorization: Basic " + SHAPES[0] + b"KEY\r\n",
        b"X-Token: " + SHAPES[0] + b"KEY\r\n",
    ],
)
def test_what_is_not_quite_one_is_refused(
    relay: Gateway, shop: Upstream, key: str, lines: bytes
) -> None:
    answer = call(relay, lines.replace(b"KEY", key.encode()))
    assert status(answer) == 401
    assert shop.got == b""
    assert key.encode() not in answer


@pytest.mark.parametrize("path", [b"/public/x?token=", b"/public/", b"/api/x?a=b&access_token="])
def test_it_is_refused_in_a_url(relay: Gateway, shop: Upstream, key: str, path: bytes) -> None:
    """wire-rules.md#C3. Neither an upstream nor a log sees it."""
    text = SHAPES[0] + key.encode()
    assert status(call(relay, b"", b"GET " + path + text)) == 401
    assert shop.got == b""
    for log in (relay.log, relay.access_log, relay.audit_log):
        assert key not in (log.read_text() if log.exists() else "")


def test_no_upstream_sees_it_in_another_field(relay: Gateway, shop: Upstream, key: str) -> None:
    """The line goes, whatever its name."""
    lines = bearer(key.encode()) + b"X-Copy: " + SHAPES[0] + key.encode() + b"\r\nX-Other: 1\r\n"
    assert status(call(relay, lines)) == 200
    assert b"X-Other: 1\r\n" in shop.got
    assert b"X-Copy" not in shop.got


def test_devices_and_logs_know_the_session_alone(relay: Gateway, shop: Upstream, key: str) -> None:
    """The list is the same in either form, and no log shows the key or what stands before it."""
    listed = [
        json.loads(call(relay, bearer(text), b"GET /sessions").partition(b"\r\n\r\n")[2])
        for text in (key.encode(), SHAPES[0] + key.encode())
    ]
    assert listed[0] == listed[1]
    assert status(call(relay, bearer(SHAPES[0] + key.encode()), b"GET /api/in-a-jwt")) == 200
    relay.records(path="/api/in-a-jwt")
    for log in (relay.log, relay.access_log, relay.audit_log):
        assert key not in log.read_text()
        assert HEAD.decode() not in log.read_text()


def test_a_public_route_does_not_pass_it_on(relay: Gateway, shop: Upstream, key: str) -> None:
    """A client's own Authorization goes upstream there, and a key does not."""
    for shape in SHAPES:
        assert status(call(relay, bearer(shape + key.encode()), b"GET /public/x")) == 200
    assert b"Authorization" not in shop.got
    assert key.encode() not in shop.got

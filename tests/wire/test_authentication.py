"""wire-rules.md#C1 to #C6: keys on the wire, where one is taken and what is refused."""

import json

import pytest

from tests.conftest import json_answer, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Upstream, always, ask, status
from tests.wire.vectors import cases

API = b"GET /api/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%b\r\n"
MADE_UP = b"lk_" + b"A" * 49


def test_a_401_challenges_for_a_bearer_key(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C1 [6750 §3]: `error` is said only when a key was sent; the problem is JSON
    [9457].
    """
    answer = ask(relay.port, API % b"")
    assert status(answer) == 401
    assert b'\r\nWWW-Authenticate: Bearer realm="latchkey"\r\n' in answer
    assert b"\r\nContent-Type: application/problem+json\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "no_key"
    answer = ask(relay.port, API % (b"Authorization: Bearer " + MADE_UP + b"\r\n"))
    assert status(answer) == 401
    assert b'\r\nWWW-Authenticate: Bearer realm="latchkey", error="invalid_token"\r\n' in answer
    assert shop.got == b""


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
def test_the_scheme_bearer_has_no_case(
    relay: Gateway, shop: Upstream, key: str, scheme: bytes
) -> None:
    """wire-rules.md#C2 [9110 §11.1]."""
    assert (
        status(ask(relay.port, API % (b"Authorization: %b %b\r\n" % (scheme, key.encode())))) == 200
    )


@pytest.mark.parametrize(
    "lines",
    [
        b"Authorization: Bearer\r\n",
        b"Authorization: Bearer \r\n",
        b"Authorization: Bearer  KEY\r\n",
        b"Authorization: Bearer KEY KEY\r\n",
        b"Authorization: Bearer KEY,Bearer KEY\r\n",
        b"Authorization: Bearer KEY\r\nAuthorization: Bearer KEY\r\n",
        b"Authorization: Basic eA==\r\nAuthorization: Bearer KEY\r\n",
        b"Authorization: Bearer KEY\r\nAuthorization: Basic eA==\r\n",
        b"Authorization: KEY\r\n",
        b"Authorization: Basic KEY\r\n",
        b"Authorization: Bearer " + MADE_UP + b"\r\nCookie: a=KEY\r\n",
        b"Authorization: Bearer KEY\r\nCookie: a=" + MADE_UP + b"\r\n",
        b"Authorization: Bearer KEYx\r\n",
        b"X-Api-Key: KEY\r\n",
    ],
)
def test_no_credential_is_picked_by_chance(
    relay: Gateway, shop: Upstream, key: str, lines: bytes
) -> None:
    """wire-rules.md#C2, #E7: several credentials, or one that is not quite one, are 400 or 401."""
    answer = ask(relay.port, API % lines.replace(b"KEY", key.encode()))
    assert status(answer) in (400, 401)
    assert shop.got == b""
    assert key.encode() not in answer


def test_a_jwt_in_place_of_a_key_is_refused(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C2: tokens do not come from outside."""
    line = b"Authorization: Bearer " + token_of("alice").encode() + b"\r\n"
    assert status(ask(relay.port, API % line)) == 401
    assert shop.got == b""


# Ways to write a key into a request line: `KEY` is the key, `HEX` the same in escapes.
KEYS_IN_URLS = [
    b"GET /public/x?access_token=KEY",
    b"GET /public/x?a=b&key=KEY&c=d",
    b"GET /public/x?KEY",
    b"GET /public/x?next=/y?token=KEY#top".replace(b"#", b"%23"),
    b"GET /public/x?token=HEX",
    b"GET /public/x?token=%256ck_REST",
    b"GET /public/x?token=%6ck_REST",
    b"GET /public/x?token=lk%5FREST",
    b"GET /public/x?a=50%&token=HEX",
    b"GET /public/x?a=\xc3\xa9&token=HEX",
    b"GET /public/KEY",
    b"GET /public/KEY/photo.png",
    b"GET /public/x;session=KEY/y",
    b"GET /public/HEX",
    b"GET http://a.example/public/x?token=KEY",
    b"GET /login?token=KEY",
    b"GET /KEY",
    b"POST /logout?token=KEY",
    b"KEY /public/x",
]


@pytest.mark.parametrize("line", KEYS_IN_URLS)
@pytest.mark.parametrize("lines", [b"", b"Authorization: Bearer KEY\r\n"])
def test_a_key_in_a_url_is_refused(
    relay: Gateway, shop: Upstream, login_upstream: Upstream, key: str, line: bytes, lines: bytes
) -> None:
    """wire-rules.md#C3 [6750 §2.3, 9700 §4.3.2]: URLs end up in logs and histories. A key in one is
    refused, on public routes and beside a good key too; no upstream, log or answer sees it.
    """
    login_upstream.clear(login_upstream.answer)
    text = key.encode()
    spelled = {
        b"HEX": b"".join(b"%%%02x" % byte for byte in text),
        b"KEY": text,
        b"REST": text[3:],
    }
    request = line + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n" + lines + b"\r\n"
    for name, value in spelled.items():
        request = request.replace(name, value)
    answer = ask(relay.port, request)
    assert status(answer) == 401
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "key_in_url"
    assert shop.got == login_upstream.got == b""
    assert relay.records(reason="key_in_url")
    for log in (relay.access_log, relay.audit_log, relay.log):
        assert text[3:] not in log.read_bytes() + answer


@pytest.mark.parametrize("name", ["KEY", "KEY.a.example", "a.KEY:80", "%6cREST"])
def test_a_key_in_the_host_is_refused(relay: Gateway, shop: Upstream, key: str, name: str) -> None:
    """wire-rules.md#C4: a URL's host goes upstream too, so one with a key in it is no host."""
    host = name.replace("KEY", key).replace("REST", key[1:])
    request = f"GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert status(ask(relay.port, request.encode())) == 400
    assert shop.got == b""


def test_text_that_only_looks_like_a_key_passes(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#C3: a part of one, or another word that begins like one, is no secret."""
    for target in (b"/public/lk_short", b"/public/x?a=lk_" + b"A" * 48, b"/public/%6ck_x?%255F"):
        request = (API % b"").replace(b"/api/x", target)
        assert status(ask(relay.port, request)) == 200


def test_no_key_goes_upstream_and_no_token_comes_back(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#C4: the key in no field, the token in no field of the answer."""
    twice = b"Authorization: Bearer " + key.encode() + b"\r\nX-Copy: " + key.encode() + b"\r\n"
    assert status(ask(relay.port, API % twice)) == 200
    assert key.encode() not in shop.got
    assert b"lk_" not in shop.got
    line = next(
        line for line in shop.got.split(b"\r\n") if line.startswith(b"Authorization: Bearer ")
    )
    token = line.removeprefix(b"Authorization: Bearer ")
    assert token.count(b".") == 2
    shop.clear(
        always(
            b"HTTP/1.1 200 OK\r\nX-Echo: "
            + token
            + b"\r\nAuthorization: Bearer "
            + token
            + b"\r\nSet-Cookie: t="
            + token
            + b"\r\nX-Kept: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-Sum: " + token + b"\r\n\r\n"
        )
    )
    lines = b"TE: trailers\r\nAuthorization: Bearer " + key.encode() + b"\r\n"
    answer = ask(relay.port, API.replace(b"close", b"close, TE") % lines)
    assert status(answer) == 200
    assert token not in answer
    assert b"\r\nX-Kept: 1\r\n" in answer


ELSEWHERE = {
    "a field of its own": b"X-Api-Key: KEY\r\n",
    "a field of its own, beside others": b"X-A: b KEY c\r\nX-Api-Key: KEY\r\n",
    "another scheme": b"Authorization: Token KEY\r\n",
    "no scheme": b"Authorization: KEY\r\n",
    "basic": b"Authorization: Basic KEY\r\n",
    "an address": b"Referer: https://a.example/?key=KEY\r\n",
    "half a cookie": b"Cookie: a=KEY,b=c\r\n",
    "in the middle of a cookie": b"Cookie: a=xKEYx\r\n",
    "a cookie without a name": b"Cookie: KEY\r\n",
    "two cookies": b"Cookie: a=KEY; b=KEY\r\n",
}


@cases("lines", ELSEWHERE)
@pytest.mark.parametrize("path", [b"/public/x", b"/maybe/x", b"/guest/x"])
def test_a_key_in_another_field_is_dropped(
    relay: Gateway, shop: Upstream, key: str, path: bytes, lines: bytes
) -> None:
    """wire-rules.md#C4: wherever a client puts it, and whether or not the route asks for it."""
    request = API.replace(b"/api/x", path) % lines.replace(b"KEY", key.encode())
    assert status(ask(relay.port, request)) in (200, 400, 401)
    assert key.encode() not in shop.got


@cases("lines", ELSEWHERE)
def test_a_key_in_another_field_of_a_login_is_dropped(
    relay: Gateway, login_upstream: Upstream, key: str, lines: bytes
) -> None:
    """wire-rules.md#C4: the backend's login sees none either."""
    login_upstream.clear(login_upstream.answer)
    body = b'{"username": "alice"}'
    request = (API % (lines.replace(b"KEY", key.encode()) + b"Content-Length: 21\r\n")) + body
    assert status(ask(relay.port, request.replace(b"GET /api/x", b"POST /login"))) in (200, 400)
    assert key.encode() not in login_upstream.got


@pytest.mark.parametrize("path", [b"/api/x", b"/public/x"])
@pytest.mark.parametrize(
    "lines",
    [
        b"Authorization: Bearer KEY\r\n",
        b"X-Refresh-Token: KEY\r\n",
        b"Cookie: rt=KEY\r\n",
        b'Cookie: a=1; refresh_token="KEY"; b=2\r\n',
    ],
)
def test_a_refresh_key_opens_no_route_and_goes_to_no_upstream(
    relay: Gateway, shop: Upstream, path: bytes, lines: bytes
) -> None:
    """wire-rules.md#C4: it looks like a key, and other cookies stay."""
    refresh_key = b"lk_refresh_" + b"A" * 129
    request = API.replace(b"/api/x", path) % lines.replace(b"KEY", refresh_key)
    assert status(ask(relay.port, request)) == (401 if path == b"/api/x" else 200)
    assert refresh_key not in shop.got
    assert (b"a=1; b=2" in shop.got) is (path == b"/public/x" and b"b=2" in lines)


def test_public_routes_ask_for_no_key_and_optional_ones_refuse_a_bad_one(
    relay: Gateway, shop: Upstream, key: str
) -> None:
    """wire-rules.md#C5: public asks for no key; optional takes a good key, refuses a bad one unless
    told not to.
    """
    good = b"Authorization: Bearer " + key.encode() + b"\r\n"
    bad = b"Authorization: Bearer " + MADE_UP + b"\r\n"
    for path, lines, expected, known in (
        (b"/public/x", good, 200, False),
        (b"/public/x", bad, 200, False),
        (b"/maybe/x", b"", 200, False),
        (b"/maybe/x", good, 200, True),
        (b"/maybe/x", bad, 401, False),
        (b"/guest/x", bad, 200, False),
        (b"/guest/x", good, 200, True),
    ):
        shop.clear()
        request = API.replace(b"/api/x", path) % (lines + b"X-User-Id: forged\r\n")
        assert status(ask(relay.port, request)) == expected, path
        assert (b"\r\nAuthorization: Bearer ey" in shop.got) == known
        assert (b"\r\nX-User-Id: alice\r\n" in shop.got) == known
        assert b"forged" not in shop.got


def key_with_claims(relay: Gateway, login_upstream: Upstream, **claims: object) -> bytes:
    """A key for a token that says this."""
    before = login_upstream.answer
    token = token_of("root", **claims)
    login_upstream.clear(always(json_answer("200 OK", {"token": token})))
    try:
        return log_in(relay.port).encode()
    finally:
        login_upstream.clear(before)


def test_a_rule_that_asks_for_claims(
    relay: Gateway, shop: Upstream, login_upstream: Upstream, key: str
) -> None:
    """The session's claims decide where a rule asks for some: 403."""
    request = API.replace(b"/api/x", b"/api/admin/x") % (
        b"Authorization: Bearer " + key.encode() + b"\r\n"
    )
    assert status(ask(relay.port, request)) == 403
    assert shop.got == b""
    admin = key_with_claims(relay, login_upstream, role=["admin"])
    assert status(ask(relay.port, request.replace(key.encode(), admin))) == 200


def test_claims_are_compared_with_their_types(
    relay: Gateway, shop: Upstream, login_upstream: Upstream
) -> None:
    """A rule that asks for true is met by true alone: 1 and "true" are other values of JSON."""
    for claim, expected in ((True, 200), ([True], 200), (1, 403), ([1], 403), ("true", 403)):
        key = key_with_claims(relay, login_upstream, staff=claim)
        request = API.replace(b"/api/x", b"/api/staff/x") % (
            b"Authorization: Bearer " + key + b"\r\n"
        )
        assert status(ask(relay.port, request)) == expected, claim


@pytest.mark.parametrize(
    ("line", "expected"), [(b"POST /login", 400), (b"POST /logout", 204), (b"GET /logout", 204)]
)
def test_endpoints_win_over_routes(
    relay: Gateway, login_upstream: Upstream, line: bytes, expected: int
) -> None:
    """wire-rules.md#C6: by the methods that they serve, case kept."""
    login_upstream.clear(login_upstream.answer)
    request = line + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
    assert status(ask(relay.port, request)) == expected
    assert line not in login_upstream.got


def test_other_spellings_are_not_the_endpoints(relay: Gateway, login_upstream: Upstream) -> None:
    """wire-rules.md#C6: `/login/` and `/LOGIN` are ordinary paths."""
    before = login_upstream.answer
    login_upstream.clear()
    for path in (b"/login/", b"/LOGIN"):
        request = b"POST " + path + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
        assert status(ask(relay.port, request)) == 200
        assert b"POST " + path + b" HTTP/1.1\r\n" in login_upstream.got
    login_upstream.clear(before)

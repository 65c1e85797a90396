"""wire-rules.md#E1, #E2: no way around the login, no token through it."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest

from tests.conftest import accounts, json_answer, token_of
from tests.support.gateway import Gateway
from tests.support.raw import Answer, Upstream, always, ask, status
from tests.wire.vectors import API, LOGIN


@pytest.fixture
def backend(login_upstream: Upstream) -> Iterator[Callable[[Answer], None]]:
    """Gives the login backend another behaviour for one test."""
    login_upstream.clear(accounts)
    yield login_upstream.clear
    login_upstream.clear(accounts)


def answering(head: bytes, body: bytes) -> Answer:
    return always(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize(
    "target",
    [
        b"//login",
        b"/%6cogin",
        b"/login/",
        b"/login;a",
        b"/./login",
        b"/x/../login",
        b"/login%2f",
        b"/LOGIN",
        b"/%2flogin",
        b"/login%3ba",
        b"\\login",
        b"/login?x=1",
        b"http://other.example/login",
        b"http://other.example//login",
    ],
)
def test_no_spelling_of_the_login_yields_a_token(
    relay: Gateway, login_upstream: Upstream, backend: object, target: bytes
) -> None:
    """wire-rules.md#E1: each is the login endpoint, an ordinary path, or refused; none yields a
    token.
    """
    answer = ask(relay.port, (LOGIN % b"").replace(b"/login", target, 1))
    assert b"eyJ" not in answer
    if status(answer) == 200 and b"lk_" not in answer:
        assert b"/backend/login" not in login_upstream.got


@pytest.mark.parametrize(
    "framed",
    [
        b'Content-Length: 21\r\n\r\n{"username": "alice"}',
        b'Transfer-Encoding: chunked\r\n\r\n15\r\n{"username": "alice"}\r\n0\r\n\r\n',
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b'Expect: 100-continue\r\nContent-Length: 21\r\n\r\n{"username": "alice"}',
    ],
)
def test_a_preflight_with_a_body_is_refused(
    relay: Gateway, login_upstream: Upstream, backend: object, framed: bytes
) -> None:
    """WHATWG Fetch §4.8: no browser sends one, so it is refused, and its backend is not asked."""
    head = LOGIN.partition(b"Connection")[0].replace(b"POST", b"OPTIONS")
    asks = b"Connection: close\r\nAccess-Control-Request-Method: POST\r\n"
    answer = ask(relay.port, head + asks + framed)
    assert status(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")) == 400
    assert login_upstream.got == b""


def test_a_preflight_takes_no_login_along(
    relay: Gateway, login_upstream: Upstream, backend: object
) -> None:
    """With a length of nothing it passes, and nothing goes with it that could be a login."""
    head = (
        (LOGIN % b"").partition(b"Content-Type")[0].replace(b"POST /login", b"OPTIONS /login?a=b")
    )
    asks = b"Access-Control-Request-Method: POST\r\nCookie: a=b\r\nContent-Length: 0\r\n\r\n"
    assert status(ask(relay.port, head + asks)) == 400  # `accounts` finds no name in it
    assert login_upstream.got.startswith(b"OPTIONS /backend/login HTTP/1.1\r\n")
    assert b"\r\nAccess-Control-Request-Method: POST\r\n" in login_upstream.got
    assert b"Cookie" not in login_upstream.got


@pytest.mark.parametrize(
    "target",
    [
        b"/backend/login",
        b"/backend/login/",
        b"/BACKEND/login",
        b"/backend//login",
        b"//backend/login",
        b"/backend/./login",
        b"/backend/x/../login",
        b"/backend/%6cogin",
        b"/backend%2flogin",
        b"/backend\\login",
        b"/backend/login;x=y",
        b"/backend;x/login",
        b"/backend/login?x",
        b"/backend/login%2f",
        b"/backend/login%2F%2e",
        b"/backend/login;",
        b"/backend/login%3b",
        b"/backend//login//",
        b"/Backend/Login",
        b"/backend/%4cogin",
        b"/backend/l%6Fgin",
        b"/%62%61%63%6b%65%6e%64/%6c%6f%67%69%6e",
        b"/%2562ackend/login",
        b"/%252562ackend/login",
        b"/backend%5clogin",
        b"/backend%255clogin",
        b"/backend%252flogin",
        b"/backend/%2e/login",
        b"/backend/%2e%2e/backend/login",
        b"/x/%2e%2e%2fbackend/login",
        b"/x;/..;/backend/login",
        b"/accounts/../backend/login",
        b"/accounts/%2e%2e/backend/login",
        b"/accounts/x/../backend/login",
        b"/accounts/%62ackend/login",
        b"/accounts/backend%2flogin",
        b"/accounts/backend/login?x=y",
        b"/accounts;a/backend/login",
        b"/ACCOUNTS/backend/login/../../../backend/login",
        b"/backend/%256cogin",
        b"/accounts/backend/login",
        b"/accounts//backend/login",
        b"/%61ccounts/backend/login",
        b"/accounts/backend/login/.",
        b"http://other.example/backend/login",
    ],
)
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"GET"])
def test_no_route_reaches_the_backends_login(
    relay: Gateway, login_upstream: Upstream, backend: object, target: bytes, method: bytes
) -> None:
    """wire-rules.md#E1: in no spelling, with no method, through no rewriting."""
    request = (LOGIN % b"").replace(b"/login", target, 1).replace(b"POST", method, 1)
    assert status(ask(relay.port, request)) in (400, 404)
    assert login_upstream.got == b""


TOKEN = token_of("alice")
BODY = json.dumps({"token": TOKEN}).encode()
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REPLIES: dict[str, Answer] = {
    "plain": answering(JSON, BODY),
    "gzip": answering(JSON + b"Content-Encoding: gzip\r\n", gzip.compress(BODY)),
    "deflate": answering(JSON + b"Content-Encoding: deflate\r\n", zlib.compress(BODY)),
    "br": answering(JSON + b"Content-Encoding: br\r\n", brotli.compress(BODY)),
    "twice": answering(
        JSON + b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(BODY))
    ),
    "unknown coding": answering(JSON + b"Content-Encoding: snappy\r\n", BODY),
    "not gzip": answering(JSON + b"Content-Encoding: gzip\r\n", BODY),
    "chunked": always(
        JSON + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    ),
    "created": answering(JSON.replace(b"200 OK", b"201 Created"), BODY),
    "redirect": answering(
        b"HTTP/1.1 302 Found\r\nLocation: /home\r\nSet-Cookie: token=%b; Path=/\r\n"
        % TOKEN.encode(),
        b"",
    ),
    "bom": answering(JSON, b"\xef\xbb\xbf" + BODY),
    "utf-16": answering(
        JSON.replace(b"json", b"json; charset=utf-16"), BODY.decode().encode("utf-16")
    ),
    "unknown charset": answering(JSON.replace(b"json", b"json; charset=klingon"), BODY),
    "escaped": answering(JSON, BODY.replace(b"eyJ", b"\\u0065yJ")),
    "header": answering(b"HTTP/1.1 200 OK\r\nX-Auth-Token: %b\r\n" % TOKEN.encode(), b""),
    "nested": answering(JSON, json.dumps({"data": {"user": {"access_token": TOKEN}}}).encode()),
    "twice in it": answering(
        JSON, json.dumps({"token": TOKEN, "id_token": token_of("x")}).encode()
    ),
    "with refresh": answering(
        JSON,
        json.dumps({"access": TOKEN, "refresh": token_of("r"), "refresh_token": "opaque"}).encode(),
    ),
    "text": answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n", TOKEN.encode()),
    "html": answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", b"<p>" + TOKEN.encode()),
    "binary": answering(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n", b"\x89\xff\x00" + BODY),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_login_reply_of_any_form_is_swapped_or_502(
    relay: Gateway, shop: Upstream, backend: Callable[[Answer], None], name: str
) -> None:
    """wire-rules.md#E2: whatever form the reply has, the token is swapped, or the answer is 502."""
    backend(REPLIES[name])
    answer = ask(relay.port, LOGIN % b"")
    assert b"eyJ" not in answer
    assert b"\\u0065" not in answer
    assert b"opaque" not in answer
    assert status(answer) in (200, 201, 302, 502), answer
    if status(answer) != 502:
        text = answer.replace(b"\x00", b"")
        at = text.index(b"lk_")
        key = text[at : at + 52]
        assert status(ask(relay.port, API % key)) == 200
        assert b"\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n" in shop.got
    if name in (
        "plain",
        "gzip",
        "br",
        "deflate",
        "chunked",
        "created",
        "redirect",
        "bom",
        "header",
    ):
        assert status(answer) < 400


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_answer("401 Unauthorized", {"detail": "no"}), 401),
        (json_answer("500 Oops", {"detail": "no"}), 500),
        (json_answer("200 OK", {"detail": "yes"}), 502),
        (json_answer("200 OK", {"token": "opaque"}), 502),
        (json_answer("200 OK", {"token": token_of("a", exp=1)}), 502),
        (json_answer("200 OK", {"token": "eyJhbGciOiJub25lIn0.x.y"}), 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502),
        (b"nonsense", 502),
    ],
)
def test_login_replies_without_a_good_token(
    relay: Gateway, backend: Callable[[Answer], None], answer: bytes, expected: int
) -> None:
    """A refusal comes back as it came; a success without a usable token is 502."""
    backend(always(answer))
    got = ask(relay.port, LOGIN % b"")
    assert status(got) == expected
    assert b"lk_" not in got
    if expected < 502:
        assert got.endswith(answer.partition(b"\r\n\r\n")[2])


def test_a_refused_login_is_scrubbed(relay: Gateway, backend: Callable[[Answer], None]) -> None:
    """wire-rules.md#C4: even an error of the backend's hands no token out."""
    backend(always(json_answer("409 Conflict", {"detail": "already", "token": TOKEN})))
    answer = ask(relay.port, LOGIN % b"")
    assert status(answer) == 409
    assert b"eyJ" not in answer


def test_the_login_request_goes_as_it_came(
    relay: Gateway, login_upstream: Upstream, backend: object
) -> None:
    """Method, query, fields and body reach the backend; what the gateway guards does not."""
    lines = b"X-Tenant: t1\r\nAuthorization: Basic eA==\r\nCookie: a=b\r\n"
    request = LOGIN % (lines + b"X-Latchkey-Session: forged\r\n")
    request = request.replace(b"/login", "/login?next=%2fa&b&q=50%&é".encode(), 1)
    assert status(ask(relay.port, request)) == 200
    got = login_upstream.got
    assert got.startswith(b"POST /backend/login?next=%2fa&b&q=50%&%C3%A9 HTTP/1.1\r\n")
    for line in (b"X-Tenant: t1", b"Authorization: Basic eA==", b"Cookie: a=b", b"Host: a.example"):
        assert b"\r\n" + line + b"\r\n" in got, line
    assert b"X-Forwarded-For: 127.0.0.1" in got
    assert got.endswith(b'{"username": "alice"}')
    assert b"atchkey-Session" not in got
    assert b"forged" not in got


def test_login_bodies_are_capped(relay: Gateway, login_upstream: Upstream, backend: object) -> None:
    """Declared and chunked bodies over the limit are 413, and the backend is not asked."""
    head = b"POST /login HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
    size = 2**20 + 1
    answer = ask(relay.port, head + b"Content-Length: %d\r\n\r\n" % size)
    assert status(answer) == 413
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    answer = ask(relay.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
    assert status(answer) == 413
    assert login_upstream.got == b""


def test_login_replies_are_capped(relay: Gateway, backend: Callable[[Answer], None]) -> None:
    """A reply over the limit, also one that unpacks to it, is 502."""
    huge = json.dumps({"token": TOKEN, "x": "y" * 2**21}).encode()
    backend(answering(JSON, huge))
    assert status(ask(relay.port, LOGIN % b"")) == 502
    backend(answering(JSON + b"Content-Encoding: gzip\r\n", gzip.compress(huge)))
    assert status(ask(relay.port, LOGIN % b"")) == 502

"""wire-rules.md#B15, #E8: who else may read an answer: real caches between two users and the
gateway.
"""

import re
from collections.abc import Iterator
from email.utils import formatdate
from itertools import count

import pytest

from tests.conftest import LOGIN, Start, json_answer, log_in, token_of
from tests.support.caches import nginx, squid
from tests.support.gateway import Gateway
from tests.support.raw import Answer, Upstream, Visit, always, ask, status

# A page of its own for each test: what a cache has kept for one is no other's.
NUMBERS = count()

CARRIERS = {"a cookie": b"Cookie: a=b; latchkey=%b\r\n", "keys.field": b"X-Api-Key: %b\r\n"}


@pytest.fixture(scope="module")
def behind(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway that takes keys in a field as well."""
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        keys={"field": "X-Api-Key"},
        routes=[
            {"path": "/api/*", "upstream": "shop"},
            {"path": "/renew/*", "upstream": "shop", "captures": "/token"},
            {"path": "/maybe/*", "upstream": "shop", "auth": "optional"},
            {"path": "/kept/*", "upstream": "shop", "no_store": False},
            {"path": "/public/*", "upstream": "shop", "auth": "public"},
        ],
    )


@pytest.fixture(scope="module", params=["squid", "nginx"])
def cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, behind: Gateway
) -> Iterator[int]:
    """The port of a shared cache in front of the gateway."""
    start = {"squid": squid, "nginx": nginx}[request.param]
    with start(tmp_path_factory.mktemp(request.param), behind.port) as port:
        yield port


@pytest.fixture(scope="module")
def keys(behind: Gateway) -> tuple[bytes, bytes]:
    """Alice's and Bob's."""
    return log_in(behind.port, "alice").encode(), log_in(behind.port, "bob").encode()


def names_its_caller(*lines: bytes, status: bytes = b"200 OK") -> Answer:
    """An upstream that answers each request with whose it is, and with these field lines.

    Squid keeps nothing without a Date.
    """
    date = b"Date: " + formatdate(usegmt=True).encode()
    fields = b"".join(line + b"\r\n" for line in (date, *lines))

    def answer(visit: Visit) -> None:
        for request in visit.requests():
            user = re.search(rb"\r\nX-User-Id: (\w+)\r\n", request)
            body = user[1] if user else b"no one"
            visit.send(
                b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)
            )

    return answer


def get(port: int, path: str, line: bytes = b"") -> bytes:
    """The body of the answer."""
    request = b"GET %b HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n%b\r\n"
    return ask(port, request % (path.encode(), line)).partition(b"\r\n\r\n")[2]


KEEP = b"Cache-Control: max-age=60"


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(
    "lines",
    [
        (KEEP,),
        (),
        (b"Expires: Fri, 01 Jan 2038 00:00:00 GMT",),
        (KEEP, b"Vary: Accept-Encoding"),
        (b'Cache-Control: max-age=60, private="Set-Cookie"',),
        (KEEP, b"X-Accel-Expires: 60", b"Surrogate-Control: max-age=60"),
        (b"Cache-Control: public, max-age=60",),
        (b"Cache-Control: s-maxage=60", b"Vary: Accept"),
    ],
)
def test_one_users_answer_is_no_others(
    cache: int,
    shop: Upstream,
    keys: tuple[bytes, bytes],
    carrier: str,
    lines: tuple[bytes, ...],
) -> None:
    """Whatever the upstream lets be kept for a while: each caller gets his own answer, and who has
    no key gets none.
    """
    line, page = CARRIERS[carrier], next(NUMBERS)
    shop.clear(names_its_caller(*lines))
    for path in (f"/api/{page}", f"/maybe/{page}"):
        for key, user in zip((*keys, *keys), (b"alice", b"bob") * 2, strict=True):
            assert get(cache, path, line % key) == user
        stranger = get(cache, path)
        assert stranger == b"no one" if path.startswith("/maybe") else b"no_key" in stranger


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_answer_to_no_one_is_no_users(
    cache: int, shop: Upstream, keys: tuple[bytes, bytes], carrier: str
) -> None:
    """On a route with `auth: optional` a cache may keep what a stranger is shown, for strangers."""
    path = f"/maybe/{next(NUMBERS)}"
    shop.clear(names_its_caller(KEEP))
    assert [get(cache, path), get(cache, path)] == [b"no one"] * 2
    assert len(re.findall(rb"GET ", shop.got)) == 1
    assert get(cache, path, CARRIERS[carrier] % keys[0]) == b"alice"


def test_what_all_may_read_is_kept(cache: int, shop: Upstream, keys: tuple[bytes, bytes]) -> None:
    """On a public route the key makes no difference, and no field says that it does."""
    path = f"/public/{next(NUMBERS)}"
    shop.clear(names_its_caller(KEEP))
    for key in keys:
        assert get(cache, path, CARRIERS["a cookie"] % key) == b"no one"
    assert len(re.findall(rb"GET ", shop.got)) == 1


def test_squid_keeps_what_came_with_authorization_to_itself(
    tmp_path_factory: pytest.TempPathFactory,
    behind: Gateway,
    shop: Upstream,
    keys: tuple[bytes, bytes],
) -> None:
    """RFC 9111 §3.5: the cache sees to it, and the answer passes as the upstream wrote it."""
    shop.clear(names_its_caller(KEEP))
    line, path = b"Authorization: Bearer %b\r\n", f"/api/{next(NUMBERS)}"
    with squid(tmp_path_factory.mktemp("authorized"), behind.port) as port:
        for key, user in zip(keys, (b"alice", b"bob"), strict=True):
            assert get(port, path, line % key) == user
    request = b"GET /api/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + line % keys[0] + b"\r\n"
    answer = ask(behind.port, request)
    assert b"\r\nCache-Control: max-age=60\r\n" in answer
    assert b"private" not in answer
    assert b"\r\nVary: " not in answer


# The answers of other kinds, by what the gateway itself says.


def head(relay: Gateway, line: str, *lines: bytes) -> bytes:
    """The head of the answer."""
    request = (line.encode() + b" HTTP/1.1", b"Host: a", b"Connection: close", *lines, b"", b"")
    return ask(relay.port, b"\r\n".join(request)).partition(b"\r\n\r\n")[0] + b"\r\n"


@pytest.mark.parametrize(
    "kind",
    [
        b"206 Partial Content",
        b"301 Moved Permanently",
        b"404 Not Found",
        b"410 Gone",
        b"500 Internal Server Error",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_of_any_status(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes], kind: bytes, method: str
) -> None:
    """All of them may be kept by caches (RFC 9110 §15.1), so all of them are told."""
    shop.clear(names_its_caller(KEEP, status=kind))
    answer = head(behind, f"{method} /api/x", b"Cookie: latchkey=" + keys[0])
    assert b" %b\r\n" % kind in answer
    assert b"\r\nCache-Control: private, max-age=60\r\nVary: Cookie\r\n" in answer


def test_an_answer_that_brings_a_kept_one_up_to_date(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes]
) -> None:
    """A 304 replaces what the kept answer said (RFC 9111 §3.2)."""
    shop.clear(always(b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n"))
    answer = head(behind, "GET /api/x", b'If-None-Match: "1"', b"Cookie: latchkey=" + keys[0])
    assert status(answer) == 304
    assert b"\r\nCache-Control: private, max-age=60\r\nVary: Cookie\r\n" in answer


def test_answers_on_a_route_that_captures(behind: Gateway, shop: Upstream) -> None:
    """With a new token in it, no cache keeps it; without one it is private."""
    key = log_in(behind.port, "carol").encode()
    for line, name in (
        (b"Cookie: latchkey=" + key, b"Cookie"),
        (b"X-Api-Key: " + key, b"X-Api-Key"),
    ):
        shop.clear(always(json_answer("200 OK", {"a": 1}, KEEP.decode(), "X-Accel-Expires: 60")))
        answer = head(behind, "GET /renew/x", line)
        assert b"\r\nCache-Control: private, max-age=60\r\nX-Accel-Expires: 0\r\n" in answer
        assert b"\r\nVary: %b\r\n" % name in answer
        token = token_of("carol", at=name.decode())
        shop.clear(
            always(json_answer("200 OK", {"token": token}, KEEP.decode(), "X-Accel-Expires: 9"))
        )
        answer = head(behind, "GET /renew/x", line)
        assert b"\r\nCache-Control: no-store\r\n" in answer
        assert b"\r\nX-Accel-Expires: 9\r\n" not in answer


def test_a_line_with_the_token_in_it(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes]
) -> None:
    """wire-rules.md#C4 holds for these lines too, and takes nothing of the rest away."""
    shop.clear()
    line = b"Cookie: latchkey=" + keys[0]
    head(behind, "GET /api/x", line)
    [token] = re.findall(rb"\r\nAuthorization: Bearer (\S+)", shop.got)
    shop.clear(names_its_caller(KEEP, b"Cache-Control: x=" + token))
    answer = head(behind, "GET /api/x", line)
    assert token not in answer
    assert b"\r\nCache-Control: private, max-age=60\r\nVary: Cookie\r\n" in answer


def test_a_key_that_came_twice(behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes]) -> None:
    """In Authorization too, caches know by themselves whose the answer is."""
    shop.clear(names_its_caller(KEEP))
    both = (b"X-Api-Key: " + keys[0], b"Authorization: Bearer " + keys[0])
    for lines in (both, both[::-1], (b"Cookie: latchkey=" + keys[0], both[1])):
        answer = head(behind, "GET /api/x", *lines)
        assert status(answer) == 200
        assert b"private" not in answer
    answer = head(behind, "GET /api/x", b"Authorization: Basic eA==", both[0])
    assert b"\r\nVary: X-Api-Key\r\n" in answer


# Pages, which a browser's own cache would show after a logout.

HTML = b"Content-Type: text/html; charset=utf-8"


def head_of(port: int, path: str, *lines: bytes) -> bytes:
    request = b"GET %b HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n" % path.encode()
    answer = ask(port, request + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n"


@pytest.mark.parametrize("path", ["/api/x", "/maybe/x"])
@pytest.mark.parametrize(
    "kind", [HTML, b"content-TYPE:text/HTML", b"Content-Type: application/xhtml+xml"]
)
def test_a_sessions_page_is_not_stored(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes], path: str, kind: bytes
) -> None:
    """Where the upstream says nothing of it; a key in Authorization is no browser's."""
    shop.clear(names_its_caller(kind, b"ETag: a"))
    cookie = b"Cookie: latchkey=%b" % keys[0]
    head = head_of(behind.port, path, cookie)
    assert b"\r\nCache-Control: no-store\r\nVary: Cookie" in head
    assert head.count(b"Cache-Control") == 1
    assert b"no-store" not in head_of(behind.port, path, b"Authorization: Bearer %b" % keys[0])
    assert b"no-store" not in head_of(behind.port, "/kept/x", cookie)
    assert b"no-store" not in head_of(behind.port, "/maybe/x")


@pytest.mark.parametrize(
    "line", [KEEP, b"Expires: 0", b"expires:Thu, 01 Jan 1970 00:00:00 GMT", b"Pragma: no-cache"]
)
def test_the_upstreams_word_counts(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes], line: bytes
) -> None:
    """It knows its pages, and sets what it wants."""
    shop.clear(names_its_caller(HTML, line))
    head = head_of(behind.port, "/api/x", b"Cookie: latchkey=%b" % keys[0])
    assert b"no-store" not in head
    assert b"\r\nCache-Control: private" in head
    assert b"\r\n%b\r\n" % line in head or line == KEEP


@pytest.mark.parametrize(
    "kind",
    [
        b"Content-Type: application/json",
        b"Content-Type: text/html-like",
        b"Content-Disposition: text/html",
        b"X-Content-Type: text/html",
        b"Content-Type: application/pdf; name=text/html",
    ],
)
def test_what_is_no_page_is_private_as_before(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes], kind: bytes
) -> None:
    """Scripts can go on revalidating it."""
    shop.clear(names_its_caller(kind))
    head = head_of(behind.port, "/api/x", b"Cookie: latchkey=%b" % keys[0])
    assert b"\r\nCache-Control: private\r\nVary: Cookie\r\n" in head


def test_a_cdns_rule_is_no_word_to_browsers(
    behind: Gateway, shop: Upstream, keys: tuple[bytes, bytes]
) -> None:
    """Both are told."""
    shop.clear(names_its_caller(HTML, b"CDN-Cache-Control: max-age=60"))
    head = head_of(behind.port, "/api/x", b"Cookie: latchkey=%b" % keys[0])
    assert b"\r\nCache-Control: no-store\r\n" in head
    assert b"\r\nCdn-Cache-Control: private, max-age=60\r\n" in head

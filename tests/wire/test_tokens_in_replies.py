"""JWTs in ordinary replies of routes: told of once, or kept from the client."""

import gzip
import json
import threading
import time

import pytest

from tests.conftest import LOGIN, Start, accounts, json_answer, log_in, token_of
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Client, Upstream, Visit, always, ask, request, status
from tests.wire.vectors import cases

TOKEN = token_of("mallory")
WITH_TOKEN = {"user": {"id": 1}, "token": TOKEN}
METRIC = 'latchkey_tokens_passed_total{route="%s"}'


@pytest.fixture(scope="module")
def site(start: Start, upstream: Upstream, login_upstream: Upstream) -> Gateway:
    """A gateway with routes that warn, and with one that refuses."""
    login_upstream.clear(accounts)
    warning = ["fields", "packed", "post", "get", "many", "seldom", "other"]
    return start(
        upstreams={"shop": upstream.url, "accounts": login_upstream.url},
        login=LOGIN,
        guessing="off",
        verify={},
        routes=[
            *({"path": f"/{name}/*", "upstream": "shop"} for name in warning),
            {"path": "/safe/*", "upstream": "shop", "tokens": "refuse"},
            {"path": "/safe/watch/*", "upstream": "shop", "tokens": "refuse", "stream": True},
            {"path": "/captured/*", "upstream": "shop", "captures": "/token"},
            {
                "path": "/sign-up",
                "upstream": "accounts",
                "strip_prefix": "/sign-up",
                "auth": "optional",
                "captures": "/token",
                "tokens": "swap",
            },
        ],
    )


@pytest.fixture(scope="module")
def key(site: Gateway) -> str:
    return log_in(site.port)


def send(site: Gateway, key: str, line: str, *fields: str) -> bytes:
    return ask(site.port, request(line, f"Authorization: Bearer {key}", *fields))


def told(site: Gateway, route: str) -> int:
    """How often the log tells of a route."""
    text = f"route {route}: the reply to "
    return sum(text in line for line in site.log.read_text().splitlines())


def chunked(data: object, size: int) -> bytes:
    """A reply in chunks of this size."""
    body = json.dumps(data).encode()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


# Routes that warn.


def until_told(site: Gateway, route: str) -> None:
    until = time.monotonic() + HANG
    while not told(site, route):
        assert time.monotonic() < until
        time.sleep(0.02)


def packed(data: object) -> bytes:
    body = gzip.compress(json.dumps(data).encode())
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


@cases(
    "line",
    {
        "a POST": ("POST /post/register", json_answer("201 Created", WITH_TOKEN)),
        "a GET": ("GET /get/me", json_answer("200 OK", WITH_TOKEN)),
        "chunks": ("POST /many/x", chunked(WITH_TOKEN, 7)),
        "gzip": ("POST /packed/x", packed(WITH_TOKEN)),
        "a cookie": (
            "POST /fields/x",
            json_answer("200 OK", {}, f"Set-Cookie: their_jwt={TOKEN}"),
        ),
    },
    "answer",
)
def test_the_first_token_is_told_of(
    site: Gateway, shop: Upstream, key: str, line: str, answer: bytes
) -> None:
    """The client gets it as before; the log has one line, without the token, and the metric."""
    shop.clear(always(answer))
    route = f"/{line.split('/')[1]}/*"
    for _ in range(3):
        got = send(site, key, line)
        assert status(got) == status(answer)
        assert b"gzip" in answer or b"chunked" in answer or TOKEN.encode() in got
    until_told(site, route)
    assert told(site, route) == 1
    assert f"{line} gave a JWT" in site.log.read_text()
    assert TOKEN not in site.log.read_text()
    assert site.metrics()[METRIC % route] == 1


def test_a_reply_without_a_token_is_not(site: Gateway, shop: Upstream, key: str) -> None:
    """Neither is what looks a bit like one, nor what is no JSON."""
    replies: tuple[object, ...] = (
        {"a": "eyJ"},
        {"cursor": "eyJpZCI6MX0"},
        {"host": "www.shop.example"},
        [],
    )
    for data in replies:
        shop.clear(always(json_answer("200 OK", data)))
        assert status(send(site, key, "POST /other/x")) == 200
    body = f"<p>{TOKEN}</p>".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    shop.clear(always(head + body))
    assert TOKEN.encode() in send(site, key, "POST /other/x")
    assert told(site, "/other/*") == 0


def test_many_replies_before_it_do_not_hide_a_post(site: Gateway, shop: Upstream, key: str) -> None:
    """GETs have a number of looks of their own."""
    line = f"Authorization: Bearer {key}"
    get = f"GET /seldom/x HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode()
    shop.clear(always(json_answer("200 OK", {"a": 1})))
    with Client(site.port) as client:
        for _ in range(50):
            client.send(get)
            assert client.answer()[0] == 200
    shop.clear(always(json_answer("200 OK", WITH_TOKEN)))
    send(site, key, "GET /seldom/x")
    send(site, key, "POST /seldom/register?password=secret")
    until_told(site, "/seldom/*")
    assert "POST /seldom/register gave a JWT" in site.log.read_text()
    assert "password=secret" not in site.log.read_text()


# A route that refuses.


@cases(
    "answer",
    {
        "in the body": json_answer("200 OK", WITH_TOKEN),
        "as all of it": json_answer("200 OK", TOKEN),
        "in a refusal": json_answer("400 Bad Request", WITH_TOKEN),
        "in small chunks": chunked(WITH_TOKEN, 3),
        "in a field": json_answer("200 OK", {}, f"X-Token: {TOKEN}"),
        "in a cookie": json_answer("200 OK", {}, f"Set-Cookie: jwt={TOKEN}"),
        "of another kind of JSON": json_answer("200 OK", WITH_TOKEN).replace(
            b"application/json", b"application/problem+json; charset=utf-8"
        ),
        "until the connection closes": json_answer("200 OK", WITH_TOKEN).replace(
            b"Content-Length", b"X-Length"
        ),
        "at the end": json_answer("200 OK", ["x" * 60_000, TOKEN]),
        "packed": json_answer("200 OK", {}, "Content-Encoding: gzip"),
    },
)
def test_a_token_is_refused(site: Gateway, shop: Upstream, key: str, answer: bytes) -> None:
    """502, with a reason, and nothing of the token."""

    def once(visit: Visit) -> None:
        visit.request()
        visit.send(answer)
        visit.finish()

    shop.clear(once)
    got = send(site, key, "POST /safe/x")
    assert status(got) == 502
    assert json.loads(got.partition(b"\r\n\r\n")[2])["reason"] == "token_in_reply"
    for part in (b"eyJ", *TOKEN.encode().split(b".")):
        assert part not in got


@cases(
    "answer",
    {
        "JSON": json_answer("200 OK", {"a": "eyJpZCI6MX0", "b": "www.shop.example"}),
        "chunks": chunked({"a": "b" * 1000}, 11),
        "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
        "an empty body": json_answer("200 OK", {}).replace(
            b"Content-Length: 2\r\n", b"Content-Length: 0\r\n"
        )[:-2],
        "a page": OK,
    },
)
def test_other_replies_pass(site: Gateway, shop: Upstream, key: str, answer: bytes) -> None:
    """As they came, and the connection goes on."""
    shop.clear(always(answer))
    line = f"Authorization: Bearer {key}"
    with Client(site.port) as client:
        for _ in range(2):
            client.send(f"GET /safe/x HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode())
            head = client.head()
            assert status(head) == status(answer)
            body = answer.partition(b"\r\n\r\n")[2]
            if b"chunked" in answer:
                assert json.loads(client.chunks()) == {"a": "b" * 1000}
            else:
                assert client.exactly(len(body)) == body


@pytest.mark.parametrize("at", [300_000, 600_000])
def test_a_token_far_behind_cuts_the_reply(
    site: Gateway, shop: Upstream, key: str, at: int
) -> None:
    """The client has the head by then; of the token it gets nothing."""
    shop.clear(always(json_answer("200 OK", ["x y" * (at // 3), TOKEN, "z" * 1000])))
    got = send(site, key, "GET /safe/x")
    head, _, body = got.partition(b"\r\n\r\n")
    assert status(head) == 200
    assert len(body) <= at + 10
    assert b"eyJ" not in got


def test_a_long_reply_passes(site: Gateway, shop: Upstream, key: str) -> None:
    """Without a token, all of it, whatever it is cut into."""
    data = ["word " * 30_000, "A-b_c." * 20_000]
    shop.clear(always(chunked(data, 5000)))
    with Client(site.port) as client:
        line = f"Authorization: Bearer {key}"
        client.send(f"GET /safe/x HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode())
        assert status(client.head()) == 200
        assert json.loads(client.chunks()) == data


def test_no_part_of_a_reply_is_asked_for(site: Gateway, shop: Upstream, key: str) -> None:
    """Nor a packed one: no token could be found in it."""
    shop.clear()
    fields = ("Accept-Encoding: gzip", "Range: bytes=0-9", "If-Range: x", "Accept: a/b")
    send(site, key, "GET /safe/x", *fields)
    for name in (b"Accept-Encoding", b"Range", b"If-Range"):
        assert name not in shop.got
    assert b"\r\nAccept: a/b\r\n" in shop.got
    shop.clear()
    send(site, key, "GET /other/x", *fields)
    assert b"\r\nAccept-Encoding: gzip\r\nRange: bytes=0-9\r\n" in shop.got


def test_a_proxy_that_asks_is_refused(site: Gateway, key: str) -> None:
    """It would pass the reply on as it comes."""
    for path, expected in (("/safe/x", 404), ("/other/x", 200)):
        described = (f"X-Forwarded-Uri: {path}", "X-Forwarded-Method: GET")
        line = "GET /.well-known/latchkey/verify"
        assert status(send(site, key, line, *described)) == expected


@cases(
    "kind",
    {
        "events": b"text/event-stream",
        "lines": b"application/stream+json",
        "calls": b"application/connect+json",
        "a route of streams": b"application/json",
    },
)
def test_an_event_stream_is_never_held_back(
    site: Gateway, shop: Upstream, key: str, kind: bytes
) -> None:
    """An event comes as soon as it is there. A token behind it in JSON cuts the stream."""
    event = b'{"a": 1}\n\n'
    received = threading.Event()

    def stream(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n%b" % (kind, event))
        assert received.wait(HANG)
        visit.send(json.dumps(WITH_TOKEN).encode() + b"\n\n")
        visit.finish()

    shop.clear(stream)
    with Client(site.port) as client:
        path = "/safe/watch/x" if kind == b"application/json" else "/safe/x"
        client.send(request(f"GET {path}", f"Authorization: Bearer {key}"))
        client.head()
        assert client.until(b"\n\n").endswith(event)
        received.set()
        assert (TOKEN.encode() in client.rest()) is (b"json" not in kind)


def test_a_token_is_swapped_for_a_key(site: Gateway, login_upstream: Upstream, key: str) -> None:
    """A reply to a visitor without a session begins one."""
    login_upstream.clear(always(json_answer("201 Created", {"token": token_of("newcomer")})))
    answer = ask(site.port, request("POST /sign-up", body='{"name": "newcomer"}'))
    got = json.loads(answer.partition(b"\r\n\r\n")[2])["token"]
    assert (status(answer), got[:3]) == (201, "lk_")
    assert status(send(site, got, "GET /other/x")) == 200
    login_upstream.clear(accounts)

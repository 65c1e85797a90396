"""wire-rules.md#D5 to #D7: clients that leave, and upstreams that do not answer."""

import time

import pytest

from tests.conftest import Start
from tests.support.gateway import Gateway
from tests.support.raw import OK, Client, Upstream, Visit, ask, status
from tests.wire.vectors import cases

GET = b"GET /public/ HTTP/1.1\r\nHost: a.example\r\n\r\n"
POST = b"POST /public/ HTTP/1.1\r\nHost: a.example\r\n%b\r\n"


def test_a_client_that_goes_away_cancels_the_upstream_request(
    relay: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#D5: the upstream request is cancelled at once, in whatever phase."""

    def silent(visit: Visit) -> None:
        visit.head()

    shop.clear(silent)
    with Client(relay.port) as client:
        client.send(GET.replace(b"/public/", b"/public/gone"))
        shop.wait(lambda: bool(shop.got))
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/public/gone", status=499)


def test_a_client_that_goes_away_in_the_answer_cancels_it(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D5: what it does not want any more, the upstream need not send."""

    def endless(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            visit.send(bytes(1000))
            time.sleep(0.01)

    shop.clear(endless)
    with Client(relay.port) as client:
        client.send(GET.replace(b"/public/", b"/public/left"))
        client.head()
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/public/left", status=200, reason="client_gone")  # its status left


_WITH_BODY = b"Content-Length: 5\r\n\r\nhello"

# Requests that come over a kept connection, and what becomes of them if the server closes it then.
STALE = (
    (b"GET /%b/ HTTP/1.1\r\n", b"\r\n", 200),
    (b"DELETE /%b/ HTTP/1.1\r\n", b"\r\n", 200),
    (b"PUT /%b/ HTTP/1.1\r\n", _WITH_BODY, 502),
    (b"POST /%b/ HTTP/1.1\r\n", _WITH_BODY, 502),
    (b"POST /%b/ HTTP/1.1\r\n", b"Content-Length: 0\r\n\r\n", 502),
)


@pytest.fixture(scope="module")
def kept(start: Start, upstream: Upstream) -> Gateway:
    """A gateway with an upstream for each of `STALE`: of none it knows yet what it does."""
    names = [f"kept{number}" for number in range(len(STALE))]
    return start(
        upstreams=dict.fromkeys(names, upstream.url),
        routes=[{"path": f"/{name}/*", "upstream": name, "auth": "public"} for name in names],
    )


def _closes_on_the_second(visit: Visit) -> None:
    first = visit.request()
    visit.send(OK)
    visit.head(len(first))
    visit.reset()


@pytest.mark.parametrize("number", range(len(STALE)))
def test_a_stale_pooled_connection_is_replaced_once(
    kept: Gateway, shop: Upstream, number: int
) -> None:
    """wire-rules.md#D6: what can be repeated goes once more on a new connection; a body never goes
    twice. What cannot be repeated is not sent over kept connections of that server any more.
    """
    line, rest, expected = STALE[number]
    request = line % b"kept%d" % number + b"Host: a.example\r\n" + rest
    get = b"GET /kept%d/ HTTP/1.1\r\nHost: a.example\r\n\r\n" % number
    shop.clear(_closes_on_the_second)
    with Client(kept.port) as client:
        client.send(get)
        assert client.answer()[0] == 200
        client.send(request)
        assert client.answer()[0] == expected
    assert shop.got.count(b"hello") == rest.count(b"hello")
    for _ in range(4):
        with Client(kept.port) as client:
            client.send(request)
            assert client.answer()[0] == 200
    said = f"upstream kept{number}: {shop.url}: closed a kept connection under a request"
    assert kept.log.read_text().count(said) == (expected == 502)


@cases(
    "head",
    {
        "HTTP/1.1 and close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n",
        "close among others": b"HTTP/1.1 200 OK\r\nConnection: X-A, Close\r\n",
        "HTTP/1.0": b"HTTP/1.0 200 OK\r\n",
    },
)
@cases(
    "framing", {"length": b"Content-Length: 2\r\n\r\nok", "nothing": b"Content-Length: 0\r\n\r\n"}
)
def test_a_connection_whose_end_was_announced_is_not_used(
    relay: Gateway, shop: Upstream, head: bytes, framing: bytes
) -> None:
    """wire-rules.md#D6 [9112 §9.3, §9.6]: nothing more is sent over a connection whose end was
    announced, or a POST would be lost in it.
    """

    def closes(visit: Visit) -> None:
        visit.request()
        visit.send(head + framing)
        time.sleep(0.1)

    shop.clear(closes)
    with Client(relay.port) as client:
        for _ in range(3):
            client.send(POST % b"Content-Length: 5\r\n" + b"hello")
            assert client.answer()[0] == 200
    assert [visit.got.count(b"POST ") for visit in shop.visits] == [1, 1, 1]


def test_a_fresh_connection_that_closes_is_no_reason_to_repeat(
    relay: Gateway, shop: Upstream
) -> None:
    """wire-rules.md#D6: a connection that was never good is no reason to try again."""

    def closes(visit: Visit) -> None:
        visit.head()
        visit.close()

    shop.clear(closes)
    with Client(relay.port) as client:
        client.send(GET)
        assert client.answer()[0] == 502
    assert len(shop.visits) == 1


def test_a_silent_upstream_is_504(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D7: 504 after the response timeout, also when the head comes byte by byte."""

    def silent(visit: Visit) -> None:
        visit.head()

    def trickles(visit: Visit) -> None:
        visit.head()
        for byte in OK:
            visit.send(bytes((byte,)))
            time.sleep(0.25)

    for answer in (silent, trickles):
        shop.clear(answer)
        with Client(relay.port) as client:
            client.send(GET)
            assert client.answer()[0] == 504


def test_an_answer_that_falls_silent_is_cut(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D7, #A15: the client's connection is cut after the body's idle timeout."""

    def falls_silent(visit: Visit) -> None:
        visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    shop.clear(falls_silent)
    answer = ask(relay.port, GET.replace(b"/public/", b"/public/silent"))
    assert answer.endswith(b"\r\n\r\n5\r\nhello\r\n")
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/public/silent", reason="upstream_timeout")


def test_an_upstream_that_refuses_connections_is_502(relay: Gateway, shop: Upstream) -> None:
    """An upstream that refuses connections is 502."""
    answer = ask(
        relay.port,
        GET.replace(b"/public/", b"/nowhere/").replace(
            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
        ),
    )
    assert status(answer) == 502
    assert b"upstream_unreachable" in answer

"""wire-rules.md#A10 to #A13: bodies and pipelines of requests, whole or cut."""

import time
from collections.abc import Callable

import pytest

from tests.support.gateway import Gateway
from tests.support.raw import Client, Upstream, Visit, ask, status
from tests.wire.vectors import HOST, SMUGGLED, cases


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS"])
def test_a_body_on_any_method_keeps_its_framing(
    relay: Gateway, shop: Upstream, method: bytes
) -> None:
    """wire-rules.md#A10 [9110 §9.3.1]: a body is relayed with its exact framing, whatever the
    method.
    """
    request = method + b" /public/ HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n"
    ask(relay.port, request + b"Connection: close\r\n\r\nhello")
    assert b"\r\nContent-Length: 5\r\n" in shop.got
    assert shop.got.endswith(b"\r\n\r\nhello")
    shop.clear()
    request = method + b" /public/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
    ask(relay.port, request + b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in shop.got
    assert shop.got.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


def named(visit: Visit) -> None:
    """Answers with the path of each request, so that mixed-up answers show."""
    for request in visit.requests():
        path = request.split(b" ")[1]
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


FRAMINGS = (
    b"GET /public/%d HTTP/1.1\r\nHost: a.example\r\n\r\n",
    b"POST /public/%d HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc",
    b"PUT /public/%d HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nGET\r\n2\r\n /\r\n0\r\n\r\n",
)
PIPELINE = b"".join(FRAMINGS[n % 3] % n for n in range(12))


@pytest.mark.parametrize("size", [1, 2, 7, 100, len(PIPELINE)])
def test_pipelined_requests_are_answered_in_order(
    relay: Gateway, shop: Upstream, size: int
) -> None:
    """wire-rules.md#A11 [9112 §9.3.2]: answered in order, each once, also when split at each byte."""
    shop.clear(named)
    with Client(relay.port) as client:
        for at in range(0, len(PIPELINE), size):
            client.send(PIPELINE[at : at + size])
        for n in range(12):
            code, _, body = client.answer()
            assert (code, body) == (200, b"/public/%d" % n)
    assert shop.got.count(b"HTTP/1.1\r\n") == 12


def test_refusals_keep_their_place_in_a_pipeline(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#A11: what the gateway answers by itself keeps its place among the upstream's
    answers.
    """

    def slow(visit: Visit) -> None:
        time.sleep(0.1)
        named(visit)

    shop.clear(slow)
    paths = [b"/public/1", b"/api/1", b"/public/2", b"/get/1", b"/sessions", b"/public/3"]
    with Client(relay.port) as client:
        client.send(b"".join(b"DELETE %b HTTP/1.1\r\n%b\r\n" % (path, HOST) for path in paths))
        assert [client.answer()[0] for _ in paths] == [200, 401, 200, 405, 405, 200]


@cases(
    "framing",
    {
        "length": b"Content-Length: 100\r\n\r\nhello",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "in a chunk": b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello",
        "in a size": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
        "before the last line": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "in a trailer": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
    },
)
def test_an_early_close_in_a_body_cuts_the_upstream_request(
    relay: Gateway, shop: Upstream, framing: bytes
) -> None:
    """wire-rules.md#A12: the upstream request is cut, not ended as if whole; its connection is not
    reused.
    """
    with Client(relay.port) as client:
        client.send(b"POST /public/ HTTP/1.1\r\n" + HOST + framing)
        shop.wait(lambda: b"hello" in shop.got)
    shop.wait(lambda: shop.visits[0].ended)
    assert b"\r\n0\r\n" not in shop.got
    request = b"GET /public/next HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert status(ask(relay.port, request)) == 200
    assert b"next" not in shop.visits[0].got


@pytest.mark.parametrize("code", [413, 401, 200, 500])
def test_an_answer_before_the_body_is_relayed(relay: Gateway, shop: Upstream, code: int) -> None:
    """wire-rules.md#A13 [9112 §9.3]: relayed, then the client is let go; the upstream connection is
    not reused.
    """

    def early(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 %d Early\r\nContent-Length: 4\r\n\r\nstop" % code)

    shop.clear(early)
    with Client(relay.port) as client:
        client.send(b"POST /public/ HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nhello")
        got, head, body = client.answer()
        assert (got, body) == (code, b"stop")
        assert b"\r\nConnection: close\r\n" in head
        client.send(b"x" * 5000 + SMUGGLED)
        assert client.rest() == b""
    shop.wait(lambda: shop.visits[0].ended)
    assert b"smuggled" not in shop.got


@pytest.mark.parametrize("ending", [Visit.close, Visit.reset])
def test_an_early_answer_reaches_a_client_that_goes_on_sending(
    relay: Gateway, shop: Upstream, ending: Callable[[Visit], None]
) -> None:
    """wire-rules.md#A13 [9112 §9.6]: an upstream that answers and closes at once in a large upload
    is heard all the same, also if a write fails before its answer has been read. So is the gateway
    by the client that is still sending.
    """

    def refuses(visit: Visit) -> None:
        visit.head()
        visit.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nstop")
        ending(visit)

    shop.clear(refuses)
    for _ in range(8):
        with Client(relay.port) as client:
            client.send(b"POST /public/ HTTP/1.1\r\n" + HOST + b"Content-Length: 8000000\r\n\r\n")
            client.send(bytes(8_000_000))
            code, _, body = client.answer()
            assert (code, body) == (413, b"stop")


def test_a_refusal_reaches_a_client_that_goes_on_sending(relay: Gateway) -> None:
    """wire-rules.md#A20 [9112 §9.6]: browsers send the whole of an upload before they read."""
    with Client(relay.port) as client:
        client.send(b"POST /api/ HTTP/1.1\r\n" + HOST + b"Content-Length: 8000000\r\n\r\n")
        client.send(bytes(8_000_000))
        assert client.answer()[0] == 401
        assert client.rest() == b""

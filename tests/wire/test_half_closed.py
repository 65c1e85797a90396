"""Peers that send no more, and still read: a client is gone then, and a server has nothing to add."""

import socket
import threading

import pytest

from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import OK, Client, Upstream, Visit, ask, request, status

HEAD = b"HTTP/1.1\r\nHost: a.example\r\n"
GET = b"GET /public/ " + HEAD + b"\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /public/ HTT",
        b"POST /public/ " + HEAD + b"Content-Length: 10\r\n\r\n",
        b"POST /public/ " + HEAD + b"Content-Length: 10\r\n\r\nhello",
        b"POST /public/ " + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=["nothing", "half a head", "no body", "half a body", "half a chunk"],
)
def test_a_client_that_has_not_sent_all(relay: Gateway, shop: Upstream, sent: bytes) -> None:
    """wire-rules.md#A12, #D5: the connection ends, before its time is over (408). No server gets a
    whole request of it.
    """
    with Client(relay.port) as client:
        client.send(sent)
        client.sock.shutdown(socket.SHUT_WR)
        answer = client.rest()
    assert not answer or status(answer) == 400
    assert not any(visit.got.endswith((b"0\r\n\r\n", b"hello" * 2)) for visit in shop.visits)
    shop.wait(lambda: all(visit.ended for visit in shop.visits if b"POST" in visit.got))


def test_a_client_that_waits_for_its_answer(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D5: it cannot be told from one that has gone, so its request is cancelled."""
    asked = threading.Event()

    def waits(visit: Visit) -> None:
        visit.request()
        asked.set()
        visit.read()  # until the gateway has closed

    shop.clear(waits)
    with Client(relay.port) as client:
        client.send(GET)
        assert asked.wait(HANG)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
        shop.wait(lambda: shop.visits[0].ended)


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (b"", b"HTTP/1.1 502 "),
        (b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 502 "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"HTTP/1.1 200 "),
    ],
    ids=["nothing", "half a head", "half a body", "no last chunk"],
)
def test_a_server_that_has_not_sent_all(
    relay: Gateway, shop: Upstream, sent: bytes, got: bytes
) -> None:
    """wire-rules.md#A15: 502, or a cut behind the head, before its time is over (504)."""
    may_end = threading.Event()

    def finishes(visit: Visit) -> None:
        visit.request()
        visit.send(sent)
        visit.finish()
        visit.read()
        may_end.wait(HANG)

    shop.clear(finishes)
    path = f"/public/finishes/{len(sent)}"
    answer = ask(relay.port, request(f"POST {path}", body="hello"))
    assert relay.records(path=path, reason="upstream_closed")
    may_end.set()
    assert answer.startswith(got)
    assert not answer.endswith(b"0\r\n\r\n")
    assert shop.got.count(b"POST ") == 1


def test_a_server_that_finishes_behind_its_answer(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D6: the answer passes, and the next request gets another connection."""

    def finishes(visit: Visit) -> None:
        visit.request()
        visit.send(OK)
        visit.finish()
        visit.read()

    shop.clear(finishes)
    with Client(relay.port) as client:
        for number in range(1, 4):
            client.send(GET)
            assert client.answer()[::2] == (200, b"ok")
            shop.wait(lambda: shop.visits[-1].ended)
            assert len(shop.visits) == number

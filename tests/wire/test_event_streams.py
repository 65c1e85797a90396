"""wire-rules.md#A14 to #A16 for event streams, whose events pass by a shorter way."""

import re
import threading
import time

from tests.conftest import log_in
from tests.support.gateway import Gateway
from tests.support.processes import HANG
from tests.support.raw import Client, Upstream, Visit, ask, status
from tests.wire.vectors import HOST, LOGOUT

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ASK = b"GET /public/%b HTTP/1.1\r\n" + HOST + b"\r\n"
_EVENT = b"data: 1\n\n"
_CHUNK = b"9\r\n%b\r\n" % _EVENT

# 16 MiB, more than the buffers on the way hold.
_LARGE_CHUNK = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
_LARGE_CHUNKS = 512


def test_events_pass_in_whatever_chunks_they_come(relay: Gateway, shop: Upstream) -> None:
    """Chunk extensions stay with the server, and the log has the size of the events. Both
    connections are kept for the next request.
    """
    parts = [
        *(_CHUNK, _CHUNK),
        *(_CHUNK[:7], _CHUNK[7:-1], _CHUNK[-1:]),
        _CHUNK + _CHUNK,
        b"9;secret=1\r\n%b\r\n" % _EVENT,
        _CHUNK,
        b"0B\r\ndata: 123\n\n\r\n",
        *(_CHUNK + b"0\r\n", b"X-T: 1\r\n\r\n"),
    ]

    def one_by_one(visit: Visit) -> None:
        requests = visit.requests()
        next(requests)
        visit.send(_HEAD)
        for part in parts:
            time.sleep(0.005)
            visit.send(part)
        next(requests)
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    shop.clear(one_by_one)
    with Client(relay.port) as client:
        client.send(_ASK % b"pieces")
        client.head()
        body = client.chunks()
        client.send(_ASK % b"next")
        assert client.answer()[::2] == (200, b"ok")
    assert body == _EVENT * 7 + b"data: 123\n\n" + _EVENT
    assert len(shop.visits) == 1
    assert relay.records(path="/public/pieces", bytes_out=len(body))


def test_a_bad_chunk_behind_events_is_a_cut(relay: Gateway, shop: Upstream) -> None:
    """Without a last chunk, and without a byte of it."""
    has_events = threading.Event()

    def breaks(visit: Visit) -> None:
        visit.request()
        visit.send(_HEAD + _CHUNK)
        has_events.wait(HANG)
        visit.send(b"9\r\ndata: evil\r\n")

    shop.clear(breaks)
    with Client(relay.port) as client:
        client.send(_ASK % b"broken")
        client.until(_CHUNK)
        has_events.set()
        assert client.rest() in (b"", b"9\r\ndata: evi\r\n")
    assert relay.records(path="/public/broken", reason="upstream_invalid")
    shop.wait(lambda: shop.visits[0].ended)


def test_a_logout_cuts_an_event_stream(relay: Gateway, shop: Upstream) -> None:
    """Nothing of it leaves after that, and the server's connection ends."""
    until = time.monotonic() + HANG

    def goes_on(visit: Visit) -> None:
        visit.request()
        visit.send(_HEAD)
        while time.monotonic() < until:
            visit.send(_CHUNK)
            time.sleep(0.01)

    shop.clear(goes_on)
    key = log_in(relay.port).encode()
    with Client(relay.port) as client:
        client.send(b"GET /api/events HTTP/1.1\r\n" + HOST)
        client.send(b"Authorization: Bearer %b\r\n\r\n" % key)
        client.until(_EVENT + b"\r\n")
        assert status(ask(relay.port, LOGOUT % key)) == 204
        rest = client.rest()
    assert re.fullmatch(b"([0-9a-f]+\r\n(%b)+\r\n)*" % _EVENT, rest)
    shop.wait(lambda: shop.visits[0].ended)
    assert relay.records(path="/api/events", reason="invalid_key")


def test_a_slow_reader_of_events_pauses_the_server(relay: Gateway, shop: Upstream) -> None:
    """wire-rules.md#D3: the server waits, and the client gets all in the end."""
    sent = threading.Semaphore(0)
    all_sent = threading.Event()

    def floods(visit: Visit) -> None:
        visit.request()
        visit.send(_HEAD)
        for _ in range(_LARGE_CHUNKS):
            visit.send(_LARGE_CHUNK)
            sent.release()
        all_sent.set()
        visit.send(b"0\r\n\r\n")

    shop.clear(floods)
    with Client(relay.port) as client:
        client.send(_ASK % b"flood")
        client.head()
        assert sent.acquire(timeout=HANG)
        assert not all_sent.wait(0.3)
        assert client.chunks() == b"x" * 0x8000 * _LARGE_CHUNKS

"""The record that a request leaves (`gateway.relay.exchange.record`)."""

from types import SimpleNamespace
from typing import Any

from gateway.core.http.forwarding import Trusted
from gateway.observe.access_record import AccessRecord
from gateway.relay.access.peer import Peer
from gateway.relay.exchange.record import record_of
from gateway.relay.http1.request_head import RequestHead

PEER = Peer(("192.0.2.1", 1), instance="0" * 16, proxies=Trusted(()), describing=Trusted(()))
SENT = SimpleNamespace(
    upstream="a connection",
    server=SimpleNamespace(label=b"http://shop:1"),
    size=3,
    delivery=SimpleNamespace(size=7, upstream_duration=0.25),
)
WAITING = SimpleNamespace(
    upstream=None, server=SimpleNamespace(label=b"http://shop:1"), size=0, delivery=None
)


def record(upload: Any = None, **more: Any) -> AccessRecord:
    """The record of an exchange with this upload."""
    head = RequestHead(b"GET", b"/", b"1")
    head.path = b"/api/x"
    forward = SimpleNamespace(
        route=SimpleNamespace(label=b"/api/*"),
        resolved=SimpleNamespace(session=SimpleNamespace(id="alice's")),
    )
    exchange = {
        "client": SimpleNamespace(peer=PEER),
        "head": head,
        "forward": forward,
        "upload": upload,
        "request_id": b"7" * 32,
        "began": 0.0,
        "status": 200,
        "reason": "",
        "cause": "",
        "stopped_at": b"",
        "unreached_server": None,
        **more,
    }
    return record_of(SimpleNamespace(**exchange))


def test_a_request_and_its_answer() -> None:
    made = record(SENT)
    assert (made.client, made.method, made.path) == (b"192.0.2.1", b"GET", b"/api/x")
    assert (made.route, made.session_id) == (b"/api/*", b"alice's")
    assert (made.server, made.bytes_in, made.bytes_out) == (b"http://shop:1", 3, 7)
    assert made.upstream_duration == 0.25


def test_only_a_server_that_got_the_request_is_named() -> None:
    """Or the one that could not be reached."""
    assert record().server == b""
    assert record(WAITING).server == b""
    away = SimpleNamespace(label=b"http://shop:2")
    assert record(WAITING, unreached_server=away).server == b"http://shop:2"


def test_a_refused_request_belongs_to_no_route() -> None:
    """If it was refused before one was found."""
    made = record(forward=None, status=400, reason="malformed_request")
    assert (made.route, made.session_id, made.bytes_out) == (b"", b"", 0)
    assert (made.status, made.reason) == (400, "malformed_request")
    assert record(forward=None, stopped_at=b"/api/*").route == b"/api/*"


def test_of_a_question_by_a_proxy_the_described_request_counts() -> None:
    head = RequestHead(b"GET", b"/", b"1")
    head.path = b"/verify"
    head.described = RequestHead(b"POST", b"/", b"1")
    head.described.path = b"/orders"
    made = record(head=head)
    assert (made.method, made.path) == (b"POST", b"/orders")

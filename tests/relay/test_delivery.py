"""Answers on their way to a client (`gateway.relay.exchange.delivery`)."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

from gateway.relay.access.route_action import REQUEST_ID, VIA
from gateway.relay.access.token_watch import UNWATCHED
from gateway.relay.compression.encoders import GzipEncoder
from gateway.relay.exchange.delivery import Delivery
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead
from gateway.relay.loop.settings import AnswerTimeouts

ID = b"7" * 32

CONTEXT = SimpleNamespace(
    may_trail=lambda name: name == b"x-a",
    clock=SimpleNamespace(now=0.0),
    write_batch=SimpleNamespace(flush=lambda: None),
)


class Transport:
    """A transport, with its writes one by one."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def get_protocol(self) -> None: ...

    def set_protocol(self, protocol: Any) -> None: ...

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written.append(data)


@dataclass
class Client:
    """The client's connection, with its writes one by one."""

    transport: Transport = field(default_factory=Transport)

    buffer: bytes = b""
    blocked: bool = False
    writes: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def update_reading(self) -> None: ...


@dataclass
class Exchange:
    """The exchange that an answer belongs to."""

    head: RequestHead
    client: Client = field(default_factory=Client)
    request_id: bytes = ID
    status: int = 0
    close: bool = False
    has_interim: bool = False
    logs_out: bool = False
    is_stream: bool = False
    tunnel: Any = None
    is_over: bool = False
    ended: bool | None = None  # with a connection that can be used again
    asked: int = 0  # how often for the body
    refused: str = ""
    context: Any = field(default_factory=lambda: CONTEXT)

    def begin_answer(self, status: int, *, close: bool) -> None:
        self.status, self.close = status, close

    def ask_for_body(self) -> None:
        self.asked += 1

    def becomes_stream(self) -> bool:
        self.is_stream = True
        return True

    def fail(self, refusal: Any) -> None:
        self.refused = refusal.reason

    def end(self, *, reusable: bool) -> None:
        self.ended = reusable


def answer_to(method: bytes = b"GET", *, minor: bytes = b"1") -> tuple[Delivery, Exchange]:
    """The delivery of an answer to a request of HTTP/1.`minor`, and its exchange."""
    exchange = Exchange(RequestHead(method, b"/", minor))
    route = SimpleNamespace(
        reshapes=False,
        access=SimpleNamespace(cors=None),
        action=SimpleNamespace(
            compression=None,
            links=None,
            answer_fields=None,
            varies=(),
            own_lines=VIA + REQUEST_ID,
            upgrades={b"websocket"},
            send_token=None,
            timeouts=AnswerTimeouts(),
            streams=False,
        ),
        in_process=False,
        watch=UNWATCHED,
    )
    forward: Any = SimpleNamespace(
        route=route, resolved=SimpleNamespace(token=b"the-token"), answer_lines=b""
    )
    upstream: Any = SimpleNamespace(deadline=0.0, transport=Transport())
    return Delivery(exchange, forward, upstream), exchange  # type: ignore[arg-type]


def response(status: int = 200, length: int | None = None, *lines: bytes) -> ResponseHead:
    head = ResponseHead(b"1", status, b" OK")
    head.length, head.passed = length, list(lines)
    return head


def test_the_head_leaves_with_the_first_bytes_of_the_body() -> None:
    """In one write, which wakes the client once."""
    delivery, exchange = answer_to()
    delivery.respond(response(200, 5), with_body=True)
    assert exchange.client.writes == []
    delivery.deliver([b"he"])
    delivery.deliver([b"llo"])
    delivery.answered([], reusable=True)
    head, _, first = exchange.client.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")
    assert b"\r\nX-Request-Id: " + ID in head
    assert [first, *exchange.client.writes[1:]] == [b"he", b"llo"]
    assert (exchange.status, exchange.ended, delivery.size) == (200, True, 5)


def test_a_body_of_unknown_length_is_chunked() -> None:
    """Without the trailers, unless the client reads them; never with the token."""
    delivery, exchange = answer_to()
    exchange.head.takes_trailers = True
    delivery.respond(response(), with_body=True)
    delivery.deliver([b"he", b"llo"])
    trailers = [(b"X-A: 1\r\n", b"X-A"), (b"X-A: the-token\r\n", b"X-A"), (b"X-B: 1\r\n", b"X-B")]
    delivery.answered(trailers, reusable=True)
    assert exchange.client.writes[0].endswith(b"\r\n\r\n5\r\nhello\r\n")
    assert exchange.client.writes[1:] == [b"0\r\nX-A: 1\r\n\r\n"]


def test_http_1_0_reads_until_the_connection_closes() -> None:
    delivery, exchange = answer_to(minor=b"0")
    delivery.respond(response(), with_body=True)
    assert exchange.close
    assert delivery.ends_by_close


def test_a_line_with_the_token_stays_here() -> None:
    """wire-rules.md#C4."""
    delivery, exchange = answer_to()
    lines = (b"X-A: 1\r\n", b"X-B: my the-token\r\n")
    delivery.respond(response(200, 0, *lines), with_body=True)
    delivery.deliver([])
    assert lines[0] in exchange.client.writes[0]
    assert b"X-B" not in exchange.client.writes[0]


def test_a_205_has_no_body() -> None:
    """RFC 9110 §15.3.6: whatever the upstream sends."""
    delivery, exchange = answer_to()
    delivery.respond(response(205, 5), with_body=True)
    delivery.deliver([b"hello"])
    assert exchange.client.writes[0].endswith(b"\r\n\r\n")
    assert delivery.size == 0


def test_interim_heads() -> None:
    """100 asks for the body; others pass to clients that know them."""
    delivery, exchange = answer_to()
    delivery.interim(response(100))
    assert (exchange.asked, exchange.client.writes, exchange.has_interim) == (1, [], True)
    delivery.interim(response(103, None, b"Link: </a>\r\n"))
    assert exchange.client.writes == [b"HTTP/1.1 103 OK\r\nLink: </a>\r\n\r\n"]
    old, old_exchange = answer_to(minor=b"0")
    old.interim(response(103))
    assert old_exchange.client.writes == []


def test_only_an_upgrade_that_was_asked_for_switches() -> None:
    delivery, exchange = answer_to()
    switch = response(101)
    switch.upgrade = b"websocket"
    assert not delivery.switches(switch)
    exchange.head.upgrade = b"h2c"
    assert not delivery.switches(switch)
    exchange.head.upgrade = b"websocket"
    assert delivery.switches(switch)


def test_a_switch_opens_a_tunnel() -> None:
    """But not for a client that has not waited for it (wire-rules.md#E9)."""
    delivery, exchange = answer_to()
    delivery.switch(response(101))
    assert exchange.client.writes[0].startswith(b"HTTP/1.1 101 OK\r\n")
    delivery.tunnelled(b"abc")
    assert exchange.client.transport.written == [b"abc"]
    early, early_exchange = answer_to()
    early_exchange.client.buffer = b"GET /"
    early.switch(response(101))
    early.tunnelled(b"abc")
    assert (early_exchange.refused, early_exchange.client.writes) == ("malformed_request", [])


async def test_others_have_a_turn_between_large_pieces_that_are_encoded() -> None:
    """The upstream is read on in the next one, unless the client is slow or the answer ended."""
    for changed, read_on in (("", 1), ("blocked", 0), ("over", 0)):
        delivery, exchange = answer_to()
        exchange.context = SimpleNamespace(loop=asyncio.get_running_loop())
        delivery.respond(response(200), with_body=True)
        delivery._encoder = GzipEncoder()
        calls: list[str] = []
        upstream: Any = delivery._upstream
        upstream.paused = False
        upstream.pause, upstream.resume = (
            partial(calls.append, "pause"),
            partial(calls.append, "on"),
        )
        delivery.deliver([bytes(65535)])
        assert calls == []
        delivery.deliver([bytes(65536)])
        exchange.client.blocked, exchange.is_over = changed == "blocked", changed == "over"
        assert calls == ["pause"]
        await asyncio.sleep(0)
        assert calls == ["pause", *["on"] * read_on]

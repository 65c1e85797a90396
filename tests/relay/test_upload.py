"""Requests on their way to an upstream (`gateway.relay.exchange.upload`)."""

import asyncio
import gc
import weakref
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.relay.exchange.body_buffer import BufferRoom
from gateway.relay.exchange.buffered_upload import BufferedUpload
from gateway.relay.exchange.upload import OVER, POSTPONED, SENT, WAITING, Upload
from gateway.relay.http1.request_head import RequestHead

HEAD = b"head\r\n\r\n"


@dataclass
class Client:
    """The client's connection."""

    buffer: bytes = b""
    deadline: float = 0.0
    calls: list[Any] = field(default_factory=list)

    def take(self) -> bytes:
        taken, self.buffer = self.buffer, b""
        return taken

    def await_body(self, size: int, idle_timeout: float) -> None:
        self.calls.append(("await_body", size))

    def update_reading(self) -> None:
        self.calls.append("update_reading")

    def body_ended(self, rest: bytes) -> None:
        self.calls.append(("body_ended", rest))


@dataclass(eq=False)
class Server:
    """A server that takes note of how it did."""

    calls: list[Any] = field(default_factory=list)

    def failed(self, request: object, why: str, refusal: Refusal) -> None:
        self.calls.append("failed")

    def was_stale(self, *, is_lost: bool) -> None:
        self.calls.append(("stale", is_lost))


@dataclass
class Pool:
    """A pool of one server, or of two."""

    other: bool = False
    calls: list[str] = field(default_factory=list)

    @property
    def known(self) -> "Pool":
        """What it knows of its servers; here it knows that itself."""
        return self

    def acquire(self, waiter: Upload) -> None:
        self.calls.append("acquire")

    def replace(self, waiter: Upload, connection: Any) -> None:
        self.calls.append("replace")

    def release(self, connection: Any, waiter: Upload, *, reusable: bool) -> None:
        self.calls.append(f"release {reusable}")

    def leave(self, waiter: Upload) -> None:
        self.calls.append("leave")

    def may_repeat(self, waiter: Upload) -> bool:
        return self.other

    def goes_on(self, request: object) -> None: ...


@dataclass
class Connection:
    """A connection to a server."""

    blocked: bool = False
    calls: list[Any] = field(default_factory=list)

    def carry(self, delivery: Any, timeouts: Any, *, uploading: bool) -> None:
        self.calls.append("carry and upload" if uploading else "carry")

    def send(self, data: bytes) -> None:
        self.calls.append(data)

    def await_answer(self) -> None:
        self.calls.append("await_answer")


@dataclass
class Exchange:
    """The exchange of a request."""

    head: RequestHead
    client: Client = field(default_factory=Client)
    has_interim: bool = False
    is_stream: bool = False
    cause: str = ""
    failed: Refusal | None = None
    network: str = ""
    tunnel: Any = None
    context: Any = None

    def fail(self, refusal: Refusal) -> None:
        self.failed = refusal


@dataclass
class Way:
    """An upload, and all that it touches."""

    upload: Upload
    exchange: Exchange
    pool: Pool
    server: Server
    connection: Connection

    def send(self) -> None:
        """The pool gives a connection."""
        self.upload.server = self.server  # type: ignore[assignment]
        self.upload.send(self.connection)  # type: ignore[arg-type]


def way(method: bytes = b"GET", *, length: int = 0, limit: int = 100, other: bool = False) -> Way:
    head = RequestHead(method, b"/", b"1")
    head.length = length
    action = SimpleNamespace(
        timeouts=None, body_limit=limit, request_body_idle=30.0, buffer_request=None
    )
    route = SimpleNamespace(action=action, in_process=False)
    forward: Any = SimpleNamespace(head=HEAD, route=route, resolved=None)
    exchange, pool = Exchange(head), Pool(other)
    upload = Upload(exchange, forward, pool)  # type: ignore[arg-type]
    upload.acquire()
    return Way(upload, exchange, pool, Server(), Connection())


def test_a_request_without_a_body_is_sent_at_once() -> None:
    sent = way()
    assert (sent.upload.state, sent.pool.calls) == (WAITING, ["acquire"])
    sent.send()
    assert sent.connection.calls == ["carry", HEAD]
    assert sent.upload.state is SENT


def test_a_body_has_to_begin_first() -> None:
    """wire-rules.md#D1: so many slow clients take no place."""
    sent = way(b"POST", length=5)
    assert sent.upload.postpones()
    assert sent.upload.state is POSTPONED
    sent.upload.body_began()
    assert (sent.upload.state, sent.pool.calls) == (WAITING, ["acquire", "acquire"])
    sent.exchange.client.buffer = b"he"
    assert not sent.upload.postpones()


def test_the_head_leaves_with_the_first_part_of_the_body() -> None:
    """In one write; what stands behind the body goes back to the client's connection."""
    sent = way(b"POST", length=5)
    sent.exchange.client.buffer = b"he"
    sent.send()
    sent.upload.take(b"lloGET /")
    assert sent.connection.calls == ["carry and upload", HEAD + b"he", b"llo", "await_answer"]
    assert sent.exchange.client.calls == [("await_body", 2), ("body_ended", b"GET /")]
    assert (sent.upload.uploading, sent.upload.size) == (False, 5)


def test_a_body_over_the_limit_fails_the_exchange() -> None:
    sent = way(b"POST", length=5, limit=4)
    sent.send()
    sent.upload.take(b"hello")
    assert sent.exchange.failed is not None
    assert sent.exchange.failed.reason == "body_too_large"
    assert b"hello" not in sent.connection.calls


def test_behind_a_body_only_a_tunnel_takes_bytes() -> None:
    """Others are the next request's, which waits in the buffer of the client's connection."""
    sent = way()
    assert not sent.upload.takes_bytes
    sent.send()
    assert not sent.upload.takes_bytes
    sent.exchange.tunnel = SimpleNamespace()
    assert sent.upload.takes_bytes


@pytest.mark.parametrize(
    ("events", "tunnel", "activity"),
    [(False, None, (3, 7)), (True, None, (3, 0)), (False, SimpleNamespace(sizes=(3, 9)), (3, 0))],
)
def test_what_a_server_sends_by_itself_shows_no_live_client(
    *, events: bool, tunnel: SimpleNamespace | None, activity: tuple[int, int]
) -> None:
    """Such bytes do not keep a session from being idle."""
    sent = way()
    sent.exchange.tunnel = tunnel
    sent.upload.size = 3
    sent.upload.delivery = SimpleNamespace(is_event_stream=events, size=7)  # type: ignore[assignment]
    assert sent.upload.activity == activity


@pytest.mark.parametrize(
    ("method", "length", "stale", "other", "again"),
    [
        (b"GET", 0, True, False, "replace"),
        (b"GET", 0, False, True, "acquire"),
        (b"GET", 0, False, False, None),
        (b"POST", 0, True, True, None),
        (b"PUT", 5, True, True, None),
    ],
)
def test_a_request_goes_once_more(
    method: bytes, length: int, *, stale: bool, other: bool, again: str | None
) -> None:
    """wire-rules.md#D6, #D8: one that can be repeated, where it makes sense."""
    sent = way(method, length=length, other=other)
    sent.send()
    sent.pool.calls.clear()
    assert sent.upload.goes_again(refusals.UPSTREAM_CLOSED, "closed", is_stale=stale) == (
        again is not None
    )
    assert sent.pool.calls[-1:] == ([] if again is None else [again])
    assert sent.server.calls == [("stale", again is None)] if stale else ["failed"]


def test_no_other_server_is_asked_twice() -> None:
    sent = way(other=True)
    sent.send()
    assert sent.upload.goes_again(refusals.UPSTREAM_CLOSED, "closed", is_stale=False)
    sent.send()
    assert not sent.upload.goes_again(refusals.UPSTREAM_CLOSED, "closed", is_stale=False)


def test_after_an_interim_answer_a_request_is_not_repeated() -> None:
    sent = way(other=True)
    sent.send()
    sent.exchange.has_interim = True
    assert not sent.upload.goes_again(refusals.UPSTREAM_CLOSED, "closed", is_stale=True)


def test_at_the_end_the_connection_or_the_queue_is_left() -> None:
    sent = way()
    sent.send()
    sent.upload.give_back(reusable=True)
    waiting = way()
    waiting.upload.queued = True
    waiting.upload.give_back(reusable=False)
    assert (sent.pool.calls[-1], waiting.pool.calls[-1]) == ("release True", "leave")
    assert sent.upload.state is waiting.upload.state is OVER


async def test_a_request_whose_body_was_kept_leaves_nothing() -> None:
    """Not for the garbage collector either: an answer's encoder holds up to a MiB."""
    gc.disable()
    try:
        assert _after_a_kept_body()() is None
    finally:
        gc.enable()


def _after_a_kept_body() -> weakref.ref[Exchange]:
    """The exchange of a request that has been sent with its body, and has ended."""
    sent = way(b"POST", length=2)
    exchange: Any = sent.exchange
    exchange.client.buffer = b"hi"
    exchange.client.peer, exchange.own_id, exchange.is_over = None, b"", False
    loop = asyncio.get_running_loop()

    async def decide_late(forward: object, *_: object) -> object:
        return forward

    exchange.context = SimpleNamespace(
        buffer_room=BufferRoom(100, 0, 100), loop=loop, decide_late=decide_late
    )
    forward, pool = sent.upload._forward, sent.upload._pool
    sent.upload = BufferedUpload(exchange, forward, pool, 10)
    sent.upload.begin()
    sent.send()
    assert sent.connection.calls == ["carry and upload", HEAD + b"hi", "await_answer"]
    sent.upload.give_back(reusable=True)
    return weakref.ref(sent.exchange)

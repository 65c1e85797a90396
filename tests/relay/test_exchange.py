"""The life of one request: decide, pass on, answer, end (`gateway.relay.exchange.exchange`)."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.http import refusals
from gateway.core.http.forwarding import Trusted
from gateway.observe.access_record import AccessRecord
from gateway.observe.events import Event
from gateway.pages.refusals import RefusalPages
from gateway.relay.access.decision import Forward
from gateway.relay.access.peer import Peer
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.exchange import deciding
from gateway.relay.exchange.exchange import ENDED, Exchange
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered, Refused

ID = b"7" * 32
PEER = Peer(("192.0.2.1", 1), instance="0" * 16, proxies=Trusted(()), describing=Trusted(()))


@dataclass
class Client:
    """The client's connection, and what became of it."""

    peer: Peer = PEER
    written: bytes = b""
    ended: list[bool] = field(default_factory=list)  # whether it closed, for each exchange
    resets: list[bool] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.written += data

    def exchange_ended(self, *, close: bool) -> None:
        self.ended.append(close)

    def cut(self, *, reset: bool) -> None:
        self.resets.append(reset)


@dataclass
class Pool:
    """An upstream's pool: whose requests it got."""

    waiters: list[Any] = field(default_factory=list)

    def acquire(self, waiter: Any) -> None:
        self.waiters.append(waiter)

    def leave(self, waiter: Any) -> None: ...


@dataclass
class Life:
    """An exchange, and all that it touches."""

    exchange: Exchange
    client: Client
    pool: Pool
    load: Any
    records: list[AccessRecord]
    events: list[Event]
    ending: list[Any]  # logouts whose sessions have not ended yet

    @property
    def status_line(self) -> bytes:
        return self.client.written.partition(b"\r\n")[0]


def life(decide: Callable[[Forward], Awaitable[Forward]], **forward: Any) -> Life:
    """An exchange over this decision, which may return what it gets."""
    client, pool = Client(), Pool()
    route = Route("/api/*", Access(Auth.REQUIRED), pool=pool)  # type: ignore[arg-type]
    passing = Forward(route, None, b"head\r\n\r\n", **forward)
    load = SimpleNamespace(requests=0, shares=SimpleNamespace(counts=False))
    records: list[AccessRecord] = []
    events: list[Event] = []
    ending: list[Any] = []

    def log_out(session_ids: Any, event: Event, done: Any, failed: Any) -> None:
        ending.append(SimpleNamespace(ids=session_ids, event=event, done=done, failed=failed))

    context: Any = SimpleNamespace(
        load=load,
        decide=lambda *_: decide(passing),
        request_ids=SimpleNamespace(new=lambda: ID),
        record=records.append,
        report=events.append,
        refused=lambda _refusal: None,
        ender=SimpleNamespace(log_out=log_out),
        cookies=SimpleNamespace(forget=lambda *_: None),
        pages=RefusalPages(None),
        security=None,
        cors=None,
        draining=False,
        log=logging.getLogger("gateway.relay"),
    )
    head = RequestHead(b"GET", b"/api/x", b"1")
    head.passed, head.path = [], b"/api/x"
    exchange = Exchange(client, head, context)  # type: ignore[arg-type]
    deciding.decide(exchange)
    return Life(exchange, client, pool, load, records, events, ending)


async def passes(forward: Forward) -> Forward:
    return forward


async def waits(forward: Forward) -> Forward:
    await asyncio.get_running_loop().create_future()
    return forward


async def refuses(_forward: Forward) -> Forward:
    raise Refused(refusals.BAD_KEY, event=Event("refused", reason="invalid_key"))


async def answers(_forward: Forward) -> Forward:
    raise Answered(204, {"Allow": "GET"})


async def fails(_forward: Forward) -> Forward:
    raise ValueError


def test_a_request_that_passes_asks_for_a_connection() -> None:
    began = life(passes)
    assert began.pool.waiters == [began.exchange.upload]
    assert (began.load.requests, began.records) == (1, [])


@pytest.mark.parametrize(
    ("decide", "status", "reason"),
    [(refuses, 401, "invalid_key"), (answers, 204, ""), (fails, 500, "internal_error")],
)
def test_a_request_that_goes_no_further(decide: Any, status: int, reason: str) -> None:
    """It has its answer and its record, and takes no place any more."""
    ended = life(decide)
    assert ended.status_line.startswith(b"HTTP/1.1 %d " % status)
    assert [(record.status, record.reason) for record in ended.records] == [(status, reason)]
    assert (ended.client.ended, ended.load.requests, ended.pool.waiters) == ([False], 0, [])


def test_a_refused_key_is_an_event_of_its_request() -> None:
    """The audit log names the client, and the request as the access log does."""
    (event,) = life(refuses).events
    assert (event.address, event.request_id) == ("192.0.2.1", ID.decode())


def test_an_exchange_ends_once() -> None:
    ended = life(refuses)
    ended.exchange.end(reusable=True)
    ended.exchange.fail(refusals.INTERNAL)
    ended.exchange.client_gone()
    assert (len(ended.records), ended.client.ended) == (1, [False])


async def test_a_client_that_goes_while_the_store_is_asked() -> None:
    """The question is cancelled, and nothing is written."""
    waiting = life(waits)
    waiting.exchange.client_gone()
    await asyncio.sleep(0)
    assert waiting.client.written == b""
    assert [(record.status, record.reason) for record in waiting.records] == [(499, "client_gone")]
    assert waiting.exchange.state is ENDED


def test_a_logout_ends_its_sessions_before_it_goes_on() -> None:
    """wire-rules.md#E4: a logout that the backend alone has seen is none."""
    leaving = life(passes, ends=("alice's",))
    (logout,) = leaving.ending
    assert (logout.ids, logout.event.reason, leaving.pool.waiters) == (
        ("alice's",),
        "backend_path",
        [],
    )
    logout.done()
    assert leaving.pool.waiters == [leaving.exchange.upload]


def test_a_logout_whose_sessions_cannot_be_ended_fails() -> None:
    leaving = life(passes, ends=("alice's",))
    leaving.ending[0].failed(refusals.STORE_DOWN)
    assert leaving.status_line.startswith(b"HTTP/1.1 503 ")
    assert leaving.pool.waiters == []


def test_a_begun_answer_can_only_be_cut() -> None:
    """With a reset where a close would look like the end of the body."""
    begun = life(passes)
    upload = begun.exchange.upload
    assert upload is not None
    upload.delivery = SimpleNamespace(  # type: ignore[assignment]
        has_begun=True, ends_by_close=True, size=5, upstream_duration=0.0
    )
    begun.exchange.fail(refusals.UPSTREAM_CLOSED)
    assert (begun.client.written, begun.client.resets) == (b"", [True])
    assert (begun.records[0].reason, begun.records[0].bytes_out) == ("upstream_closed", 5)


def test_what_a_session_holds_open_ends_with_it() -> None:
    """A request without an answer is refused; a tunnel gets a close frame (RFC 6455 §7.4)."""
    refused = life(passes)
    refused.exchange.session_ended()
    assert refused.status_line.startswith(b"HTTP/1.1 401 ")
    tunnelled, frames = life(passes), []
    tunnelled.exchange.tunnel = SimpleNamespace(  # type: ignore[assignment]
        close=lambda status, _reason: frames.append(status), end=lambda: None, sizes=(2, 3)
    )
    upload = tunnelled.exchange.upload
    assert upload is not None
    upload.delivery = SimpleNamespace(size=0, upstream_duration=0.0)  # type: ignore[assignment]
    tunnelled.exchange.session_ended()
    assert (frames, tunnelled.client.written) == ([1008], b"")
    assert tunnelled.records[0].reason == "invalid_key"
    assert (tunnelled.records[0].bytes_in, tunnelled.records[0].bytes_out) == (2, 3)


def test_an_ended_stream_leaves_nothing() -> None:
    """Not for the garbage collector either, though its events refer to it."""
    gc.disable()
    try:
        stream = life(passes)
        exchange = stream.exchange
        left: list[bool] = []
        exchange.is_stream = True
        exchange.events = SimpleNamespace(of=exchange, leave=lambda: left.append(True))  # type: ignore[assignment]
        exchange.end(reusable=False)
        assert left
        ended = weakref.ref(exchange)
        stream.pool.waiters.clear()
        del stream, exchange
        assert ended() is None
    finally:
        gc.enable()

"""Connections to upstreams (`gateway.relay.upstream.connection`): what an answer's bytes call.

Each test sends bytes over a socket pair and compares the calls of the connection's handler.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead, ResponseReader
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import AnswerTimeouts
from gateway.relay.loop.write_batch import WriteBatch
from gateway.relay.upstream.connection import UpstreamConnection
from tests.relay.test_pool import SETTINGS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


class Owner:
    """The server that a connection leads to."""

    idle_timeout = 5.0

    def __init__(self) -> None:
        self.told: list[str] = []

    def opened(self, connection: UpstreamConnection) -> None:
        self.told.append("opened")

    def closed(self, connection: UpstreamConnection) -> None:
        self.told.append("closed")

    def answered(self, status: int) -> None:
        self.told.append("answered")

    def erred(self, connection: UpstreamConnection, status: int) -> None:
        self.told.append("erred")


class Handler:
    """Takes note of what is called, with what matters of its arguments."""

    network = ""
    is_event_stream = False

    def __init__(self, method: bytes = b"GET", *, holds: bool = False, upgrades: bool = False):
        self.head = RequestHead(method, b"/", b"1")
        self.calls: list[Any] = []
        self._holds, self._upgrades = holds, upgrades

    def update_reading(self) -> None:
        self.calls.append("update_reading")

    def interim(self, head: ResponseHead) -> None:
        self.calls.append(("interim", head.status))

    def withholds(self, response: ResponseHead) -> bool:
        self.calls.append(("withholds", response.status))
        holds, self._holds = self._holds, False
        return holds

    def may_stream(self, response: ResponseHead) -> bool:
        return True

    def respond(self, response: ResponseHead, *, with_body: bool) -> None:
        self.calls.append(("respond", response.status, with_body))

    def deliver(self, pieces: list[bytes]) -> None:
        self.calls.append(b"".join(pieces))

    def goes_on(self, body: ChunkedBody) -> None: ...

    def answered(self, trailers: list[tuple[bytes, bytes]], *, reusable: bool) -> None:
        self.calls.append(("answered", reusable))

    def switches(self, response: ResponseHead) -> bool:
        return self._upgrades

    def switch(self, response: ResponseHead) -> None:
        self.calls.append("switch")

    def tunnelled(self, data: bytes) -> None:
        self.calls.append(("tunnelled", data))

    def tunnel_ended(self) -> None:
        self.calls.append("tunnel_ended")

    def unanswered(self, refusal: Any, cause: str, *, is_stale: bool) -> None:
        self.calls.append(("unanswered", refusal.reason, is_stale))

    def broken(self, refusal: Any, cause: str) -> None:
        self.calls.append(("broken", refusal.reason))


class Line:
    """A connection, its owner, and the server's end of it."""

    def __init__(self, connection: UpstreamConnection, owner: Owner, far: socket.socket) -> None:
        self.connection, self.owner, self.far = connection, owner, far

    async def hear(self, handler: Handler, *parts: bytes, close: bool = False) -> list[Any]:
        """What is called when the server sends these parts, one by one."""
        self.connection.carry(handler, AnswerTimeouts())
        for part in parts:
            self.connection.data_received(part)
        if close:
            self.far.close()
            while "closed" not in self.owner.told:
                await asyncio.sleep(0.01)
        return handler.calls


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    near, far = socket.socketpair()
    loop, owner = asyncio.get_running_loop(), Owner()
    connection = UpstreamConnection(
        owner,
        ResponseReader(own_cookies=frozenset()),
        SETTINGS,
        Clock((), 1, 0),
        WriteBatch(loop),
    )
    await loop.create_connection(lambda: connection, sock=near)
    yield Line(connection, owner, far)
    connection.abort()
    far.close()
    await asyncio.sleep(0)


async def test_a_body_of_a_length(line: Line) -> None:
    """In whatever pieces it comes; the connection may carry another one then."""
    calls = await line.hear(Handler(), OK[:20], OK[20:] + b"he", b"llo")
    assert calls == [("respond", 200, True), b"he", b"llo", ("answered", True)]
    assert line.owner.told == ["opened", "answered"]


async def test_bytes_behind_the_body_are_no_answer(line: Line) -> None:
    """wire-rules.md#A14: so the connection carries no other one."""
    calls = await line.hear(Handler(), OK + b"helloHTTP/1.1 200 OK")
    assert calls == [("respond", 200, True), b"hello", ("answered", False)]


async def test_a_body_in_chunks(line: Line) -> None:
    calls = await line.hear(Handler(), CHUNKED + b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n")
    assert calls == [("respond", 200, True), b"he", b"llo", ("answered", True)]


async def test_a_malformed_chunk_beside_the_head_is_no_answer(line: Line) -> None:
    """Nothing has been passed on, so it can still be refused."""
    calls = await line.hear(Handler(), CHUNKED + b"no number\r\n")
    assert calls == [("broken", "upstream_invalid")]


async def test_a_body_until_the_connection_closes(line: Line) -> None:
    calls = await line.hear(Handler(), UNTIL_CLOSE + b"hello", close=True)
    assert calls == [("respond", 200, True), b"hello", ("answered", False)]


async def test_a_body_that_is_cut(line: Line) -> None:
    calls = await line.hear(Handler(), OK + b"he", close=True)
    assert calls == [("respond", 200, True), b"he", ("broken", "upstream_closed")]


async def test_an_answer_to_head_has_no_body(line: Line) -> None:
    """RFC 9110 §9.3.2: its length speaks of what a GET would get."""
    calls = await line.hear(Handler(b"HEAD"), OK)
    assert calls == [("respond", 200, False), b"", ("answered", True)]


async def test_interim_heads_come_first(line: Line) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    calls = await line.hear(Handler(), early + early + OK + b"hello")
    assert [call[0] for call in calls[:3]] == ["interim", "interim", "respond"]


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2"])
async def test_no_whole_head(line: Line, sent: bytes) -> None:
    """Over a new connection that is no stale one."""
    calls = await line.hear(Handler(), *filter(None, [sent]), close=True)
    assert calls == [("unanswered", "upstream_closed", False)]


async def test_a_kept_connection_may_be_stale(line: Line) -> None:
    """wire-rules.md#D6: it may have ended before the request came."""
    await line.hear(Handler(), OK + b"hello")
    assert await line.hear(Handler(), close=True) == [("unanswered", "upstream_closed", True)]


async def test_an_answer_is_held_back_and_let_go(line: Line) -> None:
    """With what had come of its body."""
    refuses = OK.replace(b"200 OK", b"401 No")
    handler = Handler(holds=True)
    calls = await line.hear(handler, refuses + b"he")
    assert calls == [("withholds", 401)]
    line.connection.release_answer()
    line.connection.data_received(b"llo")
    expected = [("withholds", 401), ("respond", 401, True), b"he", b"llo", ("answered", True)]
    assert calls[1:] == expected


async def test_bytes_that_come_while_an_answer_is_held_back(line: Line) -> None:
    """The transport may have read them before it was paused."""
    calls = await line.hear(Handler(holds=True), OK.replace(b"200 OK", b"401 No"), b"hello")
    line.connection.release_answer()
    assert calls[1:] == [("withholds", 401), ("respond", 401, True), b"hello", ("answered", True)]


async def test_a_held_answer_whose_connection_has_been_lost(line: Line) -> None:
    """That is told when the answer is let go."""
    calls = await line.hear(Handler(holds=True), OK.replace(b"200 OK", b"401 No"))
    line.connection.connection_lost(None)
    line.connection.release_answer()
    assert calls == [("withholds", 401), ("broken", "upstream_closed")]


async def test_a_tunnel(line: Line) -> None:
    """From the 101 on, the bytes behind it are its own."""
    switch = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    calls = await line.hear(Handler(upgrades=True), switch + b"a\r\n\r\n", close=True)
    assert calls == ["switch", ("tunnelled", b"a\r\n\r\n"), "tunnel_ended"]


async def test_a_switch_that_was_not_asked_for(line: Line) -> None:
    calls = await line.hear(Handler(), b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\n\r\n")
    assert calls == [("broken", "upstream_invalid")]


async def test_an_error_weighs_on_its_server(line: Line) -> None:
    await line.hear(Handler(), OK.replace(b"200 OK", b"503 No"))
    assert line.owner.told == ["opened", "answered", "erred"]


async def test_bytes_without_a_request_end_the_connection(line: Line) -> None:
    """wire-rules.md#A14: they must not become the answer to the next one."""
    line.connection.rest()
    line.connection.data_received(OK)
    assert not line.connection.usable


async def test_an_answer_may_be_quiet_for_as_long_as_is_said(line: Line) -> None:
    """Once, and also after a client that did not read; then it is cut."""
    handler, now = Handler(), line.connection._clock.now
    await line.hear(handler, CHUNKED + b"2\r\nhe\r\n")
    line.connection.may_be_quiet(50.0)
    assert line.connection.deadline == now + 50.0
    line.connection.pause()
    line.connection.may_be_quiet(60.0)
    assert line.connection.deadline == float("inf")
    line.connection.resume()
    assert line.connection.deadline == now + 60.0
    line.connection.expire()
    assert handler.calls[-1] == ("broken", "upstream_timeout")


async def test_deadlines_follow_the_answer(line: Line) -> None:
    """The head has its time once the request has been sent, each piece of the body has its own."""
    now, timeouts = line.connection._clock.now, AnswerTimeouts(10.0, 20.0, 30.0)
    handler = Handler()
    line.connection.carry(handler, timeouts, uploading=True)
    assert line.connection.deadline == float("inf")
    line.connection.await_answer()
    assert line.connection.deadline == now + 10.0
    line.connection.data_received(OK)
    assert line.connection.deadline == now + 20.0
    line.connection.expire()
    assert handler.calls[-1] == ("broken", "upstream_timeout")

"""Requests in the bytes of a client's connection (`gateway.relay.client.connection`)."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.http.forwarding import Trusted
from gateway.relay.access.peer import Peer
from gateway.relay.client.connection import ClientConnection
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Answered
from tests.relay.test_pool import SETTINGS

INSTANCE = "0" * 16
PEER = Peer(("192.0.2.1", 1), instance=INSTANCE, proxies=Trusted(()), describing=Trusted(()))
HEAD = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
ID = b"7" * 32


class Transport:
    """A socket that takes everything."""

    def __init__(self) -> None:
        self.written = b""
        self.closed: list[str] = []

    def get_extra_info(self, _name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed not in ([], ["write side"])

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed.append("write side")

    def close(self) -> None:
        self.closed.append("closed")

    def abort(self) -> None:
        self.closed.append("aborted")

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Line:
    """A connection to a gateway that answers each request by 204, at once or when it may."""

    def __init__(self, *, answers: bool = True, **limits: Any) -> None:
        self.transport = Transport()
        self.paths: list[bytes] = []  # of the requests, in order
        self.reasons: list[str] = []  # of refusals
        self.may_answer = asyncio.Event()
        if answers:
            self.may_answer.set()
        shares = SimpleNamespace(crowded=10, counts=False)
        self.clock = SimpleNamespace(now=0.0)
        context: Any = SimpleNamespace(
            settings=replace(SETTINGS, **limits),
            clock=self.clock,
            requests=RequestReader(instance=INSTANCE, identity=(), max_fields=8),
            connections=shares,
            load=SimpleNamespace(requests=0, shares=shares),
            decide=self._decide,
            request_ids=SimpleNamespace(new=lambda: ID),
            record=lambda record: self.reasons.append(record.reason),
            refused=lambda _refusal: None,
            peer=lambda _peername: PEER,
            write_batch=SimpleNamespace(write=self._write, flush=lambda: None),
            loop=asyncio.get_running_loop(),
            security=None,
            draining=False,
        )
        self.connection = ClientConnection(context, set())
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def _write(self, _transport: object, data: bytes) -> None:
        self.transport.written += data

    async def _decide(self, head: Any, _peer: Peer, _own_id: bytes) -> None:
        self.paths.append(head.path)
        if not self.may_answer.is_set():
            await asyncio.ensure_future(self.may_answer.wait())
        raise Answered(204, {})

    def hears(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)


async def test_a_head_in_pieces() -> None:
    line = Line()
    head = HEAD % 1
    line.hears(*(head[at : at + 1] for at in range(len(head))))
    assert line.paths == [b"/1"]
    assert line.transport.written.startswith(b"HTTP/1.1 204 No Content\r\n")


async def test_pipelined_requests_wait_for_the_one_before() -> None:
    """So answers leave in order (RFC 9112 §9.3.2)."""
    line = Line(answers=False)
    line.hears(HEAD % 1 + HEAD % 2 + HEAD % 3)
    assert line.paths == [b"/1"]
    line.may_answer.set()
    while len(line.reasons) < 3:
        await asyncio.sleep(0)
    assert line.paths == [b"/1", b"/2", b"/3"]


async def test_empty_lines_before_a_request() -> None:
    """RFC 9112 §2.2: old clients send one behind a body."""
    line = Line()
    line.hears(b"\r\n\r\n" + HEAD % 1)
    assert line.paths == [b"/1"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET /" + b"x" * 2000, "target_too_long"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 3000, "head_too_large"),
        (b"\x16\x03\x01", "malformed_request"),
    ],
)
async def test_what_cannot_become_a_request_is_refused_at_once(data: bytes, reason: str) -> None:
    """The connection ends, as the next request may begin anywhere."""
    line = Line()
    line.hears(data)
    assert (line.reasons, line.transport.closed) == ([reason], ["write side"])
    assert data not in line.transport.written


async def test_what_comes_behind_the_last_answer_is_dropped() -> None:
    """Unread bytes would make a reset of the close (RFC 9112 §9.6). As long as more comes, the
    client has `timeouts.linger` to send on, and half a minute in all.
    """
    line = Line(linger=2)
    line.hears(b"\x16\x03\x01", *[b"x" * 65536] * 100)
    assert (line.transport.closed, line.connection.deadline) == (["write side"], 2)
    for now, deadline in ((1, 3), (29, 30), (30, 30)):
        line.clock.now = now
        line.hears(b"x")
        assert line.connection.deadline == deadline
    line.connection.expire()
    assert line.transport.closed == ["write side", "closed"]


async def test_a_client_that_closes_its_side_is_gone() -> None:
    """Its request is not answered any more; nginx sees it so as well."""
    line = Line(answers=False)
    line.hears(HEAD % 1)
    assert not line.connection.eof_received()
    assert line.reasons == ["client_gone"]
    assert line.transport.written == b""

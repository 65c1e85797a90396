"""A client's connection: the requests that come over it, and its end.

It carries one exchange at a time. Pipelined requests wait in the buffer, so answers leave in order.
The buffer is bounded, and the client is not read while it does not take its answers.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe.access_record import refused_record
from gateway.relay.answers import own_answers
from gateway.relay.client.closing import Closing
from gateway.relay.exchange import deciding
from gateway.relay.exchange.exchange import Exchange
from gateway.relay.http1 import grammar
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.repeated_fields import RepeatedFields
from gateway.relay.http1.request_reader import check_size
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.client.registered import Clients
    from gateway.relay.exchange.context import Context
    from gateway.relay.exchange.upload import Upload

# How many pipelined requests of one client are answered in a turn of the loop: about 2 ms of work.
_MAX_REQUESTS_AT_ONCE = 64


class ClientConnection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_clients",
        "_closing",
        "_context",
        "_is_introduced",
        "_paused",
        "_pumping",
        "_repeated_fields",
        "blocked",
        "buffer",
        "deadline",
        "exchange",
        "peer",
        "stall",
        "transport",
    )

    peer: Peer

    def __init__(self, context: Context, clients: Clients, peer: Peer | None = None) -> None:
        """The connection adds itself to `clients`, and removes itself.

        clients: all open connections of clients of this worker
        peer: the other end, if it is known by more than the socket's address
        """
        if peer is not None:
            self.peer = peer
        self._is_introduced = peer is not None
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.buffer = b""  # bytes that no exchange has taken yet
        self.blocked = False  # the client does not take what is written
        self.stall: tuple[int, float] | None = None  # see `loop/deadlines.py`
        self.deadline = math.inf
        self._context = context
        self._clients = clients
        self._paused = False
        self._pumping = False
        self._repeated_fields = RepeatedFields()
        self._closing: Closing | None = None  # once no further request is read

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        context = self._context
        self.transport = transport  # type: ignore[assignment]
        if not self._is_introduced:
            self.peer = context.peer(transport.get_extra_info("peername"))
        shares, taken = context.connections, len(self._clients)
        if taken >= context.settings.connections:
            self.refuse(refusals.BUSY)
        elif taken >= shares.crowded and not shares.allows(self.peer.own_network, taken):
            self.refuse(refusals.OVER_SHARE, linger=False)  # lingering would cost others time
        self._clients.add(self)
        if shares.counts:
            shares.take(self.peer.own_network)
        if self._closing is None:
            self.deadline = context.clock.now + context.settings.head

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._closing is not None:
                self._closing.drop()
                return
            self.buffer = self.buffer + data if self.buffer else data
            self._pump()
            return
        upload = exchange.upload
        if upload is not None and upload.takes_bytes:
            upload.take(data)
            return
        self.buffer += data
        self.update_reading()
        if upload is not None and upload.awaits_body:
            upload.body_began()

    def eof_received(self) -> bool:
        """End the exchange: a client that closes its side is gone.

        nginx sees it so as well.
        """
        if self.exchange is not None:
            self.exchange.client_gone()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        context = self._context
        self._clients.discard(self)
        if context.connections.counts:
            left = len(self._clients)
            context.connections.give_back(self.peer.own_network, left)
        self.buffer = b""
        self.deadline = math.inf
        self.blocked = False
        if self.exchange is not None:
            self.exchange.client_gone()
        self._closing = None  # a cycle would wait for the collector

    def pause_writing(self) -> None:
        self.blocked = True
        if self._upload is not None:
            self._upload.pause_answer()

    def resume_writing(self) -> None:
        self.blocked = False
        self.stall = None
        if self._upload is not None:
            self._upload.resume_answer()
        if self.exchange is not None:
            return
        if self._closing is not None:
            self._closing.await_end()
        else:
            self._pump()

    def expire(self) -> None:
        """End what the connection is doing: its deadline has passed.

        The client has run out of time, or does not read.
        """
        exchange, transport = self.exchange, self.transport
        assert transport is not None
        if self._closing is not None or transport.is_closing():
            self._end().expire()
        elif self.blocked:
            if exchange is not None and exchange.tunnel is None:
                exchange.fail(refusals.READ_TIMEOUT)
            self.cut(reset=True)
        elif exchange is not None:
            exchange.fail(refusals.BODY_TIMEOUT)
        elif self.buffer:
            self.refuse(refusals.HEAD_TIMEOUT)
        else:
            self.close()

    @property
    def _upload(self) -> Upload | None:
        """The request on its way to an upstream."""
        return None if self.exchange is None else self.exchange.upload

    # What the exchange calls.

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self._context.write_batch.write(self.transport, data)

    def take(self) -> bytes:
        """Hand over the buffer."""
        taken, self.buffer = self.buffer, b""
        return taken

    def await_body(self, size: int, idle_timeout: float) -> None:
        """Give the client time for more of its body, if the connection is read.

        The `size` bytes that have come put the deadline off by the time that they may take, and to
        no later than a whole timeout from now. So a body may pause, but it cannot fall behind
        `limits.min_rate` by more than one timeout.
        """
        self.update_reading()
        if self._paused:
            self.deadline = math.inf
            return
        settings, now = self._context.settings, self._context.clock.now
        earned = self.deadline + size * settings.seconds_per_byte
        self.deadline = min(earned, now + idle_timeout)

    def body_ended(self, rest: bytes) -> None:
        """Keep `rest`, which may begin the next request."""
        self.buffer = rest
        self.deadline = math.inf
        self.update_reading()

    def update_reading(self) -> None:
        """Read on while the upstream and the buffer have room; else pause."""
        assert self.transport is not None
        exchange = self.exchange
        upload = None if exchange is None else exchange.upload
        if upload is not None and upload.takes_bytes:
            pause = upload.is_blocked
        else:
            pause = len(self.buffer) >= self._context.settings.read_ahead
        if pause != self._paused and not self.transport.is_closing():
            self._paused = pause
            if pause:
                self.transport.pause_reading()
                self.deadline = math.inf
            else:
                self.transport.resume_reading()
                if exchange is not None and exchange.uploading:
                    self.deadline = self._context.clock.now + exchange.body_idle

    def exchange_ended(self, *, close: bool) -> None:
        """Go on with the next request, or close."""
        self.exchange = None
        if close:
            self._linger()
            return
        self.deadline = self._context.clock.now + self._context.settings.idle
        if self.buffer:
            self._pump()
        elif self._paused:
            self.update_reading()

    # How requests are found.

    def _pump(self) -> None:
        """Begin the requests in the buffer, one after the other.

        After some that were answered at once, the others wait for the loop's next turn.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            started = 0
            while (
                self.buffer and self.exchange is None and self._closing is None and not self.blocked
            ):
                if not self._next_request():
                    break
                started += 1
                if started == _MAX_REQUESTS_AT_ONCE:
                    self._context.loop.call_soon(self._pump)
                    break
        finally:
            self._pumping = False
        if self.buffer or self._paused:
            self.update_reading()

    def _next_request(self) -> bool:
        """Begin one request. False if its head has not come as a whole."""
        context, data = self._context, self.buffer
        if data[:2] == b"\r\n":
            self.buffer = grammar.EMPTY_LINES.sub(b"", data, 1)
            return True
        end = data.find(HEAD_END)
        if end < 0:
            self._await_head(data)
            return False
        try:
            if end > context.settings.target_size:
                check_size(data, end, context.settings)
            head = context.requests.read(data, end, self._repeated_fields)
        except Refused as refused:
            self.refuse(refused.refusal)
            return False
        self.buffer = data[end + 4 :]
        self.deadline = math.inf
        exchange = self.exchange = Exchange(self, head, context)
        deciding.decide(exchange)
        return True

    def _await_head(self, data: bytes) -> None:
        try:
            check_size(data, len(data), self._context.settings)
            if data != b"\r":
                self._context.requests.check_beginning(data)
        except Refused as refused:
            self.refuse(refused.refusal)
        else:
            limit = self._context.clock.now + self._context.settings.head
            self.deadline = min(self.deadline, limit)

    def refuse(self, refusal: Refusal, *, linger: bool = True) -> None:
        """Answer bytes that are no request, and close.

        Neither the answer nor the log repeats them.
        """
        context = self._context
        request_id, security = context.request_ids.new(), context.security
        protection = None if security is None else (security, self.peer.scheme == b"https")
        self.buffer = b""
        self.write(own_answers.unread(refusal, request_id=request_id, protection=protection))
        context.refused(refusal)
        context.record(refused_record(refusal, self.peer.name, request_id))
        if linger:
            self._linger()
        else:
            self.close()

    # How the connection ends.

    def _linger(self) -> None:
        """Answer no more, and read on for a while, so that the last answer arrives."""
        self.buffer = b""
        self._end().linger()
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def close(self) -> None:
        """Close when all written bytes have left."""
        self._end().close()

    def cut(self, *, reset: bool) -> None:
        """Close at once. A `reset` shows the client that the body is not whole."""
        if reset:
            self._end().reset()
        else:
            self.close()

    def _end(self) -> Closing:
        """Begin no further request."""
        if self._closing is None:
            self._closing = Closing(self, self._context)
        return self._closing

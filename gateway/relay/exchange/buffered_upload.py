"""A request whose body is read as a whole before it takes a connection (`buffer_request`).

A server meets no slow client then, and no chunks: the request has a length.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.relay.exchange.body_buffer import BodyBuffer, NoDiskLeft
from gateway.relay.exchange.delivery import Delivery
from gateway.relay.exchange.expectation import Expectation
from gateway.relay.exchange.request_body import RequestBody
from gateway.relay.exchange.stopping import stop
from gateway.relay.exchange.upload import OVER, POSTPONED, SENT, Upload
from gateway.relay.loop import eager
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.relay.access.decision import Forward
    from gateway.relay.exchange.exchange_side import ExchangeSide
    from gateway.relay.http1.response_head import ResponseHead
    from gateway.relay.upstream.connection import UpstreamConnection
    from gateway.relay.upstream.pool import Pool

# The lines of a head that are about the way of its body to the gateway.
_CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n"
_EXPECTS = b"\r\nExpect: 100-continue\r\n"


def head_of_whole(head: bytes, length: bytes) -> bytes:
    """The head of a request whose body has come as a whole, with this length in digits."""
    head = head.replace(_EXPECTS, b"\r\n", 1)
    return head.replace(_CHUNKED, b"\r\nContent-Length: %b\r\n" % length, 1)


class BufferedUpload(Upload):
    """Reads the body of one request, and then sends the request."""

    __slots__ = ("_buffer", "_head", "is_sent")

    _body: RequestBody

    def __init__(self, exchange: ExchangeSide, forward: Forward, pool: Pool, size: int) -> None:
        """A body of up to `size` bytes stays in memory."""
        super().__init__(exchange, forward, pool)
        context = exchange.context
        self.state = POSTPONED
        self._body = RequestBody(
            exchange.head, limit=forward.route.action.body_limit, may_trail=None, secret=None
        )
        self._buffer = BodyBuffer(
            context.buffer_room,
            context.loop,
            client=exchange.network,
            max_memory=size,
            failed=self._buffer_failed,
        )
        self._head = b""  # of the request, until it is sent
        self.is_sent = False  # with its body

    def begin(self) -> None:
        """Read the body, and ask for it first if the client waits for that."""
        client = self._exchange.client
        if self._exchange.head.expects_continue and not client.buffer:
            Expectation(client).meet()
        self.take(client.take())

    # The body, as it comes.

    @property
    def takes_bytes(self) -> bool:
        return self.uploading or super().takes_bytes

    @property
    def awaits_body(self) -> bool:
        return False  # it takes bytes by itself

    @property
    def is_blocked(self) -> bool:
        """Whether no more is read for now: the file is being written, or the tunnel is full."""
        return self._buffer.is_busy if self.uploading else super().is_blocked

    def take(self, data: bytes) -> None:
        body, exchange = self._body, self._exchange
        try:
            pieces = body.read(data)
        except Refused as refused:
            exchange.fail(refused.refusal)
            return
        finally:
            self.size = body.size
        self._buffer.add(pieces, exchange.client.update_reading)
        if body.done:
            self.uploading = False
            exchange.client.body_ended(body.rest)
            self._buffer.finish(self._decide)
        else:
            exchange.client.await_body(len(data), self._forward.route.action.request_body_idle)

    def _buffer_failed(self, error: OSError) -> None:
        exchange = self._exchange
        exchange.cause = str(error.strerror)
        if not isinstance(error, NoDiskLeft):
            exchange.context.log.error("a request's body cannot be buffered: %s", error.strerror)
        exchange.fail(refusals.BUFFER_FULL)

    # The request, over a connection.

    def _decide(self) -> None:
        """Find out who asks by now, and go on."""
        exchange, head = self._exchange, self._exchange.head
        context, peer = exchange.context, exchange.client.peer
        try:
            decision = eager.begin(context.decide_late(self._forward, head, peer, exchange.own_id))
        except Exception as outcome:
            stop(exchange, outcome)
            return
        if isinstance(decision, eager.Suspended):
            exchange.suspended = decision
            decision.then(self._passes, partial(stop, exchange))
        else:
            self._passes(decision)

    def _passes(self, decision: Forward) -> None:
        exchange = self._exchange
        exchange.suspended = None  # it refers to the exchange: a cycle would wait for the collector
        if not exchange.is_over:
            exchange.forward = self._forward = decision
            self.acquire()

    def send(self, upstream: UpstreamConnection) -> None:
        """Send the head with the beginning of the body, and the rest as the upstream takes it."""
        forward = self._forward
        self.state = SENT
        self.upstream = upstream
        self.delivery = _Delivery(self._exchange, forward, upstream, self)
        upstream.carry(self.delivery, forward.route.action.timeouts, uploading=True)
        self._head = head_of_whole(forward.head, b"%d" % self.size)
        self.send_on()

    def send_on(self) -> None:
        """Send pieces of the body for as long as the upstream takes them."""
        while (upstream := self.upstream) is not None and not upstream.blocked:
            piece = self._buffer.take(self.send_on) if not self.is_sent else None
            if piece is None:
                return
            if piece or self._head:
                upstream.send(self._head + piece)
                self._head = b""
            else:
                self.is_sent = True
                upstream.await_answer()

    def give_back(self, *, reusable: bool) -> None:
        """Give back the connection, and forget the body."""
        if self.state is not OVER:
            self._buffer.close()
        super().give_back(reusable=reusable and self.is_sent)
        self.delivery = None  # it refers to this upload


class _Delivery(Delivery):
    """The answer to such a request.

    Its connection tells it when the server takes more of the body.
    """

    __slots__ = ("_upload",)

    def __init__(
        self,
        exchange: ExchangeSide,
        forward: Forward,
        upstream: UpstreamConnection,
        upload: BufferedUpload,
    ) -> None:
        super().__init__(exchange, forward, upstream)
        self._upload = upload

    def switches(self, response: ResponseHead) -> bool:
        return self._upload.is_sent and super().switches(response)

    def update_reading(self) -> None:
        super().update_reading()
        self._upload.send_on()

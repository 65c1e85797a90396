"""A request on its way to an upstream.

It waits for a connection, and sends its head and its body over it.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

from gateway.core.http.refusals import UPSTREAM_SILENT, Refusal
from gateway.relay.access.decision import Forward
from gateway.relay.access.field_changes import trailing
from gateway.relay.answers import heads
from gateway.relay.exchange import affinity
from gateway.relay.exchange.delivery import Delivery
from gateway.relay.exchange.exchange_side import ExchangeSide
from gateway.relay.exchange.expectation import Expectation
from gateway.relay.exchange.request_body import RequestBody
from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection
    from gateway.relay.upstream.policy import Sticky
    from gateway.relay.upstream.pool import Pool
    from gateway.relay.upstream.server import Server
    from gateway.relay.upstream.waiter import Outage

_NO_SERVERS: frozenset[Server] = frozenset()

# RFC 9110 §9.2.2: doing it twice is the same as doing it once.
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})


class State(enum.Enum):
    """How far the request has come.

    One that is sent once more goes back to `WAITING`.
    """

    POSTPONED = enum.auto()  # its body has to begin first, or to come as a whole
    WAITING = enum.auto()  # for a connection
    SENT = enum.auto()  # its head has left over a connection
    OVER = enum.auto()  # it waits for nothing any more


# As names of the module: a look-up in an Enum takes ten times as long on CPython 3.11.
POSTPONED, WAITING, SENT, OVER = State


class Upload:
    """Sends one request. For its pool it is a `Waiter`."""

    # Without a dict, for the reason that `Exchange` gives.
    __slots__ = (
        "_body",
        "_exchange",
        "_forward",
        "_pool",
        "asked",
        "delivery",
        "expectation",
        "outage",
        "queued",
        "server",
        "size",
        "state",
        "tried",
        "uploading",
        "upstream",
    )

    def __init__(self, exchange: ExchangeSide, forward: Forward, pool: Pool) -> None:
        head = exchange.head
        self.state = WAITING
        self.uploading = head.chunked or head.length > 0  # whether the body is still to come
        self.upstream: UpstreamConnection | None = None
        self.server: Server | None = None  # at which it has, or had, a place
        self.asked: frozenset[Server] = _NO_SERVERS  # that were sent the request in vain
        self.tried: frozenset[Server] = _NO_SERVERS  # those, and the ones that were not reached
        self.delivery: Delivery | None = None  # gets the answer, once the head has been sent
        self.outage: Outage | None = None  # if it waits for a restart
        self.queued = False  # it waits in a queue of the pool
        self.size = 0  # bytes of the body so far, or, at its end, from the tunnel's client
        self.expectation: Expectation | None = None
        self._body: RequestBody | None = None
        self._exchange = exchange
        self._forward = forward
        self._pool = pool

    @property
    def network(self) -> str:
        return self._exchange.network

    @property
    def is_answered(self) -> bool:
        """Whether the head of an answer has come, and has gone on."""
        return self.delivery is not None and self.delivery.upstream_duration > 0

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice.

        Doing it again changes nothing, and it has no body.
        """
        head = self._exchange.head
        return head.method in _IDEMPOTENT and not head.has_body

    def affinity(self, sticky: Sticky) -> bytes:
        """The key by which its server is chosen; empty if there is none."""
        return affinity.key(sticky, self._exchange, self._forward)

    # A connection for it.

    def acquire(self) -> None:
        """Ask the pool for a connection."""
        self.state = WAITING
        self._pool.acquire(self)

    @property
    def waits(self) -> bool:
        """Whether it waits for a connection."""
        return self.state is WAITING

    def postpones(self) -> bool:
        """Wait for the body before it takes a connection. False if it need not.

        Others may need the connection. A client with an expectation waits itself: the upstream says
        whether it shall begin.
        """
        if self._forward.route.action.buffer_request is not None:
            self._exchange.buffer_body()
            return True
        client, head = self._exchange.client, self._exchange.head
        if client.buffer or head.expects_continue:
            return False
        self.state = POSTPONED
        client.await_body(0, self._forward.route.action.request_body_idle)
        return True

    @property
    def awaits_body(self) -> bool:
        """Whether the first part of its body has to come now."""
        return self.state is POSTPONED

    def body_began(self) -> None:
        """Go on: the first part of the body has come."""
        self._exchange.client.deadline = math.inf
        self.acquire()

    def fail(self, refusal: Refusal) -> None:
        self._exchange.cause = refusal.title
        self._exchange.fail(refusal)

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        self._exchange.unreached(refusal, server, cause)

    # The head and the body, over that connection.

    def send(self, upstream: UpstreamConnection) -> None:
        """Send the head, in one write with the part of the body that has come."""
        exchange, forward = self._exchange, self._forward
        self.state = SENT
        self.upstream = upstream
        delivery = self.delivery = Delivery(exchange, forward, upstream)
        upstream.carry(delivery, forward.route.action.timeouts, uploading=self.uploading)
        if not self.uploading:
            upstream.send(forward.head)
            return
        client, context, head = exchange.client, exchange.context, exchange.head
        may_trail = None
        if head.takes_trailers:
            may_trail = trailing(context.may_trail, forward.route.action.request_fields)
        self._body = RequestBody(
            head,
            limit=forward.route.action.body_limit,
            may_trail=may_trail,
            secret=heads.hidden_token(forward),
        )
        if head.expects_continue:
            self.expectation = Expectation(client)
            if not client.buffer:
                self.expectation.meet_after(context.settings.continue_, context.loop)
        self._send_body(client.take(), [forward.head])
        if self.expectation is not None:
            client.deadline += context.settings.continue_  # it may wait so long to be asked

    @property
    def takes_bytes(self) -> bool:
        """Whether bytes from the client are this request's, and can pass now."""
        return self.upstream is not None and (self.uploading or self._exchange.tunnel is not None)

    @property
    def is_blocked(self) -> bool:
        """Whether the upstream does not take what is written to it."""
        return self.upstream is not None and self.upstream.blocked

    def take(self, data: bytes) -> None:
        """Pass on bytes from the client.

        Those behind the body go back to the client's connection.
        """
        self._send_body(data, [])

    def _send_body(self, data: bytes, out: list[bytes]) -> None:
        """Send a part of the body, behind the bytes in `out`."""
        body, upstream, client = self._body, self.upstream, self._exchange.client
        assert body is not None
        assert upstream is not None
        try:
            out += body.frame(data)
        except Refused as refused:
            self._exchange.fail(refused.refusal)
            return
        finally:
            self.size = body.size
        if out:
            upstream.send(b"".join(out))
        if body.done:
            self.uploading = False
            client.body_ended(body.rest)
            upstream.await_answer()
        else:
            client.await_body(len(data), self._forward.route.action.request_body_idle)

    def becomes_stream(self) -> Refusal | None:
        """Hold the place of a stream from now on. The refusal if there is none."""
        assert self.upstream is not None
        return self._pool.becomes_stream(self, self.upstream)

    def ask_for_body(self) -> None:
        """Ask the client for the body, if it waits for that."""
        if self.expectation is not None:
            self.expectation.meet()

    def pause_answer(self) -> None:
        """Pause the upstream: the client does not take what is written to it."""
        if self.upstream is not None:
            self.upstream.pause()

    def resume_answer(self) -> None:
        if self.upstream is not None:
            self.upstream.resume()

    @property
    def activity(self) -> tuple[int, int]:
        """The bytes that show a live client: received from it and delivered to it.

        What a server sends by itself, through a tunnel or as events, shows none.
        """
        delivery, tunnel = self.delivery, self._exchange.tunnel
        if tunnel is not None:
            return tunnel.sizes[0], 0
        if delivery is None or delivery.is_event_stream:
            return self.size, 0
        return self.size, delivery.size

    # Once more, or no more.

    def send_again(self, forward: Forward) -> None:
        """Send the request once more, with another token."""
        self._forward = forward
        self.give_back(reusable=False)
        self.acquire()

    def goes_again(self, refusal: Refusal, cause: str, *, is_stale: bool) -> bool:
        """Send the request once more, without a whole head of an answer.

        False if it is not sent: it has to be repeatable. It goes over a new connection if a kept
        one may have been stale, else to another server (wire-rules.md#D6, #D8).
        """
        pool, upstream, server = self._pool, self.upstream, self.server
        assert upstream is not None
        assert server is not None
        is_first = not self.asked
        if is_stale:
            server.was_stale(is_lost=not self.is_repeatable)
        else:
            server.failed(upstream, cause, refusal)
            self.asked |= {server}
            self.tried |= {server}
        if not self.is_repeatable or self._exchange.has_interim:
            return False
        goes_elsewhere = not is_stale and is_first and pool.known.may_repeat(self)
        if is_stale:
            self.upstream, self.state = None, WAITING
            pool.replace(self, upstream)
        elif goes_elsewhere:
            pool.known.goes_on(upstream)
            self.give_back(reusable=False)
            self.acquire()
        return is_stale or goes_elsewhere

    def was_broken(self, refusal: Refusal, cause: str) -> None:
        """Note that the server has broken its answer.

        A body that stops may be a stream without events.
        """
        has_begun = self.delivery is not None and self.delivery.has_begun
        if self.server is not None and not (has_begun and refusal is UPSTREAM_SILENT):
            self.server.failed(self.upstream, cause, refusal)

    def end_tunnel(self, tunnel: Tunnel) -> None:
        """End the tunnel, and count what it has passed on."""
        assert self.delivery is not None
        tunnel.end()
        self.size, self.delivery.size = tunnel.sizes

    def give_back(self, *, reusable: bool) -> None:
        """Give back the connection, or leave the pool's queue."""
        upstream, self.state = self.upstream, OVER
        if self.expectation is not None:
            self.expectation.cancel()
        if upstream is not None:
            self.upstream = None
            reusable = reusable and not self.uploading
            if self._exchange.is_stream:
                self._pool.release_stream(upstream, self, reusable=reusable)
            else:
                self._pool.release(upstream, self, reusable=reusable)
        elif self.queued:
            self._pool.leave(self)

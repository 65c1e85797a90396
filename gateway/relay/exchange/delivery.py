"""An upstream's answer on its way to the client.

It has interim heads, the head, and a body or a tunnel. It may be held back: until there is another
token for the request, or until the session that it ends has ended.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.relay.access.decision import Forward
from gateway.relay.access.field_changes import trailing
from gateway.relay.access.token_watch import Inspection, TokenFound, TokenWatch
from gateway.relay.answers import framing, heads, response_shape
from gateway.relay.answers.framing import CHUNKED, CLOSE, DROPPED, LENGTH
from gateway.relay.compression.compression import unvouched
from gateway.relay.compression.encoders import Encoder
from gateway.relay.exchange.event_stream import EventStream
from gateway.relay.exchange.exchange_side import ExchangeSide
from gateway.relay.exchange.held_answer import HeldAnswer
from gateway.relay.exchange.tunnel import Tunnel
from gateway.relay.http1 import bodies
from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.response_head import ResponseHead

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection

# So many bytes are encoded in one turn of the loop.
_TURN_BYTES = 65536


class Delivery:
    """Brings one answer to the client.

    For its connection it is a `ResponseHandler`.
    """

    # Without a dict, for the reason that `Exchange` gives.
    __slots__ = (
        "_encoder",
        "_exchange",
        "_forward",
        "_framing",
        "_head",
        "_inspection",
        "_response",
        "_sent",
        "_upstream",
        "head",
        "size",
        "upstream_duration",
    )

    def __init__(
        self,
        exchange: ExchangeSide,
        forward: Forward,
        upstream: UpstreamConnection,
    ) -> None:
        """`upstream` is the connection over which it comes."""
        self.head = exchange.head
        self.size = 0  # bytes of the body so far, or, at its end, of the tunnel
        self.upstream_duration = 0.0  # seconds until the answer's head, once it has come
        self._sent = time.monotonic()
        self._exchange = exchange
        self._forward = forward
        self._upstream = upstream
        self._response: ResponseHead | None = None  # once it is on its way
        self._head = b""  # as the client gets it, until it is written
        self._framing = LENGTH
        self._inspection: Inspection | None = None  # for tokens in the body
        self._encoder: Encoder | None = None  # of the body

    @property
    def network(self) -> str:
        return self._exchange.network

    @property
    def has_begun(self) -> bool:
        """Whether the client has the head.

        From then on, only a cut can end the answer.
        """
        return self._response is not None and not self._head

    @property
    def ends_by_close(self) -> bool:
        """Whether a connection that just closes would look like the body's end."""
        return self._framing is CLOSE

    @property
    def is_event_stream(self) -> bool:
        response = self._response
        return response is not None and (
            self._forward.route.action.streams or response.is_event_stream
        )

    # The answer, step by step.

    def interim(self, response: ResponseHead) -> None:
        """Pass on a 1xx to a client that knows it. A 100 asks for the body."""
        exchange, head = self._exchange, self.head
        exchange.has_interim = True
        if response.status == 100:
            exchange.ask_for_body()
        elif not head.old:
            exchange.client.write(heads.interim_head(response, head, self._forward))

    def may_stream(self, response: ResponseHead) -> bool:
        if self._forward.route.action.streams or response.is_event_stream:
            return self._exchange.becomes_stream()
        return True

    def respond(self, response: ResponseHead, *, with_body: bool) -> None:
        """Render the head. It leaves with the first bytes of the body."""
        exchange, head = self._exchange, self.head
        self._response = shown = response
        self.upstream_duration = time.monotonic() - self._sent
        if self._forward.route.reshapes:
            shown = self._reshape(response, with_body=with_body)
        self._framing, line = framing.choose(shown, with_body=with_body, old=head.old)
        exchange.begin_answer(response.status, close=self._framing is CLOSE)
        self._head = heads.final_head(
            shown,
            head,
            self._forward,
            request_id=exchange.request_id,
            framing=line,
            close=exchange.close,
        )
        watch = self._forward.route.watch
        if watch.looks_at_get if head.method == b"GET" else watch.looks_at_others:
            self._inspect(watch, response)  # whatever the route makes of its type

    def deliver(self, pieces: list[bytes]) -> None:
        """Write bytes of the body, together with the head if that has not left."""
        if self._inspection is not None:
            going = self._inspected(self._inspection.passed, pieces)
            if going is None:
                return
            pieces = going
        if self._encoder is not None:
            pieces = self._encoded(self._encoder, pieces)
        out = [self._head] if self._head else []
        self._head = b""
        if self._framing is not DROPPED:
            for piece in pieces:
                self.size += len(piece)
            out += bodies.chunk(pieces) if self._framing is CHUNKED else pieces
        if out:
            self._exchange.client.write(b"".join(out))

    def goes_on(self, body: ChunkedBody) -> None:
        """Pass a stream's chunks on by the short way, if nothing looks at or changes them."""
        exchange, context = self._exchange, self._exchange.context
        changes = self._inspection is not None or self._encoder is not None
        if not exchange.is_stream or exchange.is_over or changes or self._framing is not CHUNKED:
            return
        writer = exchange.client.transport
        assert writer is not None
        exchange.events = EventStream(
            self,
            body,
            self._upstream,
            writer,
            idle_timeout=self._forward.route.action.timeouts.stream_idle,
            clock=context.clock,
            write_batch=context.write_batch,
        )

    def answered(self, trailers: list[tuple[bytes, bytes]], *, reusable: bool) -> None:
        """End the body, and with it the exchange."""
        exchange = self._exchange
        if self._inspection is not None:
            self._release()
        if self._encoder is not None:
            self._finish_encoding(self._encoder)
            trailers = unvouched(trailers)
        if self._framing is CHUNKED:
            may_trail = None
            if self.head.takes_trailers:
                changes = self._forward.route.action.answer_fields
                may_trail = trailing(exchange.context.may_trail, changes)
            secret = heads.hidden_token(self._forward)
            exchange.client.write(bodies.last_chunk(trailers, may_trail, secret))
        exchange.end(reusable=reusable)

    def unanswered(self, refusal: Refusal, cause: str, *, is_stale: bool) -> None:
        self._exchange.unanswered(refusal, cause, is_stale=is_stale)

    def broken(self, refusal: Refusal, cause: str) -> None:
        self._exchange.broken(refusal, cause)

    def update_reading(self) -> None:
        self._exchange.client.update_reading()

    def withholds(self, response: ResponseHead) -> bool:
        """Whether the answer is held back.

        It is while another token is sought, or while the session ends by it.
        """
        return HeldAnswer(self._exchange, self._forward, self._upstream).has_to_wait(response)

    # An answer that is changed, or compressed.

    def _reshape(self, response: ResponseHead, *, with_body: bool) -> ResponseHead:
        """The head as the client gets it."""
        forward, head = self._forward, self.head
        changed = self._response = copy.copy(response)
        response_shape.apply(changed, head, forward, self._exchange.client.peer)
        compression = forward.route.action.compression
        if compression is None:
            return changed
        shown, self._encoder = compression.begin(changed, head, with_body=with_body)
        return shown

    def _encoded(self, encoder: Encoder, pieces: list[bytes]) -> list[bytes]:
        """The encoded pieces. Of a body without a length, a client can read all that came."""
        assert self._response is not None
        encoded = [encoder.encode(piece) for piece in pieces]
        if pieces and self._response.length is None:
            encoded.append(encoder.flush())
        if sum(map(len, pieces)) >= _TURN_BYTES:
            self._rest()
        return [piece for piece in encoded if piece]

    def _rest(self) -> None:
        """Let others have a turn: read on in the next one.

        libuv reads a connection up to 32 times in one turn. Of zeros, which no client is slow to
        take, that were 8 MiB, and gzip took 0.2 s.
        """
        if not self._upstream.paused:
            self._upstream.pause()
            self._exchange.context.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        exchange = self._exchange
        if not exchange.is_over and not exchange.client.blocked:
            self._upstream.resume()

    def _finish_encoding(self, encoder: Encoder) -> None:
        self._encoder = None
        self.deliver([encoder.finish()])

    # An answer that is looked at for tokens.

    def _inspect(self, watch: TokenWatch, response: ResponseHead) -> None:
        try:
            streams = self._forward.route.action.streams
            self._inspection = watch.inspection(self.head, response, streams=streams)
        except TokenFound:
            self._refuse_token()

    def _inspected(
        self, look: Callable[..., list[bytes] | None], *pieces: list[bytes]
    ) -> list[bytes] | None:
        """The pieces that go on now; none of a reply that is refused."""
        try:
            return look(*pieces)
        except TokenFound:
            self._refuse_token()
            return []

    def _release(self) -> None:
        """Write what an inspection has held back, at the end of the body."""
        inspection, self._inspection = self._inspection, None
        assert inspection is not None
        pieces = self._inspected(inspection.ended)
        if pieces or self._head:
            self.deliver(pieces or [])

    def _refuse_token(self) -> None:
        """Refuse the answer, or cut it if the client has its head.

        Nothing more of it leaves.
        """
        self._exchange.fail(refusals.TOKEN_IN_REPLY)
        self._inspection, self._encoder, self._framing, self._head = None, None, DROPPED, b""

    # An answer that opens a tunnel.

    def switches(self, response: ResponseHead) -> bool:
        """Whether this 101 answers an upgrade that came and that the route allows."""
        upgrade = self.head.upgrade
        return upgrade in self._forward.route.action.upgrades and upgrade == response.upgrade

    def switch(self, response: ResponseHead) -> None:
        """Become a tunnel."""
        exchange = self._exchange
        client, context = exchange.client, exchange.context
        if client.buffer:
            # A client that does not wait for the 101 may mean something else (wire-rules.md#E9).
            exchange.fail(refusals.MALFORMED)
            return
        if not exchange.becomes_stream():
            return
        self._response = shown = response
        self.upstream_duration = time.monotonic() - self._sent
        if self._forward.route.reshapes:
            shown = self._reshape(response, with_body=False)
        exchange.begin_answer(response.status, close=True)
        client.write(heads.upgraded_head(shown, self.head, self._forward))
        context.write_batch.flush()  # the tunnel writes past it
        exchange.tunnel = Tunnel(
            client,
            self._upstream,
            context.clock,
            idle_timeout=self._forward.route.action.timeouts.tunnel_idle,
            protocol=response.upgrade or b"",
        )
        client.update_reading()

    def tunnelled(self, data: bytes) -> None:
        """Pass on bytes that the upstream sent behind its 101."""
        if self._exchange.tunnel is not None:
            self._exchange.tunnel.deliver(data)

    def tunnel_ended(self) -> None:
        self._exchange.end(reusable=False)

"""A request's body, framed for the upstream."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.http import refusals
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.http1 import bodies
from gateway.relay.http1.bodies import ChunkedBody, SizedBody
from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused


def drop_body(head: RequestHead, client: ClientSide) -> bool:
    """Drop the body of a request that goes nowhere. False if a part of it is still to come.

    A refusal then does not cost the client its connection.
    """
    if not head.has_body:
        return True
    body = ChunkedBody() if head.chunked else SizedBody(head.length)
    try:
        body.feed(client.buffer)
    except Malformed:
        return False
    if body.done:
        client.buffer = body.rest
        head.chunked, head.length = False, 0
    return body.done


class RequestBody:
    """Takes a body in pieces, counts it, and frames it for the upstream."""

    size = 0  # bytes so far, without framing
    done = False  # it has been read to its end

    def __init__(
        self,
        head: RequestHead,
        *,
        limit: int,
        may_trail: Callable[[bytes], bool] | None,
        secret: bytes | None,
    ) -> None:
        """`limit` in bytes; for `may_trail` and `secret` see `bodies.last_chunk`."""
        self._chunked = head.chunked
        self._body = ChunkedBody() if head.chunked else SizedBody(head.length)
        self._limit = limit
        self._may_trail = may_trail
        self._secret = secret

    def frame(self, data: bytes) -> list[bytes]:
        """The body's part of `data` as it goes upstream. Raises `Refused`."""
        pieces = self.read(data)
        if not self._chunked:
            return pieces
        framed = bodies.chunk(pieces)
        if self.done:
            trailers = self._body.trailers
            framed.append(bodies.last_chunk(trailers, self._may_trail, self._secret))
        return framed

    def read(self, data: bytes) -> list[bytes]:
        """The body's part of `data`, without framing. Raises `Refused`."""
        body = self._body
        try:
            pieces = body.feed(data)
        except Malformed:
            raise Refused(refusals.MALFORMED) from None
        self.done = body.done
        self.size += sum(map(len, pieces))
        if self.size > self._limit:
            raise Refused(refusals.BODY_TOO_LARGE)
        return pieces

    @property
    def rest(self) -> bytes:
        """The bytes that came behind the body."""
        return self._body.rest

"""A request's body: asking the client for it, and framing it for the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.core.http import refusals
from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.http1 import bodies
from gateway.relay.http1.bodies import ChunkedBody, SizedBody
from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestBody:
    """Takes a body from the client in pieces, counts it, and frames it anew for the upstream."""

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
        body = self._body
        try:
            pieces = body.feed(data)
        except Malformed:
            raise Refused(refusals.MALFORMED) from None
        self.done = body.done
        self.size += sum(map(len, pieces))
        if self.size > self._limit:
            raise Refused(refusals.BODY_TOO_LARGE)
        if not self._chunked:
            return pieces
        framed = bodies.chunk(pieces)
        if self.done:
            framed.append(bodies.last_chunk(body.trailers, self._may_trail, self._secret))
        return framed

    @property
    def rest(self) -> bytes:
        """What came behind the body."""
        return self._body.rest


class Expectation:
    """A client that asks whether to send its body, and is told so once (RFC 9110 §10.1.1)."""

    __slots__ = ("_client", "_is_over", "_timer")

    def __init__(self, client: ClientSide) -> None:
        self._client = client
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def meet_after(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """Ask for the body then, unless the upstream has asked for it or answered before."""
        self._timer = loop.call_later(seconds, self.meet)

    def meet(self) -> None:
        """Ask for the body, once."""
        if not self._is_over:
            self._is_over = True
            self._client.write(_CONTINUE)

    def cancel(self) -> None:
        """Do not ask for the body any more: the answer has come, or the exchange has ended."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

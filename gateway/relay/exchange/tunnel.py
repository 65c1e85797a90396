"""An upgraded connection (RFC 9110 §7.8).

Bytes pass in both directions, until one side closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.relay.exchange.client_side import ClientSide
from gateway.relay.http1 import websocket
from gateway.relay.http1.websocket import Frames
from gateway.relay.loop.deadlines import Clock

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection


class Tunnel:
    """Passes bytes on between a client and an upstream."""

    __slots__ = ("_client", "_clock", "_frames", "_idle_timeout", "_upstream")

    def __init__(
        self, client: ClientSide, upstream: UpstreamConnection, clock: Clock, idle_timeout: float
    ) -> None:
        """`idle_timeout` in seconds."""
        self._client = client
        self._upstream = upstream
        self._clock = clock
        self._idle_timeout = idle_timeout
        self._frames = Frames()  # of the upstream's side

    def upload(self, data: bytes) -> None:
        """Pass on bytes from the client."""
        self._upstream.deadline = self._clock.now + self._idle_timeout
        self._upstream.send(data)

    def deliver(self, data: bytes) -> None:
        """Pass on bytes from the upstream."""
        self._upstream.deadline = self._clock.now + self._idle_timeout
        self._frames.feed(data)
        self._client.write(data)

    def close(self, status: int, reason: str) -> bool:
        """Send a close frame (RFC 6455 §7.4).

        False within a frame, which it would break.
        """
        if not self._frames.between:
            return False
        self._client.write(websocket.close(status, reason))
        return True

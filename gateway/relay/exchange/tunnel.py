"""An upgraded connection (RFC 9110 §7.8).

Bytes pass in both directions. An end that stops writing is passed on as such: the other direction
goes on until it ends as well.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.relay.exchange.stand_in import StandIn
from gateway.relay.http1 import websocket
from gateway.relay.http1.websocket import CLOSE, MIN_HEADER_BYTES, OPCODE, SHORT_BYTES, Frames
from gateway.relay.loop.deadlines import Clock

if TYPE_CHECKING:
    from gateway.relay.exchange.client_side import ClientSide
    from gateway.relay.upstream.connection import UpstreamConnection

# How long a WebSocket may be silent once one direction has ended, in seconds. It is over then,
# since it has a closing handshake of its own (RFC 6455 §7): its last bytes need a moment.
_HALF_CLOSED_SECONDS = 2.0


class Tunnel:
    """Passes bytes on between a client and an upstream."""

    __slots__ = (
        "_client_end",
        "_frames",
        "_upstream",
        "_upstream_end",
        "idle_timeout",
    )

    def __init__(
        self,
        client: ClientSide,
        upstream: UpstreamConnection,
        clock: Clock,
        *,
        idle_timeout: float,
        protocol: bytes,
    ) -> None:
        """Pass bytes on from now on.

        idle_timeout: how long it may be silent (seconds)
        protocol: what the connection was upgraded to
        """
        self.idle_timeout = idle_timeout
        self._upstream = upstream
        self._frames = Frames() if protocol == websocket.PROTOCOL else None  # of the upstream
        client_transport, upstream_transport = client.transport, upstream.transport
        assert client_transport is not None
        assert upstream_transport is not None
        self._client_end = _End(self, client_transport, upstream_transport, upstream, clock)
        self._upstream_end = _End(
            self, upstream_transport, client_transport, upstream, clock, self._frames
        )

    @property
    def sizes(self) -> tuple[int, int]:
        """The bytes from the client and from the upstream so far."""
        return self._client_end.size, self._upstream_end.size

    def deliver(self, data: bytes) -> None:
        """Pass on bytes that the upstream sent behind its 101."""
        self._upstream_end.data_received(data)

    def half_close(self, end: _End) -> bool:
        """Pass on that an end writes no more. False if no direction is left."""
        other = self._upstream_end if end is self._client_end else self._client_end
        if other.has_ended or not (end.reader.can_write_eof() and end.writer.can_write_eof()):
            return False  # asyncio closes a TLS connection as a whole
        end.writer.write_eof()
        if self._frames is not None:
            self.idle_timeout = min(self.idle_timeout, _HALF_CLOSED_SECONDS)
        self._upstream.may_be_quiet(self.idle_timeout)
        return True

    def close(self, status: int, reason: str) -> bool:
        """Tell a WebSocket's client why the tunnel ends (RFC 6455 §7.4).

        False within a frame of the upstream, which a close frame would break. Between the frames of
        a fragmented message it may stand (§5.4), compressed or not (RFC 7692 §6).
        """
        frames = self._frames
        if frames is None or frames.closed or self._upstream_end.has_ended:
            return True  # nothing may be written to the client any more
        if not frames.between:
            return False
        self._upstream_end.write(websocket.close(status, reason))
        return True

    def end(self) -> None:
        """Give the connections their own protocols back."""
        self._client_end.leave()
        self._upstream_end.leave()


class _End(StandIn):
    """One end of a tunnel: what it reads is written to the other one."""

    __slots__ = ("_clock", "_frames", "_tunnel", "_upstream", "has_ended", "size", "writer")

    def __init__(
        self,
        tunnel: Tunnel,
        reader: asyncio.Transport,
        writer: asyncio.Transport,
        upstream: UpstreamConnection,
        clock: Clock,
        frames: Frames | None = None,
    ) -> None:
        """Read from now on.

        reader: the transport of this end
        writer: that of the other one
        upstream: its deadline is the tunnel's
        frames: follow the bytes that it reads
        """
        super().__init__(reader)
        self.writer = writer
        self.size = 0  # bytes that it has read
        self.has_ended = False  # it reads no more
        self._tunnel = tunnel
        self._upstream = upstream
        self._clock = clock
        self._frames = frames

    def leave(self) -> None:
        super().leave()
        del self._tunnel  # a cycle would wait for the garbage collector

    def data_received(self, data: bytes) -> None:
        # Calls are spared: a WebSocket's messages are small, and this is all that each costs.
        size, frames = len(data), self._frames
        self.size += size
        self._upstream.deadline = self._clock.now + self._tunnel.idle_timeout
        if frames is not None and not (
            # one short frame between others, as most messages are, changes nothing
            frames.between
            and MIN_HEADER_BYTES <= size < MIN_HEADER_BYTES + SHORT_BYTES
            and data[1] == size - MIN_HEADER_BYTES
            and data[0] & OPCODE != CLOSE
        ):
            frames.feed(data)
        self.writer.write(data)

    def write(self, data: bytes) -> None:
        """Write to the other end."""
        if not self.writer.is_closing():
            self.writer.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        return self._tunnel.half_close(self)

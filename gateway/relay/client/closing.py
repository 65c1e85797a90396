"""The end of a client's connection, while the client may still be sending, or taking bytes."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from typing import TYPE_CHECKING, Protocol

from gateway.relay.loop.deadlines import untaken

if TYPE_CHECKING:
    from gateway.relay.exchange.context import Context

# How long a client may go on sending after its last answer, as `lingering_time` of nginx says.
# What it sends is read and dropped: a socket that is closed with unread bytes sends a reset, which
# destroys the answer on its way (RFC 9112 §9.6). A browser sends the whole of a refused upload.
_MAX_LINGER_SECONDS = 30.0

_RESET = struct.pack("ii", 1, 0)


class Ending(Protocol):
    """The connection that ends."""

    transport: asyncio.Transport | None
    blocked: bool  # the client does not take what is written
    deadline: float  # by when the client has to end (the clock's seconds)


class Closing:
    """Closes a connection, in its own time."""

    __slots__ = ("_connection", "_context", "_until")

    def __init__(self, connection: Ending, context: Context) -> None:
        self._connection = connection
        self._context = context
        self._until = context.clock.now + _MAX_LINGER_SECONDS

    def linger(self) -> None:
        """Stop writing, and drop what the client still sends.

        It does so until the client has sent nothing for `timeouts.linger` seconds.
        """
        transport = self._transport
        if transport.is_closing():
            return
        self._context.write_batch.flush()
        if not transport.can_write_eof():  # TLS, which ends in both directions at once
            self.close()
            return
        self.await_end()
        transport.write_eof()

    def await_end(self) -> None:
        """Set the deadline for the client to close.

        It starts when all written bytes have left.
        """
        connection, settings = self._connection, self._context.settings
        limit = settings.write if self._has_unsent else settings.linger
        connection.deadline = math.inf if connection.blocked else self._context.clock.now + limit

    def drop(self) -> None:
        """Drop bytes that the client has sent: it has time to send more."""
        if self._connection.deadline < self._until:
            self.await_end()
            self._connection.deadline = min(self._connection.deadline, self._until)

    def close(self) -> None:
        """Close when all written bytes have left.

        `limits.min_rate` gives the time for that.
        """
        self._context.write_batch.flush()
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            settings, now = self._context.settings, self._context.clock.now
            unsent = transport.get_write_buffer_size()
            self._connection.deadline = now + settings.write + unsent * settings.seconds_per_byte
        else:
            self.await_end()
        transport.close()

    def reset(self) -> None:
        """Close at once, so that the client sees that the body is not whole."""
        transport = self._transport
        self._context.write_batch.flush()
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def expire(self) -> None:
        """Go on to a harder end: the deadline has passed."""
        if self._ends_tls and not self._connection.blocked:
            self._end_tls()
        elif self._connection.blocked or self._has_unsent:
            self.reset()
        else:
            self.close()  # bytes in the socket's buffer are still sent

    @property
    def _ends_tls(self) -> bool:
        """Whether the client has yet to take the last bytes, and to end TLS on its side."""
        return self._transport.is_closing() and not self._transport.can_write_eof()

    def _end_tls(self) -> None:
        """Close, unless the client is still taking bytes: then it is as slow as it may be."""
        if untaken(self._transport) > 0:
            self._connection.blocked = True
        else:
            self._transport.abort()

    @property
    def _has_unsent(self) -> bool:
        return self._transport.get_write_buffer_size() > 0

    @property
    def _transport(self) -> asyncio.Transport:
        assert self._connection.transport is not None
        return self._connection.transport

"""The client's connection, as its exchange sees it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.relay.access.peer import Peer


class ClientSide(Protocol):
    """Where requests come from and answers go to."""

    peer: Peer
    transport: asyncio.Transport | None
    buffer: bytes  # bytes that no exchange has taken yet
    blocked: bool  # the client does not take what is written
    deadline: float  # by when the client has to send (the clock's seconds)

    def write(self, data: bytes) -> None:
        """Write to the client."""

    def take(self) -> bytes:
        """Hand over the buffer."""

    def await_body(self, size: int, idle_timeout: float) -> None:
        """Give the client time for more of its body, after these `size` bytes."""

    def body_ended(self, rest: bytes) -> None:
        """Keep `rest`, which may begin the next request."""

    def update_reading(self) -> None:
        """Read on while there is room; else pause."""

    def exchange_ended(self, *, close: bool) -> None:
        """Go on with the next request, or close."""

    def cut(self, *, reset: bool) -> None:
        """Close at once. A `reset` shows the client that the body is not whole."""

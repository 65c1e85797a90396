"""The client's connection, as the exchange that it carries sees it."""

from __future__ import annotations

from typing import Protocol

from gateway.relay.access.peer import Peer


class ClientSide(Protocol):
    """Where requests come from and answers go to."""

    peer: Peer
    buffer: bytes  # what has been read and belongs to no request yet
    deadline: float  # by when the client has to do what it is waited for (the clock's seconds)

    def write(self, data: bytes) -> None:
        """Writes to the client."""

    def take(self) -> bytes:
        """Hands over what has been read ahead."""

    def await_body(self, size: int) -> None:
        """More of the body has to come, after these `size` bytes."""

    def body_ended(self, rest: bytes) -> None:
        """The request has been read; `rest` may begin the next one."""

    def update_reading(self) -> None:
        """Reads on or stops, as there is room for what comes."""

    def exchange_ended(self, *, close: bool) -> None:
        """Goes on with the next request, or closes."""

    def cut(self, *, reset: bool) -> None:
        """Closes at once. With `reset`, a partial body cannot be mistaken for a whole one."""

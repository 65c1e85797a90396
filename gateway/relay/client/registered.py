"""The open connections of clients, as a worker keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.relay.loop.deadlines import Watched

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.exchange.exchange import Exchange


class Registered(Watched, Protocol):
    """A client's connection, from the moment when it is accepted."""

    peer: Peer
    exchange: Exchange | None
    buffer: bytes  # bytes that no exchange has taken yet

    def close(self) -> None:
        """Close when all written bytes have left."""

    def cut(self, *, reset: bool) -> None:
        """Close at once."""

    def __hash__(self) -> int: ...


Clients = set[Registered]

"""The other end of a client's connection: the client itself, or a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.core.http import forwarding
from gateway.core.http.forwarding import UNKNOWN, Client, Trusted

if TYPE_CHECKING:
    from gateway.relay.http1.request_head import RequestHead


class Peer:
    """The other end of one connection, with the lines for its requests."""

    __slots__ = (
        "_proxies",
        "address",
        "describes",
        "forwarded",
        "name",
        "own_network",
        "scheme",
        "trusted",
        "via",
    )

    def __init__(
        self,
        peername: Any,
        *,
        instance: str,
        proxies: Trusted,
        describing: Trusted,
        scheme: str = "http",
    ) -> None:
        """Read the address.

        peername: of the socket
        instance: names this gateway in Via; without one, there is no Via
        proxies: are believed in what they say about their clients
        describing: may ask about the requests of others
        scheme: of the connection
        """
        address = forwarding.plain(peername[0]) if isinstance(peername, tuple) else UNKNOWN
        self.address = address
        self.name = address.encode()  # for the log
        self.scheme = scheme.encode()
        self.trusted = proxies.includes(address)
        self.describes = describing.includes(address)
        self.via = f"Via: 1.1 latchkey ({instance})\r\n".encode() if instance else b""
        self.forwarded = (
            f"X-Forwarded-For: {address}\r\nX-Real-IP: {address}\r\nX-Forwarded-Proto: {scheme}\r\n"
        ).encode() + self.via
        self._proxies = proxies
        # Of the connection itself, which may be a proxy's.
        self.own_network = proxies.client_network(address)

    def client(self, head: RequestHead) -> Client:
        """The client of a request, its scheme and the host that it asked.

        No other code reads the forwarding fields.
        """
        if not self.trusted or not head.forwarding:
            return Client(self.address, self.scheme)
        if head.client is None:
            head.client = forwarding.client(
                self.address, head.forwarding, self._proxies, self.scheme
            )
        return head.client

    def network(self, head: RequestHead) -> str:
        """The client's network, for limits.

        "" if it cannot be told from other clients.
        """
        if not self.trusted or not head.forwarding:
            return self.own_network
        return self._proxies.client_network(self.client(head).address)

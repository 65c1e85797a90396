"""An answer on its way to the client: how its body is framed, and what has been written of it."""

from __future__ import annotations

import enum

from gateway.relay.client_side import ClientSide
from gateway.relay.http1 import bodies
from gateway.relay.http1.response_head import ResponseHead


class Framing(enum.Enum):
    """How the client learns where the body ends (RFC 9112 §6.3)."""

    LENGTH = enum.auto()  # by Content-Length, or there is no body
    CHUNKED = enum.auto()  # by the last chunk
    CLOSE = enum.auto()  # by the end of the connection
    DROPPED = enum.auto()  # there is none for the client, whatever the upstream sends


LENGTH, CHUNKED, CLOSE, DROPPED = Framing


def framing(response: ResponseHead, *, with_body: bool, old: bool) -> tuple[Framing, bytes]:
    """The framing for a client of HTTP/1.1, or of HTTP/1.0 if it is `old`; and its field line.

    with_body: whether a body follows the upstream's head
    """
    length = response.length
    if response.status == 205:  # RFC 9110 §15.3.6: has no body
        return DROPPED, b"Content-Length: 0\r\n"
    if length is not None:
        # RFC 9110 §8.6: a 204 must not have the field
        return LENGTH, b"" if response.status == 204 else b"Content-Length: %d\r\n" % length
    if not with_body:
        return LENGTH, b""
    return (CLOSE, b"") if old else (CHUNKED, b"Transfer-Encoding: chunked\r\n")


class Delivery:
    """Writes one answer to the client: its head with the first bytes of its body, then the rest."""

    __slots__ = ("_client", "_framing", "_head", "size")

    def __init__(self, client: ClientSide, head: bytes, framing: Framing) -> None:
        self._client = client
        self._head = head  # until it is written
        self._framing = framing
        self.size = 0  # bytes of the body so far, without framing

    @property
    def is_chunked(self) -> bool:
        """Whether a last chunk has to end the body."""
        return self._framing is CHUNKED

    @property
    def ends_by_close(self) -> bool:
        """Whether a connection that just closes would look like the body's end."""
        return self._framing is CLOSE

    def write(self, pieces: list[bytes]) -> None:
        """Writes bytes of the body, in one write with the head if that is still here."""
        out = [self._head] if self._head else []
        self._head = b""
        if self._framing is not DROPPED:
            for piece in pieces:
                self.size += len(piece)
            out += bodies.chunk(pieces) if self._framing is CHUNKED else pieces
        if out:
            self._client.write(b"".join(out))

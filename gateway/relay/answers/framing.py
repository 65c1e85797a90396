"""How the client learns where an answer's body ends (RFC 9112 §6.3)."""

from __future__ import annotations

import enum

from gateway.relay.http1.response_head import ResponseHead


class Framing(enum.Enum):
    """The marks of a body's end."""

    LENGTH = enum.auto()  # Content-Length, or there is no body
    CHUNKED = enum.auto()  # the last chunk
    CLOSE = enum.auto()  # the end of the connection
    DROPPED = enum.auto()  # there is none for the client, whatever the upstream sends


def choose(response: ResponseHead, *, with_body: bool, old: bool) -> tuple[Framing, bytes]:
    """The framing of an answer, and its field line.

    with_body: whether a body follows the upstream's head
    old: whether the client speaks HTTP/1.0, and not HTTP/1.1
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


# As names of the module: a look-up in an Enum takes ten times as long on CPython 3.11.
LENGTH, CHUNKED, CLOSE, DROPPED = Framing

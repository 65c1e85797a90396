"""What the load and the upstream of the stream modes say to each other."""

from __future__ import annotations

import struct

# A message of 125 bytes is the largest one with a head of two bytes (RFC 6455 §5.2).
_MESSAGE = bytes(range(125))
_MASK = b"\x37\xfa\x21\x3d"
_FINAL_BINARY = 0x82

FRAME_BYTES = 2 + len(_MASK) + len(_MESSAGE)  # from a client: masked
ECHO_BYTES = 2 + len(_MESSAGE)  # from the server: not masked

# One event, in which `}` stands once, so that the load can count events by it.
EVENT = b'event: price\ndata: {"id": 4711, "bid": 100.25, "ask": 100.75, "at": 1700000000}\n\n'
SECONDS_BETWEEN_EVENTS = 0.02  # of one stream


def client_frame() -> bytes:
    """A binary message, masked."""
    masked = bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(_MESSAGE))
    return struct.pack("BB", _FINAL_BINARY, 0x80 | len(_MESSAGE)) + _MASK + masked


_ECHO = struct.pack("BB", _FINAL_BINARY, len(_MESSAGE)) + _MESSAGE


def echo_frame() -> bytes:
    """The same message from the server."""
    return _ECHO

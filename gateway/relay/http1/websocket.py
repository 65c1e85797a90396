"""WebSocket frames (RFC 6455 §5.2): where a frame ends.

A tunnel passes bytes on as they are. Only between two frames of the upstream, the gateway can send
one of its own: the close frame that tells a client why the tunnel ends.
"""

from __future__ import annotations

import struct

PROTOCOL = b"websocket"  # as in Upgrade

# RFC 6455 §7.4.1, and IANA's registry for 1012. Clients take 1008 as "log in again".
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
SERVICE_RESTART = 1012

# The first bytes of a header tell its length. The longest has 8 bytes of length and a mask.
MIN_HEADER_BYTES = 2
_LENGTHS = {126: (2, ">H"), 127: (8, ">Q")}
_MASK_BYTES = 4
SHORT_BYTES = 126  # payloads below that have their length in the second byte

OPCODE, CLOSE = 0x0F, 0x08


def close(status: int, reason: str) -> bytes:
    """A close frame of a server: unmasked, whole, and without a bit of an extension (§5.1, §5.5).

    `reason` has at most 123 bytes.
    """
    payload = struct.pack(">H", status) + reason.encode()
    return bytes([0x88, len(payload)]) + payload


class Frames:
    """Follows one direction of a tunnel."""

    __slots__ = ("_header", "_left", "between", "closed")

    def __init__(self) -> None:
        self.between = True  # the last byte that passed was a frame's last
        self.closed = False  # a close frame has begun: no frame may follow it (§5.5.1)
        self._left = 0  # bytes of the payload that have not come yet
        self._header = b""  # the part of a header that has come

    def feed(self, data: bytes) -> None:
        """Take note of bytes that pass."""
        self._follow(data)
        self.between = not self._left and not self._header

    def _follow(self, data: bytes) -> None:
        at, size = min(self._left, len(data)), len(data)
        self._left -= at
        while at < size:
            if not self._header and at + 1 < size and data[at + 1] < SHORT_BYTES:
                # short and unmasked: a server may send thousands of them in one read
                self.closed = self.closed or data[at] & OPCODE == CLOSE
                at += MIN_HEADER_BYTES + data[at + 1]
                continue
            start = at - len(self._header)
            header = self._header + data[at : at + 14 - len(self._header)]
            length = _header_length(header)
            if len(header) < length:
                self._header = header
                return
            self._header = b""
            self.closed = self.closed or header[0] & OPCODE == CLOSE
            at = start + length + _payload_length(header)
        self._left += at - size


def _header_length(header: bytes) -> int:
    """The length of a header, as far as its beginning tells (bytes)."""
    if len(header) < MIN_HEADER_BYTES:
        return MIN_HEADER_BYTES
    extended, _ = _LENGTHS.get(header[1] & 0x7F, (0, ""))
    return MIN_HEADER_BYTES + extended + (_MASK_BYTES if header[1] & 0x80 else 0)


def _payload_length(header: bytes) -> int:
    short = header[1] & 0x7F
    size, form = _LENGTHS.get(short, (0, ""))
    return (
        int(struct.unpack(form, header[MIN_HEADER_BYTES : MIN_HEADER_BYTES + size])[0])
        if size
        else short
    )

"""The PROXY protocol: a proxy's first bytes, which name its client.

Version 1 is a line of text, version 2 is binary (HAProxy's proxy-protocol.txt). A header is taken
from a connection byte by byte as far as it goes, because TLS or a request follows at once.
"""

from __future__ import annotations

import ipaddress
import re

from gateway.core.http.addresses import MAX_PORT

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_BYTES = 16  # of version 2: signature, command, family and length

# The longest line of version 1 (§2.1). An address with TLVs of version 2 is longer: HAProxy sends
# less than 500 bytes, and a TLV with a client's certificate name a few hundred more.
_MAX_LINE_BYTES = 107
MAX_BYTES = 4096

_LINE = re.compile(
    rb"PROXY (?:TCP4 ([0-9.]{7,15}) [0-9.]{7,15}|TCP6 ([0-9A-Fa-f:.]{2,45}) [0-9A-Fa-f:.]{2,45})"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
_UNKNOWN_LINE = b"PROXY UNKNOWN"

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 12, 0x21: 36}  # TCP over IPv4 and IPv6
_UNNAMED = {0x00, 0x12, 0x22, 0x31, 0x32}  # unspecified, UDP, unix sockets


class BadProxyHeader(ValueError):
    """The bytes are no PROXY header."""


def size(data: bytes) -> int:
    """How many of the bytes belong to the header, all that are known to.

    data: the beginning of the connection, as far as it has come; at least one byte

    More may follow while the result is `len(data)`. Raises `BadProxyHeader`.
    """
    if _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return _binary_size(data)
    if not _beginning_matches(data):
        raise BadProxyHeader
    end = data.find(b"\n", 0, _MAX_LINE_BYTES)
    if end < 0 and len(data) >= _MAX_LINE_BYTES:
        raise BadProxyHeader
    return len(data) if end < 0 else end + 1


def is_whole(header: bytes) -> bool:
    """Whether the bytes, of which `size` has taken all, are a whole header."""
    if header.startswith(_SIGNATURE):
        return len(header) >= _FIXED_BYTES and len(header) == _whole_binary_size(header)
    return header.endswith(b"\n") and not _SIGNATURE.startswith(header)


def client(header: bytes) -> str | None:
    """The client's address in a whole header.

    None if the proxy names no client: a health check of its own (LOCAL), or a client without an
    address of IP (UNKNOWN, unix). Raises `BadProxyHeader`.
    """
    if header.startswith(_SIGNATURE):
        return _binary_client(header)
    if header.startswith(_UNKNOWN_LINE):
        if header[len(_UNKNOWN_LINE) :][:1] in (b" ", b"\r") and header.endswith(b"\r\n"):
            return None
        raise BadProxyHeader
    found = _LINE.fullmatch(header)
    if found is None or int(found[3]) > MAX_PORT or int(found[4]) > MAX_PORT:
        raise BadProxyHeader
    try:
        if found[1] is not None:
            return str(ipaddress.IPv4Address(found[1].decode("ascii")))
        return str(ipaddress.IPv6Address(found[2].decode("ascii")))
    except ValueError:
        raise BadProxyHeader from None


def _beginning_matches(data: bytes) -> bool:
    return data[:6] == b"PROXY "[: len(data)]


def _binary_size(data: bytes) -> int:
    """How many bytes belong to a header of version 2."""
    if len(data) < _FIXED_BYTES:
        return len(data)
    return min(len(data), _whole_binary_size(data))


def _whole_binary_size(header: bytes) -> int:
    whole = _FIXED_BYTES + int.from_bytes(header[14:16], "big")
    if whole > MAX_BYTES:
        raise BadProxyHeader
    return whole


def _binary_client(header: bytes) -> str | None:
    """The client by version 2. TLVs behind the addresses are skipped (§2.2)."""
    command, family, rest = header[12], header[13], header[_FIXED_BYTES:]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise BadProxyHeader
    if family in _UNNAMED:
        return None
    if family not in _ADDRESS_BYTES or len(rest) < _ADDRESS_BYTES[family]:
        raise BadProxyHeader
    if family == 0x11:
        return str(ipaddress.IPv4Address(rest[:4]))
    return str(ipaddress.IPv6Address(rest[:16]))

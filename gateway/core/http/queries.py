"""Parameters in the query of a request target.

Backends read a parameter's name decoded, so it may be spelled in escapes. Most split a query at
`&`, some at `;` as well: both are tried when a parameter is cut out. What stays keeps its bytes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes


def cut(query: bytes, name: bytes) -> tuple[bytes, list[bytes]]:
    """Split a query: the rest, and the values of one name, as spelled.

    query: with its question mark, or empty
    """
    if not query:
        return query, []
    kept: list[bytes] = []
    values: list[bytes] = []
    for piece in re.split(rb"(?<=[&;])", query[1:]):
        given, _, value = piece.rstrip(b"&;").partition(b"=")
        # The length first: a query may have thousands of parameters, and no spelling is shorter.
        if len(given) >= len(name) and is_named(given, name):
            values.append(value)
        else:
            kept.append(piece)
    if not values:
        return query, []
    rest = b"".join(kept).rstrip(b"&;")
    return (b"?" + rest if rest else b""), values


def added(query: bytes, name: bytes, value: bytes) -> bytes:
    """Append a parameter to a query. Both texts are already percent-encoded."""
    return b"%b%b=%b" % (query + b"&" if len(query) > 1 else b"?", name, value)


def is_named(given: bytes, name: bytes) -> bool:
    """Whether a backend may take a parameter's spelling for this name.

    PHP reads `a[]` and `a[b]` as `a`, cuts off white space, and reads `.` and spaces as `_`.
    """
    decoded = unquote_to_bytes(given.replace(b"+", b" ")).strip().partition(b"[")[0]
    return decoded == name or re.sub(rb"[. ]", b"_", decoded) == re.sub(rb"[. ]", b"_", name)


def decoded(value: bytes) -> bytes:
    """A parameter's value as backends read it."""
    return unquote_to_bytes(value.replace(b"+", b" "))

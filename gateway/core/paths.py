"""How a request's path is read before it is matched. Nothing here does I/O.

A path goes upstream as it came, but routes match on a normalised copy. Between the gateway and a
backend lie two readings of the same bytes, and every path confusion lives in the gap between them:

* the strict reading, RFC 3986 §6.2.2: only percent-encoded unreserved characters are decoded;
* the loose reading is the furthest that any backend is known to go: everything decoded until it
  is stable, backslashes as slashes, `;parameters` cut, empty and dot segments removed.

Where both match the same route, the spelling does not matter and passes. Where they differ, the
request is refused, since a backend may serve another path than the one that was authorised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A path that has one reading only: no escapes, no parameters, no backslash, no empty segment and
# no segment that begins with a dot. Nearly every request is of this kind.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_~!$&'()*+,=:@.-]*+)*+/?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

# Percent-encoding is undone at most this often: nobody has an honest reason to encode four times.
_MOST_DECODINGS = 4


class AmbiguousPath(ValueError):
    """The path has no safe reading: a control byte, a climb above the root, endless encoding."""


@dataclass(frozen=True, slots=True)
class Readings:
    """The strict and the loose reading of one path; mostly the same bytes."""

    strict: bytes
    loose: bytes


def read(path: bytes) -> Readings:
    """Both readings of an origin-form path without its query.

    Raises `AmbiguousPath` where no reading is safe.
    """
    if _PLAIN.fullmatch(path):
        return Readings(path, path)
    return Readings(_strict(path), _loose(path))


def guard_form(path: bytes) -> bytes:
    """The form in which a guarded path is recognised: loose, without case or a trailing slash.

    Used for the backends' own login paths, which no route may reach in any spelling.
    """
    return read(path).loose.rstrip(b"/").lower() or b"/"


def _strict(path: bytes) -> bytes:
    def decode(escape: re.Match[bytes]) -> bytes:
        byte = int(escape[1], 16)
        return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper()

    return _ESCAPE.sub(decode, path)


def _loose(path: bytes) -> bytes:
    for _ in range(_MOST_DECODINGS):
        decoded = _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), path)
        if decoded == path:
            break
        path = decoded
    else:
        raise AmbiguousPath
    if _CONTROL.search(path):
        raise AmbiguousPath
    kept: list[bytes] = []
    segments = [part.partition(b";")[0] for part in path.replace(b"\\", b"/").split(b"/")]
    for segment in segments:
        if segment == b"..":
            if not kept:
                raise AmbiguousPath
            kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    directory = bool(kept) and segments[-1] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if directory else b"")

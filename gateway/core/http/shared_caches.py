"""Protection of private answers from shared caches (wire-rules.md#B15).

A shared cache keeps no answer to a request with `Authorization` unless the answer allows it (RFC
9111 §3.5). A request whose key came in another field lacks that protection, so the gateway adds it
to the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_CACHE_CONTROL, _VARY = b"cache-control", b"vary"

# CDNs (Edge Architecture §2.2) and nginx obey these in place of Cache-Control.
_SURROGATE_CONTROL, _NGINX_EXPIRES = b"surrogate-control", b"x-accel-expires"

# The end of a name for one kind of cache, such as CDN-Cache-Control (RFC 9213 §2).
_TARGETED = b"-cache-control"

# One member of a list: a comma within quotes does not end it (RFC 9110 §5.6.4). An open quote takes
# the rest, as a cache might read it.
_MEMBER = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))++')
_S_MAXAGE = re.compile(rb's-maxage=(?:"[0-9]+"|[0-9]+)')


def is_for_caches(name: bytes) -> bool:
    """Whether caches obey a field of this name (in lower case)."""
    return name in (_CACHE_CONTROL, _SURROGATE_CONTROL, _NGINX_EXPIRES) or name.endswith(_TARGETED)


# An upstream uses few different values. With the largest heads this takes at most 8 MiB.
@lru_cache(maxsize=128)
def confined(lines: tuple[bytes, ...], key_fields: tuple[bytes, ...], *, private: bool) -> bytes:
    """The field lines for caches that replace an answer's own.

    There is one line for each name, because nginx before 1.23 reads only the last one.

    lines: the answer's field lines for which `is_for_caches` holds, and those of Vary
    key_fields: names of fields in which a key may come; Vary names them (RFC 9110 §12.5.5)
    private: the answer is one caller's, so a shared cache keeps it only if it is allowed to
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        before = fields.get(name.lower())
        fields[name.lower()] = b", ".join(filter(None, (before, value.strip(b" \t\r\n"))))
    if private:
        _forbid(fields)
    fields[_VARY] = _varied(fields.get(_VARY, b""), key_fields)
    return b"".join(b"%b: %b\r\n" % (name.title(), value) for name, value in fields.items())


def _forbid(fields: dict[bytes, bytes]) -> None:
    """Make each field forbid shared caches to keep the answer.

    A field that says something about shared caches stays as it is.

    nginx's field and the surrogates' have no word that allows it, so Cache-Control counts for them.
    """
    is_allowed = _allows(fields.setdefault(_CACHE_CONTROL, b""))
    for name, value in fields.items():
        if name.endswith(_CACHE_CONTROL):
            if not (_allows(value) or _has(value, b"private", b"no-store")):
                fields[name] = _with(b"private", value)
        elif name == _NGINX_EXPIRES and not is_allowed:
            fields[name] = b"0"
        elif name == _SURROGATE_CONTROL and not (is_allowed or _has(value, b"no-store")):
            fields[name] = _with(b"no-store", value)


def _allows(value: bytes) -> bool:
    """Whether shared caches may keep an answer to `Authorization` (§3.5)."""
    return _has(value, b"public", b"must-revalidate") or any(
        _S_MAXAGE.fullmatch(member) for member in _members(value)
    )


def _has(value: bytes, *directives: bytes) -> bool:
    """Whether the value has one of the directives without an argument.

    `private="X"` is about a field (§5.2.2.7).
    """
    return any(member in directives for member in _members(value))


def _with(directive: bytes, value: bytes) -> bytes:
    """Put a directive in front of the others, where no open quote can hide it."""
    return b"%b, %b" % (directive, value) if value else directive


def _varied(value: bytes, names: tuple[bytes, ...]) -> bytes:
    known = set(_members(value))
    if b"*" in known:
        return value
    more = [name for name in names if name.lower() not in known]
    return b", ".join([value, *more] if value else more)


def _members(value: bytes) -> Iterator[bytes]:
    """The members of a list in lower case."""
    return (member.strip(b" \t") for member in _MEMBER.findall(value.lower()))

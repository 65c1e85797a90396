"""Refresh keys: opaque secrets that frontends get for refresh tokens.

A refresh key is sealed text: under random bytes of its own and the gateway's secret it holds the
session's key. So the gateway stores nothing for it, it opens nothing in a dump of Redis, and it
ends with its session, at once and everywhere. It is no key: it opens the refresh call alone.

Its generation counts the refresh keys that a session's frontend was given, one after another. The
last one is good; the one before it is good for a grace period, since tabs of one browser may
refresh at the same time.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass

from gateway.core.secret import SecretBytes
from gateway.core.sessions import keys
from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import NONCE_BYTES, Sealer, Unsealable

# It begins as a key does, so whatever looks for keys in a text finds it.
PREFIX = b"lk_refresh_"
_RANDOM_BYTES = 32
RANDOM_BYTES = _RANDOM_BYTES + NONCE_BYTES

# The random bytes, then the seal of the key's random bytes and the generation, in base64url.
_RANDOM_CHARACTERS = 43
_CONTENT = struct.Struct(f">{keys.RANDOM_BYTES}sI")
_SEAL_CHARACTERS = 86  # 12 bytes of nonce, 36 of content, 16 of tag

# Finds a refresh key anywhere.
REFRESH_KEY_PATTERN = re.compile(
    rb"%b[A-Za-z0-9_-]{%d}" % (PREFIX, _RANDOM_CHARACTERS + _SEAL_CHARACTERS)
)

_BESIDE = b"refresh"


class RefreshKey(SecretBytes):
    """A refresh key."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """The content of a refresh key."""

    key: Key
    generation: int


def new(key: Key, generation: int, sealer: Sealer, random: bytes) -> RefreshKey:
    """A refresh key for the session of `key`. `random`: `RANDOM_BYTES` bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a refresh key is made of {RANDOM_BYTES} random bytes")
    head = PREFIX + _base64url(random[:_RANDOM_BYTES])
    content = _CONTENT.pack(keys.random_of(key), generation)
    seal = sealer.seal(Key(head), _BESIDE, content, random[_RANDOM_BYTES:])
    return RefreshKey(head + _base64url(seal))


def opened(text: bytes, sealer: Sealer) -> Opened | None:
    """The content of a refresh key; None if this gateway did not make `text`."""
    if not REFRESH_KEY_PATTERN.fullmatch(text):
        return None
    head, seal = text[:-_SEAL_CHARACTERS], text[-_SEAL_CHARACTERS:]
    try:
        content = sealer.open(Key(head), _BESIDE, base64.urlsafe_b64decode(seal + b"=="))
        random, generation = _CONTENT.unpack(content)
    except (Unsealable, binascii.Error, struct.error):
        return None
    return Opened(keys.new_key(random), generation)


def is_good(generation: int, *, last: int, replaced_at: float, now: float, grace: float) -> bool:
    """Whether a refresh key of this generation may be used.

    last: the generation that was given out last
    replaced_at: when it took the place of the one before it (UNIX seconds)
    grace: for how long that one is still good (seconds)
    """
    is_in_grace = generation == last - 1 and now < replaced_at + grace
    return generation == last or is_in_grace


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

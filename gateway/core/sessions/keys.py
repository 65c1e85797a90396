"""Keys: the opaque secrets of devices, in the format of GitHub's tokens.

A key is `lk_`, 32 random bytes in base64url, and a checksum. By the prefix, secret scanners find a
leaked key. By the checksum, the gateway refuses a mistyped or made-up key without the store.

A key may also come as the third part of a text in the shape of a JWT (see `jwt_shape`). The other
two parts are for frontends that read their token: the gateway reads neither.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from gateway.core.secret import SecretBytes

PREFIX = "lk_"
RANDOM_BYTES = 32
_BODY_CHARACTERS = 43  # 32 bytes in unpadded base64url
_CHECKSUM_CHARACTERS = 6  # a CRC-32 in unpadded base64url

# How many characters a session id has.
ID_CHARACTERS = 43

# How many characters a key has.
KEY_CHARACTERS = len(PREFIX) + _BODY_CHARACTERS + _CHECKSUM_CHARACTERS

# Finds a text of a key's shape anywhere.
KEY_PATTERN = re.compile(rb"lk_[A-Za-z0-9_-]{%d}" % (_BODY_CHARACTERS + _CHECKSUM_CHARACTERS))

# Finds a key with or without the first two parts of a JWT; the key is its group. Neither part
# begins like a key: no other key stands there, and most keys are spared the search for a full stop.
SPELLED_PATTERN = re.compile(
    rb"(?:(?!lk_)[A-Za-z0-9_-]++\.(?!lk_)[A-Za-z0-9_-]++\.)?(%b)" % KEY_PATTERN.pattern
)

# A word that may be base64 of a text with a key in it.
_LONG_WORD = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % (KEY_CHARACTERS * 4 // 3))
_PLAIN_BASE64 = bytes.maketrans(b"-_", b"+/")

# What frontends without a key send in its place: the texts of JavaScript for nothing.
NOTHING = frozenset({b"", b"null", b"undefined"})

# How often percent-encoding is undone to find a key. No server reads a text that is encoded more
# often.
_MAX_DECODINGS = 4


class Key(SecretBytes):
    """A key."""

    __slots__ = ()


def new_key(random: bytes) -> Key:
    """A key of 32 random bytes from the operating system."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key is made of {RANDOM_BYTES} random bytes")
    body = PREFIX.encode() + _base64url(random)
    return Key(body + _checksum(body))


def random_of(key: Key) -> bytes:
    """The random bytes that a key was made of."""
    body = key.raw[len(PREFIX) : len(PREFIX) + _BODY_CHARACTERS]
    return binascii.a2b_base64(body.replace(b"-", b"+").replace(b"_", b"/") + b"=")


def parse_key(text: bytes) -> Key | None:
    """The key that `text` is, or None if its shape or its checksum is wrong."""
    if not KEY_PATTERN.fullmatch(text):
        return None
    body = text[:-_CHECKSUM_CHARACTERS]
    return Key(text) if _checksum(body) == text[-_CHECKSUM_CHARACTERS:] else None


def bare(presented_key: bytes) -> bytes:
    """The key in what was presented in a JWT's shape; anything else as it is.

    Whatever stands before the key is ignored: a client may have written it.
    """
    found = SPELLED_PATTERN.fullmatch(presented_key)
    return presented_key if found is None else found[1]


def holds_key(text: bytes) -> bool:
    """Whether a key stands in a text, percent-encoded or not."""
    for _ in range(_MAX_DECODINGS):
        if KEY_PATTERN.search(text):
            return True
        decoded = unquote_to_bytes(text)
        if decoded == text:
            return False
        text = decoded
    return KEY_PATTERN.search(text) is not None


def stands_in_authorization(value: bytes) -> bool:
    """Whether a key stands in a value of Authorization, of any scheme.

    It may be escaped, or in base64. In Basic it may be the name or the password: many clients send
    their secret so (RFC 7617 §2).
    """
    texts = (value, *(from_base64(word) for word in _LONG_WORD.findall(value)))
    return any(holds_key(text.replace(b"\\", b"")) for text in texts)


def in_basic(credentials: bytes) -> list[bytes]:
    """The keys that are the name or the password of Basic credentials."""
    name, _, password = from_base64(credentials.strip()).partition(b":")
    return [key for key in map(bare, (name, password)) if KEY_PATTERN.fullmatch(key)]


def from_base64(text: bytes) -> bytes:
    """The bytes of a text in base64 or base64url; none if it is neither."""
    text = text.translate(_PLAIN_BASE64).rstrip(b"=")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except ValueError:
        return b""


def session_id(key: Key) -> str:
    """The digest that names the key's session: SHA-256 in unpadded base64url."""
    return _base64url(hashlib.sha256(key.raw).digest()).decode("ascii")


def session_ids(presented_keys: Iterable[bytes]) -> tuple[str, ...]:
    """The session ids of what was presented, without repeats; text that is no key has none."""
    parsed = (parse_key(presented_key) for presented_key in dict.fromkeys(presented_keys))
    return tuple(session_id(key) for key in parsed if key is not None)


def _checksum(body: bytes) -> bytes:
    return _base64url(binascii.crc32(body).to_bytes(4, "big"))


def _base64url(data: bytes) -> bytes:
    # It takes half the time of `base64.urlsafe_b64encode`, and each look-up does it twice.
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=")
    return text.replace(b"+", b"-").replace(b"/", b"_")

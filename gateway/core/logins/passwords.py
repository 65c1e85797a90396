"""Passwords at rest: argon2id (RFC 9106).

One hash takes a tenth of a second and 64 MiB.
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

SALT_BYTES = RFC_9106_LOW_MEMORY.salt_len

# NIST SP 800-63B §5.1.1.2.
_MIN_CHARACTERS = 8

# Unicode normalisation sorts a row of accents in quadratic time.
_MAX_CHARACTERS = 1024

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)

# For unknown names, which so take as long as known ones: the hash of 32 forgotten random bytes,
# with today's parameters.
UNUSED_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4"
    "$CQ2Rc3Pnddy+DvLiFF5qyA$xMKpJsupO1L1KO76oY95PC2dnV9KFm2HjhXk3iWZ2Po"
)


class BadPassword(ValueError):
    """The password is not good enough; the message says why."""


def check_new(password: str) -> None:
    """Raise `BadPassword` for a new password that is too weak or not text."""
    if len(password) < _MIN_CHARACTERS:
        raise BadPassword(f"is too short: at least {_MIN_CHARACTERS} characters")
    if len(password) > _MAX_CHARACTERS:
        raise BadPassword(f"is too long: at most {_MAX_CHARACTERS} characters")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise BadPassword("is no text") from None


def hashed(password: str, salt: bytes) -> str:
    """The hash of a password; `salt` is `SALT_BYTES` fresh random bytes."""
    return _hasher.hash(_folded(password), salt=salt)


def is_right(password: str, kept: str) -> bool:
    """Whether a password matches a hash."""
    try:
        return _hasher.verify(kept, _folded(password))
    except (VerificationError, InvalidHashError):
        return False


def is_current(kept: str) -> bool:
    """Whether a hash has today's parameters."""
    return not _hasher.check_needs_rehash(kept)


def _folded(password: str) -> str:
    """The password in one spelling (NIST SP 800-63B §5.1.1.2: NFKC or NFKD).

    A longer one than `check_new` allows is no user's, so it may stay as it is.
    """
    return password if len(password) > _MAX_CHARACTERS else unicodedata.normalize("NFKC", password)

"""Users of a users file: their names, hashes and claims."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.tokens.minting import REGISTERED, BadClaims, check_claims

# A salt of 8 bytes and a hash of 16 or more, in base64 without padding.
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,3}),p=([1-9][0-9]{0,2})"
    r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}"
)
# In KiB. The first choice of RFC 9106 §4 is 2 GiB.
_MAX_MEMORY_KIB = 2 * 2**20

_MAX_NAME = 128

# In characters. Unicode normalisation sorts a row of accents in quadratic time.
_MAX_FOLDED = 1024


class BadUsers(ValueError):
    """The data describes no users. The message names a user but no hash."""


@dataclass(frozen=True, slots=True)
class User:
    """One user. `name` is the name in the subject of the sessions."""

    name: str
    hash: str = field(repr=False)
    claims: Mapping[str, Any]


def read_users(data: Any) -> dict[str, User]:
    """The users in a parsed file, by name. Raises `BadUsers`."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BadUsers("must be a mapping of names to users")
    return {name: _user(name, content) for name, content in data.items()}


def folded(name: str) -> str:
    """A name in one spelling (NFC); a text too long for a name stays as it is."""
    return name if len(name) > _MAX_FOLDED else unicodedata.normalize("NFC", name)


def check_name(name: Any) -> None:
    """Raise `BadUsers` for a value that cannot be a name."""
    if not isinstance(name, str):
        raise BadUsers("a name is no text: put it in quotes")
    if not name or len(name) > _MAX_NAME:
        raise BadUsers(f"a name has 1 to {_MAX_NAME} characters")
    # Printable: no lone surrogate, which UTF-8 cannot hold.
    if not name.isprintable() or any(character.isspace() for character in name):
        raise BadUsers("a name cannot hold spaces or what cannot be seen")
    if name != folded(name):
        raise BadUsers("a name is not in Unicode's form NFC")


def _user(name: Any, content: Any) -> User:
    check_name(name)
    if not isinstance(content, dict) or not set(content) <= {"hash", "claims"}:
        raise BadUsers(f"{name}: must have a hash, may have claims, and nothing else")
    kept, claims = content.get("hash"), content.get("claims")
    claims = {} if claims is None else claims
    found = _HASH.fullmatch(kept) if isinstance(kept, str) else None
    if not isinstance(kept, str) or found is None:
        raise BadUsers(f"{name}: hash is no argon2id hash")
    if int(found[1]) > _MAX_MEMORY_KIB:
        raise BadUsers(f"{name}: hash takes too much memory")
    if not isinstance(claims, dict) or not all(isinstance(claim, str) for claim in claims):
        raise BadUsers(f"{name}: claims must be a mapping")
    for claim in claims:
        if claim in REGISTERED:
            raise BadUsers(f"{name}: claims cannot hold {claim}, which the gateway itself makes")
    try:
        check_claims(claims)
    except BadClaims as error:
        raise BadUsers(f"{name}: claims: {error}") from None
    return User(name, kept, claims)

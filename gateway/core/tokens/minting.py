"""Minting tokens of the gateway's own, and checking their claims."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from gateway.core.tokens.claims import Claims
from gateway.core.tokens.signing_keys import SigningKey

# The claims that only the gateway sets (RFC 7519 §4.1).
REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})

# Bytes of JSON. A token is one field of each request, and common servers take 8 KiB of fields:
# after base64 and the signature, this leaves room for the others.
_MAX_CLAIMS_BYTES = 4096


class BadClaims(ValueError):
    """The claims do not fit into a token. The message names only the claim."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A token, and when it expires (UNIX seconds)."""

    token: str = field(repr=False)
    expires: int


class Minter:
    """Mint tokens with the first key.

    All keys are published, so they can be rotated.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        issuer: str,
        audience: Sequence[str],
        lifetime: float,
        skew: float,
    ) -> None:
        """Keep the keys, and the defaults of tokens.

        audience, lifetime: of tokens that ask for no others (seconds)
        skew: by how much clocks may differ; tokens are dated so much earlier (seconds)
        """
        self._key = keys[0]
        self._issuer = issuer
        self._audience = tuple(audience)
        self._lifetime = lifetime
        self._skew = skew
        self.jwks = {"keys": [key.jwk for key in keys if key.jwk is not None]}

    def mint(
        self,
        subject: str,
        claims: Mapping[str, Any],
        *,
        now: float,
        jti: str,
        audience: Sequence[str] = (),
        lifetime: float | None = None,
    ) -> Minted:
        """Mint a token with these claims; `jti` is its id, fresh and random.

        Claims cannot change what the gateway itself says of a token (`REGISTERED`).
        """
        issued = int(now - self._skew)
        expires = int(now + (lifetime or self._lifetime))
        payload = {name: claims[name] for name in claims if name not in REGISTERED}
        payload |= {"iss": self._issuer, "sub": subject}
        payload |= {"iat": issued, "nbf": issued, "exp": expires, "jti": jti}
        if for_whom := tuple(audience) or self._audience:
            payload["aud"] = for_whom[0] if len(for_whom) == 1 else list(for_whom)
        key = self._key
        headers = None if key.kid is None else {"kid": key.kid}
        return Minted(jwt.encode(payload, key.private, key.algorithm, headers), expires)


def subject_of(claims: Mapping[str, Any]) -> str:
    """The subject that the claims name. Raises `BadClaims`."""
    subject = Claims(claims, None).subject(("sub",))
    if subject is None:
        raise BadClaims("sub is no text or number that names a user")
    return subject


def check_claims(claims: Mapping[str, Any]) -> None:
    """Check that a token can hold these claims. Raises `BadClaims`."""
    size = 0
    for name, value in claims.items():
        try:
            # JSON has no dates and no NaN; UTF-8 has no lone surrogates.
            size += len(json.dumps({name: value}, allow_nan=False, ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError):
            raise BadClaims(f"{name} is no value that JSON can hold") from None
    if size > _MAX_CLAIMS_BYTES:
        raise BadClaims(f"they are too large: at most {_MAX_CLAIMS_BYTES} bytes in all")

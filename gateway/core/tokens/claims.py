"""Claims: what a token says, as far as the gateway needs to know.

Verifying a token is its backend's task, unless config.yaml asks for it (see `verification`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core import json_text, timestamps
from gateway.core.sessions import claim_names, subjects
from gateway.core.tokens import jwt_text

# The refresh token of sessions whose tokens are minted: the gateway has vouched for their claims.
MINTED = "minted"

# In seconds: how long before its expiry a minted token is renewed; at most a quarter of its life.
RENEWED_BEFORE = 60.0

# In characters. The token is a field of each request, and many servers take 8 or 16 KiB of fields.
MAX_TOKEN = 16384


class BadToken(ValueError):
    """The token cannot be used; the message is a reason for the log."""


class NotAJwt(BadToken):
    """The text is not a JWT that can be read."""


class NotVerified(BadToken):
    """The token must not be believed."""


class OtherKind(BadToken):
    """The token has another issuer or kind than the one that it would replace."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token. `expires` is its `exp` (UNIX seconds), if any."""

    payload: Mapping[str, Any]
    expires: float | None

    def subject(self, names: tuple[str, ...]) -> str | None:
        """The name in the first of these claims with one (`subjects.name_of`)."""
        found = (subjects.name_of(claim_names.find(self.payload, name)) for name in names)
        return next((name for name in found if name is not None), None)


def read_claims(token: str, now: float) -> Claims:
    """Read a signed token without verifying it. Raises `BadToken`.

    Its backend verifies it. It does not use PyJWT, which takes a worker 2 MiB and is there for
    verifying and signing.
    """
    try:
        header, payload, _ = (_decoded(part) for part in token.split("."))
        read = [json_text.parsed(part.decode("utf-8")) for part in (header, payload)]
    except ValueError:
        raise NotAJwt("not_a_jwt") from None
    if not all(isinstance(part, dict) for part in read):
        raise NotAJwt("not_a_jwt")
    if not jwt_text.is_signed(token):
        raise NotAJwt("unsigned")
    if len(token) > MAX_TOKEN:
        raise BadToken("too_long")
    return claims_of(read[1], now)


def claims_of(payload: Mapping[str, Any], now: float) -> Claims:
    """The claims of a token that has not expired. Raises `BadToken`."""
    expires = payload.get("exp")
    if expires is None:
        return Claims(payload, None)
    if not timestamps.is_date(expires):
        raise BadToken("exp_is_no_number")
    if expires <= now:
        raise BadToken("expired")
    return Claims(payload, float(min(expires, timestamps.LATEST)))


def token_kind(token: str, payload: Mapping[str, Any]) -> tuple[object, object, object]:
    """A token's issuer, algorithm and type (RFC 7515 §4.1).

    Keys are rotated, so `kid` does not count; the algorithm tells the kind of key.
    """
    header = jwt_text.read_header(token.partition(".")[0]) or {}
    media_type = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    return payload.get("iss"), header.get("alg"), media_type


def _decoded(part: str) -> bytes:
    """Base64url without its padding (RFC 7515 §2)."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

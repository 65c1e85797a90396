"""What a token says, as far as a gateway needs to know. Verifying is its backend's affair, unless
config.yaml asks for it (see `verification`).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core import json_text
from gateway.core.sessions import subjects
from gateway.core.tokens import jwt_text

# An `exp` beyond this is as good as none; a float holds every integer below it.
_FOREVER = 2**53

# What stands in place of a refresh token in sessions whose tokens are minted: it tells them from
# those whose claims nobody here has vouched for.
MINTED = "minted"

# How long before its expiry a token is minted anew, in seconds; at most a quarter of its life.
RENEWED_BEFORE = 60.0

# In characters. It becomes a field of each request, of which many servers take 8 or 16 KiB in all.
MAX_TOKEN = 16384


class BadToken(ValueError):
    """The token cannot be used; the message is a reason that may be logged."""


class NotAJwt(BadToken):
    """Nothing can be read of it."""


class NotVerified(BadToken):
    """The token is not to be believed."""


class OtherKind(BadToken):
    """The token cannot take the place of another one, which is of another issuer or kind."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `expires` is its `exp` in UNIX seconds, if it has one."""

    payload: Mapping[str, Any]
    expires: float | None

    def subject(self, names: tuple[str, ...]) -> str | None:
        """The name in the first of these claims that holds one (see `subjects.name_of`)."""
        found = (subjects.name_of(self.payload.get(name)) for name in names)
        return next((name for name in found if name is not None), None)


def read_claims(token: str, now: float) -> Claims:
    """Reads a signed token without verifying it: its backend does that. Raises `BadToken`.

    Without PyJWT, which takes a worker 2 MiB and is for those that verify or sign.
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
    if not is_date(expires):
        raise BadToken("exp_is_no_number")
    if expires <= now:
        raise BadToken("expired")
    return Claims(payload, float(min(expires, _FOREVER)))


def token_kind(token: str, payload: Mapping[str, Any]) -> tuple[object, object, object]:
    """Who issues such tokens, how they are signed, and of what type they are (RFC 7515 §4.1).

    Keys are rotated, so `kid` is none of it; the algorithm tells the kind of key.
    """
    header = jwt_text.read_header(token.partition(".")[0]) or {}
    media_type = str(header.get("typ", "JWT")).lower().removeprefix("application/")
    return payload.get("iss"), header.get("alg"), media_type


def _decoded(part: str) -> bytes:
    """RFC 7515 §2: base64url without its padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def is_date(value: Any) -> bool:
    """Whether a claim is a NumericDate (RFC 7519 §2): a number, which may have a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)

"""Verifying tokens: signature, issuer, audience and time.

RFC 7519 §7.2, RFC 8725. A token cannot say how it is verified: its `alg` only chooses among the
algorithms of the key, and a key that it brings along or points at is a reason to refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import jwt

from gateway.core import json_text, timestamps
from gateway.core.tokens import claims, jwt_text
from gateway.core.tokens.claims import MAX_TOKEN, BadToken, Claims, NotVerified
from gateway.core.tokens.verifying_keys import Algorithm, VerifyingKey

# The header fields by which a token brings or names its own key (RFC 7515 §4.1).
_KEYS_OF_ITS_OWN = ("jku", "jwk", "x5u", "x5c")

# Without `none`; PyJWT refuses short keys.
_ALGORITHMS = get_args(Algorithm)
_JWS = jwt.PyJWS(_ALGORITHMS, {"verify_signature": True, "enforce_minimum_key_length": True})


class UnknownKey(NotVerified):
    """No known key has signed it; the provider may have another one by now."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that a token must meet, beside its signature."""

    algorithms: tuple[str, ...] = ()  # empty: the usual one of the key
    issuers: tuple[str, ...] = ()  # empty: any
    audiences: tuple[str, ...] = ()  # empty: the token must have no audience
    leeway: float = 0.0  # of the issuer's clock (seconds)
    needs_expiry: bool = False


def verify(token: str, keys: Sequence[VerifyingKey], rules: Rules, now: float) -> Claims:
    """Verify a token; return its claims. Raises `NotVerified`."""
    if len(token) > MAX_TOKEN:
        raise NotVerified("too_long")
    key, algorithm = _choose(_header(token), keys, rules)
    payload = _payload(token, key, algorithm)
    if not jwt_text.is_signed(token):
        raise NotVerified("unsigned")
    _check_parties(payload, rules)
    _check_times(payload, rules, now)
    try:
        return claims.claims_of(payload, now - rules.leeway)
    except BadToken as error:
        raise NotVerified(str(error)) from None


def _header(token: str) -> dict[str, Any]:
    header = jwt_text.read_header(token.partition(".")[0])
    if header is None:
        raise NotVerified("not_a_jwt")
    if "crit" in header:
        raise NotVerified("crit")  # no extension is supported (RFC 7515 §4.1.11)
    if any(name in header for name in _KEYS_OF_ITS_OWN):
        raise NotVerified("brings_its_key")
    return header


def _choose(
    header: dict[str, Any], keys: Sequence[VerifyingKey], rules: Rules
) -> tuple[VerifyingKey, str]:
    """The one key that verifies this token, and the algorithm."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in (rules.algorithms or _ALGORITHMS):
        raise NotVerified("algorithm")
    named = [key for key in keys if kid is None or key.kid is None or key.kid == kid]
    if not named:
        raise UnknownKey("unknown_kid")
    fitting = [key for key in named if algorithm in key.allowed(rules.algorithms)]
    if not fitting:
        raise NotVerified("algorithm")
    if len(fitting) > 1:
        raise NotVerified("ambiguous_kid")
    return fitting[0], algorithm


def _payload(token: str, key: VerifyingKey, algorithm: str) -> dict[str, Any]:
    try:
        payload = json_text.parsed(_JWS.decode(token, key.material, [algorithm]).decode("utf-8"))
    except jwt.InvalidSignatureError:
        raise UnknownKey("signature") from None
    except jwt.InvalidKeyError:
        raise NotVerified("weak_key") from None
    except (jwt.PyJWTError, ValueError):
        raise NotVerified("not_a_jwt") from None
    if not isinstance(payload, dict):
        raise NotVerified("not_a_jwt")
    return payload


def _check_parties(payload: dict[str, Any], rules: Rules) -> None:
    if rules.issuers and payload.get("iss") not in rules.issuers:
        raise NotVerified("wrong_issuer")
    audience = payload.get("aud")
    if audience is None and not rules.audiences:
        return
    # A token with an audience is for no other one (RFC 7519 §4.1.3).
    named = audience if isinstance(audience, list) else [audience]
    if not any(name in rules.audiences for name in named):
        raise NotVerified("wrong_audience")


def _check_times(payload: dict[str, Any], rules: Rules, now: float) -> None:
    """Check that the token is valid already. `claims_of` checks its expiry."""
    for name in ("nbf", "iat"):
        begins = payload.get(name)
        if begins is None:
            continue
        if not timestamps.is_date(begins):
            raise NotVerified(f"{name}_is_no_number")
        if begins > now + rules.leeway:
            raise NotVerified("not_yet_valid")
    if rules.needs_expiry and payload.get("exp") is None:
        raise NotVerified("no_expiry")

"""ID tokens and logout tokens: their own rules.

`verification` has those for all tokens. OpenID Connect Core 1.0 §3.1.3.7 and §12.2, Back-Channel
Logout 1.0 §2.6.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from gateway.core import timestamps
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import NotVerified

# The digest of `at_hash`, by the end of the algorithm's name (Core §3.1.3.6). EdDSA is Ed25519
# here, which digests with SHA-512.
_DIGESTS = {"256": "sha256", "384": "sha384", "512": "sha512", "EdDSA": "sha512"}

_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

# The types of logout tokens, which may have none (Back-Channel Logout §2.4).
_LOGOUT_TYPES = ("logout+jwt", "jwt")

# In seconds. A logout token that was lost and sent again is younger; its `jti` is remembered as
# long.
LOGOUT_LIFE = 600.0

# In characters, of `sid`, `sub` and `jti`, which are stored.
_MAX_NAME = 1024


def check_id_token(
    token: str, payload: Mapping[str, Any], *, client_id: str, access_token: str | None
) -> None:
    """Check that a verified ID token is for this client and access token.

    The latter only if it has an `at_hash`. Raises `NotVerified`.
    """
    if not timestamps.is_date(payload.get("iat")):
        raise NotVerified("no_iat")
    audience, party = payload.get("aud"), payload.get("azp")
    alone = not isinstance(audience, list) or len(audience) == 1
    if party is None and not alone:
        raise NotVerified("no_azp")
    if party is not None and party != client_id:
        raise NotVerified("wrong_azp")
    at_hash = payload.get("at_hash")
    if at_hash is None or access_token is None:
        return
    if not _is_same(at_hash, _left_half(access_token, _algorithm(token))):
        raise NotVerified("wrong_at_hash")


def check_nonce(payload: Mapping[str, Any], nonce: str) -> None:
    """Check that an ID token has the request's nonce. Raises `NotVerified`."""
    if not _is_same(payload.get("nonce"), nonce):
        raise NotVerified("wrong_nonce")


def login_time(payload: Mapping[str, Any]) -> float | None:
    """When the user has logged in at the provider (UNIX seconds), if it says so."""
    at = payload.get("auth_time")
    return float(min(at, timestamps.LATEST)) if timestamps.is_date(at) and at >= 0 else None


def check_login_time(payload: Mapping[str, Any], earliest: float) -> None:
    """Check that the user has logged in not before a time. Raises `NotVerified`.

    A provider that was asked with `max_age` says when (Core §2), and the browser may have left out
    what it was to ask with.

    earliest: UNIX seconds by the provider's clock
    """
    at = login_time(payload)
    if at is None:
        raise NotVerified("no_auth_time")
    if at < earliest:
        raise NotVerified("not_logged_in_again")


def session_names(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The claims by which a logout token may name an ID token's session."""
    names = [(kind, payload.get(kind)) for kind in ("sid", "sub")]
    return [(kind, value) for kind, value in names if _is_name(value)]


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """The sessions that a provider ends: of its `sid`, or of its `subject`."""

    jti: str
    sid: str | None
    subject: str | None


def read_logout_token(
    token: str, payload: Mapping[str, Any], *, now: float, leeway: float
) -> LogoutToken:
    """Read a verified logout token. Raises `NotVerified`."""
    kind = (jwt_text.read_header(token.partition(".")[0]) or {}).get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _LOGOUT_TYPES:
        raise NotVerified("wrong_type")
    events = payload.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise NotVerified("no_logout_event")
    if "nonce" in payload:
        raise NotVerified("nonce")  # it is an ID token, which browsers and other clients may have
    issued = payload.get("iat")
    if not timestamps.is_date(issued):
        raise NotVerified("no_iat")
    if issued < now - leeway - LOGOUT_LIFE:
        raise NotVerified("too_old")
    jti, sid, subject = (_name(payload, name) for name in ("jti", "sid", "sub"))
    if jti is None:
        raise NotVerified("no_jti")
    if sid is None and subject is None:
        raise NotVerified("names_nobody")
    return LogoutToken(jti, sid, subject)


def _name(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    if value is None:
        return None
    if not _is_name(value):
        raise NotVerified(f"bad_{name}")
    return value


def _is_name(value: object) -> TypeGuard[str]:
    """Whether a claim is a printable text, without a lone surrogate.

    UTF-8 cannot hold those.
    """
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()


def _is_same(given: object, right: str) -> bool:
    """Compare with an ASCII text in constant time."""
    return isinstance(given, str) and given.isascii() and hmac.compare_digest(given, right)


def _algorithm(token: str) -> str:
    header = jwt_text.read_header(token.partition(".")[0]) or {}
    return str(header.get("alg", ""))


def _left_half(text: str, algorithm: str) -> str:
    name = next((digest for end, digest in _DIGESTS.items() if algorithm.endswith(end)), "sha256")
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()

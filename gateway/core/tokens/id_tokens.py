"""What ID tokens and logout tokens must say beside what every token must (see `verification`).

OpenID Connect Core 1.0 §3.1.3.7 and §12.2, Back-Channel Logout 1.0 §2.6.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from gateway.core.tokens import claims, jwt_text
from gateway.core.tokens.claims import NotVerified

# Of which digest a hash claim holds the left half, by the end of the algorithm's name (Core
# §3.1.3.6). EdDSA is Ed25519 here, which digests with SHA-512.
_DIGESTS = {"256": "sha256", "384": "sha384", "512": "sha512", "EdDSA": "sha512"}

_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

# The types that a logout token may have (Back-Channel Logout §2.4): it need not have any.
_LOGOUT_TYPES = ("logout+jwt", "jwt")

# A logout token that was sent, lost and sent again is not older than this, in seconds. So long its
# `jti` is remembered.
LOGOUT_LIFE = 600.0

# What providers call sessions and tokens is kept; nobody's names are longer.
_MAX_NAME = 1024


def check_id_token(
    token: str, payload: Mapping[str, Any], *, client_id: str, access_token: str | None
) -> None:
    """That a verified ID token is for this client, and for this access token if it says so.

    Raises `NotVerified`.
    """
    if not claims.is_date(payload.get("iat")):
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
    """That an ID token was issued for the request that had this nonce. Raises `NotVerified`."""
    if not _is_same(payload.get("nonce"), nonce):
        raise NotVerified("wrong_nonce")


def names(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How a logout token may call the session that an ID token begins: by which claim, and how."""
    names = [(kind, payload.get(kind)) for kind in ("sid", "sub")]
    return [(kind, value) for kind, value in names if _is_name(value)]


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """Whose sessions a provider wants to end: those of its session `sid`, or of its `subject`."""

    jti: str
    sid: str | None
    subject: str | None


def read_logout_token(
    token: str, payload: Mapping[str, Any], *, now: float, leeway: float
) -> LogoutToken:
    """What a verified logout token says. Raises `NotVerified`."""
    kind = (jwt_text.read_header(token.partition(".")[0]) or {}).get("typ", "jwt")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _LOGOUT_TYPES:
        raise NotVerified("wrong_type")
    events = payload.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise NotVerified("no_logout_event")
    if "nonce" in payload:
        raise NotVerified("nonce")  # it is an ID token, which anybody may have got hold of
    issued = payload.get("iat")
    if not isinstance(issued, int | float) or not claims.is_date(issued):
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
    """Printable: no lone surrogate, which UTF-8 cannot hold."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and value.isprintable()


def _is_same(given: object, right: str) -> bool:
    """In a time that tells nothing of what is right. That is ASCII, and `hmac` takes no other."""
    return isinstance(given, str) and given.isascii() and hmac.compare_digest(given, right)


def _algorithm(token: str) -> str:
    header = jwt_text.read_header(token.partition(".")[0]) or {}
    return str(header.get("alg", ""))


def _left_half(text: str, algorithm: str) -> str:
    name = next((digest for end, digest in _DIGESTS.items() if algorithm.endswith(end)), "sha256")
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()

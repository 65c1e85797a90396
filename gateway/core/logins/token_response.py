"""Token responses of providers, and the tokens that a session stores.

RFC 6749 §5, OpenID Connect Core 1.0 §3.1.3.3 and §12.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote_plus

from gateway.core.logins import authorization_code
from gateway.core.secret import Secret
from gateway.core.tokens import claims, jwt_text
from gateway.core.tokens.claims import BadToken, Claims, NotAJwt

ClientAuth = Literal["client_secret_basic", "client_secret_post", "none"]

# In seconds: a hundred years. A longer `expires_in` counts as none.
_FOREVER = 100 * 365 * 86400


class BadTokenResponse(ValueError):
    """The answer gives no usable token; the message is a stable reason."""


class NotJwt(BadTokenResponse):
    """The token is one that only the provider can read."""


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The tokens of an answer.

    `expires_in` is the access token's (seconds from now).
    """

    access_token: Secret
    id_token: Secret | None
    refresh_token: Secret | None
    expires_in: float | None


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The tokens that a session stores beside its own."""

    refresh_token: Secret | None = None
    id_token: Secret | None = None  # the hint by which the provider knows who logs out


def read(body: bytes) -> TokenResponse:
    """Read a successful answer. Raises `BadTokenResponse`."""
    answer = _object(body)
    # Without case (RFC 6749 §5.1).
    kind = answer.get("token_type")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise BadTokenResponse("token_type_is_not_bearer")
    access_token = _text(answer, "access_token")
    if access_token is None:
        raise BadTokenResponse("no_access_token")
    return TokenResponse(
        access_token, _text(answer, "id_token"), _text(answer, "refresh_token"), _seconds(answer)
    )


def error_in(body: bytes) -> str:
    """The error in an unsuccessful answer, as one of the known words."""
    try:
        return authorization_code.known_error(_object(body).get("error"))
    except BadTokenResponse:
        return authorization_code.OTHER


def client_fields(
    how: ClientAuth, client_id: str, secret: Secret | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The fields and parameters that authenticate the gateway.

    RFC 6749 §2.3.1. In Basic, both parts are form-encoded first, so a colon in them separates
    nothing.
    """
    if how == "none" or secret is None:
        return {}, {"client_id": client_id}
    if how == "client_secret_post":
        return {}, {"client_id": client_id, "client_secret": secret.reveal()}
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, {}


def token_of(
    tokens: TokenResponse, which: str, id_claims: Claims | None, *, now: float, skew: float
) -> tuple[str, float | None]:
    """The token for a session, and when it expires (UNIX seconds).

    It is the access token, or the ID token with these claims. Raises `NotJwt` and
    `BadTokenResponse`.
    """
    if which == "id_token":
        if tokens.id_token is None or id_claims is None:
            raise BadTokenResponse("no_id_token")
        return _jwt(tokens.id_token), id_claims.expires
    token = _jwt(tokens.access_token)
    try:
        own = claims.read_claims(token, now - skew).expires
    except NotAJwt:
        raise NotJwt("no_jwt") from None
    except BadToken as error:
        raise BadTokenResponse(str(error)) from None
    ends = [] if own is None else [own]
    if tokens.expires_in is not None:
        ends.append(now + tokens.expires_in)
    return token, min(ends, default=None)


def _jwt(token: Secret) -> str:
    """The text of a JWT, without anything around it: it goes into a header."""
    text = token.reveal()
    if jwt_text.sole(text) != text:
        raise NotJwt("no_jwt")
    return text


def dump(stored: StoredTokens) -> str:
    """One line of text for the seal; "" for no tokens."""
    parts = {"refresh": stored.refresh_token, "id": stored.id_token}
    held = {name: token.reveal() for name, token in parts.items() if token is not None}
    return json.dumps(held, separators=(",", ":")) if held else ""


def load(line: str) -> StoredTokens:
    """The tokens of a line of `dump`; none for one of another kind of login."""
    try:
        held = json.loads(line) if line else {}
    except ValueError:
        held = {}
    if not isinstance(held, dict):
        held = {}
    return StoredTokens(_text(held, "refresh"), _text(held, "id"))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise BadTokenResponse("not_json") from None
    if not isinstance(answer, dict):
        raise BadTokenResponse("not_json")
    return answer


def _text(answer: Mapping[str, Any], name: str) -> Secret | None:
    """A token in an answer: printable ASCII (RFC 6749, Appendix A), or none."""
    value = answer.get(name)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return None
    return Secret(value) if value else None


def _seconds(answer: Mapping[str, Any]) -> float | None:
    """The lifetime in an answer (seconds), which may be written as a text."""
    try:
        seconds = float(answer.get("expires_in", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _FOREVER else None

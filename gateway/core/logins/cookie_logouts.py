"""Backends that log out by their cookie (wire-rules.md#E17).

They delete the cookie in which the key came, or put something else into it: Flask, fastapi-users,
and Express' `clearCookie`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.http import set_cookies
from gateway.core.http.set_cookies import SetCookie
from gateway.core.logins import cookie_deletions
from gateway.core.sessions.subjects import SUBJECT_CLAIMS
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, Claims, read_claims

# The values of Clear-Site-Data by which a browser forgets cookies (Clear Site Data §3.1).
_CLEARING = (b'"cookies"', b'"*"')


def deletions(
    values: Sequence[str], claims: Mapping[str, Any] | None, now: float, token: str = ""
) -> list[str]:
    """The Set-Cookie values that delete the key's cookie.

    There are none if the answer does not log out.

    values: the answer's Set-Cookie values for that cookie
    claims: of the session's token; None if they are not known
    now: UNIX seconds
    token: the session's; "" if it is not known

    A new token of the same user is no logout: many backends give one with each answer. An opaque
    token names no user, so another one is a logout.
    """
    cookies = [set_cookies.read(value) for value in values]
    if any(_keeps_session(cookie, claims, now, token) for cookie in cookies):
        return []
    return [cookie_deletions.deletion_of(cookie) for cookie in cookies]


def clears(clear_site_data: bytes) -> bool:
    """Whether a Clear-Site-Data line or value clears all cookies."""
    return any(kind in clear_site_data for kind in _CLEARING)


def _keeps_session(
    cookie: SetCookie, claims: Mapping[str, Any] | None, now: float, present: str
) -> bool:
    if set_cookies.is_deletion(cookie, now):
        return False
    if cookie.value == present:
        return True
    token = jwt_text.first(cookie.value)
    if not token:
        return False
    try:
        payload = read_claims(token, now=0).payload
    except BadToken:
        # The user of an unreadable token is not known. A text of three parts without an algorithm
        # (RFC 7515 §4.1.1) is no token: Flask's session cookie is one.
        return "alg" in (jwt_text.read_header(token.partition(".")[0]) or {})
    return claims is None or _subject(payload) == _subject(claims)


def _subject(payload: Mapping[str, Any]) -> str | None:
    return Claims(payload, None).subject(SUBJECT_CLAIMS)

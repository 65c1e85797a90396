"""A backend that logs out by its cookie (wire-rules.md#E17): it deletes the one in which the key
came, or puts something else into it, as Flask, fastapi-users and Express' `clearCookie` do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.http import set_cookies
from gateway.core.http.set_cookies import SetCookie
from gateway.core.logins import cookie_deletions
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, Claims, read_claims

# What Clear-Site-Data says to have a browser forget cookies (Clear Site Data §3.1).
_CLEARING = (b'"cookies"', b'"*"')

# The claims that tell whose a token is, the first one that is there.
_SUBJECT = ("sub", "user_id", "uid", "username", "email")


def deletions(values: Sequence[str], claims: Mapping[str, Any] | None, now: float) -> list[str]:
    """The Set-Cookie values by which the client forgets the key's cookie, if an answer that sets it
    so logs out; none if it does not.

    values: the answer's Set-Cookie values for that cookie
    claims: those of the session's token; None if they are not known
    now: UNIX seconds

    A token of the same person's is no logout: many backends give a new one with each answer.
    """
    cookies = [set_cookies.read(value) for value in values]
    if any(_goes_on(cookie, claims, now) for cookie in cookies):
        return []
    return [cookie_deletions.deletion_of(cookie) for cookie in cookies]


def clears(clear_site_data: bytes) -> bool:
    """Whether a field line or value of that name has a browser forget all its cookies."""
    return any(kind in clear_site_data for kind in _CLEARING)


def _goes_on(cookie: SetCookie, claims: Mapping[str, Any] | None, now: float) -> bool:
    token = jwt_text.first(cookie.value)
    if not token or set_cookies.is_deletion(cookie, now):
        return False
    try:
        payload = read_claims(token, now=0).payload
    except BadToken:
        # Of a token that cannot be read, it cannot be told whose it is; a text of three parts that
        # names no algorithm (RFC 7515 §4.1.1) is none, but Flask's own session.
        return "alg" in (jwt_text.read_header(token.partition(".")[0]) or {})
    return claims is None or _subject(payload) == _subject(claims)


def _subject(payload: Mapping[str, Any]) -> str | None:
    return Claims(payload, None).subject(_SUBJECT)

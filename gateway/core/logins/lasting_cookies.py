"""Set-Cookie values of lasting cookies, which end with their session.

A backend lets its cookie end with its token. The gateway may renew the token, so the cookie with
the key in the token's place has to last as long as the session.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.core.http import set_cookies
from gateway.core.logins.replies import Reply, field_and_cookie

# The attributes that say when a cookie ends (RFC 6265 §5.2.1, §5.2.2).
_ENDS = frozenset({"max-age", "expires"})


def lasts(value: str) -> bool:
    """Whether a browser keeps the cookie of a Set-Cookie value when it closes."""
    return not _ENDS.isdisjoint(set_cookies.read(value).attributes)


def ending_in(value: str, seconds: int) -> str:
    """The Set-Cookie value for a cookie that ends in some seconds."""
    pair, *attributes = value.split(";")
    kept = [text for text in attributes if text.partition("=")[0].strip().lower() not in _ENDS]
    return ";".join([pair, f" Max-Age={seconds}", *kept])


def prolonged(reply: Reply, key: str, seconds: int) -> Reply:
    """The reply with `Max-Age` (seconds) in the cookie with the key, if any."""
    fields = tuple(
        (name, ending_in(value, seconds))
        if key in value and field_and_cookie((name, value))[1]
        else (name, value)
        for name, value in reply.fields
    )
    return replace(reply, fields=fields)

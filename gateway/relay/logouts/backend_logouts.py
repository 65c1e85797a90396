"""Answers by which a backend logs out.

They delete the cookies in which keys came.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.core.logins import cookie_logouts
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead, cookie_name

if TYPE_CHECKING:
    from gateway.relay.access.decision import Forward
    from gateway.relay.access.key_cookies import TrustedCookies


def deletions(
    forward: Forward, head: RequestHead, response: ResponseHead, cookies: TrustedCookies
) -> list[str] | None:
    """The Set-Cookie values by which an answer deletes the keys' cookies.

    None if the answer is no logout. The list is empty if it logs out by `Clear-Site-Data`.
    """
    if forward.route.in_process:
        return None
    found: list[str] = []
    for name, key in head.key_cookies:
        values = _set_by_backend(cookies, response, name)
        if values:
            resolved = forward.resolved if key == head.presented_key else None
            claims, token = (
                (None, b"") if resolved is None else (resolved.session.claims, resolved.token)
            )
            found += cookie_logouts.deletions(values, claims, time.time(), token.decode("latin-1"))
    return found if found or response.clears_cookies else None


def _set_by_backend(cookies: TrustedCookies, response: ResponseHead, name: bytes) -> list[str]:
    """The answer's Set-Cookie values for a cookie of a backend's keys."""
    if not cookies.is_of_backend(name):
        return []
    lines = [line for line in response.set_cookies if cookie_name(line) == name]
    return [line.partition(b":")[2].strip().decode("latin-1") for line in lines]

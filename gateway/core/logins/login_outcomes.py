"""What an attempt to log in has come to, as far as it counts for throttling."""

from __future__ import annotations

from typing import Literal

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal

Outcome = Literal["succeeded", "failed", "undecided", "broken"]

# The password was not looked at, or the answer did not come in time.
_UNASKED = (refusals.TOO_MANY_AT_ONCE, refusals.UPSTREAM_REFUSED)
_UNAVAILABLE = frozenset({503, 504})

# With these a proxy before a backend says the same (RFC 9110 §15.6.3).
_UNAVAILABLE_BACKEND = _UNAVAILABLE | {502}

# The backend broke down: a guesser may know what makes it do so wherever a password is wrong.
_BREAKDOWNS = (refusals.UPSTREAM_CLOSED, refusals.UPSTREAM_BROKEN)
_BROKEN = 500


def of_refusal(refusal: Refusal) -> Outcome:
    """What a refusal says. A reply that cannot be used is a failure: backends say no in those."""
    if refusal in _BREAKDOWNS:
        return "broken"
    is_undecided = refusal in _UNASKED or refusal.status in _UNAVAILABLE
    return "undecided" if is_undecided else "failed"


def of_status(status: int) -> Outcome:
    """What a reply says by its status, where it hands out no key."""
    if status in _UNAVAILABLE_BACKEND:
        return "undecided"
    return "broken" if status >= _BROKEN else "failed"

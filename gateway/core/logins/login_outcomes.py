"""Outcomes of attempts to log in, as throttling counts them."""

from __future__ import annotations

from typing import Literal

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal

Outcome = Literal["succeeded", "failed", "undecided", "broken"]

# The backend did not check the password, or its answer did not come in time.
_UNDECIDED = (refusals.TOO_MANY_AT_ONCE, refusals.UPSTREAM_REFUSED)
_UNAVAILABLE = frozenset({503, 504})

# A proxy in front of a backend says so with 502, too (RFC 9110 §15.6.3).
_UNAVAILABLE_BACKEND = _UNAVAILABLE | {502}

# The backend broke down. A client may know a request that makes it do so for wrong passwords only.
_BREAKDOWNS = (refusals.UPSTREAM_CLOSED, refusals.UPSTREAM_BROKEN)
_BROKEN = 500


def of_refusal(refusal: Refusal) -> Outcome:
    """The outcome of a refusal.

    An unusable reply is a failure: backends say no in such replies.
    """
    if refusal in _BREAKDOWNS:
        return "broken"
    is_undecided = refusal in _UNDECIDED or refusal.status in _UNAVAILABLE
    return "undecided" if is_undecided else "failed"


def of_status(status: int) -> Outcome:
    """The outcome of a reply that hands out no key, by its status."""
    if status in _UNAVAILABLE_BACKEND:
        return "undecided"
    return "broken" if status >= _BROKEN else "failed"

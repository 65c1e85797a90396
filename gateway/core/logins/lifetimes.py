"""When an opaque token expires, by its backend's reply.

Backends write seconds (`expires_in`, RFC 6749 §5.1), a date (knox's `expiry`) or UNIX time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.core import json_text, timestamps
from gateway.core.tokens.claims import BadToken

# The members that say it, without case and joints, the likeliest first.
_NAMES = ("expiresin", "expiresat", "expiry", "expires", "exp", "expiration", "validuntil")
_JOINTS = re.compile(r"[-_]")

# How a date of ISO 8601 begins in its extended form.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[0-9T:.,+Z -]{0,32}")

# A larger number is UNIX time, of 2001 or later; a larger one still is in milliseconds.
_MAX_LIFETIME_SECONDS = 1e9
_MAX_TIME_SECONDS = 1e12


def expiry_at(document: Any, path: Sequence[str], now: float) -> float | None:
    """When the token expires (UNIX seconds), by a value at a configured place.

    None if there is no value, or null. Raises `BadToken` for one that says no time, or a past one.
    """
    value = json_text.found_at(document, path)
    if value is None:
        return None
    expires = expiry(value, now)
    if expires is None:
        raise BadToken("lifetime_is_no_time")
    return _future(expires, now)


def expiry_beside(document: Any, path: Sequence[str], now: float) -> float | None:
    """When the token expires, by a known member beside or above its place.

    Raises `BadToken` for a past time.
    """
    for end in range(max(0, len(path) - 1), -1, -1):
        members = json_text.found_at(document, path[:end])
        found = _named(members, now) if isinstance(members, Mapping) else None
        if found is not None:
            return _future(found, now)
    return None


def expiry(value: Any, now: float) -> float | None:
    """The time that a value says (UNIX seconds); None if it says none."""
    if isinstance(value, str):
        number = _number(value)
        return _date(value) if number is None else expiry(number, now)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if value > _MAX_TIME_SECONDS:
        value /= 1000
    return min(float(value), timestamps.LATEST) if value > _MAX_LIFETIME_SECONDS else now + value


def _named(members: Mapping[str, Any], now: float) -> float | None:
    plain = {_JOINTS.sub("", name.lower()): value for name, value in members.items()}
    times = (expiry(plain[name], now) for name in _NAMES if name in plain)
    return next((time for time in times if time is not None), None)


def _future(expires: float, now: float) -> float:
    if expires <= now:
        raise BadToken("expired")
    return expires


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) <= len("9" * 15) else None


def _date(text: str) -> float | None:
    """A date of ISO 8601; without an offset it is in UTC."""
    if not _DATE.fullmatch(text):
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

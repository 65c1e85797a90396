"""Timestamps as people and programs write them (RFC 3339, UNIX seconds)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, TypeGuard

# A later time counts as this (UNIX seconds): a float holds every whole number below it.
LATEST = 2.0**53

_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")

# In a URL's query a plus sign means a space, which is easily forgotten.
_OFFSET = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)")


class BadTimestamp(ValueError):
    """The text is no timestamp."""


def parse_timestamp(text: str) -> float:
    """UNIX seconds from RFC 3339 or from UNIX seconds. Raises `BadTimestamp`.

    A time without an offset is refused: its time zone is unknown.
    """
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(_OFFSET.sub("+", text))
    except ValueError:
        raise BadTimestamp from None
    if moment.tzinfo is None:
        raise BadTimestamp
    return moment.timestamp()


def rfc3339(at: int) -> str:
    """UNIX seconds as RFC 3339 writes them: 2026-01-31T12:00:00Z."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_date(value: Any) -> TypeGuard[float]:
    """Whether a claim is a NumericDate: a number (RFC 7519 §2)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)

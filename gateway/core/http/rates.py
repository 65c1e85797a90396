"""Rates: so many requests in so much time, written as `100/m`, and what they count by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# What requests are counted by: one of these, or a claim behind its word.
ADDRESS, SESSION, SUBJECT, ROUTE = "address", "session", "subject", "route"
CLAIM = "claim:"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,5})([smhd])")

# More is a mistake: a worker answers some ten thousand requests a second.
MAX_PER_SECOND = 1_000_000

# A longer time is a mistake: no bucket is remembered for so long.
MAX_SECONDS = 31 * 86_400


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` requests in `seconds`."""

    amount: int
    seconds: int
    text: str  # as it was written

    def __str__(self) -> str:
        return self.text

    @property
    def interval(self) -> float:
        """The time for one request (seconds)."""
        return self.seconds / self.amount


def parse_rate(value: Any) -> Rate:
    """The rate in a text such as `10/s`, `100/m` or `5/10m`. Raises `ValueError`."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is not a rate: write 10/s, 100/m, 1000/h or 5/10m")
    amount, seconds = int(found[1]), int(found[2] or 1) * _SECONDS[found[3]]
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError("is a rate for no time, or for too long: from a second to 31 days")
    if not 0 < amount <= MAX_PER_SECOND * seconds:
        raise ValueError("is no rate, or too high: from 1 to 1000000 a second")
    return Rate(amount, seconds, value)

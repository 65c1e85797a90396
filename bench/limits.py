"""The time of a rate limit's check, by itself."""

from __future__ import annotations

import mmap
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.http.token_buckets import BYTES, TokenBuckets

_KEYS = 100_000  # more than there are buckets
_KNOWN = 1000
_ROUNDS = 20


@dataclass(frozen=True)
class Checks:
    """The time of a check in microseconds, the best of some rounds."""

    known: float  # of a key that has a bucket
    crowded: float  # the same, while all buckets are in use
    new: float  # of a key that has none, while all buckets are in use


def time_checks() -> Checks:
    """Time checks, each with its look at the clock."""
    buckets = TokenBuckets(memoryview(mmap.mmap(-1, BYTES)), interval=1.0, burst=10**6)
    known = [f"192.0.2.{number}" for number in range(_KNOWN)]
    alone = _best(buckets, known)
    new = _time(buckets, [f"198.51.100.{number}" for number in range(_KEYS)])
    return Checks(known=alone, crowded=_best(buckets, known), new=new)


def _best(buckets: TokenBuckets, keys: Sequence[str]) -> float:
    return min(_time(buckets, keys) for _ in range(_ROUNDS))


def _time(buckets: TokenBuckets, keys: Sequence[str]) -> float:
    """Microseconds for each key."""
    began = time.perf_counter()
    for key in keys:
        buckets.take(key, time.monotonic())
    return (time.perf_counter() - began) / len(keys) * 1e6

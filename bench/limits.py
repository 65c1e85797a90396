"""The time of a rate limit: its check by itself, and all that it costs a request."""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.http.forwarding import Trusted
from gateway.core.http.rates import ADDRESS, Rate
from gateway.core.http.token_buckets import BYTES, TokenBuckets
from gateway.relay.access.limits import RateLimit, RouteLimits, Taken
from gateway.relay.access.peer import Peer
from gateway.relay.http1.request_head import RequestHead

_KEYS = 100_000  # more than there are buckets
_KNOWN = 1000
_ROUNDS = 50
_REQUESTS = 2000


@dataclass(frozen=True)
class Checks:
    """The time of a check in microseconds, the best of some rounds."""

    known: float  # of a key that has a bucket
    crowded: float  # the same, while all buckets are in use
    new: float  # of a key that has none, while all buckets are in use
    request: float  # with the key of the request, and the fields of its answer


def time_checks() -> Checks:
    """Time checks, each with its look at the clock."""
    buckets = _buckets(Rate(1, 1, "1/s"))
    known = [f"192.0.2.{number}" for number in range(_KNOWN)]
    alone = _best(buckets, known)
    new = _time(buckets, [f"198.51.100.{number}" for number in range(_KEYS)])
    return Checks(known=alone, crowded=_best(buckets, known), new=new, request=_time_requests())


def _buckets(rate: Rate) -> TokenBuckets:
    return TokenBuckets(memoryview(mmap.mmap(-1, BYTES)), interval=rate.interval, burst=10**6)


def _best(buckets: TokenBuckets, keys: Sequence[str]) -> float:
    return min(_time(buckets, keys) for _ in range(_ROUNDS))


def _time(buckets: TokenBuckets, keys: Sequence[str]) -> float:
    """Microseconds for each key."""
    began = time.perf_counter()
    for key in keys:
        buckets.take(key, time.monotonic())
    return (time.perf_counter() - began) / len(keys) * 1e6


def _time_requests() -> float:
    """Microseconds that one limit costs a request, as in `relay/access/decision.py`."""
    rate = Rate(1000, 1, "1000/s")
    limit = RateLimit(
        name="api", setting="rate_limits.api", rate=rate, per=ADDRESS, buckets=_buckets(rate)
    )
    limits, nothing = RouteLimits("/*", (limit,)), Trusted(())
    peer = Peer(("192.0.2.1", 1), instance="", proxies=nothing, describing=nothing)
    head = RequestHead(b"GET", b"/", b"1")
    best = math.inf
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_REQUESTS):
            taken: list[Taken] = []
            limits.take(limits.early, taken, head, peer, None)
            limits.lines(taken)
        best = min(best, time.perf_counter() - began)
    return best / _REQUESTS * 1e6

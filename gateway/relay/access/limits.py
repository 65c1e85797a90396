"""Rate limits: how many requests a client may send by a route.

What counts by addresses and routes is counted before a key is looked up, so a flood of bad keys
costs the store nothing. What counts by sessions, subjects and claims is counted after that. A
request takes a token of each of its route's limits, or of none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.rates import ADDRESS, ROUTE, Rate
from gateway.core.http.token_buckets import TokenBuckets
from gateway.relay.access.limit_keys import key_of
from gateway.relay.outcomes import Refused
from gateway.store.errors import StoreUnavailable
from gateway.store.shared_limits import SharedLimit

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.http1.request_head import RequestHead
    from gateway.store.resolved_session import ResolvedSession

# What a request has taken: of which limit, for which key, and in how many seconds the bucket is
# full again.
Taken = list[tuple["RateLimit", str, float]]


class RateLimit:
    """One limit of config.yaml."""

    __slots__ = (
        "_text",
        "buckets",
        "is_early",
        "key_of",
        "policy",
        "refusal",
        "refused",
        "setting",
        "shared",
        "unshared",
    )

    def __init__(
        self,
        *,
        name: str,
        setting: str,
        rate: Rate,
        per: str,
        buckets: TokenBuckets,
        shared: SharedLimit | None = None,
    ) -> None:
        """Take what config.yaml says of it.

        name: what clients are told
        setting: where it stands in config.yaml
        per: what it counts by
        buckets: of all workers of this gateway
        shared: counts for all gateways; None if it counts for this one alone
        """
        self.setting = setting
        self.buckets = buckets
        self.shared = shared
        self.is_early = per in (ADDRESS, ROUTE)
        self.key_of = key_of(per)
        self.policy = f'"{name}";q={rate.amount};w={rate.seconds}'
        self.refusal = replace(
            refusals.RATE_LIMITED,
            title=f"Too many requests: wait before the next one ({setting}).",
        )
        self.refused = 0  # requests, for the metrics
        self.unshared = 0  # requests that the store could not count, so this gateway alone did
        self._text = f'"{name}";r=%d;t=%d'

    def state(self, left: float) -> str:
        """The limit's member of the field RateLimit, if its bucket is full in `left` seconds."""
        return self._text % (self.buckets.tokens(left), left + 1)

    def refuse(self, wait: float) -> Refused:
        """The refusal of a request that may come again after `wait` seconds."""
        self.refused += 1
        seconds = max(1, math.ceil(wait))
        fields = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": self.policy,
            "RateLimit": self._text % (0, seconds),
        }
        return Refused(self.refusal, fields, cause=self.setting)


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """The limits of one route."""

    route: str  # names the route in limits that count by it
    limits: tuple[RateLimit, ...]
    early: tuple[RateLimit, ...] = field(init=False)  # counted before a key is looked up
    late: tuple[RateLimit, ...] = field(init=False)  # counted after that
    is_shared: bool = field(init=False)  # the store counts for some of them
    _policy: str = field(init=False)

    def __post_init__(self) -> None:
        early = tuple(limit for limit in self.limits if limit.is_early)
        late = tuple(limit for limit in self.limits if not limit.is_early)
        policy = ", ".join(limit.policy for limit in (*early, *late))
        object.__setattr__(self, "early", early)
        object.__setattr__(self, "late", late)
        object.__setattr__(self, "is_shared", any(limit.shared for limit in self.limits))
        line = f"RateLimit-Policy: {policy}\r\nRateLimit: %s\r\n"
        object.__setattr__(self, "_policy", line)

    async def admit(self, head: RequestHead, peer: Peer) -> Taken:
        """Count a request before its key is looked up. Raises `Refused`.

        Returns what it has taken.
        """
        taken: Taken = []
        if self.early:
            self._take(self.early, taken, head, peer, None)
            if self.is_shared:
                await _count(self.early, taken)
        return taken

    async def admit_caller(
        self, taken: Taken, head: RequestHead, peer: Peer, entry: ResolvedSession | None
    ) -> None:
        """Count a request whose session is known by now. Raises `Refused`.

        taken: what it has taken so far; gets what it takes now
        entry: the session; None for an anonymous caller
        """
        if self.late:
            self._take(self.late, taken, head, peer, entry)
            if self.is_shared:
                await _count(self.late, taken)

    def _take(
        self,
        limits: Iterable[RateLimit],
        taken: Taken,
        head: RequestHead,
        peer: Peer,
        entry: ResolvedSession | None,
    ) -> None:
        """Take a token of each of these limits. Raises `Refused`; then all are given back."""
        now = time.monotonic()
        for limit in limits:
            key = limit.key_of(self.route, head, peer, entry)
            left = limit.buckets.take(key, now)
            if left < 0.0:
                _give_back(taken)
                raise limit.refuse(-left)
            taken.append((limit, key, left))

    def lines(self, taken: Taken) -> bytes:
        """The fields that tell a client of the limits.

        draft-ietf-httpapi-ratelimit-headers-10: both are lists (RFC 9651), so members of an
        upstream may stand in lines of its own.
        """
        states = [limit.state(left) for limit, _, left in taken]
        return (self._policy % ", ".join(states)).encode()


def limits_of_all(routes: Iterable[RouteLimits | None]) -> RouteLimits | None:
    """The limits of several routes that a request may be meant by; None without any."""
    limited = [route for route in routes if route is not None]
    listed = dict.fromkeys(limit for route in limited for limit in route.limits)
    return RouteLimits(limited[0].route, tuple(listed)) if limited else None


async def _count(limits: Iterable[RateLimit], taken: Taken) -> None:
    """Count a request for all gateways. Raises `Refused`.

    A refusal drains the bucket here, so the store is not asked again before it would say yes.
    """
    asked = [one for one in taken if one[0].shared is not None and one[0] in limits]
    for limit, key, left in asked:
        assert limit.shared is not None
        try:
            remaining, wait = await limit.shared.count(key)
        except StoreUnavailable:
            limit.unshared += 1
            continue
        if remaining < 0:
            _give_back(taken)
            limit.buckets.drain(key, time.monotonic() + wait)
            raise limit.refuse(wait)
        at = taken.index((limit, key, left))
        fewer = (limit.buckets.burst - remaining) * limit.buckets.interval
        taken[at] = (limit, key, max(left, fewer))


def _give_back(taken: Taken) -> None:
    for limit, key, _ in taken:
        limit.buckets.give_back(key)
    taken.clear()

"""Rate limits: how many requests a client may send by a route.

What counts by addresses and routes is counted before a key is looked up, so a flood of bad keys
costs the store nothing. What counts by sessions, subjects and claims is counted after that. A
request takes a token of each of its route's limits, or of none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Iterable
from dataclasses import replace
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


class RateLimit:
    """One limit of config.yaml."""

    __slots__ = (
        "buckets",
        "is_early",
        "key_of",
        "policy",
        "refusal",
        "refused",
        "setting",
        "shared",
        "state",
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
        self.state = f'"{name}";r=%d;t=%d'  # tokens, and seconds until the bucket is full
        self.refusal = replace(
            refusals.RATE_LIMITED,
            title=f"Too many requests: wait before the next one ({setting}).",
        )
        self.refused = 0  # requests, for the metrics
        self.unshared = 0  # requests that the store could not count, so this gateway alone did

    def refuse(self, wait: float) -> Refused:
        """The refusal of a request that may come again after `wait` seconds."""
        self.refused += 1
        seconds = max(1, math.ceil(wait))
        fields = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": self.policy,
            "RateLimit": self.state % (0, seconds),
        }
        return Refused(self.refusal, fields, cause=self.setting)


# What a request has taken: a token of a limit, for a key; and in how many seconds the bucket of the
# key is full again.
Taken = tuple[RateLimit, str, float]


class RouteLimits:
    """The limits of one route."""

    __slots__ = ("_fields", "_is_shared", "early", "late", "limits", "name")

    def __init__(self, name: str, limits: tuple[RateLimit, ...]) -> None:
        """`name` is that of the route, in limits that count by it."""
        self.limits = limits
        self.name = name
        self.early = tuple(limit for limit in limits if limit.is_early)
        self.late = tuple(limit for limit in limits if not limit.is_early)
        self._is_shared = any(limit.shared is not None for limit in limits)
        listed = (*self.early, *self.late)
        policy = ", ".join(limit.policy for limit in listed)
        state = ", ".join(limit.state for limit in listed)
        # Of an answer, without what is left of each limit. Both are lists (RFC 9651), so members of
        # an upstream may stand in lines of its own (draft-ietf-httpapi-ratelimit-headers-10).
        self._fields = f"RateLimit-Policy: {policy}\r\nRateLimit: {state}\r\n".encode()

    def take(
        self,
        limits: tuple[RateLimit, ...],
        taken: list[Taken],
        head: RequestHead,
        peer: Peer,
        resolved: ResolvedSession | None,
    ) -> Awaitable[None] | None:
        """Take a token of each of these limits; if one has none, give all back.

        Returns what to wait for. Raises `Refused`, also when it is awaited.

        limits: those before the session is looked up, or those after that
        taken: what the request has taken so far, and takes
        resolved: the session; None for an anonymous caller, and before it is known
        """
        now = time.monotonic()
        for limit in limits:
            key = limit.key_of(self.name, head, peer, resolved)
            left = limit.buckets.take(key, now)
            if left < 0.0:
                _give_back(taken)
                raise limit.refuse(-left)
            taken.append((limit, key, left))
        return self._count(limits, taken) if self._is_shared else None

    def lines(self, taken: list[Taken]) -> bytes:
        """The fields that tell the client of the limits, once it has been counted."""
        if len(taken) == 1:  # as on most routes
            [(limit, _, left)] = taken
            return self._fields % (limit.buckets.tokens(left), left + 1)
        told: list[float] = []
        for limit, _, left in taken:
            told += limit.buckets.tokens(left), left + 1
        return self._fields % tuple(told)

    async def _count(self, limits: tuple[RateLimit, ...], taken: list[Taken]) -> None:
        """Count the request for all gateways, where these limits are shared.

        A refusal drains the bucket here, so the store is not asked again before it would say yes.
        """
        for at, (limit, key, left) in enumerate(taken):
            if limit.shared is None or limit not in limits:
                continue
            try:
                remaining, wait = await limit.shared.count(key)
            except StoreUnavailable:
                limit.unshared += 1
                continue
            if remaining < 0:
                _give_back(taken)
                limit.buckets.drain(key, time.monotonic() + wait)
                raise limit.refuse(wait)
            fewer = (limit.buckets.burst - remaining) * limit.buckets.interval
            taken[at] = (limit, key, max(left, fewer))


def _give_back(taken: list[Taken]) -> None:
    for limit, key, _ in taken:
        limit.buckets.give_back(key)


def limits_of_all(routes: Iterable[RouteLimits | None]) -> RouteLimits | None:
    """The limits of several routes that a request may be meant by; None without any."""
    limited = [route for route in routes if route is not None]
    listed = dict.fromkeys(limit for route in limited for limit in route.limits)
    return RouteLimits(limited[0].name, tuple(listed)) if limited else None

"""Reads the policy of an upstream from its section."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.http.balancing import EjectionRules
from gateway.core.http.circuit_breaker import CircuitBreaker
from gateway.core.http.retry_budget import RetryBudget
from gateway.relay.upstream.policy import HealthCheck, Policy, Sticky

if TYPE_CHECKING:
    from gateway.config.upstream_sections import Upstream


def policy_of(upstream: Upstream) -> Policy:
    """How the servers share requests, and what is done about failures."""
    balance, eject = upstream.balance, upstream.eject
    health, breaker = upstream.health, upstream.breaker
    authority = upstream.servers[0].authority
    return Policy(
        by_turns=balance.method == "round_robin",
        sticky=None if balance.sticky is None else Sticky(balance.cookie),
        slow_start=upstream.slow_start,
        eject=EjectionRules(
            after=eject.after,
            statuses=frozenset(eject.statuses),
            first=eject.for_,
            longest=eject.max_for,
            max_percent=eject.max_percent,
        ),
        budget=_budget(upstream),
        breaker=None
        if breaker is None
        else CircuitBreaker(breaker.errors, breaker.of, breaker.open_for),
        health=None
        if health is None
        else HealthCheck(
            path=health.path,
            host=(health.host or upstream.own_host or authority).encode(),
            interval=health.interval,
            timeout=health.timeout,
            healthy_after=health.healthy_after,
            unhealthy_after=health.unhealthy_after,
            statuses=frozenset(health.status),
        ),
        try_for=upstream.try_for,
    )


def _budget(upstream: Upstream) -> RetryBudget:
    retries = upstream.retries
    if retries is None:
        return RetryBudget(percent=0, per_second=0.0)
    return RetryBudget(retries.budget, retries.min_per_second)

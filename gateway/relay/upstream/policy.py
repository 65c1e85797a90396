"""How the servers of an upstream share its requests, and what is done about failures."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.http.balancing import EjectionRules
from gateway.core.http.circuit_breaker import CircuitBreaker
from gateway.core.http.retry_budget import RetryBudget


@dataclass(frozen=True, slots=True)
class Sticky:
    """Requests with the same key go to the same server.

    cookie: the name of the cookie that holds the key; None: the key is the session's id
    """

    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What servers are asked, and which answers count.

    host: the Host value
    interval, timeout: in seconds
    healthy_after, unhealthy_after: so many answers of one kind in a row change the verdict
    statuses: of a healthy server
    """

    path: str
    host: bytes
    interval: float
    timeout: float
    healthy_after: int
    unhealthy_after: int
    statuses: frozenset[int]


@dataclass(frozen=True, slots=True)
class Policy:
    """One upstream's settings.

    by_turns: round robin; the load does not count
    slow_start: how long a server that was away gets less than its part (seconds)
    try_for: how long a request waits for a server that cannot be reached (seconds); None: for
        `timeouts.connect`
    """

    by_turns: bool = False
    sticky: Sticky | None = None
    slow_start: float = 0.0
    eject: EjectionRules = field(default_factory=EjectionRules)
    budget: RetryBudget = field(default_factory=RetryBudget)
    breaker: CircuitBreaker | None = None
    health: HealthCheck | None = None
    try_for: float | None = None

"""Chooses the server of a request, unless the upstream is left alone."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from gateway.core.http import balancing, refusals
from gateway.core.http.refusals import Refusal

if TYPE_CHECKING:
    from gateway.relay.upstream.policy import Policy
    from gateway.relay.upstream.restarts import Restarts
    from gateway.relay.upstream.server import Server
    from gateway.relay.upstream.waiter import Request, Waiter

# The orders of so many sticky keys are kept. For 50 servers one takes 0.1 ms to find, and 0.5 KiB.
_MAX_ORDERS = 1024

# Of more servers, two are drawn by lot and compared: the choice takes about the same time for any
# number, and the load is nearly as even (M. Mitzenmacher, The Power of Two Choices, 2001). A server
# is drawn as often as its weight says: otherwise none of twelve would get more than a sixth. By
# turns, they stand in a heap.
_MAX_COMPARED = 8

OrderOfKey = Callable[[bytes], "Sequence[Server]"]


class Balancer:
    """Finds servers for the requests of one upstream, by its policy."""

    def __init__(self, upstream: str, policy: Policy, restarts: Restarts) -> None:
        """The upstream's policy.

        upstream: its name, for refusals and the log
        restarts: says whether its servers are away
        """
        self._upstream = upstream
        self._policy = policy
        self._restarts = restarts
        self._turn = 0.0
        self._turns: tuple[Sequence[Server], balancing.Turns] | None = None  # of many servers
        self._lots: tuple[Sequence[Server], Sequence[int]] | None = None  # of many servers
        self._orders: tuple[Sequence[Server], OrderOfKey] | None = None  # of sticky requests
        self._random = Random()  # noqa: S311 (no secret)
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    def choose(self, servers: Sequence[Server], request: Request) -> Server | Refusal:
        """The server that gets the request next, or why none does."""
        now = time.monotonic()
        refusal = self._left_alone(servers, request, now)
        if refusal is not None:
            return refusal
        if len(servers) == 1:
            return servers[0]
        server = self._choose(servers, request, now, probes=True)
        if server.load.ejected_until and not request.is_repeatable:
            # The request would be lost if the server is still away.
            server = self._choose(servers, request, now, probes=False)
        self._turn = balancing.take_turn(server.load, self._turn, now)
        if server.load.ejected_until:
            # This request finds out whether the server is back. Others follow when it has been
            # answered.
            server.load.probe(now, self._policy.eject)
        if server.load.ejected_until or self._restarts.all_are_away:
            server.discard_idle()  # only a new connection shows whether it can be reached
        return server

    def down(self, servers: Sequence[Server], now: float) -> Refusal:
        """The refusal while no server can be reached: until the first ejection ends."""
        ends = min(server.load.ejected_until for server in servers)
        return self._refusal(refusals.UPSTREAM_DOWN, ends - now)

    def may_repeat(self, servers: Sequence[Server], waiter: Waiter) -> bool:
        """Whether the budget for retries allows one more, and count it."""
        assert waiter.server is not None
        if not self._policy.budget.take(_requests_at(servers), time.monotonic()):
            return False
        waiter.server.retries += 1
        return True

    def sweep(self, servers: Sequence[Server], now: float) -> None:
        """Note how many requests there were (`now`: monotonic seconds)."""
        self._policy.budget.sweep(_requests_at(servers), now)

    def ended(self, request: object, *, is_answered: bool) -> None:
        """Tell the breaker that a request has ended, by an answer or without one."""
        breaker = self._policy.breaker
        if breaker is None:
            return
        if breaker.ended(request, time.monotonic(), is_answered=is_answered):
            self._log.warning(
                "upstream %s: the circuit breaker is open for %g s: at least %d %% of the last %d "
                "requests have failed",
                self._upstream,
                breaker.open_for,
                breaker.percent,
                breaker.of,
            )

    def _left_alone(
        self, servers: Sequence[Server], request: Request, now: float
    ) -> Refusal | None:
        """The refusal while the upstream gets no request at all."""
        breaker, health = self._policy.breaker, self._policy.health
        if request.outage is not None:
            return None  # it looks whether a server is back
        waits = self._policy.try_for is not None
        if health is not None and not waits and all(server.load.is_unhealthy for server in servers):
            return self._refusal(refusals.UPSTREAM_DOWN, health.interval)
        if breaker is not None and not request.tried and not breaker.allows(now):
            return self._refusal(refusals.CIRCUIT_OPEN, breaker.open_until - now)
        if not request.tried and self._restarts.refuse(now):
            return self.down(servers, now)
        return None

    def _refusal(self, refusal: Refusal, seconds: float) -> Refusal:
        """The refusal, with the upstream's name, and when to ask again."""
        return replace(
            refusal,
            title=refusal.title.replace("The upstream", f"The upstream {self._upstream}"),
            fields={"Retry-After": str(max(math.ceil(seconds), 1))},
        )

    def _choose(
        self, servers: Sequence[Server], request: Request, now: float, *, probes: bool
    ) -> Server:
        policy = self._policy
        longest = policy.eject.longest
        if policy.sticky is not None and (key := request.affinity(policy.sticky)):
            order = self._order_of(servers)(key)
            left = _untried(order, request) if request.tried else order
            since = now if probes else now - longest
            in_use = (server for server in left if not server.load.is_out(since))
            return next(in_use, None) or min(left or order, key=_is_unhealthy)
        if request.tried:
            servers = _untried(servers, request) or servers
        if len(servers) > _MAX_COMPARED:
            if not policy.by_turns:
                servers = self._two_of(servers, now)
            elif probes and not request.tried and (turn := self._in_turn(servers, now)) is not None:
                return servers[turn]
        index = balancing.pick(
            [server.load for server in servers],
            self._turn,
            now,
            probes=probes,
            by_turns=policy.by_turns,
            longest=longest,
        )
        return servers[index]

    def _order_of(self, servers: Sequence[Server]) -> OrderOfKey:
        """The function that finds the order in which the servers serve a key."""
        if self._orders is None or self._orders[0] is not servers:
            labels = [(server.label, server.load.weight) for server in servers]

            def order(key: bytes) -> Sequence[Server]:
                return [servers[index] for index in balancing.preferred(key, labels)]

            self._orders = servers, functools.lru_cache(_MAX_ORDERS)(order)
        return self._orders[1]

    def _in_turn(self, servers: Sequence[Server], now: float) -> int | None:
        """The server whose turn it is; None if all have to be looked at."""
        if self._turns is None or self._turns[0] is not servers:
            self._turns = servers, balancing.Turns([server.load for server in servers])
        return self._turns[1].pick(self._turn, now)

    def _two_of(self, servers: Sequence[Server], now: float) -> Sequence[Server]:
        """Two servers by lot, as their weights say, or twice one; all of them if both are out."""
        if self._lots is None or self._lots[0] is not servers:
            weights = [server.load.weight for server in servers]
            self._lots = servers, list(itertools.accumulate(weights))
        two = self._random.choices(servers, cum_weights=self._lots[1], k=2)
        return servers if all(server.load.is_out(now) for server in two) else two


def _untried(servers: Sequence[Server], request: Request) -> Sequence[Server]:
    return [server for server in servers if server not in request.tried]


def _is_unhealthy(server: Server) -> bool:
    """Whether the health checks of a server fail."""
    return server.load.is_unhealthy


def _requests_at(servers: Sequence[Server]) -> int:
    """How many requests these servers have got."""
    return sum(server.requests for server in servers)

"""What is known of the servers of an upstream, for requests and for the gateway's own calls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.observe import causes
from gateway.relay.upstream.balancer import Balancer
from gateway.relay.upstream.health import HealthChecks
from gateway.relay.upstream.policy import Policy
from gateway.relay.upstream.restarts import Restarts
from gateway.relay.upstream.server import Server
from gateway.relay.upstream.waiter import Request, Waiter

if TYPE_CHECKING:
    from gateway.relay.upstream.names import NamedServers


class KnownServers:
    """Says which server gets a request, and learns from how it went."""

    def __init__(self, name: str, policy: Policy, restarts: Restarts) -> None:
        """Begin without servers.

        name: the upstream's, for the log
        """
        self.policy = policy
        self.all: tuple[Server, ...] = ()
        self.only: Server | None = None  # gets each request; None: one has to be chosen
        self.names: list[NamedServers] = []  # that are looked up again
        self.health: HealthChecks | None = None
        if policy.health is not None:
            self.health = HealthChecks(name, policy.health, self._decide_choice)
        self._restarts = restarts
        self._balancer = Balancer(name, policy, restarts)

    def have(self, servers: tuple[Server, ...]) -> None:
        """Have these servers from now on."""
        self.all = servers
        breaker, loads = self.policy.breaker, tuple(server.load for server in servers)
        self._decide_choice()
        # The only server restarts, whatever it takes: no other one could serve. Several are down.
        self._restarts.gives_up = len(servers) > 1 and self.policy.try_for is None
        for server in servers:
            server.join(loads, breaker)

    # Before a request.

    @property
    def try_for(self) -> float:
        """How long a request waits while no server can be reached (seconds)."""
        return self._restarts.try_for

    def choose(self, request: Request) -> Server | Refusal:
        """The server that gets a request, or why none does."""
        return self._balancer.choose(self.all, request)

    def has_other_than(self, tried: frozenset[Server]) -> bool:
        """Whether there is a server that has not been tried."""
        return not tried.issuperset(self.all)

    def may_repeat(self, waiter: Waiter) -> bool:
        """Whether a request that was sent in vain may be sent to another server."""
        return self.has_other_than(waiter.tried) and self._balancer.may_repeat(self.all, waiter)

    # After it.

    def dial_failed(self, request: Request, server: Server, error: OSError) -> None:
        """Note that a request could not be sent to a server."""
        if request.outage is None:  # else the log has it already
            server.failed(request, causes.cause(error), _refusal(error))
        else:
            server.errors[refusals.UPSTREAM_REFUSED.reason] += 1

    def goes_on(self, request: object) -> None:
        """Note that a request goes to another server, or waits: so far, it has not failed."""
        if self.policy.breaker is not None:
            self.policy.breaker.forgive(request)

    def lost(self, request: Request) -> None:
        """Note that a request has reached no server, and waits no longer."""
        if self.policy.breaker is not None:
            self.policy.breaker.failed(request)
        self.ended(request, is_answered=False)

    def none_reached(self, request: Request) -> None:
        """Note that a request has tried all servers in vain."""
        self._restarts.none_reached(request, time.monotonic())

    def unreachable(self, error: OSError) -> Refusal:
        """The refusal of a request that has reached no server, for this reason at the last one."""
        if len(self.all) > 1:
            return self._balancer.down(self.all, time.monotonic())
        return _refusal(error)

    def ended(self, request: object, *, is_answered: bool) -> None:
        """Tell the breaker that a request has ended, by an answer or without one."""
        self._balancer.ended(request, is_answered=is_answered)
        self._decide_choice()

    # Beside requests.

    async def begin(self) -> None:
        """Look up names, and ask for health, before the first request. Waits for the answers."""
        await asyncio.gather(*(name.begin() for name in self.names))
        if self.health is not None:
            await self.health.begin(self.all)

    def sweep(self, now: float) -> None:
        """Look up names, ask for health, and let old errors fade (`now`: monotonic seconds)."""
        for name in self.names:
            name.sweep(now)
        if self.health is not None:
            self.health.sweep(self.all, now)
        self._balancer.sweep(self.all, now)
        for server in self.all:
            if server.load.errors:
                server.load.forget()

    def close(self) -> None:
        """Look up and ask no more, and close idle connections."""
        for name in self.names:
            name.close()
        if self.health is not None:
            self.health.close()
        for server in self.all:
            server.discard_idle()

    def _decide_choice(self) -> None:
        """Decide whether servers have to be chosen from now on.

        The only one gets each request, while the upstream is not left alone.
        """
        breaker = self.policy.breaker
        only = self.all[0] if len(self.all) == 1 else None
        is_closed = breaker is None or not breaker.open_until
        self.only = only if only and is_closed and not only.load.is_unhealthy else None


def _refusal(error: OSError) -> Refusal:
    """The refusal of a request that could not be sent for this reason."""
    silent = isinstance(error, TimeoutError)
    return refusals.UPSTREAM_SILENT if silent else refusals.UPSTREAM_REFUSED

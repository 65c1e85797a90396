"""Tells the metrics of upstreams, limits and rules, once a tick.

The parts of the relay count in plain integers, each for itself; nothing is added up on the way of a
request.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.observe.traffic_metrics import TrafficMetrics
from gateway.outbound.upstream_tls import UpstreamContext
from gateway.relay.access.admission import Load
from gateway.relay.access.concurrency import Concurrency
from gateway.relay.access.limits import RateLimit
from gateway.relay.client.listening import Listening
from gateway.relay.client.registered import Registered
from gateway.relay.upstream.pool import Pool
from gateway.relay.upstream.server import Server
from gateway.rules.rule import Rule


@dataclass(slots=True)
class TrafficReport:
    """The parts of a relay whose counts are metrics."""

    metrics: TrafficMetrics
    load: Load
    clients: Collection[Registered]
    upstreams: Mapping[str, Pool]
    tls: Mapping[str, UpstreamContext]
    limits: Iterable[RateLimit]
    concurrency: Iterable[Concurrency]
    rules: Iterable[Rule]
    listening: Listening
    _is_retired: bool = False
    _servers: dict[str, set[str]] = field(default_factory=dict)  # labels of servers, by upstream

    def publish(self) -> None:
        """Publish what has been counted until now."""
        self._tell_of_requests()
        for name, pool in self.upstreams.items():
            self._tell_of_upstream(name, pool)
        self._tell_of_limits()
        self._tell_of_rules()
        self._tell_of_listeners()

    def retire(self) -> None:
        """Say no more which servers are available.

        Other workers have taken over. This one may live as long as a tunnel, and know servers that
        the present configuration has no more.
        """
        self._is_retired = True

    def _tell_of_requests(self) -> None:
        metrics = self.metrics
        metrics.in_flight.set(self.load.requests)
        metrics.connections.set(len(self.clients))
        streams = sum(pool.streams.open for pool in self.upstreams.values())
        tunnels = 0
        if streams:
            tunnels = sum(
                client.exchange is not None and client.exchange.tunnel is not None
                for client in self.clients
            )
        metrics.tunnels.set(tunnels)
        metrics.streams.set(max(streams - tunnels, 0))

    def _tell_of_upstream(self, name: str, pool: Pool) -> None:
        metrics = self.metrics
        metrics.queued.set(pool.queued, name)
        metrics.upstream_refusals.add(pool.queue_refusals, name, "queue")
        metrics.upstream_refusals.add(pool.streams.refused, name, "max_streams")
        metrics.upstream_refusals.add(pool.known.policy.budget.refused, name, "retry_budget")
        if (breaker := pool.known.policy.breaker) is not None:
            metrics.upstream_refusals.add(breaker.refused, name, "breaker")
            metrics.breaker_openings.add(breaker.openings, name)
        if (health := pool.known.health) is not None:
            metrics.health_checks.add(health.checks - health.failures, name, "ok")
            metrics.health_checks.add(health.failures, name, "failed")
        resolves = sum(names.resolves for names in pool.known.names)
        failures = sum(names.failures for names in pool.known.names)
        if resolves:
            metrics.lookups.add(resolves - failures, name, "ok")
            metrics.lookups.add(failures, name, "failed")
        if (tls := self.tls.get(name)) is not None:
            metrics.upstream_tls_reloads.add(tls.reloads, name, "ok")
            metrics.upstream_tls_reloads.add(tls.failures, name, "failed")
        for server in pool.servers:
            self._tell_of_server(name, server)
        self._forget_servers(name, {server.name for server in pool.servers})

    def _tell_of_server(self, upstream: str, server: Server) -> None:
        metrics, labels = self.metrics, (upstream, server.name)
        load = server.load
        metrics.server_requests.add(server.requests, *labels)
        metrics.server_retries.add(server.retries, *labels)
        metrics.server_ejections.add(server.ejections, *labels)
        metrics.connections_opened.add(server.opened_connections, *labels)
        metrics.connections_reused.add(server.reused, *labels)
        for reason, count in server.errors.items():
            metrics.server_errors.add(count, *labels, reason)
        metrics.server_connections.set(load.busy, *labels, "busy")
        metrics.server_connections.set(len(server.idle), *labels, "idle")
        if self._is_retired:
            metrics.server_available.end(*labels)
        else:
            metrics.server_available.set(not load.is_out(time.monotonic()), *labels)

    def _forget_servers(self, upstream: str, present: set[str]) -> None:
        """End the series of servers whose addresses have gone."""
        for label in self._servers.get(upstream, set()) - present:
            for state in ("busy", "idle"):
                self.metrics.server_connections.end(upstream, label, state)
            self.metrics.server_available.end(upstream, label)
        self._servers[upstream] = present

    def _tell_of_limits(self) -> None:
        metrics = self.metrics
        for limit in self.limits:
            metrics.limit_refusals.add(limit.refused, limit.setting)
            if limit.shared is not None:
                metrics.limit_unshared.add(limit.unshared, limit.setting)
        for concurrency in self.concurrency:
            metrics.limit_refusals.add(concurrency.refused, concurrency.setting)
        if (shedding := self.load.shedding) is not None:
            metrics.limit_refusals.add(shedding.refused, "limits.shed")

    def _tell_of_rules(self) -> None:
        metrics = self.metrics
        for rule in self.rules:
            label = rule.source.label
            allowed = rule.calls - rule.refusals - rule.errors
            for result, count in (
                ("allowed", allowed),
                ("refused", rule.refusals),
                ("failed", rule.errors),
            ):
                metrics.rule_calls.add(count, label, result)
            metrics.rule_seconds.add(rule.seconds, label)
            metrics.rule_slow.add(rule.slow, label)

    def _tell_of_listeners(self) -> None:
        metrics, openings = self.metrics, self.listening.openings
        metrics.openings_failed.add(openings.handshakes_failed, "tls")
        metrics.openings_failed.add(openings.proxy_headers_refused, "proxy_protocol")
        if certificates := self.listening.certificates.values():
            reloads = sum(of_listener.counts.reloads for of_listener in certificates)
            failures = sum(of_listener.counts.failures for of_listener in certificates)
            metrics.certificate_reloads.add(reloads, "ok")
            metrics.certificate_reloads.add(failures, "failed")

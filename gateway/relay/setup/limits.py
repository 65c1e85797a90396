"""Makes the rate limits of routes and endpoints, as config.yaml says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.config.limit_places import rate_limits
from gateway.core.http.token_buckets import TokenBuckets
from gateway.core.http.worker_counts import WorkerCounts
from gateway.relay.access.concurrency import Concurrency
from gateway.relay.access.limits import RateLimit, RouteLimits
from gateway.relay.setup.limit_memory import LimitMemory

if TYPE_CHECKING:
    from gateway.config import limit_sections
    from gateway.config.document import Where
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions
    from gateway.core.http.rates import Rate
    from gateway.store.shared_limits import SharedLimit

    Share = Callable[[str, Rate], SharedLimit]


class LimitBuilder:
    """Makes the limits of one configuration, and keeps them."""

    def __init__(
        self, config: Config, share: Share, memory: LimitMemory | None = None, *, worker: int = 0
    ) -> None:
        """Make each limit once.

        share: makes the limits of this name and rate that count for all gateways
        memory: what all workers share; None if there is one worker
        worker: the number of this worker
        """
        self.concurrency: list[Concurrency] = []  # all of them
        self._config = config
        self._worker = worker
        self._memory = LimitMemory.of(config) if memory is None else memory
        self._limits = {
            where: _limit(where, limit, self._memory.buckets(config, where, limit), share)
            for where, limit in rate_limits(config).items()
        }

    @property
    def limits(self) -> Iterable[RateLimit]:
        """All limits, with their counts of refusals."""
        return self._limits.values()

    def of_route(self, number: int, rule: RouteOptions) -> RouteLimits | None:
        """The limits of a rule and of its upstream; `number` is the rule's index."""
        where: Where = ("routes", number)
        limits = self._listed((*where, "limits"), rule.limits)
        if rule.upstream is not None:
            upstream = self._config.upstreams[rule.upstream]
            limits += self._listed(("upstreams", rule.upstream, "limits"), upstream.limits)
        return _of(rule.same_route, limits) if limits else None

    def of_endpoint(self, path: str) -> RouteLimits | None:
        """The limits of an endpoint: a path, or all paths below one."""
        path = path.removesuffix("/*")
        listed = self._config.endpoint_limits.get(path, ())
        return _of(path, self._listed(("endpoint_limits", path), listed))

    def concurrency_of(self, number: int, rule: RouteOptions) -> tuple[Concurrency, ...]:
        """The limits of a rule on requests in flight."""
        where: Where = ("routes", number)
        made = tuple(
            Concurrency(
                route=rule.same_route,
                setting=_setting((*where, "concurrency", at)),
                per=limit.per,
                max_requests=limit.max,
                workers=self._worker_counts((*where, "concurrency", at)),
            )
            for at, limit in enumerate(rule.concurrency)
        )
        self.concurrency += made
        return made

    def _worker_counts(self, where: Where) -> WorkerCounts | None:
        """The counts of a limit in all workers; None if there is one worker."""
        tables = self._memory.tables(where)
        return WorkerCounts(tables, self._worker) if tables else None

    def _listed(
        self, where: Where, listed: Iterable[str | limit_sections.RateLimit]
    ) -> list[RateLimit]:
        return [
            self._limits["rate_limits", limit]
            if isinstance(limit, str)
            else self._limits[*where, at]
            for at, limit in enumerate(listed)
        ]


def _of(route: str, limits: Iterable[RateLimit]) -> RouteLimits | None:
    """`route` names the route in limits that count by it, also after a reload."""
    listed = tuple(dict.fromkeys(limits))
    return RouteLimits(route, listed) if listed else None


def _limit(
    where: Where, limit: limit_sections.RateLimit, memory: memoryview, share: Share
) -> RateLimit:
    rate, setting = limit.rate, _setting(where)
    return RateLimit(
        name=str(where[1]) if where[0] == "rate_limits" else rate.text,
        setting=setting,
        rate=rate,
        per=limit.per,
        buckets=TokenBuckets(memory, interval=rate.interval, burst=limit.burst or rate.amount),
        shared=share(setting, rate) if limit.shared else None,
    )


def _setting(where: Where) -> str:
    """A place in config.yaml as messages name it: `routes[0].limits[1]`."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in where]
    return "".join(steps).removeprefix(".")

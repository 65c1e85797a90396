"""Limits on the requests that a client has in flight by a route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.relay.access.limit_keys import key_of
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.core.http.worker_counts import WorkerCounts
    from gateway.relay.access.peer import Peer
    from gateway.relay.http1.request_head import RequestHead
    from gateway.store.resolved_session import ResolvedSession


class Concurrency:
    """The requests in flight of one limit.

    A tunnel or a stream is a request for as long as it lasts.
    """

    __slots__ = ("_held", "_key_of", "_max", "_route", "_workers", "refusal", "refused", "setting")

    def __init__(
        self,
        *,
        route: str,
        setting: str,
        per: str,
        max_requests: int,
        workers: WorkerCounts | None = None,
    ) -> None:
        """Take what config.yaml says of it.

        route: names the route, in a limit that counts by it
        setting: where the limit stands in config.yaml
        per: what it counts by
        max_requests: how many one client may have
        workers: what clients have in other workers; None if there is one
        """
        self.setting = setting
        self.refusal = replace(
            refusals.CONCURRENCY_LIMITED,
            title=f"Too many requests at once: wait for the others to end ({setting}).",
        )
        self.refused = 0  # requests, for the metrics
        self._route = route
        self._key_of = key_of(per)
        self._max = max_requests
        self._held: Counter[str] = Counter()  # in this worker
        self._workers = workers

    def take(self, head: RequestHead, peer: Peer, resolved: ResolvedSession | None) -> str | None:
        """Count one more request. Returns for whom it counts; None if it is too many."""
        key = self._key_of(self._route, head, peer, resolved)
        elsewhere = 0 if self._workers is None else self._workers.of_others(key)
        if self._held[key] + elsewhere >= self._max:
            self.refused += 1
            return None
        self._held[key] += 1
        self._tell(key)
        return key

    def give_back(self, key: str) -> None:
        """Count one request of a client less: it has ended."""
        self._held[key] -= 1
        self._tell(key)
        if not self._held[key]:
            del self._held[key]

    def _tell(self, key: str) -> None:
        """Tell the other workers what a client has here."""
        if self._workers is not None:
            self._workers.put(key, self._held[key])


# A limit that counts a request, and for which client.
Permit = tuple[Concurrency, str]


def take(
    limits: Iterable[Concurrency], head: RequestHead, peer: Peer, resolved: ResolvedSession | None
) -> tuple[Permit, ...]:
    """Count a request for all these limits. Raises `Refused`; then none of them counts it."""
    permits: list[Permit] = []
    for limit in limits:
        key = limit.take(head, peer, resolved)
        if key is None:
            give_back(permits)
            raise Refused(limit.refusal, cause=limit.setting)
        permits.append((limit, key))
    return tuple(permits)


def give_back(permits: Iterable[Permit]) -> None:
    """Take back the permits of a request that has ended."""
    for limit, key in permits:
        limit.give_back(key)

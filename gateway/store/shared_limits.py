"""Rate limits that all gateways on one store count together.

The store counts requests in windows of the limit's rate, with the library `limits`. A gateway asks
it only for a request that its own buckets let pass. While the store does not answer, these buckets
count alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from limits import RateLimitItemPerSecond

from gateway.core.http.rates import Rate
from gateway.core.sessions.sealing import Sealer
from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.layout import Layout
from gateway.store.servers.topology import Client
from gateway.store.shared_counts import SharedCounts

if TYPE_CHECKING:
    from collections.abc import Callable

# After the store has failed, how long no request waits for it (seconds).
_PAUSE_SECONDS = 1.0


class SharedLimits:
    """Makes the limits that one store counts."""

    def __init__(
        self,
        client: Client,
        layout: Layout,
        sealer: Sealer,
        timeout: float,
        is_available: Callable[[], bool],
    ) -> None:
        """Take what counts.

        timeout: bounds a request's wait for the store (seconds)
        is_available: whether the store answers, as far as is known
        """
        self._counts = SharedCounts(client, layout.limits)
        self._digest = sealer.digest
        self._timeout = timeout
        self._is_available = is_available
        self._asks_again_at = 0.0

    def limit(self, name: str, rate: Rate) -> SharedLimit:
        """The limit of this name. Another rate makes another limit."""
        return SharedLimit(self, RateLimitItemPerSecond(rate.amount, rate.seconds, namespace=name))

    async def count(self, item: RateLimitItemPerSecond, key: str) -> tuple[int, float]:
        """How many more requests may come, and how long until then (seconds).

        Raises `StoreUnavailable`, at once if it did so a moment ago.
        """
        if not self._is_available() or time.monotonic() < self._asks_again_at:
            raise StoreUnavailable
        # The store learns neither addresses nor subjects.
        name = item.key_for(self._digest("limit", item.namespace, key))
        try:
            # In a task: the decision has none (`relay/loop/eager.py`).
            return await asyncio.ensure_future(bounded(self._count(item, name), self._timeout))
        except StoreUnavailable:
            self._asks_again_at = time.monotonic() + _PAUSE_SECONDS
            raise

    async def _count(self, item: RateLimitItemPerSecond, name: str) -> tuple[int, float]:
        number = await self._counts.incr(name, item.get_expiry())
        remaining = item.amount - number
        return remaining, await self._counts.left(name) if remaining < 0 else 0.0


class SharedLimit:
    """One limit, counted for all gateways."""

    __slots__ = ("_item", "_limits")

    def __init__(self, limits: SharedLimits, item: RateLimitItemPerSecond) -> None:
        self._limits = limits
        self._item = item

    async def count(self, key: str) -> tuple[int, float]:
        """Count a request. Returns how many more may come now; fewer than 0 if it is too many.

        Then the second number is how long to wait (seconds). Raises `StoreUnavailable`.
        """
        return await self._limits.count(self._item, key)

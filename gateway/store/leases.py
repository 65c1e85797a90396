"""Leases in Redis: a name has one holder at a time, over all gateways.

A lease has a fencing value of its own, so a late holder extends and releases nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from gateway.store.errors import StoreUnavailable, bounded
from gateway.store.servers.topology import Client

# KEYS: lease. ARGV: fencing value, milliseconds.
_EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

# KEYS: lease. ARGV: fencing value.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

# For so long the lease of a holder that dies blocks others (seconds). A living one extends it three
# times in that time.
_LEASE_SECONDS = 3.0
_LEASE_MS = int(_LEASE_SECONDS * 1000)


class Leases:
    """Takes leases, and holds them."""

    def __init__(self, client: Client, timeout: float) -> None:
        """`timeout` bounds each of the store's answers (seconds)."""
        self._client = client
        self._timeout = timeout
        self._extend = client.register_script(_EXTEND)
        self._release = client.register_script(_RELEASE)

    async def take(self, name: str) -> str | None:
        """Take a lease. Its fencing value; None if it has a holder.

        Raises `StoreUnavailable`.
        """
        fence = secrets.token_hex(16)
        taken = await self._ask(self._client.set(name, fence, nx=True, px=_LEASE_MS))
        return fence if taken else None

    @contextlib.asynccontextmanager
    async def held(self, name: str, fence: str) -> AsyncIterator[None]:
        """Extend a lease that was taken, and release it at the end."""
        extending = asyncio.create_task(self._extend_on(name, fence))
        try:
            yield
        finally:
            extending.cancel()
            with contextlib.suppress(StoreUnavailable):
                await self._ask(self._release(keys=[name], args=[fence]))

    async def _extend_on(self, name: str, fence: str) -> None:
        """Extend the lease until it is lost, or this is cancelled."""
        held: Any = 1
        while held:
            await asyncio.sleep(_LEASE_SECONDS / 3)
            with contextlib.suppress(StoreUnavailable):
                held = await self._ask(self._extend(keys=[name], args=[fence, _LEASE_MS]))

    async def _ask(self, work: Awaitable[Any]) -> Any:
        return await bounded(work, self._timeout)

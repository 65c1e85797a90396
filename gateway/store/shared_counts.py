"""Counts that all gateways share for a time.

The library `limits` keeps them, over our own client. Our client knows each topology. The scripts of
`limits` work on one key each, so a cluster runs them as well.
"""

from __future__ import annotations

from typing import Any

from limits.aio.storage import RedisStorage

from gateway.store.servers.topology import Client

# KEYS: a count. ARGV: how much less. Of a window that has ended nothing is left to take away.
_GIVE_BACK = """
local left = tonumber(redis.call('GET', KEYS[1]) or 0) - tonumber(ARGV[1])
if left > 0 then redis.call('DECRBY', KEYS[1], ARGV[1]) else redis.call('DEL', KEYS[1]) end
return left
"""


class SharedCounts(RedisStorage):
    """Counts by name."""

    def __init__(self, client: Client, prefix: str) -> None:
        self.DEPENDENCIES = {"redis": self.DEPENDENCIES["redis"]}  # it imports each of these
        self._client: Any = client
        self._giving_back = client.register_script(_GIVE_BACK)
        super().__init__("redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge
        bridge.storage = self._client
        bridge.connection_getter = lambda _readonly: self._client

    async def give_back(self, key: str, amount: int) -> int:
        """Count so many less, but never less than none. Returns what is left."""
        name = self.bridge.prefixed_key(key)
        left: int = await self._giving_back(keys=[name], args=[amount])
        return left

    async def begin(self, key: str, seconds: int) -> None:
        """Count one, from now on for so long."""
        await self._client.set(self.bridge.prefixed_key(key), 1, ex=seconds)

    async def left(self, key: str) -> float:
        """How long a count still lasts (seconds).

        The library's `get_expiry` rounds to whole seconds.
        """
        milliseconds: int = await self._client.pttl(self.bridge.prefixed_key(key))
        return max(0, milliseconds) / 1000

"""Redis behind Sentinel: whoever Sentinel names is asked, provided that it says so itself.

Found by testing redis-py 8.1: it asks the sentinels one after the other and waits for each without
end, it takes a server for the primary without asking it (as Sentinel's guidelines demand), and its
pool raises when it is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
)
from redis.exceptions import RedisError

from gateway.store.servers.connections import TcpConnection, TlsConnection, connect_to_primary


class PrimaryConnection(SentinelManagedConnection, TcpConnection):
    """To the primary, over TCP."""


class TlsPrimaryConnection(SentinelManagedConnection, TlsConnection):
    """To the primary, over TLS."""


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary that Sentinel names; it blocks when it is empty."""

    def __init__(
        self,
        sentinels: Sequence[tuple[str, int]],
        service: str,
        *,
        sentinel_settings: dict[str, Any],
        patience: float,
        **settings: Any,
    ) -> None:
        """`patience` is how long the sentinels may take together, in seconds."""
        self._settled: tuple[str, int] | None = None
        tls = "context" in settings
        super().__init__(  # type: ignore[no-untyped-call]
            service,
            _Sentinels(sentinels, sentinel_settings, patience / len(sentinels)),
            connection_class=TlsPrimaryConnection if tls else PrimaryConnection,
            redis_connect_func=connect_to_primary,
            **settings,
        )

    async def primary(self) -> tuple[str, int]:
        """The address of the primary that Sentinel names now. Raises `MasterNotFoundError`."""
        found: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        return found

    def settle(self, address: tuple[str, int] | None) -> None:
        """Connects to this server from now on, whatever Sentinel says; None: to whom it names.

        Sentinels tell each other of a new primary within seconds, and until then the old one, which
        may be back and takes writes, is still named by some. What is ended there is not ended.
        """
        self._settled = address

    async def get_master_address(self) -> tuple[str, int]:
        """Where connections lead that are opened now. Raises `MasterNotFoundError`."""
        return self._settled or await self.primary()

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


class _Sentinels(Sentinel):
    """The sentinels, the one that knew the primary last first."""

    def __init__(
        self, hosts: Sequence[tuple[str, int]], settings: dict[str, Any], patience: float
    ) -> None:
        """`patience` is how long each may take to answer, in seconds."""
        super().__init__([])  # type: ignore[no-untyped-call]
        kind = TlsConnection if "context" in settings else TcpConnection
        self.sentinels = [
            Redis.from_pool(
                BlockingConnectionPool(host=host, port=port, connection_class=kind, **settings)
            )
            for host, port in hosts
        ]
        self._patience = patience

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The primary's address. Raises `MasterNotFoundError`."""
        for sentinel in list(self.sentinels):
            try:
                async with asyncio.timeout(self._patience):
                    found: Any = await sentinel.sentinel_get_master_addr_by_name(service_name)
            except (RedisError, OSError, TimeoutError):
                continue
            if found is not None:
                self.sentinels.remove(sentinel)
                self.sentinels.insert(0, sentinel)
                host, port = found
                return (host.decode() if isinstance(host, bytes) else host), port
        raise MasterNotFoundError("no sentinel knows the primary")

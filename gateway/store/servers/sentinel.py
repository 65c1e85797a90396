"""Redis behind Sentinel: the primary of the newest known configuration.

A failover is a new version of the configuration, numbered by its config epoch, and the highest
epoch wins (Redis' Sentinel documentation, "Configuration epochs"). Sentinels tell each other of it
within seconds; one that is cut off from the others names the old primary until it is back. So all
sentinels are asked at once and the highest epoch is believed. No majority has to answer, so the
gateway works as long as it reaches one sentinel. But it leaves a primary that it follows for an
older epoch only if all sentinels have answered: those that know better may be out of reach, while
an operator may count epochs anew (SENTINEL REMOVE and MONITOR).

Found by testing redis-py 8.1: it asks the sentinels one after the other, waits for each without end
and believes the first; it takes a server for the primary without asking it (as Sentinel's
guidelines demand); and its pool raises when it is empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis, Sentinel
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
)
from redis.exceptions import RedisError

from gateway.store.servers.connections import (
    Connection,
    TcpConnection,
    TlsConnection,
    connect_to_primary,
)
from gateway.store.servers.topology import SingleServer

_UNKNOWN_EPOCH = -1  # below all that sentinels count


class BehindSentinel(SingleServer):
    """The primary that the sentinels name."""

    _pool: SentinelPool

    async def have_changed(self, connections: Sequence[Connection]) -> bool:
        [connection] = connections
        return await self._pool.has_moved(_address(connection))

    def pin(self, connections: Sequence[Connection]) -> None:
        [connection] = connections
        self._pool.pin(_address(connection))

    def unpin(self) -> None:
        self._pool.pin(None)


class PrimaryConnection(SentinelManagedConnection, TcpConnection):
    """A connection to the primary, over TCP."""


class TlsPrimaryConnection(SentinelManagedConnection, TlsConnection):
    """A connection to the primary, over TLS."""


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to Sentinel's primary. A caller waits while it is empty."""

    def __init__(
        self,
        sentinels: Sequence[tuple[str, int]],
        service: str,
        *,
        sentinel_settings: dict[str, Any],
        patience: float,
        **settings: Any,
    ) -> None:
        """`patience` is how long a sentinel may take to answer, in seconds."""
        self._pinned: tuple[str, int] | None = None
        tls = "context" in settings
        super().__init__(  # type: ignore[no-untyped-call]
            service,
            _Sentinels(sentinels, sentinel_settings, patience),
            connection_class=TlsPrimaryConnection if tls else PrimaryConnection,
            redis_connect_func=connect_to_primary,
            **settings,
        )

    async def primary(self) -> tuple[str, int]:
        """The address of Sentinel's primary. Raises `MasterNotFoundError`."""
        found: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        return found

    async def has_moved(self, followed: tuple[str, int]) -> bool:
        """Whether the primary has changed. Raises `MasterNotFoundError`."""
        sentinels: _Sentinels = self.sentinel_manager
        answers = await sentinels.answers(self.service_name)
        newest = newest_answer(answers)
        if newest.epoch < sentinels.epoch and len(answers) < len(sentinels.sentinels):
            return False
        return newest.primary != followed

    def pin(self, address: tuple[str, int] | None) -> None:
        """Connect to this server from now on; None: to the sentinels' primary.

        Where the sentinels that answer are all behind, they name the old primary, which may be back
        and takes writes. What is ended there is not ended.
        """
        self._pinned = address

    async def get_master_address(self) -> tuple[str, int]:
        """The server that a new connection leads to. Raises `MasterNotFoundError`."""
        return self._pinned or await self.primary()

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _address(connection: Any) -> tuple[str, int]:
    return connection.host, connection.port


class SentinelAnswer(NamedTuple):
    """One sentinel's answer: the config epoch, and the primary's address."""

    epoch: int
    primary: tuple[str, int]


def newest_answer(answers: Sequence[SentinelAnswer]) -> SentinelAnswer:
    """The answer of the highest epoch.

    Where that epoch names several primaries (two forced failovers at once), most sentinels decide,
    then their order.
    """
    epoch = max(answer.epoch for answer in answers)
    return Counter(answer for answer in answers if answer.epoch == epoch).most_common(1)[0][0]


class _Sentinels(Sentinel):
    """The sentinels, which are asked together."""

    def __init__(
        self, hosts: Sequence[tuple[str, int]], settings: dict[str, Any], patience: float
    ) -> None:
        """`patience` is how long a sentinel may take to answer, in seconds."""
        super().__init__([])  # type: ignore[no-untyped-call]
        kind = TlsConnection if "context" in settings else TcpConnection
        self.sentinels = [
            Redis.from_pool(
                BlockingConnectionPool(host=host, port=port, connection_class=kind, **settings)
            )
            for host, port in hosts
        ]
        self.epoch = _UNKNOWN_EPOCH  # of the primary that was found last
        self._patience = patience

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The primary's address. Raises `MasterNotFoundError`."""
        newest = newest_answer(await self.answers(service_name))
        self.epoch = newest.epoch
        return newest.primary

    async def answers(self, service_name: str) -> list[SentinelAnswer]:
        """The answers in time, at least one. Raises `MasterNotFoundError`."""
        asked = (self._ask(sentinel, service_name) for sentinel in self.sentinels)
        answers = [answer for answer in await asyncio.gather(*asked) if answer is not None]
        if not answers:
            raise MasterNotFoundError("no sentinel knows the primary")
        return answers

    async def _ask(self, sentinel: Redis, service_name: str) -> SentinelAnswer | None:
        """A sentinel's answer in time, if it knows the service.

        The epoch comes from SENTINEL MASTER, and the address does not: it names the old primary
        there until the failover has ended. The epoch is asked for first, so that a change between
        the two answers makes the address newer than its epoch and never older.
        """
        try:
            async with asyncio.timeout(self._patience):
                async with sentinel.pipeline(transaction=False) as pipe:
                    pipe.execute_command("SENTINEL MASTER", service_name)
                    pipe.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", service_name)
                    master, primary = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError):
            return None
        if primary is None or isinstance(primary, RedisError):
            return None
        host, port = primary
        # An ACL may forbid SENTINEL MASTER: such an answer counts where there is no better one.
        epoch = master["config-epoch"] if isinstance(master, dict) else _UNKNOWN_EPOCH
        return SentinelAnswer(epoch, (host.decode() if isinstance(host, bytes) else host, port))

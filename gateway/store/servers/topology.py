"""What differs between the ways to run Redis, in one class for each."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from gateway.store.servers.connections import Connection, hang_up

Client = Redis | RedisCluster

Command = tuple[Any, ...]  # the second part is the key


class Topology(ABC):
    """A way to run Redis: its primaries, and connections of our own to them.

    `client` is redis-py's, for all commands that are the same everywhere.
    """

    is_sharded: ClassVar[bool]  # keys have different servers, so a command names one slot's alone

    def __init__(self, client: Client) -> None:
        self.client = client

    async def connect_to_primaries(self) -> list[Connection]:
        """New connections, one to each primary. Raises `RedisError` and `OSError`."""
        connections: list[Any] = await self._new_connections()
        try:
            await asyncio.gather(*(connection.connect() for connection in connections))
        except BaseException:
            await hang_up(connections)
            raise
        return connections

    @abstractmethod
    async def _new_connections(self) -> list[Connection]:
        """One to each primary, not yet connected."""

    @abstractmethod
    async def have_changed(self, connections: Sequence[Connection]) -> bool:
        """Whether there are other primaries than those of `connections` by now."""

    @abstractmethod
    def pin(self, connections: Sequence[Connection]) -> None:
        """Lead the client's new connections to these servers, until `unpin`."""

    @abstractmethod
    def unpin(self) -> None:
        """Lead the client's new connections to the primary of the moment."""

    @abstractmethod
    async def reconnect(self) -> None:
        """Open each of the client's connections anew before its next command.

        What they lead to may be no primary any more.
        """

    @abstractmethod
    async def write_to_replicas(
        self, commands: Sequence[Command], replicas: int, wait_ms: int
    ) -> tuple[list[Any], int]:
        """Send commands, and wait at most `wait_ms` for replicas (WAIT).

        Returns the answers, and how many replicas have the command that the fewest have.
        """

    async def write(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands in one pipeline. Returns the answers."""
        async with self.client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()


class SingleServer(Topology):
    """One server, or a name or proxy that leads to the primary of the moment."""

    is_sharded = False

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self._pool: Any = client.connection_pool

    async def _new_connections(self) -> list[Connection]:
        return [self._pool.make_connection()]

    async def have_changed(self, connections: Sequence[Connection]) -> bool:
        return False  # the address stays the same; the server's answers tell its role

    def pin(self, connections: Sequence[Connection]) -> None:
        """Nothing to do: there is one address alone."""

    def unpin(self) -> None:
        """Nothing to do: there is one address alone."""

    async def reconnect(self) -> None:
        await self._pool.update_active_connections_for_reconnect()
        await hang_up(self._pool._available_connections)

    async def write_to_replicas(
        self, commands: Sequence[Command], replicas: int, wait_ms: int
    ) -> tuple[list[Any], int]:
        *answers, reached = await self.write([*commands, ("WAIT", replicas, wait_ms)])
        return answers, reached

"""The servers that take writes: connections of one's own to them, and whether they still do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.cluster import get_node_name

from gateway.store.servers.cluster import Cluster
from gateway.store.servers.connect import Client
from gateway.store.servers.connections import Connection
from gateway.store.servers.sentinel import SentinelPool


async def dedicated(client: Client) -> list[Connection]:
    """A connection of its own to the server that takes writes, or to each primary of a cluster."""
    made: list[Any]
    if isinstance(client, Cluster):
        await client.look_around()
        made = [node.connection_class(**node.connection_kwargs) for node in client.get_primaries()]
    else:
        pool: Any = client.connection_pool
        made = [pool.make_connection()]
    try:
        await asyncio.gather(*(connection.connect() for connection in made))
    except BaseException:
        await hang_up(made)
        raise
    return made


async def hang_up(connections: Iterable[Connection]) -> None:
    """Closes connections without waiting for their servers."""
    for connection in connections:
        await connection.disconnect(nowait=True)


async def have_changed(client: Client, connections: Iterable[Any]) -> bool:
    """Whether other servers are the primaries by now than those that `connections` lead to.

    A server that anybody may be behind (a name, a proxy) cannot tell that; it tells its role.
    """
    if isinstance(client, Cluster):
        names = {get_node_name(each.host, each.port) for each in connections}
        return await client.primaries_now() != names
    if isinstance(client.connection_pool, SentinelPool):
        primary = await client.connection_pool.primary()
        return any((each.host, each.port) != primary for each in connections)
    return False


def settle(client: Client, connections: Iterable[Any]) -> None:
    """Has a client open its connections to the very server that these lead to; without any, to
    whatever is the primary then.
    """
    if not isinstance(client, Cluster) and isinstance(client.connection_pool, SentinelPool):
        addresses = [(each.host, each.port) for each in connections]
        client.connection_pool.settle(addresses[0] if addresses else None)


async def connect_anew(client: Client) -> None:
    """Has a client open each of its connections anew before the next command, for what they lead to
    may be no primary any more.
    """
    if isinstance(client, Cluster):
        return  # each look around does that
    pool: Any = client.connection_pool
    await pool.update_active_connections_for_reconnect()
    await hang_up(pool._available_connections)

"""From a store's URL to a redis-py client, with the settings that it needs to be safe.

Found by testing redis-py 8.1:
* Maintenance notifications stay off. With them (the default over RESP3) a pooled connection that
  holds unread data is handed out, and a GET can return another command's reply.
* No `socket_timeout`: on Python 3.11 its inner `wait_for` swallows cancellations. Whoever calls
  bounds the whole call with `asyncio.timeout`.
* The retry policy is explicit: one retry, at once, within the caller's time.
* The pool blocks when it is empty instead of raising.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

_CONNECTIONS = 32
_DEFAULT_PORT = 6379
_DEFAULT_SENTINEL_PORT = 26379
_SERVICE = "mymaster"

Client = Redis | RedisCluster
Connection = AbstractConnection


def options(timeout: float) -> dict[str, Any]:
    """What every connection is opened with; `timeout` bounds connecting, in seconds."""
    return {
        "socket_connect_timeout": timeout,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 1),
        "health_check_interval": 0,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "protocol": 3,
    }


def connect(url: str, timeout: float) -> Client:
    """A client for redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://."""
    parts = urlsplit(url)
    if parts.scheme == "redis+cluster":
        nodes = [ClusterNode(host, port) for host, port in _hosts(url, _DEFAULT_PORT)]
        account = _account(parts.username, parts.password)
        return RedisCluster(startup_nodes=nodes, **account, **_cluster_options(timeout))
    if parts.scheme == "redis+sentinel":
        return _behind_sentinel(url, timeout)
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=timeout, **options(timeout)
    )
    return Redis.from_pool(pool)


def _behind_sentinel(url: str, timeout: float) -> Redis:
    """redis+sentinel://user:password@host:port,host:port/service?db=0"""
    parts = urlsplit(url)
    service = parts.path.strip("/") or _SERVICE
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        _hosts(url, _DEFAULT_SENTINEL_PORT), sentinel_kwargs=options(timeout)
    )
    database = int(parse_qs(parts.query).get("db", ["0"])[0])
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        service,
        sentinel,
        max_connections=_CONNECTIONS,
        db=database,
        **_account(parts.username, parts.password),
        **options(timeout),
    )
    return Redis.from_pool(pool)


def _cluster_options(timeout: float) -> dict[str, Any]:
    chosen = options(timeout)
    del chosen["maint_notifications_config"]
    del chosen["retry"]
    return chosen


def _account(username: str | None, password: str | None) -> dict[str, Any]:
    given = {"username": username, "password": password}
    return {name: value for name, value in given.items() if value}


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    """The hosts of a URL that may name several, separated by commas."""
    names = urlsplit(url).netloc.rpartition("@")[2].split(",")
    split = [name.rpartition(":") if ":" in name else (name, "", "") for name in names]
    return [(host, int(port or default_port)) for host, _, port in split]


async def dedicated(client: Client) -> list[Connection]:
    """A connection of its own to the server that takes writes, or to each primary of a cluster."""
    connections: list[Any]
    if isinstance(client, RedisCluster):
        await client.initialize()
        connections = [
            node.connection_class(**node.connection_kwargs) for node in client.get_primaries()
        ]
    else:
        pool: Any = client.connection_pool
        connections = [pool.make_connection()]
    for connection in connections:
        await connection.connect()
    return connections

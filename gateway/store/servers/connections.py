"""Single connections to the store: options, and the first command."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

from redis.asyncio.connection import AbstractConnection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import Connection as PlainConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

Connection = AbstractConnection


def options(timeout: float) -> dict[str, Any]:
    """The options of every connection; `timeout` bounds connecting (seconds)."""
    return {
        "socket_connect_timeout": timeout,
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 1),
        "health_check_interval": 0,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "protocol": 3,
        "driver_info": None,  # or each connection begins with two more questions
    }


class _Sending(AbstractConnection):
    """Makes uvloop's `RuntimeError` for a closed transport a lost connection.

    redis-py does not know that error: it would neither try again nor drop the connection.
    """

    async def send_packed_command(self, *args: Any, **how: Any) -> None:
        try:
            await super().send_packed_command(*args, **how)
        except RuntimeError:
            raise Disconnected("the connection is closed") from None


class TcpConnection(_Sending, PlainConnection):
    """Over TCP."""


class UnixConnection(_Sending, UnixDomainSocketConnection):
    """Over a unix socket."""


class TlsConnection(_Sending, SSLConnection):
    """Over TLS, with a context that all connections share.

    redis-py makes a context for each connection. That takes 36 ms, and the context trusts the
    system's authorities beside the configured one.
    """

    def __init__(self, *, context: ssl.SSLContext, **settings: Any) -> None:
        super().__init__(**settings)
        self.ssl_context.context = context


class NotPrimary(RedisError):
    """The server is a replica: it takes no writes, and may be behind."""


async def connect_to_primary(connection: Connection) -> None:
    """Begin a connection that must lead to a primary. Raises `NotPrimary`."""
    await connection.on_connect()
    if not await is_primary(connection):
        raise NotPrimary


async def is_primary(connection: Connection) -> bool:
    """Whether the server takes writes, as far as it knows."""
    await connection.send_command("HELLO", check_health=False)
    return says_primary(await connection.read_response())


def says_primary(hello: dict[bytes, Any]) -> bool:
    """Whether an answer to HELLO names a primary.

    An ACL may forbid ROLE, and never HELLO.
    """
    return hello.get(b"role") != b"replica"


async def hang_up(connections: Iterable[Connection]) -> None:
    """Close connections without waiting for their servers."""
    for connection in connections:
        await connection.disconnect(nowait=True)

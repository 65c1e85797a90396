"""Single connections to the store: what they are opened with, and what a server is asked first."""

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
    """What every connection is opened with; `timeout` bounds connecting, in seconds."""
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
    """uvloop answers a write to a transport that is closed with a `RuntimeError`. redis-py does not
    know that: it would neither try again nor call it a lost connection.
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

    redis-py makes a context for each connection, which takes 36 ms, and which trusts the system's
    authorities beside the one that it is told to trust.
    """

    def __init__(self, *, context: ssl.SSLContext, **settings: Any) -> None:
        super().__init__(**settings)
        self.ssl_context.context = context


class NotPrimary(RedisError):
    """The server is a replica of another one: it takes no writes, and may be behind."""


async def connect_to_primary(connection: Connection) -> None:
    """What a connection begins with that must not lead to a replica. Raises `NotPrimary`."""
    await connection.on_connect()
    if not await is_primary(connection):
        raise NotPrimary


async def is_primary(connection: Connection) -> bool:
    """Whether the server takes writes, as far as it knows."""
    await connection.send_command("HELLO", check_health=False)
    return says_primary(await connection.read_response())


def says_primary(hello: dict[bytes, Any]) -> bool:
    """The same, by its answer to HELLO. Unlike ROLE, an ACL never forbids that."""
    return hello.get(b"role") != b"replica"


async def hang_up(connections: Iterable[Connection]) -> None:
    """Closes connections without waiting for their servers."""
    for connection in connections:
        await connection.disconnect(nowait=True)

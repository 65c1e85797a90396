"""From a store's URL to its topology: a redis-py client, made safe.

Found by testing redis-py 8.1 (what concerns Sentinel and Cluster stands there):
* Maintenance notifications stay off. With them (the default over RESP3) a pooled connection that
  holds unread data is handed out, and a GET can return another command's reply.
* No `socket_timeout`: on Python 3.11 its inner `wait_for` swallows cancellations. The caller
  bounds the whole call with `asyncio.timeout`.
* The retry policy is explicit: one retry, at once, within the caller's time.
* The pool blocks when it is empty instead of raising.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis

from gateway.config.tls import client_context
from gateway.core.secret import Secret
from gateway.core.store_urls import StorePlace, parse_store_url
from gateway.store.servers.cluster import Cluster, Sharded
from gateway.store.servers.connections import TcpConnection, TlsConnection, UnixConnection, options
from gateway.store.servers.sentinel import BehindSentinel, SentinelPool
from gateway.store.servers.topology import SingleServer, Topology

if TYPE_CHECKING:
    from gateway.config.store_sections import Store

_MAX_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """Credentials and certificates for the store that stand beside its URL."""

    username: str = ""
    password: Secret | None = None
    sentinel_username: str = ""
    sentinel_password: Secret | None = None
    context: ssl.SSLContext | None = None


_BY_URL_ALONE = StoreAccess()


def access(store: Store, url: str) -> StoreAccess:
    """The access that config.yaml gives.

    Raises `OSError` if a file of `store.tls` is unusable.
    """
    context = None
    if parse_store_url(url).tls:
        tls = store.tls
        context = client_context(tls.ca_file, tls.cert_file, tls.key_file, verify=tls.verify)
    sentinel = store.sentinel
    return StoreAccess(
        username=store.username or "",
        password=store.password,
        sentinel_username=sentinel.username or "",
        sentinel_password=sentinel.password,
        context=context,
    )


def connect(url: str, timeout: float, access: StoreAccess = _BY_URL_ALONE) -> Topology:
    """The topology that `url` names, not yet connected.

    `timeout` bounds connecting (seconds).
    """
    place = parse_store_url(url)
    settings = {**options(timeout), **_account(place, access), **_context(place, access)}
    if place.kind == "cluster":
        return Sharded(Cluster(place.hosts, settings, _MAX_CONNECTIONS))
    settings |= {"max_connections": _MAX_CONNECTIONS, "timeout": timeout, "db": place.database}
    if place.kind == "sentinel":
        return BehindSentinel(Redis.from_pool(_sentinel_pool(place, access, timeout, settings)))
    if place.kind == "unix":
        settings |= {"connection_class": UnixConnection, "path": place.path}
    else:
        [(host, port)] = place.hosts
        kind = TlsConnection if place.tls else TcpConnection
        settings |= {"connection_class": kind, "host": host, "port": port}
    return SingleServer(Redis.from_pool(BlockingConnectionPool(**settings)))


def _account(place: StorePlace, access: StoreAccess) -> dict[str, str]:
    """The user and password for the servers that hold the data."""
    if access.password is not None:
        return _login(access.username, access.password)
    return _login(place.username, place.password)


def _login(username: str, password: Secret | None) -> dict[str, str]:
    given = {"username": username, "password": password.reveal() if password else ""}
    return {name: value for name, value in given.items() if value}


def _context(place: StorePlace, access: StoreAccess) -> dict[str, ssl.SSLContext]:
    if not place.tls:
        return {}
    return {"context": access.context or ssl.create_default_context()}


def _sentinel_pool(
    place: StorePlace, access: StoreAccess, timeout: float, settings: dict[str, Any]
) -> SentinelPool:
    return SentinelPool(
        place.hosts,
        place.service,
        sentinel_settings={
            **options(timeout),
            **_login(access.sentinel_username, access.sentinel_password),
            **_context(place, access),
        },
        patience=timeout / 4,  # a silent sentinel must leave time to connect to the primary
        **settings,
    )

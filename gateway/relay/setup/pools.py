"""Makes the pools of connections, for upstreams and for endpoints."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.config.login_places import key_cookies
from gateway.core.http.addresses import ServerUrl
from gateway.relay.http1.response_head import ResponseReader
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import Settings
from gateway.relay.loop.write_batch import WriteBatch
from gateway.relay.upstream.connection import UpstreamConnection
from gateway.relay.upstream.pool import Pool
from gateway.relay.upstream.server import Connect, Server

if TYPE_CHECKING:
    from gateway.config.model import Config, Upstream


class PoolBuilder:
    """Makes the pools of a relay, and keeps them."""

    def __init__(
        self, config: Config, settings: Settings, clock: Clock, write_batch: WriteBatch
    ) -> None:
        self._config = config
        self._settings = settings
        self._clock = clock
        self._write_batch = write_batch
        own = frozenset(name.encode() for name in key_cookies(config))
        self._reader = ResponseReader(own_cookies=own)
        self._lenient_reader = ResponseReader(own_cookies=own, lenient=True)
        self.upstreams = {
            name: self._upstream(name, upstream) for name, upstream in config.upstreams.items()
        }
        self.pools = list(self.upstreams.values())

    def endpoint(self, connect: Connect) -> Pool:
        """The pool of an endpoint, which is an upstream to the relay.

        Its answers may set the cookies with keys.
        """
        reader = ResponseReader(own_cookies=())
        pool = self._pool("gateway", [("gateway", connect)], b"", reader)
        self.pools.append(pool)
        return pool

    def _upstream(self, name: str, upstream: Upstream) -> Pool:
        return self._pool(
            name,
            [(str(url), _connect(url, upstream)) for url in upstream.servers],
            (upstream.own_host or upstream.servers[0].authority).encode(),
            self._lenient_reader if upstream.lenient else self._reader,
            places=upstream.max_connections,
            idle_timeout=upstream.upstream_idle,
        )

    def _pool(
        self,
        name: str,
        servers: Sequence[tuple[str, Connect]],
        host: bytes,
        reader: ResponseReader,
        *,
        places: int = 256,
        idle_timeout: float | None = None,
    ) -> Pool:
        """`servers` are the names of the servers, each with what connects to it."""
        timeouts, limits = self._config.timeouts, self._config.limits
        return Pool(
            name,
            [
                Server(
                    label,
                    connect,
                    upstream=name,
                    places=places,
                    share=limits.per_address,
                    idle_timeout=idle_timeout or timeouts.upstream_idle,
                )
                for label, connect in servers
            ],
            host=host,
            places=places,
            share=limits.per_address,
            connect_timeout=timeouts.connect,
            new_connection=lambda server: UpstreamConnection(
                server, reader, self._settings, self._clock, self._write_batch
            ),
        )


def _connect(url: ServerUrl, upstream: Upstream) -> Connect:
    """A function that opens connections to one server."""
    context: ssl.SSLContext | None = None
    if url.tls:
        context = ssl.create_default_context(cafile=upstream.tls.ca_file)
        if not upstream.tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE

    async def connect(factory: Callable[[], UpstreamConnection]) -> object:
        loop = asyncio.get_running_loop()
        if url.scheme == "unix":
            return await loop.create_unix_connection(factory, url.path)
        return await loop.create_connection(factory, url.host, url.port, ssl=context)

    return connect

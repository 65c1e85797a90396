"""Makes the pools of connections, for upstreams and for endpoints."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gateway.config.login_places import key_cookies
from gateway.core.http import refusals
from gateway.outbound.called_servers import ServerAddress
from gateway.outbound.names import look_up_with
from gateway.outbound.upstream_tls import UpstreamContext
from gateway.relay.http1.response_head import ResponseReader
from gateway.relay.setup.basis import Basis
from gateway.relay.setup.dialling import connects_to
from gateway.relay.setup.policies import policy_of
from gateway.relay.upstream.calls import Calls
from gateway.relay.upstream.connection import UpstreamConnection
from gateway.relay.upstream.names import NamedServers
from gateway.relay.upstream.policy import Policy
from gateway.relay.upstream.pool import Pool
from gateway.relay.upstream.queues import Queues
from gateway.relay.upstream.server import Connect, Server
from gateway.relay.upstream.streams import StreamPlaces

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.upstream_sections import Resolve, Upstream
    from gateway.core.http.addresses import ServerUrl


# How many requests of endpoints are under way, and how many of their streams, in one worker.
_OWN_PLACES = 256


class PoolBuilder:
    """Makes the pools of a relay, and keeps them."""

    def __init__(self, config: Config, basis: Basis) -> None:
        self._config = config
        self.basis = basis
        own = frozenset(name.encode() for name in key_cookies(config))
        self._reader = ResponseReader(own_cookies=own)
        self._lenient_reader = ResponseReader(own_cookies=own, lenient=True)
        self.tls: dict[str, UpstreamContext] = {}  # of the upstreams with TLS
        self.upstreams = {
            name: self._upstream(name, upstream) for name, upstream in config.upstreams.items()
        }
        self.pools = list(self.upstreams.values())
        # For the gateway's own calls.
        self.called = {name: Calls(pool) for name, pool in self.upstreams.items()}

    def endpoint(self, connect: Connect) -> Pool:
        """The pool of an endpoint, which is an upstream to the relay.

        Its answers may set the cookies with keys.
        """
        reader = ResponseReader(own_cookies=())
        streams = StreamPlaces(_OWN_PLACES, self._config.limits.per_address, refusals.BUSY)
        server = self._server("gateway", "gateway", connect, places=_OWN_PLACES, policy=Policy())
        pool = self._pool(
            "gateway", [server], b"", reader, streams=streams, places=_OWN_PLACES, policy=Policy()
        )
        self.pools.append(pool)
        return pool

    def _upstream(self, name: str, upstream: Upstream) -> Pool:
        context = UpstreamContext(name, upstream.tls)
        if any(url.tls for url in upstream.servers):
            self.tls[name] = context
        policy = policy_of(upstream)

        def server_at(url: ServerUrl, address: str = "") -> Server:
            at = ServerAddress(url, context, address)
            return self._server(
                name,
                str(at),
                connects_to(at),
                at=at,
                places=upstream.max_connections,
                idle_timeout=upstream.upstream_idle,
                weight=url.weight,
                policy=policy,
            )

        pool = self._pool(
            name,
            [server_at(url) for url in upstream.servers],
            (upstream.own_host or upstream.servers[0].authority).encode(),
            self._lenient_reader if upstream.lenient else self._reader,
            places=upstream.max_connections,
            policy=policy,
            queues=self._queues(name, upstream),
            streams=StreamPlaces(
                upstream.max_streams,
                self._config.limits.per_address,
                refusals.streams_full(name, upstream.max_streams),
            ),
        )
        if upstream.resolve is not None:
            _keep_resolved(name, upstream, upstream.resolve, pool, server_at)
        return pool

    def _pool(
        self,
        name: str,
        servers: Sequence[Server],
        host: bytes,
        reader: ResponseReader,
        *,
        places: int,
        streams: StreamPlaces,
        policy: Policy,
        queues: Queues | None = None,
    ) -> Pool:
        timeouts, share, basis = self._config.timeouts, self._config.limits.per_address, self.basis
        return Pool(
            name,
            servers,
            host=host,
            places=places,
            connect_timeout=timeouts.connect,
            policy=policy,
            streams=streams,
            queues=queues or Queues(timeout=timeouts.connect, share=share, late=refusals.BUSY),
            new_connection=lambda server: UpstreamConnection(
                server, reader, basis.settings, basis.clock, basis.write_batch
            ),
        )

    def _queues(self, name: str, upstream: Upstream) -> Queues:
        """The queues of an upstream, and its refusals."""
        places, queue = upstream.max_connections, upstream.queue
        size = math.inf if queue.size is None else queue.size
        setting = f"upstreams.{name}.queue.timeout" if queue.timeout else "timeouts.connect"
        seconds = queue.timeout or self._config.timeouts.connect
        return Queues(
            timeout=seconds,
            share=self._config.limits.per_address,
            late=refusals.waited_in_vain(name, places, seconds, setting),
            full=refusals.queue_full(name, places, size),
            max_size=size,
        )

    def _server(
        self,
        upstream: str,
        label: str,
        connect: Connect,
        *,
        at: ServerAddress | None = None,
        places: int,
        idle_timeout: float | None = None,
        weight: int = 1,
        policy: Policy,
    ) -> Server:
        return Server(
            label,
            connect,
            upstream=upstream,
            at=at,
            places=places,
            share=self._config.limits.per_address,
            idle_timeout=idle_timeout or self._config.timeouts.upstream_idle,
            weight=weight,
            rules=policy.eject,
            slow_start=policy.slow_start,
        )


def _keep_resolved(
    name: str,
    upstream: Upstream,
    resolve: Resolve,
    pool: Pool,
    server_at: Callable[[ServerUrl, str], Server],
) -> None:
    """Have the names of the pool's servers looked up again and again."""
    look_up = look_up_with(resolve.resolver)
    groups: list[NamedServers | None] = []  # for each server, if it has a name
    fixed = pool.servers

    def changed() -> None:
        """Gather the servers, in the order of config.yaml."""
        pool.change_servers(
            itertools.chain.from_iterable(
                (server,) if group is None else group.servers
                for group, server in zip(groups, fixed, strict=True)
            )
        )

    for url, server in zip(upstream.servers, fixed, strict=True):
        groups.append(
            NamedServers(
                url.host,
                server,
                upstream=name,
                interval=resolve.every,
                look_up=look_up,
                new_server=partial(server_at, url),
                changed=changed,
            )
            if url.has_name
            else None
        )
    pool.known.names = [group for group in groups if group is not None]

"""Builds the routes and the pools of a relay from config.yaml."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.config.login_places import backend_paths, key_cookies, logout_paths, max_bodies
from gateway.config.own_tokens import minter
from gateway.core.http.addresses import ServerUrl, share_a_server
from gateway.core.http.cors import Policy
from gateway.core.http.paths import BackendPaths
from gateway.relay.access.route import Access, Action, Auth, BackendLogout, Route, UpstreamPaths
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.http1.response_head import ResponseReader
from gateway.relay.loop.deadlines import Clock
from gateway.relay.loop.settings import AnswerTimeouts, Settings
from gateway.relay.loop.write_batch import WriteBatch
from gateway.relay.upstream.connection import UpstreamConnection
from gateway.relay.upstream.pool import Pool
from gateway.relay.upstream.server import Connect, Server

if TYPE_CHECKING:
    from gateway.config.model import Config, Upstream
    from gateway.config.route_sections import RouteOptions, RouteToken

_NO_PATHS = BackendPaths(())


class Builder:
    """Makes routes of rules, and pools of upstreams."""

    def __init__(
        self,
        config: Config,
        settings: Settings,
        clock: Clock,
        write_batch: WriteBatch,
        captures: Connect,
    ) -> None:
        """`captures` connects to the endpoint that asks upstreams where tokens are captured."""
        self._config = config
        self._captures = captures
        self._settings = settings
        self._clock = clock
        self._write_batch = write_batch
        own = frozenset(name.encode() for name in key_cookies(config))
        self._reader = ResponseReader(own_cookies=own)
        self._lenient_reader = ResponseReader(own_cookies=own, lenient=True)
        self._minter = minter(config)
        self._tokens: dict[tuple[Any, ...], RouteTokens] = {}
        named = [] if config.keys.field is None else [config.keys.field.encode()]
        self._key_fields = (b"Cookie", *named)
        self._upstreams = {
            name: self._upstream(name, upstream) for name, upstream in config.upstreams.items()
        }
        self.pools = list(self._upstreams.values())
        self._guarded = _reached(config, backend_paths(config))
        self.logins = _anywhere(backend_paths(config))
        self._logouts: dict[str, tuple[BackendLogout, ...]] = dict.fromkeys(config.upstreams, ())
        self._any_logout: tuple[BackendLogout, ...] = ()
        for method, asked in logout_paths(config).items():
            for name, found in _reached(config, asked).items():
                self._logouts[name] += (BackendLogout(found, method.encode()),)
            self._any_logout += (BackendLogout(_anywhere(asked), method.encode()),)

    def route(self, number: int, rule: RouteOptions) -> Route:
        """The route of a rule; `number` is the rule's index in config.yaml."""
        captures = rule.captures is not None
        upstream = None if rule.upstream is None else self._config.upstreams[rule.upstream]
        pool = None if rule.upstream is None else self._upstreams[rule.upstream]
        if captures:
            pool = self._own_pool(self._captures)
        return Route(
            name=rule.path,
            access=Access.of(rule, self._config),
            action=replace(
                Action.of(rule, self._config),
                host=b"" if pool is None else pool.host,
                keeps_host=captures or upstream is None or upstream.host == "client",
                token=self._route_tokens(rule.token),
                captures=number if captures else None,
                varies=self._key_fields if rule.auth == "optional" else (),
            ),
            pool=pool,
            upstream_paths=self._upstream_paths(rule),
        )

    def _upstream_paths(self, rule: RouteOptions) -> UpstreamPaths:
        if rule.upstream is None:
            return UpstreamPaths(logouts=self._any_logout)
        return UpstreamPaths(
            read_loosely=self._config.upstreams[rule.upstream].paths == "loose",
            # A captured reply is read as a whole, so no token gets out.
            guarded=_NO_PATHS if rule.captures is not None else self._guarded[rule.upstream],
            logouts=self._logouts[rule.upstream],
        )

    def _route_tokens(self, section: RouteToken | None) -> RouteTokens | None:
        """The tokens of a route. Routes with the same section share them."""
        if section is None or self._minter is None:
            return None
        asked = (section.audience, section.claims, section.lifetime)
        if asked not in self._tokens:
            self._tokens[asked] = RouteTokens(
                self._minter,
                audience=section.audience,
                claims=section.claims,
                lifetime=section.lifetime,
            )
        return self._tokens[asked]

    def endpoint(self, path: str, connect: Connect) -> Route:
        """The route of an endpoint: a path, or all paths below one."""
        timeouts = self._config.timeouts
        return Route(
            name=path,
            access=Access(Auth.OFFERED, cors=Policy.of(self._config.cors)),
            action=Action(
                close_on_logout=False,  # a logout must not end itself
                timeouts=AnswerTimeouts(timeouts.response, timeouts.body_idle),
                body_limit=max_bodies(self._config).get(path, self._config.limits.body_size),
            ),
            pool=self._own_pool(connect),
            is_endpoint=True,
        )

    def _own_pool(self, connect: Connect) -> Pool:
        """The endpoints as an upstream.

        Their answers may set the cookies with keys, and may have the statuses of `lenient`
        upstreams.
        """
        reader = ResponseReader(own_cookies=(), any_status=True)
        pool = self._pool("gateway", [("gateway", connect)], b"", reader)
        self.pools.append(pool)
        return pool

    def _upstream(self, name: str, upstream: Upstream) -> Pool:
        servers = [(str(url), _connect(url, upstream)) for url in upstream.servers]
        host = upstream.servers[0].authority.encode()
        return self._pool(
            name,
            servers,
            host,
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
                    is_only=len(servers) == 1,
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


def _reached(config: Config, asked: Sequence[tuple[str, str]]) -> dict[str, BackendPaths]:
    """The paths that are `asked` for (as upstream and path), by the upstreams that reach them.

    Another upstream reaches a path if the two share a server.
    """
    return {
        name: BackendPaths(
            path.encode()
            for other, path in asked
            if share_a_server(upstream.servers, config.upstreams[other].servers)
        )
        for name, upstream in config.upstreams.items()
    }


def _anywhere(asked: Iterable[tuple[str, str]]) -> BackendPaths:
    return BackendPaths(path.encode() for _, path in asked)


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

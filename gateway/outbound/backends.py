"""The gateway's own calls to upstreams, for logins, captures and logouts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from gateway.core.http import refusals
from gateway.core.http.addresses import ServerUrl
from gateway.core.http.field_names import HOP_BY_HOP
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.core.logins.replies import Reply
from gateway.observe import causes
from gateway.outbound.backend_servers import BackendServers
from gateway.outbound.http_client import BodyTooLarge, open_client, read_body
from gateway.outbound.jwks import KeySets
from gateway.outbound.names import OneResolver
from gateway.outbound.upstream_tls import UpstreamContext

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.upstream_sections import Upstream

Fields = Iterable[tuple[str, str]]

# The codings that aiohttp undoes; a token could hide in any other.
_KNOWN_CODINGS = frozenset({"", "identity", "gzip", "deflate", "br"})

# The gateway says itself how the body is framed that it sends, and which codings it reads.
_NOT_ASKED = frozenset({"content-length", "accept-encoding", "expect"})
# And how the decoded body is framed that the client gets.
_NOT_PASSED = frozenset({"content-length", "content-encoding", "trailer"})

# What is below is no answer yet, and no call asks for another protocol (RFC 9110 §15).
_MIN_FINAL_STATUS = 200

# How long a call waits before it dials again, while no server can be reached (seconds): each time
# twice as long. So many calls of one upstream may wait, for each one dials by itself.
_FIRST_PAUSE = 0.01
_MAX_PAUSE = 0.1
_MAX_WAITING = 100


class BackendFailed(Exception):
    """The call got no usable reply; `refusal` is for the client."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class Backends:
    """The upstreams of a configuration, ready to be called.

    `key_sets` are those that identity providers publish.
    """

    def __init__(self, config: Config) -> None:
        self.key_sets = KeySets()
        self._backends = {
            name: _Backend(name, upstream, config) for name, upstream in config.upstreams.items()
        }
        self._proxies = Trusted(config.trusted_proxies)

    async def call(
        self,
        upstream: str,
        method: str,
        target: str,
        *,
        fields: Fields,
        body: bytes,
        timeout: float,
        max_reply: int,
        address: str = "",
        waits_for_restart: bool = True,
    ) -> Reply:
        """Send one request and read its whole reply. Raises `BackendFailed`.

        The reply is decoded.

        target: a path with its query, as it is sent
        timeout: for all of it, however many servers are tried (seconds)
        max_reply: of the decoded body (bytes)
        address: of the client that the call is made for; it may have its share of the calls
        waits_for_restart: while no server can be reached, for `timeouts.connect`
        """
        backend = self._backends[upstream]
        if backend.maintenance is not None:
            raise BackendFailed(backend.maintenance)
        with backend.calls.place(self._proxies.client_network(address)):
            call = _Call(method, target, tuple(fields), body, max_reply, waits_for_restart)
            return await backend.call(call, timeout)

    async def close(self) -> None:
        await self.key_sets.close()
        for backend in self._backends.values():
            await backend.close()


@contextlib.asynccontextmanager
async def backends(config: Config) -> AsyncIterator[Backends]:
    """The backends of a configuration, closed at the end."""
    opened = Backends(config)
    try:
        yield opened
    finally:
        await opened.close()


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, the limit of its decoded reply, and whether it waits."""

    method: str
    target: str
    fields: Fields
    body: bytes
    max_reply: int
    waits_for_restart: bool


class _Backend:
    """One upstream."""

    def __init__(self, name: str, upstream: Upstream, config: Config) -> None:
        self.calls = _CallsUnderWay(upstream, config.limits.per_address)
        section = upstream.maintenance
        self.maintenance = None if section is None else refusals.maintenance(section.retry_after)
        self._name = name
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self._upstream = upstream
        self._connect_timeout = config.timeouts.connect
        self._max_head_bytes = config.limits.response_head_size
        self._servers = BackendServers(upstream.servers)
        self._context = UpstreamContext(name, upstream.tls)
        self._clients: dict[ServerUrl, aiohttp.ClientSession] = {}

    async def call(self, call: _Call, timeout: float) -> Reply:
        """Calls the servers until one can be reached. Raises `BackendFailed`."""
        tried: list[ServerUrl] = []
        try:
            async with asyncio.timeout(timeout):
                return await self._call_patiently(call, tried)
        except TimeoutError:
            self._failed(tried[-1], "timed out")
            raise BackendFailed(refusals.UPSTREAM_SILENT) from None

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _call_patiently(self, call: _Call, tried: list[ServerUrl]) -> Reply:
        """Call the servers again while none can be reached: they may restart."""
        until, pause = time.monotonic() + self._connect_timeout, _FIRST_PAUSE
        while True:
            tried.clear()
            try:
                return await self._call_any(call, tried, logs=pause == _FIRST_PAUSE)
            except _NotConnected as failed:
                may_pass = call.waits_for_restart and causes.may_pass(failed.error)
            if not may_pass or len(self.calls) > _MAX_WAITING or time.monotonic() > until:
                raise BackendFailed(refusals.UPSTREAM_REFUSED)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE)

    async def _call_any(self, call: _Call, tried: list[ServerUrl], *, logs: bool) -> Reply:
        """Call the servers in turn. Raises `_NotConnected` if none is reached."""
        while True:
            tried.append(server := self._servers.pick(tried))
            try:
                with self._servers.calling(server):
                    return await self._call_server(server, call)
            except _NotConnected as failed:
                if logs:
                    self._failed(server, causes.cause(failed.error))
                if len(tried) == len(self._servers):
                    raise

    async def _call_server(self, server: ServerUrl, call: _Call) -> Reply:
        context, server_name = self._context.of(server)
        try:
            async with self._client(server).request(
                call.method,
                URL(_base(server) + call.target, encoded=True),
                headers=self._fields(call.fields, server),
                data=call.body or None,
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                ssl=context or False,
                server_hostname=server_name,
            ) as response:
                self._check_status(response.status, server)
                reply = await _reply(response, call.max_reply)
                self._servers.answered(server)
                return reply
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = getattr(error, "os_error", error)
            if causes.is_our_own(reason):
                self._log.error("no connection can be made: %s", causes.cause(reason))
                raise BackendFailed(refusals.BUSY) from None
            raise _NotConnected(reason) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            how = causes.cause(error) if isinstance(error, OSError) else "closed"
            self._failed(server, f"{how}, without a whole answer")
            raise BackendFailed(refusals.UPSTREAM_CLOSED) from None
        except BodyTooLarge:
            raise BackendFailed(refusals.LOGIN_REPLY) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._failed(server, f"its reply is broken: {_broken_rule(error)}")
            raise BackendFailed(refusals.UPSTREAM_BROKEN) from None

    def _check_status(self, status: int, server: ServerUrl) -> None:
        if status < _MIN_FINAL_STATUS:
            self._failed(server, causes.UNASKED_SWITCH)
            raise BackendFailed(refusals.UPSTREAM_BROKEN)

    def _client(self, server: ServerUrl) -> aiohttp.ClientSession:
        if server not in self._clients:
            self._clients[server] = open_client(
                _connector(server, self._upstream),
                connect_timeout=self._connect_timeout,
                max_head_bytes=self._max_head_bytes,
            )
        return self._clients[server]

    def _fields(self, fields: Fields, server: ServerUrl) -> list[tuple[str, str]]:
        kept = [
            (name, value)
            for name, value in fields
            if name.lower() not in _NOT_ASKED and name.lower().encode() not in HOP_BY_HOP
        ]
        if self._upstream.host != "client":
            kept = [(name, value) for name, value in kept if name.lower() != "host"]
            named = self._upstream.host != "upstream"
            kept.append(("Host", self._upstream.host if named else server.authority))
        return [*kept, ("Accept-Encoding", "identity")]

    def _failed(self, server: ServerUrl, cause: str) -> None:
        """Log why a server has not answered, and ask the others for a while."""
        self._servers.failed(server)
        self._log.warning("upstream %s: %s: %s", self._name, server, cause)


class _NotConnected(Exception):
    """Nothing has been sent, so another server may be asked; `error` says why."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class _CallsUnderWay:
    """The calls to one upstream, by client, including those that wait."""

    def __init__(self, upstream: Upstream, share: int) -> None:
        """`share`: the part of the connections that one client may hold (percent)."""
        self._clients: list[str] = []  # one for each call
        places = upstream.max_connections * len(upstream.servers)
        self._shares = Shares(places, share, lambda: self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    @contextlib.contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Hold a place for a client's call. Raises `BackendFailed` over its share."""
        clients, shares = self._clients, self._shares
        if shares.exhausted(client, len(clients)):
            raise BackendFailed(refusals.OVER_SHARE)
        clients.append(client)
        if shares.counts:
            shares.take(client)
        try:
            yield
        finally:
            clients.remove(client)
            if shares.counts:
                shares.give_back(client, len(clients))


def _connector(server: ServerUrl, upstream: Upstream) -> aiohttp.BaseConnector:
    """Gives each call a connection of its own.

    On a kept one that its server is just closing, the call would fail, and a login must not be sent
    twice.
    """
    limit = upstream.max_connections
    if server.scheme == "unix":
        return aiohttp.UnixConnector(server.path, force_close=True, limit=limit)
    resolve = upstream.resolve
    resolver = (
        None if resolve is None or resolve.resolver is None else OneResolver(resolve.resolver)
    )
    return aiohttp.TCPConnector(
        resolver=resolver, use_dns_cache=resolve is None, force_close=True, limit=limit
    )


def _base(server: ServerUrl) -> str:
    return f"{'https' if server.tls else 'http'}://{server.authority}{server.base}"


def _broken_rule(error: BaseException) -> str:
    """llhttp's reason for a malformed reply, without aiohttp's quotation.

    That may hold a token.
    """
    cause = error.__cause__
    if cause is not None and isinstance(cause.__cause__, LineTooLong):
        return causes.LONG_HEAD
    rule, mark, _ = str(getattr(cause, "message", "")).partition(":\n\n")
    return rule if mark else type(error).__name__


async def _reply(response: aiohttp.ClientResponse, max_bytes: int) -> Reply:
    """Raises `BackendFailed`, `BodyTooLarge` and aiohttp's errors."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in _KNOWN_CODINGS:
        raise BackendFailed(refusals.LOGIN_REPLY)
    body = await read_body(response, max_bytes)
    return Reply(response.status, tuple(_passed(response)), body, response.reason or "")


def _passed(response: aiohttp.ClientResponse) -> Fields:
    """The reply's fields as they came, without those of the connection.

    Those of the framing are left out too.
    """
    named = {name.strip().lower() for name in response.headers.get("Connection", "").split(",")}
    for name, value in response.headers.items():
        lower = name.lower()
        if lower not in _NOT_PASSED and lower not in named and lower.encode() not in HOP_BY_HOP:
            yield name, value

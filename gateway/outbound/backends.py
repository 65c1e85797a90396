"""The gateway's own calls to upstreams, for logins, captures and logouts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from gateway.core.http import refusals
from gateway.core.http.field_names import HOP_BY_HOP
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.core.logins.replies import Reply
from gateway.observe import causes
from gateway.outbound.called_servers import Attempts, CalledServers, ServerAddress
from gateway.outbound.http_client import BodyTooLarge, open_client, read_body
from gateway.outbound.jwks import KeySets
from gateway.outbound.names import OneResolver

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
_FIRST_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.1
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

    def __init__(self, config: Config, servers: Mapping[str, CalledServers]) -> None:
        """`servers` are those of the upstreams, by their names."""
        self.key_sets = KeySets()
        self._backends = {
            name: _Backend(name, upstream, config, servers[name])
            for name, upstream in config.upstreams.items()
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
            call = _Call(
                method=method,
                target=target,
                fields=tuple(fields),
                body=body,
                max_reply=max_reply,
                waits_for_restart=waits_for_restart,
            )
            return await backend.call(call, timeout)

    async def close(self) -> None:
        await self.key_sets.close()
        for backend in self._backends.values():
            await backend.close()


@contextlib.asynccontextmanager
async def backends(config: Config, servers: Mapping[str, CalledServers]) -> AsyncIterator[Backends]:
    """The backends of a configuration, closed at the end."""
    opened = Backends(config, servers)
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

    def __init__(
        self, name: str, upstream: Upstream, config: Config, servers: CalledServers
    ) -> None:
        self.calls = _CallsUnderWay(upstream, config.limits.per_address)
        section = upstream.maintenance
        self.maintenance = None if section is None else refusals.maintenance(section.retry_after)
        self._log = logging.getLogger(f"gateway.upstreams.{name}")
        self._upstream = upstream
        self._connect_timeout = config.timeouts.connect
        self._max_head_bytes = config.limits.response_head_size
        self._host = upstream.own_host or upstream.servers[0].authority
        self._servers = servers
        self._clients: dict[str, aiohttp.ClientSession] = {}  # by the path of a unix socket, or ""

    async def call(self, call: _Call, timeout: float) -> Reply:
        """Call one server after the other, until one can be reached. Raises `BackendFailed`.

        If none can be, all are called again for a while: they may restart.
        """
        until = time.monotonic() + min(self._servers.try_for, timeout)
        deadline = asyncio.get_running_loop().time() + timeout
        attempts, pause = self._servers.attempts(), _FIRST_PAUSE_SECONDS
        while True:
            with attempts.server() as server:
                try:
                    async with asyncio.timeout_at(deadline):
                        return await self._call_server(server, call, attempts)
                except _NotConnected as failed:
                    error, has_other = failed.error, attempts.unreached(failed.error)
                except TimeoutError:
                    attempts.failed("timed out", refusals.UPSTREAM_SILENT)
                    raise BackendFailed(refusals.UPSTREAM_SILENT) from None
            if has_other:
                continue
            if time.monotonic() >= until or not self._may_wait(call, error):
                raise BackendFailed(attempts.given_up(error))
            attempts.waits(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _may_wait(self, call: _Call, error: OSError) -> bool:
        """Whether a call that has reached no server may try again."""
        is_patient = call.waits_for_restart and causes.may_pass(error)
        return is_patient and len(self.calls) <= _MAX_WAITING

    async def _call_server(self, server: ServerAddress, call: _Call, attempts: Attempts) -> Reply:
        context, server_name = server.tls()
        try:
            async with self._client(server).request(
                call.method,
                URL(server.base_url + call.target, encoded=True),
                headers=self._fields(call.fields),
                data=call.body or None,
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                ssl=context or False,
                server_hostname=server_name,
            ) as response:
                if response.status < _MIN_FINAL_STATUS:
                    attempts.failed(causes.UNASKED_SWITCH, refusals.UPSTREAM_BROKEN)
                    raise BackendFailed(refusals.UPSTREAM_BROKEN)
                attempts.answered(response.status)
                return await _reply(response, call.max_reply)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = getattr(error, "os_error", error)
            if causes.is_our_own(reason):
                self._log.error("no connection can be made: %s", causes.cause(reason))
                raise BackendFailed(refusals.BUSY) from None
            raise _NotConnected(reason) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            how = causes.cause(error) if isinstance(error, OSError) else "closed"
            attempts.failed(f"{how}, without a whole answer", refusals.UPSTREAM_CLOSED)
            raise BackendFailed(refusals.UPSTREAM_CLOSED) from None
        except BodyTooLarge:
            raise BackendFailed(refusals.LOGIN_REPLY) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            attempts.failed(f"its reply is broken: {_broken_rule(error)}", refusals.UPSTREAM_BROKEN)
            raise BackendFailed(refusals.UPSTREAM_BROKEN) from None

    def _client(self, server: ServerAddress) -> aiohttp.ClientSession:
        path = server.url.path
        if path not in self._clients:
            self._clients[path] = open_client(
                _connector(path, self._upstream),
                connect_timeout=self._connect_timeout,
                max_head_bytes=self._max_head_bytes,
            )
        return self._clients[path]

    def _fields(self, fields: Fields) -> list[tuple[str, str]]:
        kept = [
            (name, value)
            for name, value in fields
            if name.lower() not in _NOT_ASKED and name.lower().encode() not in HOP_BY_HOP
        ]
        if self._upstream.host != "client":
            kept = [(name, value) for name, value in kept if name.lower() != "host"]
        if not any(name.lower() == "host" for name, _ in kept):
            kept.append(("Host", self._host))
        return [*kept, ("Accept-Encoding", "identity")]


class _NotConnected(Exception):
    """No server was reached (`error` says why): another one may be asked."""

    def __init__(self, error: OSError) -> None:
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


def _connector(path: str, upstream: Upstream) -> aiohttp.BaseConnector:
    """Gives each call a connection of its own: to a unix socket with this path, or over TCP.

    On a kept one that its server is just closing, the call would fail, and a login must not be sent
    twice.
    """
    if path:
        return aiohttp.UnixConnector(path, force_close=True, limit=upstream.max_connections)
    resolver = None if upstream.resolve is None else upstream.resolve.resolver
    return aiohttp.TCPConnector(
        resolver=None if resolver is None else OneResolver(resolver),
        use_dns_cache=False,
        force_close=True,
        limit=0,
        limit_per_host=upstream.max_connections,
    )


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

"""Calls that the gateway makes by itself: for logins and logouts, not for requests.

Made with aiohttp's client, which is told to add nothing, to keep nothing and to follow nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from gateway.core.http import balancing, refusals
from gateway.core.http.addresses import ServerUrl
from gateway.core.http.balancing import Standing
from gateway.core.http.field_names import HOP_BY_HOP
from gateway.core.http.forwarding import Trusted
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.core.logins.replies import Reply
from gateway.observe import causes
from gateway.outbound.jwks import KeySets

if TYPE_CHECKING:
    from gateway.config.model import Config, Upstream

# The codings that aiohttp undoes; in any other a token could hide.
_KNOWN_CODINGS = frozenset({"", "identity", "gzip", "deflate", "br"})

# What is said anew: to the backend, how the body is framed and what reply can be read; to the
# client, how a body is framed that has been decoded.
_NOT_ASKED = frozenset({"content-length", "accept-encoding", "expect"})
_NOT_PASSED = frozenset({"content-length", "content-encoding", "trailer"})

_PIECE = 65536

# RFC 9110 §15: what is below is no answer yet, and nobody has asked for another protocol; what is
# above is for `lenient` upstreams.
_FINAL = range(200, 600)
_FINAL_IF_LENIENT = range(200, 1000)


class BackendFailed(Exception):
    """The call got no reply that can be used; `refusal` is what the client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class _NotConnected(Exception):
    """Nothing has been sent, so another server may be asked."""


class _Calls:
    """The calls of one upstream that are under way or wait for a connection, and whose they are."""

    def __init__(self, upstream: Upstream, share: int) -> None:
        """`share` is how many of the connections one client may hold (percent; see `Shares`)."""
        self._clients: list[str] = []  # one for each call
        places = upstream.max_connections * len(upstream.servers)
        self._shares = Shares(places, share, lambda: self._clients)

    @contextlib.contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Holds a place for a client's call. Raises `BackendFailed` if it has its share."""
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


class _Servers:
    """The servers of one upstream. One that fails is ejected, as the relay does with its own."""

    def __init__(self, servers: Iterable[ServerUrl]) -> None:
        self._standings = {server: Standing() for server in servers}
        self._turns = itertools.count()

    def pick(self, tried: Iterable[ServerUrl]) -> ServerUrl:
        """The least busy server of those that are not `tried`.

        A login is sent once, so it does not find out whether an ejected server is back.
        """
        turn = next(self._turns)
        left = [server for server in self._standings if server not in tried]
        standings = [self._standings[server] for server in left]
        return left[balancing.pick(standings, turn, time.monotonic(), probes=False)]

    @contextlib.contextmanager
    def calling(self, server: ServerUrl) -> Iterator[None]:
        """Counts a call that is under way."""
        standing = self._standings[server]
        standing.busy += 1
        try:
            yield
        finally:
            standing.busy -= 1

    def answered(self, server: ServerUrl) -> None:
        self._standings[server].reinstate()

    def failed(self, server: ServerUrl) -> None:
        self._standings[server].eject(time.monotonic())


class Backends:
    """The upstreams of a configuration, as things to be called; `key_sets` are what identity
    providers publish.
    """

    def __init__(self, config: Config) -> None:
        self.key_sets = KeySets()
        self._upstreams = config.upstreams
        self._connect_timeout = config.timeouts.connect
        self._head_size = config.limits.response_head_size
        self._servers = {name: _Servers(each.servers) for name, each in config.upstreams.items()}
        self._sessions: dict[tuple[str, ServerUrl], aiohttp.ClientSession] = {}
        share = config.limits.per_address
        self._calls = {name: _Calls(each, share) for name, each in config.upstreams.items()}
        self._proxies = Trusted(config.trusted_proxies)

    async def call(
        self,
        upstream: str,
        method: str,
        target: str,
        *,
        fields: Iterable[tuple[str, str]],
        body: bytes,
        timeout: float,
        max_reply: int,
        address: str = "",
    ) -> Reply:
        """Sends one request and reads its whole reply, decoded. Raises `BackendFailed`.

        target: a path with its query, as it is to be sent
        timeout: for all of it, however many servers are tried (seconds)
        max_reply: of the decoded body (bytes)
        address: the client's for whom it is done, which may have its share of the calls
        """
        with self._calls[upstream].place(self._proxies.client_network(address)):
            return await self._call_any(
                upstream,
                method,
                target,
                fields=fields,
                body=body,
                timeout=timeout,
                max_reply=max_reply,
            )

    async def close(self) -> None:
        await self.key_sets.close()
        for session in self._sessions.values():
            await session.close()

    async def _call_any(
        self,
        upstream: str,
        method: str,
        target: str,
        *,
        fields: Iterable[tuple[str, str]],
        body: bytes,
        timeout: float,
        max_reply: int,
    ) -> Reply:
        """Calls one of the servers after the other, until one can be reached."""
        servers, tried = self._servers[upstream], set[ServerUrl]()
        try:
            async with asyncio.timeout(timeout):
                for _ in self._upstreams[upstream].servers:
                    server = servers.pick(tried)
                    tried.add(server)
                    with contextlib.suppress(_NotConnected), servers.calling(server):
                        return await self._call(
                            upstream,
                            server,
                            method,
                            URL(_base(server) + target, encoded=True),
                            fields=self._fields(fields, upstream, server),
                            body=body,
                            max_reply=max_reply,
                        )
        except TimeoutError:
            self._failed(upstream, server, "timed out")
            raise BackendFailed(refusals.UPSTREAM_SILENT) from None
        raise BackendFailed(refusals.UPSTREAM_REFUSED)

    async def _call(
        self,
        upstream: str,
        server: ServerUrl,
        method: str,
        url: URL,
        *,
        fields: list[tuple[str, str]],
        body: bytes,
        max_reply: int,
    ) -> Reply:
        session = self._session(upstream, server)
        try:
            async with session.request(
                method, url, headers=fields, data=body or None, allow_redirects=False
            ) as response:
                if response.status not in self._final(upstream):
                    self._failed(upstream, server, causes.BAD_STATUS)
                    raise BackendFailed(refusals.UPSTREAM_BROKEN)
                content = await _read(response, max_reply)
                self._servers[upstream].answered(server)
                passed = tuple(_passed(response))
                return Reply(response.status, passed, content, response.reason or "")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self._failed(upstream, server, causes.cause(getattr(error, "os_error", error)))
            raise _NotConnected from None
        except aiohttp.ServerDisconnectedError:
            self._failed(upstream, server, "closed, without a whole answer")
            raise BackendFailed(refusals.UPSTREAM_CLOSED) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._failed(upstream, server, f"its reply is broken: {_broken_rule(error)}")
            raise BackendFailed(refusals.UPSTREAM_BROKEN) from None

    def _failed(self, upstream: str, server: ServerUrl, cause: str) -> None:
        """A server has not answered: the log says why, and the others are asked for a while."""
        self._servers[upstream].failed(server)
        log = logging.getLogger(f"gateway.upstreams.{upstream}")
        log.warning("upstream %s: %s: %s", upstream, server, cause)

    def _final(self, upstream: str) -> range:
        return _FINAL_IF_LENIENT if self._upstreams[upstream].lenient else _FINAL

    def _session(self, upstream: str, server: ServerUrl) -> aiohttp.ClientSession:
        name = (upstream, server)
        if name not in self._sessions:
            self._sessions[name] = aiohttp.ClientSession(
                connector=_connector(server, self._upstreams[upstream]),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
                trust_env=False,
                max_line_size=self._head_size,
                max_field_size=self._head_size,
            )
        return self._sessions[name]

    def _fields(
        self, fields: Iterable[tuple[str, str]], upstream: str, server: ServerUrl
    ) -> list[tuple[str, str]]:
        kept = [
            (name, value)
            for name, value in fields
            if name.lower() not in _NOT_ASKED and name.lower().encode() not in HOP_BY_HOP
        ]
        if self._upstreams[upstream].host == "upstream":
            kept = [(name, value) for name, value in kept if name.lower() != "host"]
            kept.append(("Host", server.authority))
        return [*kept, ("Accept-Encoding", "identity")]


@contextlib.asynccontextmanager
async def backends(config: Config) -> AsyncIterator[Backends]:
    """The backends of a configuration, closed at the end."""
    calls = Backends(config)
    try:
        yield calls
    finally:
        await calls.close()


def _broken_rule(error: BaseException) -> str:
    """What llhttp says of a malformed reply, without what aiohttp quotes of it: a token even."""
    rule, mark, _ = str(getattr(error.__cause__, "message", "")).partition(":\n\n")
    return rule if mark else type(error).__name__


def _base(server: ServerUrl) -> str:
    return f"{'https' if server.tls else 'http'}://{server.authority}"


def _connector(server: ServerUrl, upstream: Upstream) -> aiohttp.BaseConnector:
    """Each call has a connection of its own: on a kept one that its server is just closing, the
    call would fail, and a login must not be sent twice.
    """
    limit = upstream.max_connections
    if server.scheme == "unix":
        return aiohttp.UnixConnector(server.path, force_close=True, limit=limit)
    tls: bool | ssl.SSLContext = upstream.tls.verify
    if server.tls and upstream.tls.verify:
        tls = ssl.create_default_context(cafile=upstream.tls.ca_file)
    return aiohttp.TCPConnector(ssl=tls, force_close=True, limit=limit)


def _passed(response: aiohttp.ClientResponse) -> Iterable[tuple[str, str]]:
    """The reply's fields as they came, without those of one connection and of the framing."""
    named = {each.strip().lower() for each in response.headers.get("Connection", "").split(",")}
    for name, value in response.headers.items():
        lower = name.lower()
        if lower not in _NOT_PASSED and lower not in named and lower.encode() not in HOP_BY_HOP:
            yield name, value


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The decoded body. A small body that unpacks to a large one is cut off at `most` as well."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in _KNOWN_CODINGS:
        raise BackendFailed(refusals.LOGIN_REPLY)
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        body += piece
        if len(body) > most:
            raise BackendFailed(refusals.LOGIN_REPLY)
    return bytes(body)

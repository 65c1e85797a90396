"""Connections that begin with a PROXY header or a TLS handshake.

An opening holds a place among the clients' connections from the moment when it is accepted, with
the deadline of a head. So a flood of handshakes is bounded like one of heads.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import socket
import ssl
from dataclasses import dataclass

from gateway.core.http import proxy_header, refusals
from gateway.core.http.addresses import Entrance
from gateway.core.http.proxy_header import BadProxyHeader
from gateway.core.http.refusals import Refusal
from gateway.relay.access.peer import Peer
from gateway.relay.client.certificates import Certificates
from gateway.relay.client.connection import ClientConnection
from gateway.relay.client.registered import Clients
from gateway.relay.exchange.context import Context
from gateway.relay.exchange.exchange import Exchange

_log = logging.getLogger("gateway.relay")

# uvloop would cut what a slow client has not read yet. The connection has deadlines of its own.
_SHUTDOWN_SECONDS = 86400.0

# How much waits for a client before its upstream pauses: as without TLS, and not uvloop's 512 KiB.
_MAX_UNSENT_BYTES = 65536

_HANDSHAKE = b"\x16"  # the type of the record that begins TLS (RFC 8446 §5.1)

# How much is read of what is neither TLS nor HTTP: a first packet.
_MAX_DROPPED_BYTES = 65536

# A fatal alert before anything is encrypted (RFC 8446 §5.1, §6), and why it is sent.
_ALERT = b"\x15\x03\x03\x00\x02\x02"
_PROTOCOL_VERSION, _HANDSHAKE_FAILURE = b"\x46", b"\x28"


@dataclass
class OpeningCounts:
    """Plain integers, since the start of the worker."""

    handshakes_failed: int = 0  # TLS did not begin: by an error, its deadline, or another protocol
    proxy_headers_refused: int = 0  # of untrusted peers, malformed, or not whole in time


@dataclass(frozen=True)
class OpeningContext:
    """What the openings of one listener share."""

    entrance: Entrance
    certificates: Certificates | None
    context: Context
    clients: Clients
    counts: OpeningCounts


class _Stage(enum.Enum):
    HEADER = enum.auto()  # awaits a PROXY header
    HANDSHAKE = enum.auto()  # awaits TLS, or is in the midst of it
    OPEN = enum.auto()  # becomes a `ClientConnection`


class Opening:
    """A connection before its first request."""

    exchange: Exchange | None = None
    buffer = b""
    blocked = False
    stall: tuple[int, float] | None = None
    transport: asyncio.Transport | None = None

    def __init__(self, sock: socket.socket, shared: OpeningContext) -> None:
        """Raises `OSError` if the client has gone."""
        self._sock = sock
        self._shared = shared
        self._task: asyncio.Task[None] | None = None
        self._stage = _Stage.HEADER if shared.entrance.proxy_protocol else _Stage.HANDSHAKE
        self._scheme = "http" if shared.certificates is None else "https"
        self.peer = shared.context.peer(sock.getpeername(), self._scheme)  # holds the place
        self._client = self.peer  # by the PROXY header
        self.deadline = shared.context.clock.now + shared.context.settings.head

    def admit(self) -> bool:
        """Take a place. False if there is none for the client: then it is closed."""
        if self._may_open() and self._take_place():
            return True
        self._sock.close()
        return False

    async def run(self) -> None:
        """Read the PROXY header, do the handshake, and hand over to a `ClientConnection`."""
        self._task = asyncio.current_task()
        shared = self._shared
        try:
            if self._stage is _Stage.HEADER:
                self._client, self._stage = await self._proxied(), _Stage.HANDSHAKE
            if shared.certificates is None:
                await self._hand_over(None)
            elif self._move_place():
                await self._begin_tls(shared.certificates)
        except BadProxyHeader:
            self._refuse_header("it is malformed")
        except EOFError:  # it came without a byte, as a balancer does that looks for the port
            pass
        except (OSError, asyncio.CancelledError):  # also `ssl.SSLError`; the deadline, or the end
            self._count_failure()
        finally:
            self.leave()
            if self._stage is not _Stage.OPEN:
                self._sock.close()

    def leave(self) -> None:
        """Give the place back."""
        shared = self._shared
        if self in shared.clients:
            shared.clients.discard(self)
            if shared.context.connections.counts:
                shared.context.connections.give_back(self.peer.own_network, len(shared.clients))

    def expire(self) -> None:
        self.cut(reset=True)

    def close(self) -> None:
        self.cut(reset=False)

    def cut(self, *, reset: bool) -> None:
        if self._task is not None:
            self._task.cancel()

    def _may_open(self) -> bool:
        """Whether the peer may send what it has to begin with: a PROXY header is a proxy's."""
        if self._stage is not _Stage.HEADER or self.peer.trusted:
            return True
        self._refuse_header("the peer is not in trusted_proxies")
        return False

    def _take_place(self) -> bool:
        """Take a place for the client. False, and counted, if it may not have one more."""
        shared, network = self._shared, self.peer.own_network
        shares, taken = shared.context.connections, len(shared.clients)
        if not shares.allows(network, taken):
            is_full = taken >= shared.context.settings.connections
            shared.context.refused(refusals.BUSY if is_full else refusals.OVER_SHARE)
            return False
        shared.clients.add(self)
        if shares.counts:
            shares.take(network)
        return True

    def _move_place(self) -> bool:
        """Move the place to the client that a PROXY header has named: the share is its own.

        False if that client may not have one more.
        """
        if self._client is self.peer:
            return True
        self.leave()
        self.peer = self._client
        return self._take_place()

    def _count_failure(self) -> None:
        """Count what ended before a request could come."""
        if self._stage is _Stage.HEADER:
            self._refuse_header("it did not come as a whole")
        elif self._shared.certificates is not None:
            self._shared.counts.handshakes_failed += 1

    # The PROXY header.

    async def _proxied(self) -> Peer:
        """The peer that the header names.

        Raises `BadProxyHeader`, `OSError`, and `EOFError` if no byte came.
        """
        address = proxy_header.client(await self._header())
        if address is None:
            # What a proxy sends for a client without a name is the client's own writing.
            peer = self._shared.context.peer(self._sock.getpeername(), self._scheme)
            peer.trusted = False
            return peer
        return self._shared.context.peer((address, 0), self._scheme)

    async def _header(self) -> bytes:
        header = b""
        while not proxy_header.is_whole(header):
            try:
                seen = await self._peek(proxy_header.MAX_BYTES)
            except EOFError:
                raise (BadProxyHeader if header else EOFError) from None
            size = proxy_header.size(header + seen)
            header += self._sock.recv(size - len(header))
        return header

    def _refuse_header(self, why: str) -> None:
        self._shared.counts.proxy_headers_refused += 1
        _log.warning("a PROXY header from %s is refused: %s", self.peer.address, why)

    # TLS.

    async def _begin_tls(self, certificates: Certificates) -> None:
        """Do the handshake. Plain HTTP gets a refusal, and what is neither is closed.

        Raises `OSError`, and `EOFError` if no byte came.
        """
        first = await self._peek(1)
        if first == _HANDSHAKE:
            await self._do_handshake(certificates)
            return
        self._shared.counts.handshakes_failed += 1
        if first.isupper():  # a method (RFC 9110 §9.1)
            await self._hand_over(None, refusals.PLAIN_HTTP)
        else:
            self._sock.recv(_MAX_DROPPED_BYTES)  # unread bytes would make the close a reset

    async def _do_handshake(self, certificates: Certificates) -> None:
        """Raises `OSError`.

        uvloop closes a failed handshake in silence, so the alert that says why leaves by a copy of
        the socket.
        """
        with self._sock.dup() as copy:
            try:
                await self._hand_over(certificates)
            except ssl.SSLError as error:
                reason = error.reason or ""
                if "ALERT" not in reason:  # else the client has sent one
                    why = _PROTOCOL_VERSION if "PROTOCOL" in reason else _HANDSHAKE_FAILURE
                    with contextlib.suppress(OSError):
                        copy.send(_ALERT + why)
                raise

    async def _hand_over(
        self, certificates: Certificates | None, refusal: Refusal | None = None
    ) -> None:
        """Make a `ClientConnection`, with TLS or without. Raises `OSError`.

        refusal: all that it answers
        """
        context, clients = self._shared.context, self._shared.clients
        tls: dict[str, object] = {}
        if certificates is not None:
            tls = {
                "ssl": certificates.context,
                "ssl_handshake_timeout": context.settings.head,
                "ssl_shutdown_timeout": _SHUTDOWN_SECONDS,
            }
        self._stage = _Stage.OPEN
        await context.loop.connect_accepted_socket(
            lambda: _OpenedConnection(context, clients, self._client, self, refusal),
            self._sock,
            **tls,  # type: ignore[arg-type]
        )

    async def _peek(self, size: int) -> bytes:
        """The next bytes, which stay to be read. Raises `OSError`; `EOFError` at the end."""
        await self._readable()
        try:
            seen = self._sock.recv(size, socket.MSG_PEEK)
        except ConnectionResetError:
            seen = b""
        if not seen:
            raise EOFError
        return seen

    async def _readable(self) -> None:
        loop = self._shared.context.loop
        readable = loop.create_future()

        def wake() -> None:
            if not readable.done():
                readable.set_result(None)

        loop.add_reader(self._sock, wake)
        try:
            await readable
        finally:
            loop.remove_reader(self._sock)


class _OpenedConnection(ClientConnection):
    """A connection that takes over the place of its opening."""

    __slots__ = ("_opening", "_refusal")

    def __init__(
        self,
        context: Context,
        clients: Clients,
        peer: Peer,
        opening: Opening,
        refusal: Refusal | None,
    ) -> None:
        """`refusal`: all that the connection answers."""
        super().__init__(context, clients, peer)
        self._opening = opening
        self._refusal = refusal

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opening.leave()
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(_MAX_UNSENT_BYTES)
        if self._refusal is not None:
            self.refuse(self._refusal)

"""One server of an upstream: its places, connections and recent answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.core.http.balancing import ServerLoad
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares

if TYPE_CHECKING:
    from gateway.relay.upstream.connection import UpstreamConnection

# Opens a connection to one server.
Connect = Callable[[Callable[[], "UpstreamConnection"]], Awaitable[object]]

# How long a server's kept connections are not trusted after one was stale, in seconds. In this
# time, at most one request may be lost.
_STALE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a request waits for a server that cannot be reached, and until when.

    until: the end of its time (monotonic seconds)
    server: the server that was tried last
    cause: what was wrong there, for the log
    """

    until: float
    server: Server
    cause: str


class Waiter(Protocol):
    """A request that needs a connection, as servers and pools see it."""

    server: Server | None  # the server at which it has, or had, a place
    asked: frozenset[Server]  # servers that were sent the request in vain
    tried: frozenset[Server]  # those, and servers that could not be reached
    outage: Outage | None  # if it waits for a restart
    queued: bool  # it waits in a queue of the pool

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def waits(self) -> bool:
        """Whether it still needs a connection."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice."""

    @property
    def uploading(self) -> bool:
        """Whether it has a body that is still to come."""

    def postpones(self) -> bool:
        """Wait for the body first, and ask again when it has begun.

        False: the request goes on now.
        """

    def send(self, upstream: UpstreamConnection) -> None:
        """Sends the request over this connection."""

    def fail(self, refusal: Refusal) -> None:
        """It gets no connection."""

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """No server could be reached; `server` is the last one that was tried."""


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = (
        "_idle_timeout",
        "_is_only",
        "_log",
        "_upstream",
        "connect",
        "connections",
        "dialling",
        "idle",
        "idle_timeout",
        "is_gone",
        "label",
        "load",
        "shares",
        "stale_until",
    )

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        upstream: str,
        places: int,
        share: int,
        idle_timeout: float,
    ) -> None:
        """The server's name, and how it is reached.

        name: the server's, for the log
        upstream: the upstream's name, for the log
        places: how many requests it gets at the same time
        share: how many of the places one client may hold (percent; see `Shares`)
        idle_timeout: how long an idle connection is kept (seconds)
        """
        self.label = name.encode()
        self.connect = connect
        self.idle_timeout = idle_timeout
        self.is_gone = False  # the upstream has it no more
        self.connections: set[UpstreamConnection] = set()  # that are open
        self.dialling: set[Waiter] = set()  # for which one is being opened
        self.idle: list[UpstreamConnection] = []
        self.load = ServerLoad()  # a connection that is being opened counts as busy
        self.stale_until = (
            0.0  # kept connections may be stale until then (monotonic seconds; 0: never)
        )
        self.shares = Shares(places, share, self.holders)
        self._upstream = upstream
        self._idle_timeout = idle_timeout
        self._is_only = False  # the upstream has no other server
        # One logger for each upstream: repeated lines about one do not suppress those about others.
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    def holders(self) -> Iterable[str]:
        """The clients that hold its places, one for each place."""
        for connection in self.connections:
            if connection.exchange is not None:
                yield connection.exchange.network
        for waiter in self.dialling:
            yield waiter.network

    def join(self, *, is_only: bool) -> None:
        """Be one of the servers of the upstream, or its only one, from now on."""
        self.is_gone, self._is_only = False, is_only
        self.idle_timeout = self._idle_timeout

    def retire(self) -> None:
        """Be none of the servers of the upstream any more.

        Connections that carry a request are closed after it: they are kept for no time.
        """
        self.is_gone = True
        self.idle_timeout = 0.0
        self.discard_idle()

    def discard_idle(self) -> None:
        """Close the idle connections."""
        for connection in self.idle:
            connection.abort()
        self.idle.clear()

    # What its connections tell it.

    def opened(self, connection: UpstreamConnection) -> None:
        self.connections.add(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget a connection that has been closed by either side."""
        self.connections.discard(connection)
        if connection.exchange is None and connection in self.idle:
            self.idle.remove(connection)

    def answered(self) -> None:
        """Take the server back: it has answered over a new connection."""
        if self.load.ejected_until:
            self.load.reinstate()
            self._log.info("upstream %s: %s answers again", self._upstream, self.label.decode())

    def erred(self) -> None:
        """Count an answer of failure.

        A server that fails fast would get more and more requests otherwise.
        """
        self.load.errors += 1

    # What the pool and the exchanges tell it.

    def failed(self, why: str) -> None:
        """Eject the server, which has not answered, unless it is the only one.

        why: for the log
        """
        name = self.label.decode()
        if self._is_only or self.load.ejected_until:
            self._log.warning("upstream %s: %s: %s", self._upstream, name, why)
            return
        self.load.eject(time.monotonic())
        self._log.warning(
            "upstream %s: %s is passed over for a while: %s", self._upstream, name, why
        )

    def was_stale(self, *, is_lost: bool) -> None:
        """Note that a kept connection has ended under a request.

        So the server keeps connections for less time than the pool. For a while, requests that
        cannot be repeated get new connections.

        is_lost: whether the request cannot be repeated
        """
        self.stale_until = time.monotonic() + _STALE_SECONDS
        if is_lost:
            why = "closed a kept connection under a request (upstream_idle may be too long)"
            self._log.warning("upstream %s: %s: %s", self._upstream, self.label.decode(), why)

"""One server of an upstream: its places, its connections, and how it has answered of late."""

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

# For how long a server's kept connections are not trusted after one was stale (seconds): in so many
# minutes one request may be lost.
_STALE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a request waits for a server that cannot be reached, and until when.

    until: when it is refused (monotonic seconds)
    server: the one that was tried last
    cause: what was wrong there, for the log
    """

    until: float
    server: Server
    cause: str


class Waiter(Protocol):
    """A request that needs a connection, as servers and pools see it."""

    server: Server | None  # the one at which it has a place
    asked: frozenset[Server]  # servers that were sent the request in vain
    tried: frozenset[Server]  # those, and the ones that could not be reached
    outage: Outage | None  # why it is dialled again for, if it is
    queued: bool  # it waits in the pool, and has no place

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def waits(self) -> bool:
        """Whether it still needs one."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice."""

    @property
    def uploading(self) -> bool:
        """Whether it has a body that is still to come."""

    def postpones(self) -> bool:
        """Whether it waits for its body before it takes a place, and asks again then."""

    def send(self, upstream: UpstreamConnection) -> None:
        """Sends the request over this connection."""

    def fail(self, refusal: Refusal) -> None:
        """There is no connection for it."""

    def unreached(self, refusal: Refusal, server: Server, cause: str) -> None:
        """No server could be reached; `server` is the last one that was tried."""


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = (
        "_is_only",
        "_log",
        "_upstream",
        "connect",
        "connections",
        "dialling",
        "idle",
        "idle_timeout",
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
        is_only: bool,
        places: int,
        share: int,
        idle_timeout: float,
    ) -> None:
        """How the server is called and reached.

        name: what logs call it
        upstream: the upstream's name
        is_only: whether the upstream has no other server
        places: how many requests it gets at the same time
        share: how many of the places one client may hold (percent; see `Shares`)
        idle_timeout: for which a connection is kept (seconds)
        """
        self.label = name.encode()
        self.connect = connect
        self.idle_timeout = idle_timeout
        self.connections: set[UpstreamConnection] = set()  # that are open
        self.dialling: set[Waiter] = set()  # for which one is being opened
        self.idle: list[UpstreamConnection] = []
        self.load = ServerLoad()  # a place is taken by a connection that is being opened, too
        self.stale_until = 0.0  # so long kept connections may be stale (monotonic; 0: they are not)
        self.shares = Shares(places, share, self.holders)
        self._upstream = upstream
        self._is_only = is_only
        # By name, so that of a flood about one upstream nothing about others is left out.
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    def holders(self) -> Iterable[str]:
        """The clients that hold its places."""
        for connection in self.connections:
            if connection.exchange is not None:
                yield connection.exchange.network
        for waiter in self.dialling:
            yield waiter.network

    def discard_idle(self) -> None:
        """Closes the connections that carry nothing."""
        for connection in self.idle:
            connection.abort()
        self.idle.clear()

    # What its connections tell it.

    def opened(self, connection: UpstreamConnection) -> None:
        self.connections.add(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        """Forgets a connection that has been closed, by whichever side."""
        self.connections.discard(connection)
        if connection.exchange is None and connection in self.idle:
            self.idle.remove(connection)

    def answered(self) -> None:
        """It has answered over a new connection, so it is there (again)."""
        if self.load.ejected_until:
            self.load.reinstate()
            self._log.info("upstream %s: %s answers again", self._upstream, self.label.decode())

    def erred(self) -> None:
        """It has answered that it cannot; being quick at that must not make it popular."""
        self.load.errors += 1

    # What the pool and the exchanges tell it.

    def failed(self, why: str) -> None:
        """It has not answered: it is ejected, while there are others. The log says `why`."""
        name = self.label.decode()
        if self._is_only or self.load.ejected_until:
            self._log.warning("upstream %s: %s: %s", self._upstream, name, why)
            return
        self.load.eject(time.monotonic())
        self._log.warning(
            "upstream %s: %s is passed over for a while: %s", self._upstream, name, why
        )

    def was_stale(self, *, is_lost: bool) -> None:
        """A kept connection has ended under a request, which `is_lost` if it cannot be repeated.

        So the server keeps connections for less time than we do. For a while what cannot be
        repeated gets new ones.
        """
        self.stale_until = time.monotonic() + _STALE_SECONDS
        if is_lost:
            why = "closed a kept connection under a request (upstream_idle may be too long)"
            self._log.warning("upstream %s: %s: %s", self._upstream, self.label.decode(), why)

"""One server of an upstream: its places, connections and recent answers."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.core.http.balancing import EjectionRules, ServerLoad
from gateway.core.http.refusals import UPSTREAM_REFUSED, Refusal
from gateway.core.http.shares import Shares
from gateway.observe.access_record import label_of
from gateway.relay.upstream.ejection import Ejection

if TYPE_CHECKING:
    from gateway.core.http.circuit_breaker import CircuitBreaker
    from gateway.outbound.called_servers import ServerAddress
    from gateway.relay.upstream.connection import UpstreamConnection

# Opens a connection to one server.
Connect = Callable[[Callable[[], "UpstreamConnection"]], Awaitable[object]]

# How long a server's kept connections are not trusted after one was stale, in seconds. In this
# time, at most one request may be lost.
_STALE_SECONDS = 300.0

# The kind of errors that are answers; the others have the reason of their refusal.
_STATUS = "status"

# What the circuit breaker counts: a status by which proxies and overloaded servers say that nothing
# can be served. Any user's request can be a 500 or a 429.
_UNAVAILABLE = frozenset({502, 503, 504})


class Holder(Protocol):
    """A request, as far as its place at a server goes."""

    @property
    def network(self) -> str:
        """The client, as far as it can be told from others; else ""."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent twice."""


class Server:
    """One address of an upstream, with the connections to it."""

    __slots__ = (
        "_all_loads",
        "_ejection",
        "_idle_timeout",
        "_log",
        "_upstream",
        "at",
        "breaker",
        "connect",
        "connections",
        "dialling",
        "dials",
        "errors",
        "idle",
        "idle_timeout",
        "is_gone",
        "label",
        "load",
        "name",
        "opened_connections",
        "requests",
        "retries",
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
        at: ServerAddress | None = None,
        weight: int = 1,
        rules: EjectionRules = EjectionRules(),  # noqa: B008 (frozen)
        slow_start: float = 0.0,
    ) -> None:
        """The server's name, and how it is reached.

        name: the server's, for the log
        upstream: the upstream's name, for the log
        places: how many requests it gets at the same time
        share: how many of the places one client may hold (percent; see `Shares`)
        idle_timeout: how long an idle connection is kept (seconds)
        at: where the gateway's own calls reach it; None: they do not
        weight: its part of the requests, beside the others' weights
        rules: when it is ejected
        slow_start: how long it gets less than its part after it was away (seconds)
        """
        # Counts, for metrics.
        self.requests = 0  # that got a place, also those that are sent again
        self.dials = 0  # of new connections
        self.opened_connections = 0  # of those dials
        self.errors: Counter[str] = Counter()  # by kind: reasons of refusals, or "status"
        self.retries = 0  # requests that went to another server after this one
        self.name = name
        self.label = label_of(name)  # for records
        self.at = at
        self.connect = connect
        self.idle_timeout = idle_timeout
        self.is_gone = False  # the upstream no longer has it
        self.connections: set[UpstreamConnection] = set()  # that are open
        self.dialling: set[Holder] = set()  # for which one is being opened
        self.idle: list[UpstreamConnection] = []
        # A connection that is being opened counts as busy.
        self.load = ServerLoad(weight=weight, slow_start=slow_start)
        # Kept connections may be stale until then (monotonic seconds; 0: never).
        self.stale_until = 0.0
        self.shares = Shares(places, share, self.holders)
        self._upstream = upstream
        self._idle_timeout = idle_timeout
        self._all_loads: Sequence[ServerLoad] = (self.load,)  # of the upstream's servers
        self._ejection = Ejection(self.load, rules, name=name, upstream=upstream)
        self.breaker: CircuitBreaker | None = None
        # One logger for each upstream: repeated lines about one do not suppress those about others.
        self._log = logging.getLogger(f"gateway.upstreams.{upstream}")

    def holders(self) -> Iterable[str]:
        """The clients that hold its places, one for each place."""
        for connection in self.connections:
            if connection.exchange is not None:
                yield connection.exchange.network
        for waiter in self.dialling:
            yield waiter.network

    def free_place(self, waiter: Holder) -> None:
        """Take a place back."""
        self.load.busy -= 1
        if self.shares.counts:
            self.shares.give_back(waiter.network, self.load.busy)

    @property
    def takes_waiting(self) -> bool:
        """Whether free places go to requests that wait: not while others work and it does not."""
        if self.is_gone:
            return False
        is_away = self.load.ejected_until or self.load.is_unhealthy
        return not is_away or all(
            load.ejected_until or load.is_unhealthy for load in self._all_loads
        )

    @property
    def ejections(self) -> int:
        """How often it was passed over for a while."""
        return self._ejection.count

    @property
    def reused(self) -> int:
        """How many requests got a kept connection."""
        return self.requests - self.dials

    def join(self, loads: Sequence[ServerLoad], breaker: CircuitBreaker | None) -> None:
        """Be one of the servers of the upstream, or its only one, from now on.

        loads: of all its servers
        breaker: the upstream's; it is told of failures
        """
        self.is_gone = False
        self._ejection.join(loads)
        self._all_loads, self.breaker = loads, breaker
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
        self.opened_connections += 1

    def closed(self, connection: UpstreamConnection) -> None:
        """Forget a connection that has been closed by either side."""
        self.connections.discard(connection)
        if connection.exchange is None and connection in self.idle:
            self.idle.remove(connection)

    def answered(self, status: int) -> None:
        """Take the server back: it has answered over a new connection."""
        self._ejection.answered(status)

    def erred(self, request: object, status: int) -> None:
        """Count an answer of failure.

        A server that fails fast would get more and more requests otherwise.

        request: by what the breaker knows it
        """
        self.load.errors += 1
        if self.breaker is not None and status in _UNAVAILABLE:
            self.breaker.failed(request)
        if self._ejection.counts(status):
            self._ejection.failed(f"answers with {status}", self._successes)
        self.errors[_STATUS] += 1

    # What the pool and the exchanges tell it.

    def failed(self, request: object, why: str, refusal: Refusal = UPSTREAM_REFUSED) -> None:
        """Eject the server, which has not answered, unless it is the only one.

        request: by what the breaker knows it: its connection, or its waiter if it got none
        why: for the log
        refusal: what a client gets for it
        """
        if self.breaker is not None:
            self.breaker.failed(request)
        self._ejection.failed(why, self._successes)
        self.errors[refusal.reason] += 1

    @property
    def _successes(self) -> int:
        """How many requests have ended without a failure."""
        return self.requests - self.load.busy - self.load.calls - self.errors.total()

    def needs_new(self, waiter: Holder) -> bool:
        """Whether the request needs a new connection: it would be lost on a stale one."""
        if time.monotonic() > self.stale_until:
            self.stale_until = 0.0
        if not self.stale_until or waiter.is_repeatable:
            return False
        if self.idle:
            self.idle.pop(0).abort()  # the new one takes its place
        return True

    def was_stale(self, *, is_lost: bool) -> None:
        """Note that a kept connection has ended under a request.

        So the server keeps connections for less time than the pool. For a while, requests that
        cannot be repeated get new connections.

        is_lost: whether the request cannot be repeated
        """
        self.stale_until = time.monotonic() + _STALE_SECONDS
        if is_lost:
            why = "closed a kept connection under a request (upstream_idle may be too long)"
            self._log.warning("upstream %s: %s: %s", self._upstream, self.name, why)

"""The gateway's own calls at the servers of an upstream.

They go by what is known of the servers from requests and health checks, and add to it. Their
connections are their own: a call takes no place of a request.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.core.http import refusals
from gateway.core.http.balancing import FAILURES
from gateway.core.http.refusals import Refusal
from gateway.observe import causes
from gateway.outbound.backends import BackendFailed
from gateway.outbound.called_servers import ServerAddress
from gateway.relay.upstream.server import Server
from gateway.relay.upstream.waiter import Outage

if TYPE_CHECKING:
    from gateway.relay.upstream.policy import Sticky
    from gateway.relay.upstream.pool import Pool


class Call:
    """The attempts of one call, which is sent once."""

    is_repeatable = False

    def __init__(self, pool: Pool) -> None:
        self.asked: frozenset[Server] = frozenset()
        self.tried: frozenset[Server] = frozenset()  # that could not be reached
        self.outage: Outage | None = None  # if it waits for a restart
        self._pool = pool
        self._known = pool.known
        self._server: Server | None = None
        self._is_answered = False

    def affinity(self, _sticky: Sticky) -> bytes:
        """Nothing: there is no session yet, or it does not matter."""
        return b""

    @contextlib.contextmanager
    def server(self) -> Iterator[ServerAddress]:
        """The server to call next, which has one call more meanwhile.

        Raises `BackendFailed` if the upstream is left alone.
        """
        server = self._known.choose(self)
        if isinstance(server, Refusal):
            raise BackendFailed(server)
        assert server.at is not None
        self._server = server
        server.requests += 1
        server.dials += 1
        server.load.calls += 1
        try:
            yield server.at
        finally:
            server.load.calls -= 1
            self._known.ended(self, is_answered=self._is_answered)

    def unreached(self, error: OSError) -> bool:
        """Note that nothing could be sent. Whether another server is left to be tried."""
        server = self._called
        self._known.dial_failed(self, server, error)
        self._known.goes_on(self)
        self.tried |= {server}
        if self._known.has_other_than(self.tried):
            return True
        self._known.none_reached(self)
        return False

    def failed(self, why: str, refusal: Refusal) -> None:
        """Note that the server has not answered as a whole."""
        self._called.failed(self, why, refusal)
        if refusal is not refusals.UPSTREAM_SILENT:  # it may not have been reached
            self._pool.reached(self._called)

    def answered(self, status: int) -> None:
        """Note that an answer of the server has begun."""
        server = self._called
        self._is_answered = True
        server.opened_connections += 1
        server.answered(status)
        if status in FAILURES:
            server.erred(self, status)
        self._pool.reached(server)

    def waits(self, error: OSError) -> None:
        """Note that the call tries all servers again: they may restart."""
        self.outage = Outage(math.inf, self._called, causes.cause(error))
        self.tried = frozenset()

    def given_up(self, error: OSError) -> Refusal:
        """The refusal, since no server could be reached."""
        self._known.lost(self)
        return self._known.unreachable(error)

    @property
    def _called(self) -> Server:
        assert self._server is not None
        return self._server


class Calls:
    """The servers of a pool, for calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @property
    def try_for(self) -> float:
        """How long a call waits while no server can be reached (seconds)."""
        return self._pool.known.try_for

    def attempts(self) -> Call:
        """The attempts of one call."""
        return Call(self._pool)

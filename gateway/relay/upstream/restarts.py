"""Restarts: what becomes of requests while no server of an upstream can be reached."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.http.balancing import MAX_EJECTION_SECONDS
from gateway.observe import causes
from gateway.relay.upstream.server import Server
from gateway.relay.upstream.waiter import Outage, Request, Waiter

if TYPE_CHECKING:
    from gateway.relay.upstream.queues import Queues

# How long a pool waits before it dials again, in seconds. The pause doubles up to a tenth of a
# second, so that a person does not notice it when the server is back.
_FIRST_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.1

# How many requests may wait while no server of a pool can be reached: 200 a second for 5 seconds.
# Each of them may hold 64 KiB of its body, which has been read ahead.
_MAX_UNREACHED = 1000


class Restarts:
    """Has requests wait until a server is back, and dials with one of them from time to time.

    Several servers do not restart at the same time, unless config.yaml says so (`try_for`). Without
    that, `gives_up` is true: requests are refused at once while none can be reached, except for one
    at a time, which finds out whether one is back.
    """

    def __init__(
        self,
        queues: Queues,
        dial: Callable[[Waiter], None],
        *,
        try_for: float,
        connect_timeout: float,
    ) -> None:
        """How long requests wait, and where.

        dial: has a request try the servers
        try_for: how long a request waits, unless `gives_up` is true (seconds)
        connect_timeout: for one attempt (seconds)
        """
        self.all_are_away = False  # the last request that tried all servers reached none
        self.gives_up = False
        self._failed_at = -math.inf  # when that was (monotonic seconds)
        self._next_probe = 0.0  # monotonic seconds
        self._queues = queues
        self._dial = dial
        self._try_for = try_for
        self._connect_timeout = connect_timeout
        self._pause = _FIRST_PAUSE_SECONDS
        self._redial: asyncio.TimerHandle | None = None  # while requests wait

    @property
    def try_for(self) -> float:
        """How long a request waits (seconds)."""
        return 0.0 if self.gives_up else self._try_for

    def refuse(self, now: float) -> bool:
        """Whether a request is refused at once. One that is not finds out for the others."""
        if not (self.gives_up and self.all_are_away):
            return False
        if now > self._failed_at + MAX_EJECTION_SECONDS:
            self.end()  # what was known is too old
            return False
        if now < self._next_probe:
            return True
        self._next_probe = now + self._connect_timeout  # if this one never ends
        return False

    def have_wait(self, waiter: Waiter, server: Server, error: OSError) -> bool:
        """Have a request wait that has tried all servers.

        False if no restart explains the error, or there is no time or no room for it.

        server, error: the last one, and what was wrong there
        """
        now = time.monotonic()
        self.none_reached(waiter, now)
        if not causes.may_pass(error):
            return False
        until = now + self.try_for if waiter.outage is None else waiter.outage.until
        if until <= now or not self._queues.have_room(waiter, places=_MAX_UNREACHED):
            return False
        waiter.outage = Outage(until, server, causes.cause(error))
        waiter.tried = waiter.asked
        self._queues.wait(waiter)
        if self._redial is None:
            self._redial_soon()
        return True

    def none_reached(self, request: Request, now: float) -> None:
        """Note that a request has tried all servers, and none could be reached."""
        if not request.asked:  # else one was
            self.all_are_away, self._failed_at = True, now
            self._next_probe = now + _MAX_PAUSE_SECONDS

    def end(self) -> None:
        """Note that a server can be reached."""
        self.all_are_away = False
        self._pause = _FIRST_PAUSE_SECONDS

    def close(self) -> None:
        """Dial no more."""
        if self._redial is not None:
            self._redial.cancel()

    def _redial_soon(self) -> None:
        self._redial = asyncio.get_running_loop().call_later(self._pause, self._dial_again)

    def _dial_again(self) -> None:
        """Find out with one of the waiters whether a server is back."""
        self._redial = None
        waiter = self._queues.in_outage()
        if waiter is None:
            self._pause = _FIRST_PAUSE_SECONDS
            return
        self._pause = min(2 * self._pause, _MAX_PAUSE_SECONDS)
        self._redial_soon()
        self._queues.remove(waiter)
        self._dial(waiter)

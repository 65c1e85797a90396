"""Load balancing: the choice of a server for the next request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A server is ejected for 2 s, about the time of a backend's restart, and for twice as long each
# time that it fails again, up to half a minute. nginx's `fail_timeout` is 10 s.
FIRST_EJECTION_SECONDS = 2.0
MAX_EJECTION_SECONDS = 30.0

# The part of an error that is left after each call of `ServerLoad.forget`, and the part that counts
# no more. With two calls a second, one error is forgotten after 9 s.
_KEPT = 7 / 8
_FORGOTTEN = 0.1


@dataclass(slots=True)
class ServerLoad:
    """The requests in flight and the recent errors of one server."""

    busy: int = 0  # requests in flight
    errors: float = 0.0  # recent errors; an older one counts less
    ejected_until: float = 0.0  # seconds on the caller's clock; 0 if it has not been ejected
    ejections: int = 0  # in a row

    def eject(self, now: float) -> None:
        """Pass the server over, for longer each time.

        An ejected server is not ejected again.
        """
        if now < self.ejected_until:
            return
        # A higher power of two is over the limit anyway.
        seconds = FIRST_EJECTION_SECONDS * 2 ** min(self.ejections, 10)
        self.ejected_until = now + min(seconds, MAX_EJECTION_SECONDS)
        self.ejections += 1

    def reinstate(self) -> None:
        """The server has answered: it gets requests again."""
        self.ejected_until, self.ejections = 0.0, 0

    def forget(self) -> None:
        """Make the recent errors count less."""
        self.errors *= _KEPT
        if self.errors < _FORGOTTEN:
            self.errors = 0.0


def pick(loads: Sequence[ServerLoad], turn: int, now: float, *, probes: bool = True) -> int:
    """The index of the least loaded server that is not ejected.

    Servers with the same load take turns. A recent error counts as a request in flight. Otherwise
    the server that fails fastest would have the fewest requests and get the most (Site Reliability
    Engineering, chapter 20: a sinkhole). If all servers are ejected, all are tried, because one of
    them may be back.

    loads: of the servers
    turn: the server to begin with
    now: seconds on the caller's clock
    probes: whether the request may go to a server whose ejection has passed, and find that it still
        fails; other requests wait for the longest ejection more
    """
    since = now if probes else now - MAX_EJECTION_SECONDS
    count = len(loads)
    chosen, least = 0, (True, float("inf"))
    for step in range(count):
        index = (turn + step) % count
        load = loads[index]
        is_out = load.ejected_until != 0 and load.ejected_until > since
        rank = (is_out, load.busy + load.errors)
        if rank < least:
            chosen, least = index, rank
    return chosen

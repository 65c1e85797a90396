"""Load balancing: the choice of a server for the next request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# How long a server is ejected: 2 s is about what a backend's restart takes, and twice as long each
# time that it fails again, up to half a minute. nginx's `fail_timeout` is 10 s.
FIRST_EJECTION_SECONDS = 2.0
MAX_EJECTION_SECONDS = 30.0

# What is left of an error after each call of `Standing.forget`, and when it counts no more. Called
# twice a second, one error is forgotten after 9 s, and many weigh as their number in 4 s.
_KEPT = 7 / 8
_FORGOTTEN = 0.1


@dataclass(slots=True)
class Standing:
    """What is known of one server."""

    busy: int = 0  # requests in flight
    errors: float = 0.0  # recent ones; the older, the less they count
    ejected_until: float = 0.0  # seconds on the caller's clock; 0 if it has not been ejected
    ejections: int = 0  # in a row

    def eject(self, now: float) -> None:
        """Pass the server over, for longer each time.

        No longer than that if it is already.
        """
        if now < self.ejected_until:
            return
        # Two to the power of more than this is beyond the limit anyway.
        seconds = FIRST_EJECTION_SECONDS * 2 ** min(self.ejections, 10)
        self.ejected_until = now + min(seconds, MAX_EJECTION_SECONDS)
        self.ejections += 1

    def reinstate(self) -> None:
        """The server has answered: it is like any other again."""
        self.ejected_until, self.ejections = 0.0, 0

    def forget(self) -> None:
        """Let what errors there were weigh less."""
        self.errors *= _KEPT
        if self.errors < _FORGOTTEN:
            self.errors = 0.0


def pick(standings: Sequence[Standing], turn: int, now: float, *, probes: bool = True) -> int:
    """The index of the least loaded server that is not ejected.

    Equals take turns.

    probes: whether the request may find out that a server whose ejection has passed still fails.
        Others wait for the longest ejection more, in which there may be one that does.
    A recent error counts as a request in flight, or the server that fails fastest would have the
    fewest and get the most (Site Reliability Engineering, chapter 20: a sinkhole).
    When all are ejected, all are tried: a guess at which is back beats refusing every request.
    """
    since = now if probes else now - MAX_EJECTION_SECONDS
    count = len(standings)
    chosen, least = 0, (True, float("inf"))
    for step in range(count):
        index = (turn + step) % count
        standing = standings[index]
        is_out = standing.ejected_until != 0 and standing.ejected_until > since
        load = (is_out, standing.busy + standing.errors)
        if load < least:
            chosen, least = index, load
    return chosen

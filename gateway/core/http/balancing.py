"""Load balancing: the choice of a server for the next request, and what is known of servers."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A server is ejected for 2 s, about the time of a backend's restart, and for twice as long each
# time that it fails again, up to half a minute. nginx's `fail_timeout` is 10 s.
FIRST_EJECTION_SECONDS = 2.0
MAX_EJECTION_SECONDS = 30.0

# Statuses by which a server says that it cannot do what it is asked for.
FAILURES = frozenset({429, *range(500, 600)})

# The part of an error that is left after each call of `ServerLoad.forget`, and the part that counts
# no more. With two calls a second, one error is forgotten after 9 s.
_KEPT = 7 / 8
_FORGOTTEN = 0.1

# How many servers are looked at by `Turns` before it gives up.
_MAX_MISSED = 8

# A server that starts slowly begins with a tenth of its weight, as Envoy's does.
_MIN_RAMP = 0.1


@dataclass(frozen=True, slots=True)
class EjectionRules:
    """When a server is ejected, and for how long.

    after: failures in a row
    statuses: of answers that count as failures
    first: the first ejection (seconds); each one more in a row is twice as long
    longest: the longest one (seconds)
    max_percent: how many of the servers may be ejected at the same time
    """

    after: int = 1
    statuses: frozenset[int] = frozenset()
    first: float = FIRST_EJECTION_SECONDS
    longest: float = MAX_EJECTION_SECONDS
    max_percent: int = 100

    def seconds(self, ejections: int) -> float:
        """How long the next ejection is, after so many in a row."""
        # A higher power of two is over the limit anyway.
        return min(self.first * (1 << min(ejections, 10)), self.longest)

    def allows_one_more(self, loads: Sequence[ServerLoad]) -> bool:
        """Whether one more of these servers may be ejected."""
        out = sum(load.ejected_until != 0 for load in loads)
        return 100 * (out + 1) <= self.max_percent * len(loads)


_RULES = EjectionRules()


@dataclass(slots=True)
class ServerLoad:
    """The requests in flight and the recent errors of one server."""

    busy: int = 0  # requests in flight
    calls: int = 0  # the gateway's own ones, which are under way
    errors: float = 0.0  # recent errors; an older one counts less
    ejected_until: float = 0.0  # seconds on the caller's clock; 0 if it has not been ejected
    ejections: int = 0  # in a row
    weight: int = 1  # its part of the requests, beside the others' weights
    is_unhealthy: bool = False  # its health checks fail
    turn: float = 0.0  # a request costs 1/weight: the lowest turn is the next one
    slow_start: float = 0.0  # how long it takes to get its whole part after it was away (seconds)
    is_probed: bool = False  # a request finds out whether it is back, since its ejection has passed
    back_since: float = 0.0  # the begin of that time (the caller's clock); 0: it is over

    def eject(self, now: float, rules: EjectionRules = _RULES) -> None:
        """Pass the server over, for longer each time.

        An ejected server is not ejected again.
        """
        if now < self.ejected_until:
            return
        self.ejected_until = now + rules.seconds(self.ejections)
        self.ejections += 1

    def probe(self, now: float, rules: EjectionRules = _RULES) -> None:
        """Send it a request that finds out whether it is back.

        Until that is known, it is ejected for longer.
        """
        self.is_probed |= now >= self.ejected_until
        self.eject(now, rules)

    def forget_probe(self, now: float) -> None:
        """Have the next request probe: this one's client has gone, which says nothing."""
        self.ejected_until, self.is_probed = now, False
        self.ejections -= 1

    def reinstate(self, now: float) -> None:
        """Give the server requests again: it has answered."""
        self.ejected_until, self.ejections, self.is_probed = 0.0, 0, False
        self.start_slowly(now)

    def start_slowly(self, now: float) -> None:
        """Get a small part of the requests first, if config.yaml says so."""
        if self.slow_start:
            self.back_since = now

    def is_out(self, since: float) -> bool:
        """Whether it gets no requests: ejected until after `since`, or found unhealthy."""
        return self.is_unhealthy or (self.ejected_until != 0 and self.ejected_until > since)

    def weight_at(self, now: float) -> float:
        """The weight, which grows while the server starts slowly."""
        if not self.back_since:
            return self.weight
        ramp = (now - self.back_since) / self.slow_start
        if ramp >= 1:
            self.back_since = 0.0
            return self.weight
        return self.weight * max(ramp, _MIN_RAMP)

    def forget(self) -> None:
        """Make the recent errors count less."""
        self.errors *= _KEPT
        if self.errors < _FORGOTTEN:
            self.errors = 0.0


def pick(
    loads: Sequence[ServerLoad],
    turn: float,
    now: float,
    *,
    probes: bool = True,
    by_turns: bool = False,
    longest: float = MAX_EJECTION_SECONDS,
) -> int:
    """The index of the server that gets the next request. `take_turn` follows.

    It is the least busy one for its weight, of those that are not ejected or unhealthy. Servers
    with the same load take turns by their weights (stride scheduling, C. A. Waldspurger and
    W. E. Weihl, 1995). A recent error counts as a request in flight. Otherwise the server that
    fails fastest would have the fewest requests and get the most (Site Reliability Engineering,
    chapter 20: a sinkhole). If all servers are out, those that are ejected are tried, because one
    of them may be back, and unhealthy ones only if there is no other.

    loads: of the servers
    turn: what `take_turn` returned last
    now: seconds on the caller's clock
    probes: whether the request may go to a server whose ejection has passed, and find that it still
        fails; other requests wait for the longest ejection more
    by_turns: the load does not count (round robin)
    longest: the longest ejection (seconds)
    """
    since = now if probes else now - longest
    chosen, least = 0, (math.inf, math.inf, math.inf)
    for index, load in enumerate(loads):
        busy = 0.0 if by_turns else (load.busy + load.calls + load.errors) / load.weight_at(now)
        rank = (load.is_out(since) + load.is_unhealthy, busy, max(load.turn, turn))
        if rank < least:
            chosen, least = index, rank
    return chosen


def take_turn(load: ServerLoad, turn: float, now: float) -> float:
    """Count the request that the server gets. Returns the turn for the next `pick`.

    A server that was away catches up on nothing: its turn is never before that of the last request.
    """
    begins = max(load.turn, turn)
    load.turn = begins + 1 / load.weight_at(now)
    return begins


class Turns:
    """Many servers in the order of their turns.

    It is the choice of `pick` by turns, in logarithmic time.
    """

    def __init__(self, loads: Sequence[ServerLoad]) -> None:
        self._loads = loads
        self._next = [(load.turn, index) for index, load in enumerate(loads)]  # a heap
        heapq.heapify(self._next)

    def pick(self, turn: float, now: float) -> int | None:
        """The index of the server whose turn it is. `take_turn` follows.

        A server that is out misses its turn. None if so many are out that all have to be looked at.
        """
        for _ in range(_MAX_MISSED):
            seen, index = self._next[0]
            load = self._loads[index]
            if seen == load.turn:
                if not load.is_out(now):
                    return index
                take_turn(load, turn, now)
            heapq.heapreplace(self._next, (load.turn, index))
        return None


def preferred(key: bytes, labels: Iterable[tuple[bytes, int]]) -> list[int]:
    """The indexes of servers in the order in which they serve a key.

    It is the same order in all processes, without any state, and a server that comes or goes moves
    its own keys alone (rendezvous hashing, D. G. Thaler and C. V. Ravishankar, 1996; its weights
    are those of C. Schindelhauer and G. Schomaker, 2005).

    key: secret or not: no server can be told from it, nor it from a server
    labels: each server's name and weight
    """
    digest = hashlib.blake2b(key).digest()
    scores = [weight / -math.log(_point(digest, label)) for label, weight in labels]
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)


def _point(digest: bytes, label: bytes) -> float:
    """A number between 0 and 1 for a key, by its digest, at a server; both exclusive."""
    point = hashlib.blake2b(label, digest_size=6, key=digest).digest()
    return (int.from_bytes(point) + 0.5) / 2**48

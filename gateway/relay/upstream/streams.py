"""The places of streams: event streams and tunnels, which last for hours.

They are counted apart from requests, so that open streams take no request's place.
"""

from __future__ import annotations

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.http.shares import Shares
from gateway.relay.upstream.waiter import Waiter


class StreamPlaces:
    """The streams that are open at an upstream, by client."""

    __slots__ = ("_full", "_shares", "_waiters", "open", "places", "refused")

    def __init__(self, places: int, share: int, full: Refusal) -> None:
        """How many streams may be open.

        places: in this worker
        share: how many of the places one client may hold (percent; see `Shares`)
        full: the refusal of one more
        """
        self.places = places
        self.open = 0
        self.refused = 0  # streams too many, so far
        self._full = full
        self._waiters: set[Waiter] = set()
        self._shares = Shares(places, share, lambda: (held.network for held in self._waiters))

    def take(self, waiter: Waiter) -> Refusal | None:
        """Give an exchange a place, or the refusal that it gets."""
        if not self._shares.allows(waiter.network, self.open):
            self.refused += 1
            return self._full if self.open >= self.places else refusals.OVER_SHARE
        self.open += 1
        self._waiters.add(waiter)
        if self._shares.counts:
            self._shares.take(waiter.network)
        return None

    def give_back(self, waiter: Waiter) -> None:
        """Take a place back: the stream has ended."""
        self.open -= 1
        self._waiters.discard(waiter)
        if self._shares.counts:
            self._shares.give_back(waiter.network, self.open)

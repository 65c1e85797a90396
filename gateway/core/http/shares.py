"""Shares of limited places: no client may take all of them (wire-rules.md#D12).

The fewer places are free, the fewer one client may hold. By a share of a half, as many as are free:
so a client that takes what it can gets a half of them, the next one a half of the others, and there
are some for the next client (the dynamic thresholds of A. K. Choudhury and E. L. Hahne, 1998).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


class Shares:
    """Who holds how many of a number of places.

    That is counted only while so many are taken that it can matter; before, which is nearly always,
    a place costs a comparison. While `counts`, each place that is taken or given back is reported.
    A client is named by its network; "" cannot be told from others, and has no share.
    """

    __slots__ = ("_always", "_held", "_holders", "_percent", "_places", "counts", "crowded")

    def __init__(
        self, places: int, percent: int, holders: Callable[[], Iterable[str]], *, always: int = 0
    ) -> None:
        """What the shares are of, and how large they are.

        places: how many there are
        percent: how many of them one client may hold while no other client holds any
        holders: gives the clients that hold places now, one for each place
        always: how many a client may hold, however few are free
        """
        self.crowded = places * percent // 100  # up to here, any client may take the next place
        self.counts = False
        self._places = places
        self._percent = percent
        self._always = always
        self._holders = holders
        self._held: Counter[str] = Counter()

    def allows(self, client: str, taken: int) -> bool:
        """Whether a client may take one more place, when so many are taken by all."""
        return taken < self._places and not self.exhausted(client, taken)

    def exhausted(self, client: str, taken: int) -> bool:
        """Whether a client has all that it may have, when so many places are taken by all."""
        if taken < self.crowded or not client:
            return False
        if not self.counts:
            self._held, self.counts = Counter(self._holders()), True
        held, free = self._held[client], max(self._places - taken, 0)
        return held >= self._always and held * (100 - self._percent) > free * self._percent

    def take(self, client: str) -> None:
        """A client has taken a place."""
        self._held[client] += 1

    def give_back(self, client: str, taken: int) -> None:
        """A client has given a place back, and so many are taken now."""
        self._held[client] -= 1
        if self._held[client] <= 0:
            del self._held[client]
        if taken < self.crowded // 2:
            self.counts = False

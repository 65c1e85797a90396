"""Shares of places: no client may take all of them (wire-rules.md#D12).

The fewer places are free, the fewer one client may hold. With a share of a half, a client may hold
as many places as are free. So the first greedy client gets a half of all places, the second one a
half of the rest, and some are left for the next client (the dynamic thresholds of A. K. Choudhury
and E. L. Hahne, 1998).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


def is_beyond(held: int, free: int, percent: int) -> bool:
    """Whether a client that holds places has more than its share, while some are free."""
    return held * (100 - percent) > free * percent


class Shares:
    """Counts the places that each client holds.

    It counts only while so many places are taken that a share can matter. Before that, which is
    nearly always, a place costs one comparison. While `counts` is true, the caller reports each
    place that is taken or given back. A client is named by its network; "" names a client that
    cannot be told from others, and has no share.
    """

    __slots__ = ("_always", "_held", "_holders", "_percent", "_places", "counts", "crowded")

    def __init__(
        self, places: int, percent: int, holders: Callable[[], Iterable[str]], *, always: int = 0
    ) -> None:
        """Set the number of places and the size of a share.

        places: the number of all places
        percent: the part of them that one client may hold while no other client holds any
        holders: gives the clients that hold places now, one for each place
        always: the number that a client may hold even if fewer are free
        """
        self.crowded = places * percent // 100  # up to here, any client may take the next place
        self.counts = False
        self._places = places
        self._percent = percent
        self._always = always
        self._holders = holders
        self._held: Counter[str] = Counter()

    def allows(self, client: str, taken: int) -> bool:
        """Whether a client may take one more place.

        `taken` counts the places of all clients.
        """
        return taken < self._places and not self.exhausted(client, taken)

    def exhausted(self, client: str, taken: int) -> bool:
        """Whether a client holds its whole share.

        `taken` counts the places of all clients.
        """
        if taken < self.crowded or not client:
            return False
        if not self.counts:
            self._held, self.counts = Counter(self._holders()), True
        held, free = self._held[client], max(self._places - taken, 0)
        return held >= self._always and is_beyond(held, free, self._percent)

    def take(self, client: str) -> None:
        """Count a place that a client has taken."""
        self._held[client] += 1

    def give_back(self, client: str, taken: int) -> None:
        """Count a place that a client has given back.

        `taken` counts the places of all clients.
        """
        self._held[client] -= 1
        if self._held[client] <= 0:
            del self._held[client]
        if taken < self.crowded // 2:
            self.counts = False

"""Which of several servers gets the next request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Standing:
    """What is known of one server: requests in flight, and until when it is passed over."""

    busy: int = 0
    shunned_until: float = 0.0  # seconds on the caller's clock


def pick(standings: Sequence[Standing], turn: int, now: float) -> int:
    """The index of the least busy server that is not shunned; equals take turns.

    When all are shunned, each gets its chance: a guess at who is back beats refusing everybody.
    """
    count = len(standings)
    order = [(turn + step) % count for step in range(count)]
    return min(
        order, key=lambda index: (standings[index].shunned_until > now, standings[index].busy)
    )

"""A circuit breaker: an upstream that mostly fails is left alone for a while.

Open, it refuses all requests at once. After that time it is half open: one request at a time tries
the upstream, and the breaker closes if that one gets an answer (M. Nygard, Release It!, 2007).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class CircuitBreaker:
    """Judges an upstream by its last requests.

    percent: how many of them may fail
    of: how many are looked at
    open_for: how long it stays open (seconds)
    is_calm: it is closed, and has nothing to count until a request fails: none of the last `of`
        requests has
    """

    percent: int
    of: int
    open_for: float
    openings: int = 0
    refused: int = 0
    open_until: float = 0.0  # seconds on the caller's clock; 0: it is closed
    is_calm: bool = False
    _is_half_open: bool = False  # a trial is under way
    _failed: deque[bool] = field(default_factory=deque)  # of the last requests
    _failing: set[object] = field(default_factory=set)  # requests that have not ended

    def allows(self, now: float) -> bool:
        """Whether a request may go on. One that may while it is half open is a trial."""
        if not self.open_until:
            return True
        if now < self.open_until:
            self.refused += 1
            return False
        self.open_until = now + self.open_for  # the next trial, if this one never ends
        self._is_half_open = True
        return True

    def failed(self, request: object) -> None:
        """Note a failure of a request that ends later. Several failures of one count once."""
        self._failing.add(request)
        self.is_calm = False

    def forgive(self, request: object) -> None:
        """Forget the failures of a request that goes on, at another server or later."""
        self._failing.discard(request)

    def ended(self, request: object, now: float, *, is_answered: bool = True) -> bool:
        """Count a request that has ended. True if the breaker opens by it.

        request: what `failed` was told
        is_answered: false if its client went before the answer, which says nothing of the upstream
        """
        has_failed = request in self._failing
        self._failing.discard(request)
        if not (has_failed or is_answered):
            return False
        if self.open_until:
            if self._is_half_open:  # else the request began before the breaker opened
                self._is_half_open = False
                self.open_until = now + self.open_for if has_failed else 0.0
            return False
        self._failed.append(has_failed)
        if len(self._failed) > self.of:
            self._failed.popleft()
        is_full, failed = len(self._failed) == self.of, sum(self._failed)
        self.is_calm = is_full and not (failed or self._failing)
        if not is_full or failed * 100 < self.percent * self.of:
            return False
        self._failed.clear()
        self.open_until = now + self.open_for
        self.openings += 1
        return True

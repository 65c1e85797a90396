"""A budget for retries: they may add a part to the requests, and no more.

Without one, requests that are sent twice double the load of servers that are already failing
(Finagle's `RetryBudget` and Envoy's `retry_budget` are such ones).
"""

from __future__ import annotations

from dataclasses import dataclass

# Requests and retries are compared over so long, as in Finagle.
_WINDOW_SECONDS = 10.0


@dataclass(slots=True)
class RetryBudget:
    """Counts retries, and compares them with the requests of about the last ten seconds.

    A request that is not sent again costs nothing.
    """

    percent: int = 20  # of the requests
    per_second: float = 10.0  # retries that are always allowed
    retries: int = 0  # that were allowed
    refused: int = 0
    _began: float = 0.0  # of the window (the caller's clock)
    _requests: int = 0  # until then
    _spent: int = 0  # retries in the window
    _requests_before: int = 0  # in the window before
    _spent_before: int = 0

    def take(self, requests: int, now: float) -> bool:
        """Whether one more request may be sent again.

        requests: all that have come until now
        now: seconds on the caller's clock
        """
        self.sweep(requests, now)
        # So much of the window before lies within the last ten seconds.
        part = 1 - (now - self._began) / _WINDOW_SECONDS
        spent = self._spent + part * self._spent_before
        counted = max(requests - self._requests, 0) + part * self._requests_before
        if spent + 1 > self.per_second * _WINDOW_SECONDS + counted * self.percent / 100:
            self.refused += 1
            return False
        self._spent += 1
        self.retries += 1
        return True

    def sweep(self, requests: int, now: float) -> None:
        """Begin a new window if this one is over.

        It is called from time to time, since the requests before the first failure count, too.
        """
        seconds = now - self._began
        if seconds < _WINDOW_SECONDS:
            return
        follows = seconds < 2 * _WINDOW_SECONDS
        self._requests_before = max(requests - self._requests, 0) if follows else 0
        self._spent_before = self._spent if follows else 0
        self._began, self._requests, self._spent = now, requests, 0

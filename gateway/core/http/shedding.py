"""Load shedding: which part of the requests is refused while there is too much to do.

What is measured is the delay of the event loop: how late it does what is due, which is what each
event waits. As in CoDel (RFC 8289), one long delay means nothing: the delay has to stay. Then a
growing part of the new requests is refused, and a shrinking one once it is short again.
"""

from __future__ import annotations

from collections import deque

# How many measurements say whether a delay stays.
_MEASUREMENTS = 5

# By how many percent the refused part grows and shrinks with each measurement. Some requests always
# pass: if all were refused, clients that try again at once would keep the loop busy for nothing.
_GROWTH, _SHRINKAGE, _MAX_REFUSED = 10, 5, 90


class Shedding:
    """Decides for each request whether it is refused."""

    __slots__ = ("_credit", "_delays", "_target", "delay", "percent", "refused")

    def __init__(self, target: float) -> None:
        """`target` is the delay above which requests are refused (seconds)."""
        self.delay = 0.0  # the last one (seconds), for the metrics
        self.percent = 0  # the part of the requests that is refused now
        self.refused = 0  # requests, for the metrics
        self._target = target
        self._delays: deque[float] = deque(maxlen=_MEASUREMENTS)
        self._credit = 0

    def measured(self, delay: float) -> None:
        """Take note of how late the loop was (seconds)."""
        self.delay = delay
        self._delays.append(delay)
        stays = len(self._delays) == _MEASUREMENTS and self._median > self._target
        change = _GROWTH if stays else -_SHRINKAGE
        self.percent = min(max(self.percent + change, 0), _MAX_REFUSED)

    @property
    def _median(self) -> float:
        """The delay in the middle. `statistics` would take half a MiB of each worker."""
        return sorted(self._delays)[_MEASUREMENTS // 2]

    def refuses(self) -> bool:
        """Whether the next request is refused. Refusals are spread evenly."""
        self._credit += self.percent
        if self._credit < 100:
            return False
        self._credit -= 100
        self.refused += 1
        return True

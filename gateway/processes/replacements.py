"""When workers that have ended are replaced.

It is at once for one that has served, and after pauses that become longer for others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# A worker that ends sooner after its start counts as a failed start.
_SHORT_LIFE_SECONDS = 5.0
_MAX_SHORT_LIVES = 5
_FIRST_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 2.0


@dataclass
class Replacements:
    """The workers that are to be replaced, by their numbers."""

    _due: dict[int, float] = field(default_factory=dict)  # monotonic seconds
    _short_lives: int = 0  # in a row

    def __bool__(self) -> bool:
        return bool(self._due)

    @property
    def are_hopeless(self) -> bool:
        """Whether too many workers in a row have lived short lives."""
        return self._short_lives >= _MAX_SHORT_LIVES

    def add(self, number: int, *, started: float, was_ready: bool) -> None:
        """Plan to replace a worker that has ended; `started` is monotonic seconds."""
        if was_ready and time.monotonic() - started >= _SHORT_LIFE_SECONDS:
            self._short_lives = 0
            self._due[number] = time.monotonic()
        else:
            self.postpone(number)

    def postpone(self, number: int) -> None:
        """Plan to replace a worker that failed, or could not start, after a pause."""
        self._short_lives += 1
        pause = _FIRST_PAUSE_SECONDS * 2 ** (self._short_lives - 1)
        self._due[number] = time.monotonic() + min(pause, _MAX_PAUSE_SECONDS)

    def take_due(self) -> list[int]:
        """The numbers of the workers to replace now, which are taken out."""
        now = time.monotonic()
        numbers = [number for number, due in self._due.items() if due <= now]
        for number in numbers:
            del self._due[number]
        return numbers

"""The revocation latency: the time until a revocation is pushed back.

Every gateway gets the same push as this worker's tracking connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# How many revocations may wait for their push, at about 150 bytes each. Some wait forever: those of
# sessions that did not exist, and those whose push was lost with its connection.
_MAX_ASKED = 10_000


class RevocationLatency:
    """Measures the revocations that wait for their push."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        """`observe` is called with how long a revocation took (seconds)."""
        self._observe = observe
        self._asked: dict[str, float] = {}  # session id → monotonic seconds

    def asked(self, session_id: str) -> None:
        """Begin to measure: Redis is asked to end the session."""
        if len(self._asked) >= _MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        self._asked.setdefault(session_id, time.monotonic())

    def pushed(self, session_id: str) -> None:
        """Observe the revocation of a session, if it was one: Redis has pushed its change."""
        asked = self._asked.pop(session_id, None)
        if asked is not None:
            self._observe(time.monotonic() - asked)

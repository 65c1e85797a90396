"""How long a revocation takes to come back as a push, which is how fast a logout is everywhere.

The push that this worker's tracking connection gets is the one that every gateway gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# How many revocations may be on their way, at about 150 bytes each. Nothing is ever heard of a
# session that there was not, nor of one whose push was lost with its connection.
_MAX_ASKED = 10_000


class RevocationLatency:
    """The revocations that have been asked of Redis, and have not been pushed yet."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        """`observe` is told of each how long it took, in seconds."""
        self._observe = observe
        self._asked: dict[str, float] = {}  # session id → monotonic seconds

    def asked(self, session_id: str) -> None:
        """Redis is being asked to end the session."""
        if len(self._asked) >= _MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        self._asked.setdefault(session_id, time.monotonic())

    def pushed(self, session_id: str) -> None:
        """A change of the session has been pushed."""
        asked = self._asked.pop(session_id, None)
        if asked is not None:
            self._observe(time.monotonic() - asked)

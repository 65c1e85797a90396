"""A worker's log for operators, which repeated messages do not fill."""

from __future__ import annotations

import logging
import time
from collections import Counter

_WINDOW_SECONDS = 60.0  # seconds

# Records of a kind in a window: enough to see what is wrong.
_MAX_ALIKE = 20

# Kinds that are told apart. The gateway has far fewer messages; a library may make up new ones.
_MAX_KINDS = 1000


def limit_repeats() -> None:
    """Limit what this process logs by `RepeatFilter`, on every handler."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatFilter())


class RepeatFilter(logging.Filter):
    """Passes the first records of a kind in a window.

    A later one says how many were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ends = 0.0
        self._passed: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record passes. A kind is one message of one logger."""
        now = time.monotonic()
        if now >= self._ends:
            self._ends = now + _WINDOW_SECONDS
            self._passed.clear()
            if len(self._left_out) > _MAX_KINDS:
                self._left_out.clear()
        kind = f"{record.name} {record.msg}"
        if kind not in self._passed and len(self._passed) >= _MAX_KINDS:
            kind = ""
        if self._passed[kind] >= _MAX_ALIKE:
            self._left_out[kind] += 1
            return False
        self._passed[kind] += 1
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            text = record.getMessage()
            record.msg, record.args = f"{text} (and {left_out} more that were left out)", ()
        return True

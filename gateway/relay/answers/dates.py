"""The Date of answers that come without one (RFC 9110 §6.6.1)."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache


def now() -> str:
    """The date of this second, in the form of RFC 9110 §5.6.7."""
    return _at(int(time.time()))


def line() -> bytes:
    """The same as a field line."""
    return _line_at(int(time.time()))


@lru_cache(maxsize=1)
def _at(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=1)
def _line_at(second: int) -> bytes:
    return b"Date: %b\r\n" % _at(second).encode()

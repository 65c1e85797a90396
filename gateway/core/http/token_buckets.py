"""Token buckets: how often a key may do something.

A key is what a limit counts by: an address, a session. Its bucket holds `burst` tokens at most, and
gets one each `interval`. A bucket is one number, the time at which it is full (the generic cell
rate algorithm, ITU-T I.371), so a full bucket needs no memory.

All workers of a gateway take tokens from the same memory, without a lock: two that take one of the
same bucket within a microsecond may take the same token.
"""

from __future__ import annotations

from struct import Struct

# Buckets stand in sets, as in a cache of a processor. In a full set the fullest bucket gives way: a
# flood of keys loses its own buckets, and a drained one stays.
_WAYS = 8
_SETS = 2**13
_SET_MASK = _SETS - 1
_MARKS, _TIMES = Struct(f"={_WAYS}q"), Struct(f"={_WAYS}d")  # of a set

# What a token may lack (tokens): times are kept to some nanoseconds.
_ROUNDING = 1e-6

# What the buckets of one limit take, for the marks of keys and for times (bytes).
BYTES = _SETS * _WAYS * 16


class TokenBuckets:
    """The buckets of one limit, for 65,536 keys that are not full."""

    __slots__ = ("_full_at", "_marks", "burst", "interval", "slack")

    def __init__(self, memory: memoryview, *, interval: float, burst: int) -> None:
        """Use memory that all workers share.

        memory: `BYTES`, which are zero at first
        interval: the time for a new token (seconds)
        burst: the tokens in a full bucket
        """
        self._marks = memory[: BYTES // 2].cast("q")
        self._full_at = memory[BYTES // 2 :].cast("d")
        self.interval = interval
        self.burst = burst
        # A bucket that is full so soon still has a token; a rounding error costs none.
        self.slack = (burst - 1 + _ROUNDING) * interval

    def take(self, key: str, now: float) -> float:
        """Take a token. Returns the seconds until the bucket is full.

        If it has none, returns how long to wait for one, as a negative number (seconds).

        now: monotonic seconds, as all workers count them
        """
        # The hash has a random seed, which the workers have from their parent.
        mark = hash(key) or 1
        at = (mark & _SET_MASK) * _WAYS
        if self._marks[at] != mark:
            at = self._place(mark, at)
        left = self._full_at[at] - now
        if left > self.slack:
            return self.slack - left
        left = left + self.interval if left > 0.0 else self.interval
        self._full_at[at] = now + left
        return left

    def give_back(self, key: str) -> None:
        """Put a token back that was taken."""
        at = self._find(key)
        if at is not None:
            self._full_at[at] -= self.interval

    def drain(self, key: str, until: float) -> None:
        """Let a bucket have no token before a time (monotonic seconds)."""
        at = self._find(key)
        if at is not None:
            self._full_at[at] = max(self._full_at[at], until + self.slack)

    def tokens(self, left: float) -> float:
        """The tokens in a bucket that is full in so many seconds: a whole number."""
        return (self.slack - left) // self.interval + 1.0

    def _find(self, key: str) -> int | None:
        """Where the bucket of a key stands; None if it has given way."""
        mark = hash(key) or 1
        first = (mark & _SET_MASK) * _WAYS
        ways = _MARKS.unpack_from(self._marks, first * 8)
        return first + ways.index(mark) if mark in ways else None

    def _place(self, mark: int, first: int) -> int:
        """Where the bucket of a mark stands in its set; a new one replaces the fullest."""
        ways = _MARKS.unpack_from(self._marks, first * 8)
        if mark in ways:
            return first + ways.index(mark)
        times = _TIMES.unpack_from(self._full_at, first * 8)
        at = first + times.index(min(times))
        self._marks[at] = mark
        self._full_at[at] = 0.0
        return at

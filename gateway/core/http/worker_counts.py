"""Counts that workers keep together: what a key holds in all of them.

Each worker has a table of its own in shared memory. It writes what it holds there, and reads the
tables of the others. No place has two writers, so there is no lock; two workers that count one key
within the same microsecond may miss each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

# A table has sets, as the buckets of `token_buckets` have. A key that finds its set full is counted
# by its own worker alone.
_WAYS = 8
_SETS = 2**10
_SET_MASK = _SETS - 1
_MARKS = Struct(f"={_WAYS}q")

# What one table takes, for the marks of keys and for counts (bytes).
TABLE_BYTES = _SETS * _WAYS * 16


class WorkerCounts:
    """The table of one worker beside those of the others, each for 8,192 keys."""

    __slots__ = ("_others", "_own")

    def __init__(self, tables: Sequence[memoryview], own: int) -> None:
        """Use memory that all workers share.

        tables: `TABLE_BYTES` for each worker, which are zero at first, and when it has ended
        own: the place of this worker's table
        """
        found = [_Table(table) for table in tables]
        self._own = found.pop(own)
        self._others = found

    def of_others(self, key: str) -> int:
        """How much the other workers hold for a key."""
        # The hash has a random seed, which the workers have from their parent.
        mark = hash(key) or 1
        return sum(table.count(mark) for table in self._others)

    def put(self, key: str, count: int) -> None:
        """Note how much this worker holds for a key now."""
        self._own.put(hash(key) or 1, count)


class _Table:
    __slots__ = ("_counts", "_marks")

    def __init__(self, memory: memoryview) -> None:
        self._marks = memory[: TABLE_BYTES // 2].cast("q")
        self._counts = memory[TABLE_BYTES // 2 :].cast("q")

    def count(self, mark: int) -> int:
        at = self._find(mark, mark)
        return 0 if at is None else self._counts[at]

    def put(self, mark: int, count: int) -> None:
        """Write a count; a place without one is free."""
        at = self._find(mark, mark)
        if at is None and count:
            at = self._find(mark, 0)
        if at is not None:
            self._counts[at] = count  # before its mark: others read the mark first
            self._marks[at] = mark if count else 0

    def _find(self, mark: int, wanted: int) -> int | None:
        """The place of a mark, or of 0, in the set of this mark."""
        first = (mark & _SET_MASK) * _WAYS
        ways = _MARKS.unpack_from(self._marks, first * 8)
        return first + ways.index(wanted) if wanted in ways else None

"""Patterns of paths by their segments, so that their number does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from gateway.core.http.path_patterns import PathPattern

V = TypeVar("V")


class PatternTree(Generic[V]):
    """Values by the patterns that they stand at."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node()

    def add(self, pattern: PathPattern, value: V) -> None:
        """Put a value at a pattern, where others may stand already."""
        node = self._root
        for segment in pattern.segments:
            if segment is not None:
                node = node.written.setdefault(segment, _Node())
            else:
                node.filled = node.filled or _Node()
                node = node.filled
        if pattern.suffix:
            node.suffixes += ((pattern.suffix, value),)
        elif pattern.is_prefix:
            node.below += (value,)
        if not pattern.is_prefix or pattern.bare:
            node.exact += (value,)

    def fitting(self, path: bytes) -> list[V]:
        """The values of all patterns that fit a path; of folded ones, a folded path."""
        found: list[V] = []
        _collect(self._root, path.split(b"/")[1:], 0, found)
        return found


class _Node(Generic[V]):
    """A place in the tree of patterns: the segments so far."""

    __slots__ = ("below", "exact", "filled", "suffixes", "written")

    def __init__(self) -> None:
        self.written: dict[bytes, _Node[V]] = {}
        self.filled: _Node[V] | None = None
        self.exact: tuple[V, ...] = ()  # end here, prefixes that are bare among them
        self.below: tuple[V, ...] = ()  # prefixes
        self.suffixes: tuple[tuple[bytes, V], ...] = ()


def _collect(node: _Node[V], segments: Sequence[bytes], at: int, found: list[V]) -> None:
    """Add the values below a node that fit the segments from `at` on."""
    if at == len(segments):
        found += node.exact
        return
    found += node.below
    for suffix, value in node.suffixes:
        if segments[-1].endswith(suffix):
            found.append(value)
    segment = segments[at]
    written = node.written.get(segment)
    if written is not None:
        _collect(written, segments, at + 1, found)
    if node.filled is not None and segment:
        _collect(node.filled, segments, at + 1, found)

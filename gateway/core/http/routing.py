"""A table of rules by path: the most specific pattern serves a path.

`path_patterns` says which of two patterns is more specific. Rules of one pattern share it by
method. A rule for GET serves HEAD too, unless another rule names HEAD (wire-rules.md#C7,
RFC 9110 §9.3.2).

Patterns stand in a tree of dictionaries by segment, so the number of rules does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from gateway.core.http.path_patterns import PathPattern, Rank
from gateway.core.http.paths import Folded

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Methods(Generic[T]):
    """The rules of one pattern.

    named: the rules by method
    other: the rule for all other methods, or nothing
    """

    named: dict[bytes, T] = field(default_factory=dict)
    other: list[T] = field(default_factory=list)

    def pick(self, method: bytes) -> T | None:
        """The rule for a method (case-sensitive, RFC 9110 §9.1).

        None if it is not allowed here.
        """
        rule = self.named.get(method)
        if rule is None and self.other:
            return self.other[0]
        return rule

    def all(self) -> Iterable[T]:
        """All rules of the pattern. A rule of several methods comes several times."""
        return [*self.named.values(), *self.other]

    def mapped(self, change: Callable[[T], T]) -> Methods[T]:
        """The same methods, with each rule changed."""
        named = {method: change(rule) for method, rule in self.named.items()}
        return Methods(named, [change(rule) for rule in self.other])

    def behind(self, first: Methods[T]) -> Methods[T]:
        """The rules of `first`, and these for the methods that it does not name."""
        return Methods({**self.named, **first.named}, self.other)

    @property
    def allowed(self) -> list[str]:
        """The methods of an `Allow` field; empty if all methods are served."""
        return [] if self.other else sorted(method.decode("ascii") for method in self.named)


class Rule(NamedTuple, Generic[T]):
    """A rule, and which requests it is for."""

    pattern: PathPattern
    methods: Iterable[str] | None  # None: all
    value: T


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One pattern of a table, with its rules."""

    pattern: PathPattern
    rank: Rank
    methods: Methods[T] = field(default_factory=Methods)


class Table(Generic[T]):
    """Patterns and their rules. It is built once and then only read."""

    def __init__(self, rules: Iterable[Rule[T]]) -> None:
        entries: dict[PathPattern, Entry[T]] = {}
        for pattern, methods, value in rules:
            entry = entries.get(pattern)
            if entry is None:
                entry = entries[pattern] = Entry(pattern, pattern.rank)
            if methods is None:
                entry.methods.other.append(value)
            else:
                entry.methods.named.update((method.encode("ascii"), value) for method in methods)
        self._exact: dict[bytes, Entry[T]] = {}
        self._patterns: _Tree[T] = _Tree()
        self._folded: _Tree[T] = _Tree()
        self._folded_names: set[bytes] = set()
        for entry in entries.values():
            self._add(entry)

    def _add(self, entry: Entry[T]) -> None:
        pattern, named = entry.pattern, entry.methods.named
        if b"GET" in named:
            named.setdefault(b"HEAD", named[b"GET"])
        if pattern.is_name:
            self._exact[pattern.path] = entry
        else:
            self._patterns.add(pattern, entry)
        folded = pattern.folded
        self._folded.add(folded, entry)
        if None not in folded.segments and not folded.suffix:
            self._folded_names.add(folded.path)

    def match(self, path: bytes) -> Entry[T] | None:
        """The most specific pattern that fits `path`. None without one."""
        found = self._exact.get(path)
        if found is not None:
            return found
        return min(self._patterns.fitting(path), key=_rank, default=None)

    def rivals(self, found: Entry[T], loose: Iterable[Folded]) -> list[Entry[T]]:
        """The other patterns that a loose reading of a path may be meant by.

        They are all that fit it, because a backend may fold one segment and not the next. Where
        `found` fits as well, they are those that are not less specific.

        found: the pattern that fits the path as it is spelled
        loose: its loose readings
        """
        rivals: list[Entry[T]] = []
        for folded in loose:
            for path in folded:
                fitting = self._folded.fitting(path)
                if any(entry is found for entry in fitting):
                    fitting = [entry for entry in fitting if entry.rank <= found.rank]
                rivals += sorted(fitting, key=_rank)
                if path in self._folded_names:
                    break  # a pattern has this suffix, so it is part of a name
        return [rival for rival in dict.fromkeys(rivals) if rival is not found]


def _rank(entry: Entry[T]) -> Rank:
    return entry.rank


class _Node(Generic[T]):
    """A place in the tree of patterns: the segments so far."""

    __slots__ = ("below", "exact", "filled", "suffixes", "written")

    def __init__(self) -> None:
        self.written: dict[bytes, _Node[T]] = {}
        self.filled: _Node[T] | None = None
        self.exact: tuple[Entry[T], ...] = ()  # end here, prefixes that are bare among them
        self.below: tuple[Entry[T], ...] = ()  # prefixes
        self.suffixes: tuple[tuple[bytes, Entry[T]], ...] = ()


class _Tree(Generic[T]):
    """Patterns by their segments."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: PathPattern, entry: Entry[T]) -> None:
        node = self._root
        for segment in pattern.segments:
            if segment is not None:
                node = node.written.setdefault(segment, _Node())
            else:
                node.filled = node.filled or _Node()
                node = node.filled
        if pattern.suffix:
            node.suffixes += ((pattern.suffix, entry),)
        elif pattern.is_prefix:
            node.below += (entry,)
        if not pattern.is_prefix or pattern.bare:
            node.exact += (entry,)

    def fitting(self, path: bytes) -> list[Entry[T]]:
        """All patterns that fit a path; in a tree of folded ones, a folded path."""
        found: list[Entry[T]] = []
        _collect(self._root, path.split(b"/")[1:], 0, found)
        return found


def _collect(node: _Node[T], segments: Sequence[bytes], at: int, found: list[Entry[T]]) -> None:
    if at == len(segments):
        found += node.exact
        return
    found += node.below
    for suffix, entry in node.suffixes:
        if segments[-1].endswith(suffix):
            found.append(entry)
    segment = segments[at]
    written = node.written.get(segment)
    if written is not None:
        _collect(written, segments, at + 1, found)
    if node.filled is not None and segment:
        _collect(node.filled, segments, at + 1, found)

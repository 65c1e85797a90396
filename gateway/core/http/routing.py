"""A table of rules by path: the most specific pattern serves a path.

A pattern is an exact path, or a prefix if it ends in `/*`. An exact path may have segments that
clients fill in (see `path_shapes`). A path without them comes first, then one with them, then a
longer prefix, and then a shorter one. Rules of one pattern share it by method. A rule for GET
serves HEAD too, unless another rule names HEAD (wire-rules.md#C7, RFC 9110 §9.3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.core.http import paths
from gateway.core.http.path_shapes import Shape
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
    folded: bytes = b""  # the pattern's path, folded for loose readings

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


class Table(Generic[T]):
    """Patterns and their rules. It is built once and then only read."""

    def __init__(self, rules: Iterable[tuple[str, Iterable[str] | None, T]]) -> None:
        """`rules` are (pattern, methods or None for all, rule)."""
        self._exact: dict[bytes, Methods[T]] = {}
        self._prefixes: dict[bytes, Methods[T]] = {}
        self._shapes: dict[bytes, tuple[Shape, Methods[T]]] = {}
        for pattern, methods, rule in rules:
            text = pattern.encode("ascii")
            where, path = (
                (self._prefixes, text[:-1]) if text.endswith(b"/*") else (self._exact, text)
            )
            entry = where.setdefault(path, Methods(folded=paths.fold(path)))
            if where is self._exact and not (shape := Shape(path)).is_plain:
                self._shapes.setdefault(path, (shape, entry))
            if methods is None:
                entry.other.append(rule)
            else:
                entry.named.update((method.encode("ascii"), rule) for method in methods)
        for entry in (*self._exact.values(), *self._prefixes.values()):
            if b"GET" in entry.named:
                entry.named.setdefault(b"HEAD", entry.named[b"GET"])
        self._loose_exact = _by_folded(self._exact.values())
        self._loose_prefixes = _by_folded(self._prefixes.values())
        self._longest = max(map(len, self._prefixes), default=0)

    def match(self, path: bytes) -> Methods[T] | None:
        """The rules of the most specific pattern that matches `path`.

        None without one.
        """
        found = self._exact.get(path)
        if found is not None:
            return found
        for shape, methods in self._shapes.values():
            if shape.fits(path):
                return methods
        slash = path.find(b"/")
        while 0 <= slash < self._longest:
            found = self._prefixes.get(path[: slash + 1], found)
            slash = path.find(b"/", slash + 1)
        return found

    def names(self, path: bytes) -> bool:
        """Whether an exact pattern is this path."""
        return path in self._exact

    def rivals(self, found: Methods[T], loose: Iterable[Folded]) -> list[Methods[T]]:
        """The rules of other patterns that match a loose reading of a path.

        found: the rules that match the path as it is spelled
        loose: its loose readings
        """
        rivals: list[Methods[T]] = []
        for folded in loose:
            for path in folded:
                rivals += self._on_the_way(path, found.folded)
                if path in self._loose_exact or path in self._loose_prefixes:
                    break  # a pattern has this suffix, so it is part of a name
        return [rival for rival in dict.fromkeys(rivals) if rival is not found]

    def _on_the_way(self, path: bytes, start: bytes) -> list[Methods[T]]:
        """The rules of the exact pattern `path`, and those of its prefixes.

        Of the prefixes, those from `start` on count if `start` is one of them, else all. All of
        these count, because a backend may fold one segment and not the next.
        """
        rules = self._loose_exact.get(path, [])
        end = len(start) if path == start or path.startswith(start + b"/") else 0
        while 0 <= end <= self._longest:
            rules = rules + self._loose_prefixes.get(path[:end], [])
            if end == len(path):
                break
            end = path.find(b"/", end + 1)
            end = len(path) if end < 0 else end
        return rules


def _by_folded(entries: Iterable[Methods[T]]) -> dict[bytes, list[Methods[T]]]:
    found: dict[bytes, list[Methods[T]]] = {}
    for entry in entries:
        found.setdefault(entry.folded, []).append(entry)
    return found

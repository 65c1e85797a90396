"""A table of rules by path: the most specific pattern serves a path.

A rule for one host comes before one for `*.example.com`, and that before one for all hosts.
`path_patterns` says which of two paths is more specific. Then a rule with more conditions comes
first. Rules of one pattern share it by method. A rule for GET serves HEAD too, unless another rule
names HEAD (wire-rules.md#C7, RFC 9110 §9.3.2).

Patterns stand in a tree of dictionaries by segment, so the number of rules does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from gateway.core.http import hosts, paths
from gateway.core.http.path_patterns import PathPattern, Rank
from gateway.core.http.path_regex import compiled
from gateway.core.http.paths import Folded
from gateway.core.http.pattern_tree import PatternTree
from gateway.core.http.request_conditions import Conditions, Holds

T = TypeVar("T")

# More than a host has (RFC 1035 §2.3.4).
_MAX_LABELS = 128

_NONE = Conditions()


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
    hosts: Sequence[str] = ()  # none: all
    conditions: Conditions = _NONE


Meets = Mapping[Conditions, Holds]


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """One path pattern at one host, with its rules by their conditions."""

    pattern: PathPattern
    rank: Rank
    layers: dict[Conditions, Methods[T]] = field(default_factory=dict)  # more conditions first
    is_sure: bool = False  # some rule has no conditions
    _merged: dict[tuple[Conditions, ...], Methods[T]] = field(default_factory=dict)

    def under(self, *conditions: Conditions) -> Methods[T]:
        """The rules under these conditions, each for the methods that those before leave."""
        if conditions not in self._merged:
            found, *rest = [self.layers[layer] for layer in conditions]
            for methods in rest:
                found = found if found.other else methods.behind(found)
            self._merged[conditions] = found
        return self._merged[conditions]

    def met(self, meets: Meets) -> tuple[Methods[T] | None, list[Methods[T]], bool]:
        """The rules whose conditions a request meets.

        They come as: those by the gateway's reading, or None; those by each other reading; and
        whether some are met in all readings.
        """
        if len(self.layers) == 1 and self.is_sure:
            methods = self.layers[_NONE]
            return methods, [methods], True
        possible = [layer for layer in self.layers if meets[layer] is not Holds.NO]
        sure = [layer for layer in possible if meets[layer] is Holds.YES]
        ours = [layer for layer in possible if meets[layer].strictly]
        others = [
            [layer for layer in possible if layer in sure or layer is other] for other in possible
        ]
        ways = [self.under(*way) for way in (possible, sure, *others) if way]
        return self.under(*ours) if ours else None, list(dict.fromkeys(ways)), bool(sure)


class Table(Generic[T]):
    """Rules by host and path. It is built once and then only read."""

    def __init__(self, rules: Iterable[Rule[T]]) -> None:
        by_host: dict[str, list[Rule[T]]] = {"": []}
        for rule in rules:
            for host in rule.hosts or ("",):
                by_host.setdefault(host, []).append(rule)
        self._tables = {
            host.encode(): _PathTable(host_rank(host), rules) for host, rules in by_host.items()
        }
        self._sites: dict[bytes, Site[T]] = {}
        for name in self._tables:
            beside = dict.fromkeys((name, *hosts.above(name), b""))
            tables = [self._tables[host] for host in beside if host in self._tables]
            self._sites[name] = Site(tables)
        self.any_host = self._sites[b""]
        self.has_hosts = len(self._sites) > 1
        self.has_conditions = any(rule.conditions for rules in by_host.values() for rule in rules)

    def site_of(self, host: str) -> Site[T]:
        """The rules for the hosts of one rule: a host, a pattern, or "" for all hosts."""
        return self._sites[host.encode()]

    def site(self, host: bytes | None) -> Site[T]:
        """The rules for a host. None: the request names no host.

        Raises `AmbiguousHost`.
        """
        if host is None or not self.has_hosts:
            return self.any_host
        name = hosts.plain(host)
        known = (self._sites[host] for host in (name, *hosts.above(name)) if host in self._sites)
        return next(known, self.any_host)


def host_rank(host: str) -> int:
    """Sort hosts: exact hosts come first, then longer patterns, then rules for all hosts."""
    if not host:
        return 0
    return -host.count(".") if host.startswith("*") else -_MAX_LABELS


class Site(Generic[T]):
    """The rules for one host: its own, those of patterns that it fits, and those of all hosts."""

    def __init__(self, tables: Sequence[_PathTable[T]]) -> None:
        self._tables = tables

    def chain(self, path: bytes) -> list[Entry[T]]:
        """The patterns that fit a path, the most specific first, to one without conditions."""
        found: list[Entry[T]] = []
        for table in self._tables:
            for entry in table.fitting(path):
                found.append(entry)
                if entry.is_sure:
                    return found
        return found

    def fitting(self, path: bytes, *, is_folded: bool = False) -> list[Entry[T]]:
        """All patterns that fit a path, the most specific first.

        is_folded: whether the path is a loose reading
        """
        if is_folded:
            ways = [sorted(table.fitting_folded(path), key=_rank) for table in self._tables]
        else:
            ways = [table.all_fitting(path) for table in self._tables]
        return [entry for way in ways for entry in way]

    def rivals(self, found: Entry[T], loose: Iterable[Folded]) -> list[Entry[T]]:
        """The other patterns that a loose reading of a path may be meant by.

        They are all that fit it, because a backend may fold one segment and not the next. Where
        `found` fits as well, they are those that are not less specific. A pattern with a suffix
        fits its paths without the suffix, too: the suffix is part of their name.

        found: the pattern that fits the path as it is spelled
        loose: its loose readings
        """
        rivals: list[Entry[T]] = []
        for folded in loose:
            names_suffix = False
            for path in folded:
                fitting = [entry for table in self._tables for entry in table.fitting_folded(path)]
                fits = names_suffix or found in fitting
                names_suffix = fits and bool(found.pattern.suffix)
                if fits:
                    fitting = [entry for entry in fitting if entry.rank <= found.rank]
                rivals += sorted(fitting, key=_rank) if len(fitting) > 1 else fitting
                if any(path in table.folded_names for table in self._tables):
                    break  # a pattern has this suffix, so it is part of a name
        return [rival for rival in dict.fromkeys(rivals) if rival is not found]


class _PathTable(Generic[T]):
    """The rules for one pattern of hosts."""

    def __init__(self, host_rank: int, rules: Iterable[Rule[T]]) -> None:
        entries: dict[PathPattern, Entry[T]] = {}
        rules = list(rules)
        places = {pattern: at for at, pattern in enumerate(dict.fromkeys(r.pattern for r in rules))}
        for rule in sorted(rules, key=lambda rule: rule.conditions.rank):
            pattern = rule.pattern
            entry = entries.get(pattern)
            if entry is None:
                # Of expressions, the earlier one in config.yaml comes first.
                last = (places[pattern],) if pattern.regex else ()
                entry = entries[pattern] = Entry(pattern, (host_rank, *pattern.rank, *last))
            layer = entry.layers.setdefault(rule.conditions, Methods())
            if rule.methods is None:
                layer.other.append(rule.value)
            else:
                layer.named.update((method.encode("ascii"), rule.value) for method in rule.methods)
        self._regexes = sorted(
            (entry for entry in entries.values() if entry.pattern.regex), key=_rank
        )
        self._folded_regexes = [(entry.pattern.folded.regex, entry) for entry in self._regexes]
        self._exact: dict[bytes, Entry[T]] = {}
        self._patterns: PatternTree[Entry[T]] = PatternTree()
        self._folded: PatternTree[Entry[T]] = PatternTree()
        self.folded_names: set[bytes] = set()
        for entry in entries.values():
            self._add(entry)

    def _add(self, entry: Entry[T]) -> None:
        pattern = entry.pattern
        entry.is_sure = _NONE in entry.layers
        for layer in entry.layers.values():
            if b"GET" in layer.named:
                layer.named.setdefault(b"HEAD", layer.named[b"GET"])
        if pattern.regex:
            return
        if pattern.is_name:
            self._exact[pattern.path] = entry
        else:
            self._patterns.add(pattern, entry)
        folded = pattern.folded
        self._folded.add(folded, entry)
        if None not in folded.segments and not folded.suffix:
            self.folded_names.add(folded.path)

    def fitting(self, path: bytes) -> list[Entry[T]]:
        """The patterns that fit a path, the most specific first, to one that takes all requests."""
        exact = self._exact.get(path)
        if exact is not None and exact.is_sure:
            return [exact]
        found = self._patterns.fitting(path)
        if len(found) > 1:
            found.sort(key=_rank)
        if self._regexes and not any(entry.is_sure for entry in found):
            found += self._fitting_regexes(path)
        return found if exact is None else [exact, *found]

    def all_fitting(self, path: bytes) -> list[Entry[T]]:
        """The patterns that fit, also behind one that takes all requests."""
        exact = self._exact.get(path)
        found = sorted(self._patterns.fitting(path), key=_rank)
        found += self._fitting_regexes(path)
        return found if exact is None else [exact, *found]

    def _fitting_regexes(self, path: bytes) -> Iterator[Entry[T]]:
        path = paths.escaped(path)
        return (entry for entry in self._regexes if compiled(entry.pattern.regex).fits(path))

    def fitting_folded(self, path: bytes) -> list[Entry[T]]:
        """The patterns that fit a folded path."""
        found = self._folded.fitting(path)
        path = paths.escaped(path)
        for text, entry in self._folded_regexes:
            if compiled(text, ignores_case=True).fits_with_slash(path):
                found.append(entry)
        return found


def _rank(entry: Entry[T]) -> Rank:
    return entry.rank

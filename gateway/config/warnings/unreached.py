"""Warnings about routes that no request reaches, because others take all their requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.login_places import backend_paths
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_rules import beginning, conditions_of, pattern_of, table_rule
from gateway.core.http.path_patterns import PathPattern
from gateway.core.http.path_regex import BadRegex, compiled
from gateway.core.http.request_conditions import Conditions, cover
from gateway.core.http.routing import Entry, Methods, Table

# An expression is compared with so many paths together: more make its automaton too large.
_MAX_COMPARED = 64


def unreached_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes that are never reached."""
    yield from _hidden(config, document)
    yield from _at_logins(config, document)


def _hidden(config: Config, document: Document) -> Iterator[Problem]:
    rules = _Rules(config)
    for at, route in enumerate(config.routes):
        ways = [rules.before(at, host) for host in route.host or ("",)]
        if all(ways):
            numbers = sorted({number for way in ways for number in way})
            places = [
                f"routes[{number}] in line {document.problem(('routes', number), '').line}"
                for number in numbers
            ]
            takes = "take" if len(places) > 1 else "takes"
            message = f"is never reached: {' and '.join(places)} {takes} all its requests"
            yield document.problem(("routes", at), message)


def _at_logins(config: Config, document: Document) -> Iterator[Problem]:
    """Routes at the path at which a login asks the same upstream."""
    asked = {*backend_paths(config)}
    for at, route in enumerate(config.routes):
        moves = route.strip_prefix or route.add_prefix or route.rewrite
        if (route.upstream, route.path) in asked and route.captures is None and not moves:
            yield document.problem(
                ("routes", at, "path"),
                "is never reached: a login asks its backend there",
                hint="with captures, it may serve a page beside the login",
            )


class _Rules:
    """Finds what comes before a rule, for all its requests."""

    def __init__(self, config: Config) -> None:
        self._routes = config.routes
        self._patterns = [pattern_of(route) for route in config.routes]
        self._conditions = [conditions_of(route) for route in config.routes]
        self._table = Table(table_rule(route, at) for at, route in enumerate(config.routes))
        self._max_segments = max((len(pattern.segments) for pattern in self._patterns), default=0)
        used = {segment for pattern in self._patterns for segment in pattern.segments}
        self._fresh = "~"  # a segment that no route names
        while self._fresh.encode() in used:
            self._fresh += "~"

    def before(self, at: int, host: str) -> list[int]:
        """The routes that take all requests of a route at one of its hosts; none if some pass."""
        pattern = self._patterns[at]
        if pattern.regex:
            return self._before_expression(at, host)
        found: list[int] = []
        for path in self._paths(pattern):
            first = self._first(at, self._table.site_of(host).chain(path.encode()))
            if not first:
                return []
            found += first
        return found

    def _first(self, at: int, chain: list[Entry[int]]) -> list[int]:
        """The routes that take all requests of a route at one path."""
        pattern, asked = self._patterns[at], self._conditions[at]
        for entry in chain:
            if entry.pattern == pattern:
                return self._beside(at, entry)
            if cover([*entry.layers], asked):
                return _numbers(entry.layers)
        return []

    def _beside(self, at: int, entry: Entry[int]) -> list[int]:
        """The routes of the same path that have more conditions, and together leave nothing."""
        asked, methods = self._conditions[at], self._routes[at].methods
        more = {
            conditions: layer
            for conditions, layer in entry.layers.items()
            if conditions.rank < asked.rank and _serve(layer, methods)
        }
        return _numbers(more) if cover([*more], asked) else []

    def _paths(self, pattern: PathPattern) -> Iterator[str]:
        """Paths that fit a pattern, of each length, with segments that no route names."""
        fresh, suffix = self._fresh, pattern.suffix.decode()
        written = [fresh if part is None else part.decode() for part in pattern.segments]
        if not pattern.is_prefix or pattern.bare:
            yield "/" + "/".join(written)
        if pattern.is_prefix:
            for more in range(1 + self._max_segments):
                below = "/" + "/".join([*written, *[fresh] * more])
                yield below.rstrip("/") + "/" + fresh + suffix
                if not suffix:
                    yield below.rstrip("/") + "/"

    def _before_expression(self, at: int, host: str) -> list[int]:
        """The routes that take all requests of an expression: alone, or together."""
        own, regex = self._patterns[at], compiled(self._patterns[at].regex)
        beside = [
            number for number, route in enumerate(self._routes) if host in (route.host or ("",))
        ]
        # The place of an expression in the file is that of its first rule.
        earlier = {
            self._patterns[number]
            for number in itertools.takewhile(lambda number: self._patterns[number] != own, beside)
        }
        texts = {
            number: self._patterns[number].as_regex
            for number in beside
            if (not self._patterns[number].regex or self._patterns[number] in earlier)
            and self._conditions[at].imply(self._conditions[number])
            and regex.fits_below(beginning(self._patterns[number]))
        }
        try:
            for number, text in texts.items():
                if regex.is_within(compiled(text)):
                    return [number]
            together = "|".join(texts.values())
            if 1 < len(texts) <= _MAX_COMPARED and regex.is_within(compiled(together)):
                return [*texts]
        except BadRegex:  # they are too many for one automaton
            pass
        return []


def _serve(layer: Methods[int], methods: tuple[str, ...] | None) -> bool:
    """Whether rules serve all these methods, or all there are."""
    if methods is None:
        return bool(layer.other)
    return all(layer.pick(method.encode()) is not None for method in methods)


def _numbers(layers: dict[Conditions, Methods[int]]) -> list[int]:
    return [number for layer in layers.values() for number in layer.all()]

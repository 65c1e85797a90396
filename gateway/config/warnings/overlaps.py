"""Warnings about routes that open what another one protects."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.require_sections import Require
from gateway.config.requirements import claims_condition, condition
from gateway.config.route_rules import beginning, conditions_of, pattern_of, table_rule
from gateway.config.route_sections import RouteOptions
from gateway.core.http.path_regex import compiled
from gateway.core.http.paths import fold, read
from gateway.core.http.request_conditions import Conditions
from gateway.core.http.routing import Table
from gateway.core.sessions import conditions
from gateway.core.sessions.conditions import Condition

# What a route without `require` requires. The model refuses one that says so.
_NOTHING = Require.model_construct()


def overlap_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes that serve for less what another one is meant to serve."""
    yield from _opened_by_conditions(config, document)
    yield from _opened_before_expressions(config, document)
    yield from _named_spellings(config, document)


def _named_spellings(config: Config, document: Document) -> Iterator[Problem]:
    """Exact paths that a backend may take for that of a stricter route."""
    exact = [(at, route) for at, route in enumerate(config.routes) if pattern_of(route).is_name]
    beside: dict[tuple[frozenset[str], bytes], list[tuple[int, RouteOptions]]] = {}
    for at, route in exact:
        place = frozenset(route.host), fold(route.path.encode())
        beside.setdefault(place, []).append((at, route))
    for at, route in exact:
        if route.upstream is not None and config.upstreams[route.upstream].paths == "strict":
            continue
        meant = {path for paths in read(route.path.encode()).loose for path in paths}
        places = [(frozenset(route.host), path) for path in meant]
        for other_at, other in (pair for place in places for pair in beside.get(place, ())):
            if _asks_for_less(route, other, config):
                yield document.problem(
                    ("routes", at, "path"),
                    f"is a way to write {other.path} (routes[{other_at}]) to many backends, "
                    "and asks for less than that",
                )
                break


def _opened_by_conditions(config: Config, document: Document) -> Iterator[Problem]:
    """Routes with conditions that ask for less than what serves other requests there."""
    if not any(conditions_of(route) for route in config.routes):
        return
    table = Table(table_rule(route, at) for at, route in enumerate(config.routes))
    for at, route in enumerate(config.routes):
        if not conditions_of(route):
            continue
        site = table.site(route.host[0].replace("*", "x").encode() if route.host else None)
        others = (entry.layers.get(Conditions()) for entry in site.fitting(pattern_of(route).path))
        other = next((methods for methods in others if methods is not None), None)
        numbers = set() if other is None else set(other.all())
        for number in sorted(numbers):
            if asks_less_than(route, config.routes[number], config):
                yield document.problem(
                    ("routes", at),
                    f"asks for less than routes[{number}], and clients choose between the two: "
                    "its headers and query are theirs to write",
                )
                break


def _opened_before_expressions(config: Config, document: Document) -> Iterator[Problem]:
    """Expressions that ask for more than a path with less, which is tried before them."""
    for at, route in enumerate(config.routes):
        if route.path_regex is None:
            continue
        regex = compiled(route.path_regex)
        for number, other in enumerate(config.routes):
            pattern = pattern_of(other)
            if pattern.regex or not set(route.host or ("",)) & set(other.host or ("",)):
                continue
            is_before = regex.fits_below(beginning(pattern))
            if is_before and asks_less_than(other, route, config):
                yield document.problem(
                    ("routes", at, "path_regex"),
                    f"asks for more than routes[{number}], which is tried before it and may "
                    "serve the same paths",
                    hint="write it as a path, or let the other route ask for as much",
                )
                break


def _asks_for_less(one: RouteOptions, other: RouteOptions, config: Config) -> bool:
    if one.path == other.path:
        return False  # they share it by method
    return asks_less_than(one, other, config)


def asks_less_than(one: RouteOptions, other: RouteOptions, config: Config) -> bool:
    """Whether a route lets requests pass that the other one refuses."""
    ranks = ("public", "optional", "required")
    less = ranks.index(one.auth) < ranks.index(other.auth)
    less = less or not conditions.implies(_required(one, config), _required(other, config))
    if less or other.require is None:
        return less
    mine, theirs = one.require or _NOTHING, other.require
    return not set(mine.rules) >= set(theirs.rules) or (
        theirs.max_age is not None and (mine.max_age is None or mine.max_age > theirs.max_age)
    )


def _required(route: RouteOptions, config: Config) -> Condition:
    parts = [claims_condition(route.claims)]
    if route.require is not None:
        parts.append(condition(route.require, config.require_from))
    return conditions.all_of(parts)

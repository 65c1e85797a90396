"""Warnings about routes that reach, by another path, what a route of the same upstream protects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.config.document import Document
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.route_sections import RouteOptions
from gateway.config.warnings.overlaps import asks_less_than
from gateway.core.http import path_patterns
from gateway.core.http.addresses import share_a_server
from gateway.core.http.path_patterns import PathPattern

# So many protected paths of an upstream are compared with each of its routes.
_MAX_COMPARED = 256

# Text of the client in a rewritten path: `${path.*}` and `$1` may be several segments.
_REST = re.compile(r"\$\{path\.\*\}|\$[0-9]")


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a route reaches at its upstream."""

    number: int
    route: RouteOptions
    way: tuple[object, ...]  # by which its paths become others
    pattern: PathPattern


def moved_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes that open what others protect, since paths are other ones upstream."""
    reaches: dict[str, list[_Reach]] = {}
    for at, route in enumerate(config.routes):
        reach = _reach(config, at)
        if route.upstream is not None and reach is not None:
            reaches.setdefault(route.upstream, []).append(reach)
    if not any(any(reach.way) for found in reaches.values() for reach in found):
        return
    for name, opening in reaches.items():
        servers = config.upstreams[name].servers
        same = [it for it in reaches if share_a_server(servers, config.upstreams[it].servers)]
        protected = _protected(reach for other in same for reach in reaches[other])
        for reach in opening:
            opened = [other for other in protected if _opens(reach, other, config)]
            if opened:
                yield _opened(reach, opened[0], document)


def _opened(reach: _Reach, other: _Reach, document: Document) -> Problem:
    line = document.problem(("routes", other.number), "").line
    return document.problem(
        ("routes", reach.number),
        f"asks for less than routes[{other.number}] in line {line}, and both reach paths as "
        f"{_spelled(other.pattern)} of their upstream: clients choose the way",
    )


def _opens(reach: _Reach, other: _Reach, config: Config) -> bool:
    """Whether a route asks for less than one that names the same paths at least as exactly."""
    one, two = reach.route.methods, other.route.methods
    return (
        reach.way != other.way
        and other.pattern.rank <= reach.pattern.rank
        and other.pattern.meets(reach.pattern)
        and (one is None or two is None or not {*one}.isdisjoint(two))
        and asks_less_than(reach.route, other.route, config)
    )


def _protected(reaches: Iterable[_Reach]) -> list[_Reach]:
    """The reaches that ask for something, each kind of them by two ways."""
    kinds: dict[tuple[object, ...], list[_Reach]] = {}
    for reach in reaches:
        if reach.route.auth != "public" and len(kinds) < _MAX_COMPARED:
            asked = reach.route.model_dump_json(include={"auth", "claims", "require", "methods"})
            known = kinds.setdefault((reach.pattern, asked), [])
            if len(known) < 2 and all(reach.way != other.way for other in known):
                known.append(reach)
    return [reach for known in kinds.values() for reach in known]


def _reach(config: Config, at: int) -> _Reach | None:
    """None for a route without an upstream, and for paths that no pattern describes."""
    route = config.routes[at]
    if route.upstream is None or route.is_answered_here:
        return None
    base, strip = config.upstreams[route.upstream].base, (route.strip_prefix or "").rstrip("/")
    add, rewrite = (route.add_prefix or "").rstrip("/"), route.rewrite
    to = None if rewrite is None else rewrite.path or rewrite.to
    if to is None and route.path_regex is not None:
        return None
    path = add + route.path[len(strip) :] if to is None else _rewritten(to)
    try:
        pattern = path_patterns.parse(base + (path or "/"), bare=route.bare)
    except path_patterns.BadPattern:
        return None  # the base of a server may be spelled with escapes
    return _Reach(at, route, (base, strip, add, to), pattern)


def _rewritten(to: str) -> str:
    """The pattern of the paths to which a route rewrites."""
    kept: list[str] = []
    for place, segment in enumerate(to.split("/")):
        if _REST.search(segment):
            return "/".join([*kept, "*"])
        kept.append(f"{{s{place}}}" if "$" in segment else segment)
    return "/".join(kept)


def _spelled(pattern: PathPattern) -> str:
    star = f"/*{pattern.suffix.decode()}" if pattern.is_prefix else ""
    return (pattern.path.decode() + star) or "/"

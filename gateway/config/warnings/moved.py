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

# What stands in a rewritten path for text of the client: `${path.id}`, `${path.*}` and `$1`.
_SEGMENT = re.compile(r"\$\{path\.([a-z][a-z0-9_]*)\}")
_REST = re.compile(r"\$\{path\.\*\}.*|\$[0-9].*")


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a route reaches at its upstream."""

    number: int
    route: RouteOptions
    way: tuple[object, ...]  # by which its paths become others
    pattern: PathPattern


def moved_warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Find routes that open what others protect, since paths are other ones upstream."""
    reaches = [found for at in range(len(config.routes)) if (found := _reach(config, at))]
    if not any(any(reach.way) for reach in reaches):
        return
    for name, upstream in config.upstreams.items():
        same = {
            other for other, section in config.upstreams.items()
            if share_a_server(upstream.servers, section.servers)
        }  # fmt: skip
        protected = _protected(reach for reach in reaches if reach.route.upstream in same)
        for reach in reaches:
            if reach.route.upstream == name:
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
    """None for a route without an upstream, and for an expression that is not rewritten."""
    route = config.routes[at]
    if route.upstream is None or route.is_answered_here:
        return None
    base, strip = config.upstreams[route.upstream].base, (route.strip_prefix or "").rstrip("/")
    add = (route.add_prefix or "").rstrip("/")
    to = None if route.rewrite is None else route.rewrite.path or route.rewrite.to
    text = _REST.sub("*", _SEGMENT.sub(r"{\1}", to)) if to else add + route.path[len(strip) :]
    if to and text.endswith("*"):
        text = text.rpartition("/")[0] + "/*"
    if route.path_regex is not None and not to:
        return None
    pattern = path_patterns.parse(base + (text or "/"), bare=route.bare)
    return _Reach(at, route, (base, strip, add, to), pattern)


def _spelled(pattern: PathPattern) -> str:
    star = f"/*{pattern.suffix.decode()}" if pattern.is_prefix else ""
    return (pattern.path.decode() + star) or "/"

"""The first phase of a decision: which route a path leads to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.core.http import paths, refusals
from gateway.core.http.paths import BackendPaths, Readings
from gateway.core.http.refusals import Refusal
from gateway.core.http.routing import Methods, Table
from gateway.relay.access.route import Route

# How many paths are remembered, and how long they may be: at most about 2 MiB of a client's choice.
_MAX_PATHS = 4096
_MAX_PATH_BYTES = 256

# How many sets of routes between which a path does not decide are remembered: 4 KiB or so each.
_MAX_DECIDED = 256

# Stands for the methods that no rule names.
_UNNAMED = b""


class RouteTable:
    """Finds the route of a path, and remembers what it found."""

    def __init__(
        self,
        endpoints: Iterable[Route],
        routes: Iterable[tuple[str, Iterable[str] | None, Route]],
        logins: BackendPaths,
    ) -> None:
        """`routes` are (pattern, methods or None for every method, route); `logins` is where any
        upstream hands out tokens.
        """
        self._endpoints = Table((route.name, None, route) for route in endpoints)
        self._routes = Table(routes)
        self._logins = logins
        self._memo: dict[bytes, Methods[Route] | Refusal] = {}
        self._decided: dict[tuple[Methods[Route], ...], Methods[Route]] = {}

    def match(self, path: bytes) -> Methods[Route] | Refusal:
        """The routes of a path as it came (without its query), or why there is none."""
        found = self._memo.get(path)
        if found is None:
            found = self._look_up(path)
            if len(path) <= _MAX_PATH_BYTES:
                if len(self._memo) >= _MAX_PATHS:
                    self._memo.clear()
                self._memo[path] = found
        return found

    def _look_up(self, path: bytes) -> Methods[Route] | Refusal:
        try:
            return self._match(path)
        except paths.AmbiguousPath:
            return refusals.AMBIGUOUS_PATH

    def _match(self, path: bytes) -> Methods[Route] | Refusal:
        """Raises `AmbiguousPath`."""
        readings = paths.read(path)
        own = _resolved(self._endpoints, readings)
        if own is not None:
            return own
        found = _resolved(self._routes, readings)
        if found is None:
            return refusals.NO_ROUTE
        named = self._routes.names(readings.strict)
        if not named:
            found = self._strictest(found, self._routes.rivals(found, readings.loose))
        if not all(route.action.can_strip(readings.strict) for route in found.all()):
            raise paths.AmbiguousPath
        return self._at_backends(found, path, readings, named=named)

    def _strictest(self, found: Methods[Route], rivals: Sequence[Methods[Route]]) -> Methods[Route]:
        """The routes that decide where a path may be meant by several, as remembered."""
        if not rivals:
            return found
        asked = (found, *rivals)
        if asked not in self._decided:
            if len(self._decided) >= _MAX_DECIDED:
                self._decided.clear()
            self._decided[asked] = _strictest(found, rivals)
        return self._decided[asked]

    def _at_backends(
        self, found: Methods[Route], path: bytes, readings: Readings, *, named: bool
    ) -> Methods[Route] | Refusal:
        """What the path means to the backends of these routes. A route that is `named` by it leads
        to no other format of theirs: a page `/login.html` is not the login.
        """

        def leads_to(route: Route, meant: BackendPaths) -> bool:
            action = route.action
            upstream = paths.read(action.upstream_path(path)) if action.strip_prefix else readings
            return meant.hold(
                upstream.loose, suffixes=route.upstream_paths.read_loosely and not named
            )

        if any(leads_to(route, route.upstream_paths.guarded) for route in found.all()):
            return refusals.NO_ROUTE  # wire-rules.md#E1
        at_login = self._logins.hold(readings.loose, suffixes=not named)
        if not at_login and not any(
            leads_to(route, route.upstream_paths.logout.paths) for route in found.all()
        ):
            return found
        return found.mapped(
            lambda route: replace(
                route,
                at_login=at_login,
                at_logout=leads_to(route, route.upstream_paths.logout.paths),
            )
        )


def _resolved(table: Table[Route], readings: Readings) -> Methods[Route] | None:
    """What is found by the strict and the resolved reading alike, and by what they are without
    control bytes. Raises `AmbiguousPath`.
    """
    found = table.match(readings.strict)
    for other in (readings.resolved, *readings.without_controls):
        if table.match(other) is not found:
            raise paths.AmbiguousPath
    return found


def _strictest(found: Methods[Route], rivals: Sequence[Methods[Route]]) -> Methods[Route]:
    """For each method the route that is as strict as all others; `found` counts first.

    Raises `AmbiguousPath` where none is: each would let something pass that another refuses.
    """
    decided: Methods[Route] = Methods()
    for method in {name for methods in (found, *rivals) for name in methods.named}:
        route = _decide(method, found, rivals)
        if route is not None:
            decided.named[method] = route
    other = _decide(_UNNAMED, found, rivals)
    if other is not None:
        decided.other.append(other)
    return decided


def _decide(method: bytes, found: Methods[Route], rivals: Sequence[Methods[Route]]) -> Route | None:
    """None where one of them does not have this method."""
    first = found.pick(method)
    if first is None or not first.upstream_paths.read_loosely:
        return first
    routes = [first]
    for rival in rivals:
        route = rival.pick(method)
        if route is None:
            return None
        routes.append(route)
    for route in routes:
        if all(route.is_as_strict_as(other) for other in routes):
            return route.within(routes)
    raise paths.AmbiguousPath

"""The first phase of a decision: which route a path leads to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.core.http import paths, refusals
from gateway.core.http.path_patterns import parse
from gateway.core.http.paths import BackendPaths, Readings
from gateway.core.http.refusals import Refusal
from gateway.core.http.routing import Entry, Methods, Rule, Table
from gateway.relay.access.route import Action, BackendLogout, Route

# Clients choose the paths that are remembered: at most about 2 MiB of them.
_MAX_PATHS = 4096
_MAX_PATH_BYTES = 256

# Remembered sets of routes that a path may be meant by, of about 4 KiB each.
_MAX_DECIDED = 256

# Stands for all methods that no rule names.
_UNNAMED = b""


class RouteTable:
    """Finds the routes of paths, and remembers them."""

    def __init__(
        self,
        endpoints: Iterable[tuple[Route, Iterable[str] | None]],
        routes: Iterable[Rule[Route]],
        logins: BackendPaths,
    ) -> None:
        """Build the tables.

        endpoints: the gateway's own routes, which come first, with the methods that they serve, or
            None for all; routes at the same path serve the others
        routes: the rules of config.yaml
        logins: the paths at which any upstream hands out tokens
        """
        self._endpoints = Table(
            Rule(parse(route.name), methods, route) for route, methods in endpoints
        )
        self._routes = Table(routes)
        self._logins = logins
        self._memo: dict[bytes, Methods[Route] | Refusal] = {}
        self._decided: dict[tuple[Methods[Route], ...], Methods[Route]] = {}

    def match(self, path: bytes) -> Methods[Route] | Refusal:
        """The routes of a path as it came, without its query.

        A refusal if there is none.
        """
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
        entry = _resolved(self._endpoints, readings)
        if entry is None:
            return self._match_routes(path, readings)
        own = entry.methods
        return own if own.other else self._beside(own, path, readings)

    def _beside(self, own: Methods[Route], path: bytes, readings: Readings) -> Methods[Route]:
        """The methods of an endpoint, and the others of the routes at its path."""
        try:
            found = self._match_routes(path, readings)
        except paths.AmbiguousPath:
            return own
        return own if isinstance(found, Refusal) else found.behind(own)

    def _match_routes(self, path: bytes, readings: Readings) -> Methods[Route] | Refusal:
        """Raises `AmbiguousPath`."""
        entry = _resolved(self._routes, readings)
        if entry is None:
            return refusals.NO_ROUTE
        found, named = entry.methods, entry.pattern.is_name
        if not named:
            rivals = self._routes.rivals(entry, readings.loose)
            found = self._strictest(found, [rival.methods for rival in rivals])
        if not all(route.action.can_strip(readings.strict) for route in found.all()):
            raise paths.AmbiguousPath
        return self._at_backends(found, path, readings, named=named)

    def _strictest(self, found: Methods[Route], rivals: Sequence[Methods[Route]]) -> Methods[Route]:
        """The strictest of several routes that a path may be meant by; remembered."""
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
        """The routes, with what the path means to their backends.

        A refusal at a guarded path.

        named: whether a pattern is exactly this path; then it is no other path with a format
            suffix, so that a page `/login.html` is not the login
        """

        def leads_to(route: Route, meant: BackendPaths) -> bool:
            upstream = readings if not route.action.moves_paths else _moved(route.action, path)
            return meant.hold(
                upstream.at_backends, suffixes=route.upstream_paths.read_loosely and not named
            )

        if any(leads_to(route, route.upstream_paths.guarded) for route in found.all()):
            return refusals.NO_ROUTE  # wire-rules.md#E1

        def at_logouts(route: Route) -> tuple[BackendLogout, ...]:
            logouts = route.upstream_paths.logouts
            return tuple(logout for logout in logouts if leads_to(route, logout.paths))

        at_login = self._logins.hold(readings.at_backends, suffixes=not named)
        if not at_login and not any(map(at_logouts, found.all())):
            return found
        return found.mapped(
            lambda route: replace(route, at_login=at_login, at_logouts=at_logouts(route))
        )


def _moved(action: Action, path: bytes) -> Readings:
    """The readings of a path as the upstream gets it.

    Raises `AmbiguousPath` if it would climb out of what stands before it.
    """
    rest = action.upstream_path(path)
    readings = paths.read(rest)
    return paths.read(action.prefix + rest) if action.prefix else readings


def _resolved(table: Table[Route], readings: Readings) -> Entry[Route] | None:
    """The pattern that all readings but the loose ones match.

    Raises `AmbiguousPath`.
    """
    found = table.match(readings.strict)
    for other in (readings.resolved, *readings.without_controls):
        if table.match(other) is not found:
            raise paths.AmbiguousPath
    return found


def _strictest(found: Methods[Route], rivals: Sequence[Methods[Route]]) -> Methods[Route]:
    """For each method the route that is as strict as all others.

    `found` comes first.

    Raises `AmbiguousPath` if there is none, because any route would let something pass that another
    one refuses.
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
    """The strictest route for one method.

    None if one of the patterns does not serve it.
    """
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

"""The table of all routes: which of them a request is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http import hosts, paths, refusals
from gateway.core.http.path_patterns import parse
from gateway.core.http.paths import BackendPaths, Readings
from gateway.core.http.refusals import Refusal
from gateway.core.http.request_conditions import Conditions, Holds
from gateway.core.http.routing import Entry, Meets, Methods, Rule, Site, Table
from gateway.relay.access.route import Route
from gateway.relay.access.route_action import Action
from gateway.relay.access.strictest import Strictest
from gateway.relay.access.upstream_paths import BackendLogout

if TYPE_CHECKING:
    from gateway.relay.access.peer import Peer
    from gateway.relay.http1.request_head import RequestHead

# Clients choose the paths that are remembered: at most about 2 MiB of them.
_MAX_PATHS = 4096
_MAX_PATH_BYTES = 256

# Hosts that are remembered, of at most 259 bytes each.
_MAX_HOSTS = 4096

_ALWAYS = Conditions()


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
        ).any_host
        self._routes = Table(routes)
        self._logins = logins
        self._has_hosts = self._routes.has_hosts
        self._has_conditions = self._routes.has_conditions
        self._any_host: _Place = _Place(self._routes.any_host)
        self._places: dict[Site[Route], _Place] = {self._routes.any_host: self._any_host}
        self._hosts: dict[bytes, _Place] = {}
        self._any_memo = self._any_host.memo
        self._remembered = 0
        self._strictest = Strictest()

    def match(self, head: RequestHead, peer: Peer | None = None) -> Methods[Route] | Refusal:
        """The routes of a request.

        A refusal if there is none.

        peer: if it is trusted, what it tells of the host counts as well
        """
        if self._has_hosts:
            return self._at_host(head, peer)
        found = self._any_memo.get(head.path)
        if found is None:
            found = self._look_up(self._any_host, head.path)
        if self._has_conditions and isinstance(found, _Choice):
            return self._chosen(found, head)
        return found  # type: ignore[return-value]

    def fitting(self, host: bytes | None, path: bytes, *, is_folded: bool = False) -> list[Route]:
        """All routes whose host and path fit, in order, for people. Raises `AmbiguousHost`.

        is_folded: whether the path is a loose reading
        """
        sites = (self._endpoints, self._place(host).site)
        entries = [entry for site in sites for entry in site.fitting(path, is_folded=is_folded)]
        layers = [layer for entry in entries for layer in entry.layers.values()]
        return list(dict.fromkeys(route for layer in layers for route in layer.all()))

    def _at_host(self, head: RequestHead, peer: Peer | None) -> Methods[Route] | Refusal:
        """The stricter routes, if a trusted peer tells of another host than the request names."""
        try:
            found = self._in_place(self._place(head.host), head)
            if peer is None or not peer.trusted or not head.forwarding:
                return found
            told = peer.client(head).host
            if told is None or isinstance(found, Refusal):
                return found
            other = self._in_place(self._place(told), head)
            return other if isinstance(other, Refusal) else self._strictest.of(found, [other])
        except hosts.AmbiguousHost:
            return refusals.AMBIGUOUS_HOST
        except paths.AmbiguousPath:
            return refusals.AMBIGUOUS_PATH

    def _place(self, host: bytes | None) -> _Place:
        """Raises `AmbiguousHost`."""
        if host is None:
            return self._any_host
        place = self._hosts.get(host)
        if place is None:
            site = self._routes.site(host)
            place = self._places.setdefault(site, _Place(site))
            if len(self._hosts) >= _MAX_HOSTS:
                self._hosts.clear()
            self._hosts[host] = place
        return place

    def _in_place(self, place: _Place, head: RequestHead) -> Methods[Route] | Refusal:
        found = place.memo.get(head.path)
        if found is None:
            found = self._look_up(place, head.path)
        return self._chosen(found, head) if isinstance(found, _Choice) else found

    def _look_up(self, place: _Place, path: bytes) -> Methods[Route] | Refusal | _Choice:
        try:
            found = self._match(place.site, path)
        except paths.AmbiguousPath:
            found = refusals.AMBIGUOUS_PATH
        if len(path) <= _MAX_PATH_BYTES:
            self._remember()
            place.memo[path] = found
        return found

    def _remember(self) -> None:
        """Count one more memory; forget all if there are too many."""
        if self._remembered >= _MAX_PATHS:
            for place in self._places.values():
                place.memo.clear()
            self._remembered = 0
        self._remembered += 1

    def _match(self, site: Site[Route], path: bytes) -> Methods[Route] | Refusal | _Choice:
        """Raises `AmbiguousPath`."""
        readings = paths.read(path)
        own = _resolved(self._endpoints, readings)
        endpoint = own[0].under(_ALWAYS) if own else None
        if endpoint is not None and endpoint.other:  # it serves all methods
            return endpoint
        try:
            chain = _resolved(site, readings)
            choice = _Choice(site, path, readings, chain, endpoint)
            if self._has_conditions and any(choice.conditions()):
                return choice
            return self._settled(choice, {_ALWAYS: Holds.YES})
        except paths.AmbiguousPath:
            if endpoint is None:
                raise
            return endpoint

    def _chosen(self, choice: _Choice, head: RequestHead) -> Methods[Route] | Refusal:
        """The routes whose conditions a request meets; remembered."""
        meets = {
            conditions: conditions.read(head.passed, head.query)
            for conditions in choice.conditions()
        }
        asked = tuple(meets.values())
        found = choice.settled.get(asked)
        if found is None:
            try:
                found = self._settled(choice, meets)
            except paths.AmbiguousPath:
                found = choice.endpoint or refusals.AMBIGUOUS_PATH
            self._remember()
            choice.settled[asked] = found
        return found

    def _settled(self, choice: _Choice, meets: Meets) -> Methods[Route] | Refusal:
        """The routes of a path for requests that meet these conditions.

        At an endpoint, they serve the methods that it leaves. Raises `AmbiguousPath`.
        """
        found = self._of_routes(choice, meets)
        if choice.endpoint is None:
            return found
        return choice.endpoint if isinstance(found, Refusal) else found.behind(choice.endpoint)

    def _of_routes(self, choice: _Choice, meets: Meets) -> Methods[Route] | Refusal:
        """Raises `AmbiguousPath`."""
        found, entry, others = None, None, []
        for candidate in choice.chain:
            ours, ways, is_sure = candidate.met(meets)
            if found is None and ours is not None:
                found, entry = ours, candidate
            others += ways
            if is_sure:
                break
        if found is None or entry is None:
            return refusals.NO_ROUTE
        rest = [other for other in others if other is not found]
        found = self._strictest.of(found, rest, always=True)
        named = entry.pattern.is_name
        if not named:
            rivals = choice.site.rivals(entry, choice.readings.loose)
            ways = [way for rival in rivals for way in rival.met(meets)[1]]
            found = self._strictest.of(found, ways)
        if not all(route.takes(choice.readings) for route in found.all()):
            raise paths.AmbiguousPath
        return self._at_backends(found, choice.path, choice.readings, named=named)

    def _at_backends(
        self, found: Methods[Route], path: bytes, readings: Readings, *, named: bool
    ) -> Methods[Route] | Refusal:
        """The routes, with what the path means to their backends.

        A refusal at a guarded path.

        named: whether a pattern is exactly this path; then it is no other path with a format
            suffix, so that a page `/login.html` is not the login
        """
        known, routes = readings.at_backends, found.all()

        def leads_to(route: Route, meant: BackendPaths) -> bool:
            upstream = known
            if route.action.moves_paths:
                upstream = _moved(route.action, path).at_backends
            suffixes = route.upstream_paths.read_loosely and not named
            return meant.hold(upstream, suffixes=suffixes)

        for route in routes:
            guarded = route.upstream_paths.guarded
            # A path that becomes another one must be readable there, whether or not one is guarded.
            if (guarded or route.action.moves_paths) and leads_to(route, guarded):
                return refusals.NO_ROUTE  # wire-rules.md#E1

        def at_logouts(route: Route) -> tuple[BackendLogout, ...]:
            logouts = route.upstream_paths.logouts
            return tuple(logout for logout in logouts if leads_to(route, logout.paths))

        at_login = self._logins.hold(known, suffixes=not named)
        if not at_login and not any(map(at_logouts, routes)):
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


@dataclass(slots=True, eq=False)
class _Place:
    """The rules for one host, and the paths there that are remembered."""

    site: Site[Route]
    memo: dict[bytes, Methods[Route] | Refusal | _Choice] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Choice:
    """The routes of a path, of which some have conditions."""

    site: Site[Route]
    path: bytes
    readings: Readings
    chain: list[Entry[Route]]
    endpoint: Methods[Route] | None  # the gateway's own routes at this path
    settled: dict[tuple[Holds, ...], Methods[Route] | Refusal] = field(default_factory=dict)

    def involved(self) -> list[Entry[Route]]:
        """All patterns that the path may be meant by."""
        loose = self.readings.loose
        rivals = [rival for entry in self.chain for rival in self.site.rivals(entry, loose)]
        return list(dict.fromkeys([*self.chain, *rivals]))

    def conditions(self) -> list[Conditions]:
        """The conditions of all these, without doubles."""
        return list(dict.fromkeys(layer for entry in self.involved() for layer in entry.layers))


def _resolved(site: Site[Route], readings: Readings) -> list[Entry[Route]]:
    """The patterns that all readings but the loose ones match.

    Raises `AmbiguousPath`.
    """
    found = site.chain(readings.strict)
    for other in (readings.resolved, *readings.without_controls):
        if other != readings.strict and site.chain(other) != found:
            raise paths.AmbiguousPath
    return found

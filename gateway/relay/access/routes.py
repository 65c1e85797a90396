"""The rules of config.yaml in the form in which requests meet them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gateway.core.http import origins, paths, refusals
from gateway.core.http.cors import Policy
from gateway.core.http.paths import BackendPaths, Readings
from gateway.core.http.refusals import Refusal
from gateway.core.http.routing import Methods, Table
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.loop.settings import AnswerTimeouts

if TYPE_CHECKING:
    from gateway.relay.upstream.pool import Pool

# How many paths are remembered, and how long they may be: at most about 2 MiB of a client's choice.
_MAX_PATHS = 4096
_MAX_PATH_BYTES = 256

# How many sets of routes between which a path does not decide are remembered: 4 KiB or so each.
_MAX_DECIDED = 256

# Stands for the methods that no rule names.
_UNNAMED = b""


_SAFE = frozenset(method.encode() for method in origins.SAFE_METHODS)


class Auth(enum.Enum):
    """Who may pass. `OFFERED` is for endpoints: a key is looked up, but none is asked for."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    PUBLIC = "public"
    OFFERED = "offered"


# The more of them is asked for, the stricter the route.
_STRICTNESS = {Auth.PUBLIC: 0, Auth.OFFERED: 0, Auth.OPTIONAL: 1, Auth.REQUIRED: 2}

_NO_PATHS = BackendPaths(())


@dataclass(frozen=True, slots=True)
class BackendLogout:
    """A backend's own logout, which ends the gateway's session as well."""

    paths: BackendPaths
    method: bytes

    def is_asked(self, method: bytes) -> bool:
        """Whether a request of this method logs out; another safe one only looks.

        Backends answer HEAD as GET, and do the same for it (wire-rules.md#C7).
        """
        meant = b"GET" if method == b"HEAD" else method
        return meant == self.method or method not in _SAFE


_NO_LOGOUT = BackendLogout(_NO_PATHS, b"")


@dataclass(slots=True, eq=False)
class Route:
    """One rule: where it goes, who may pass, and what is different on the way."""

    name: str  # the pattern; names the route in logs
    auth: Auth
    pool: Pool | None = None  # of the upstream that it leads to; without one, the decision answers
    host: bytes = b""  # the upstream's own Host
    keeps_host: bool = True  # the client's Host goes upstream, else the upstream's own
    strip_prefix: bytes = b""
    reads_loosely: bool = True  # its backend may take other spellings for a path
    is_endpoint: bool = False  # the gateway itself answers
    verifies: bool = False  # it is another request that is decided on
    captures: int | None = None  # the rule's number, if a token in its replies is the session's
    websocket: bool = False
    close_on_logout: bool = True  # what is in flight ends with its session
    claims: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # see `required_claims`
    token: RouteTokens | None = None  # in place of the session's own
    bad_key_is_anonymous: bool = False
    accepts_jwt: bool = False  # of who brings one in place of a key
    login_page: str | None = None  # where a browser without a session is sent
    always_to_login: bool = False  # and not only a browser
    cors: Policy | None = None  # who else may read the answers
    guarded: BackendPaths = _NO_PATHS  # where its upstream hands out tokens: it leads to none
    at_login: bool = False  # this path is one where some upstream does
    logout: BackendLogout = _NO_LOGOUT  # of its upstream
    at_logout: bool = False  # this path is that logout's
    varies: tuple[bytes, ...] = ()  # the fields whose key decides who gets which answer
    timeouts: AnswerTimeouts = field(default_factory=AnswerTimeouts)  # of its upstream's answers
    body_limit: int = 2**63
    identifies: bool = field(init=False)  # whether a key is looked at
    in_process: bool = field(init=False)  # goes to the gateway's own endpoints, or through them
    rewrites: bool = field(init=False)  # the target does not go upstream as it came
    label: bytes = field(init=False)  # the name, for the log

    def __post_init__(self) -> None:
        self.identifies = self.auth is not Auth.PUBLIC
        self.in_process = self.is_endpoint or self.captures is not None
        self.rewrites = self.is_endpoint or bool(self.strip_prefix)
        self.label = self.name.encode()

    def target(self, head: RequestHead) -> bytes:
        """The request target that the upstream gets where it is rewritten."""
        if self.is_endpoint:
            # In the spelling that was matched, whatever spelling was asked for.
            return paths.strict(head.path) + head.query
        return self.upstream_path(head.path) + head.query

    def upstream_path(self, path: bytes) -> bytes:
        """The path after rewriting. A prefix that is spelled in escapes is cut off all the same."""
        if not self.strip_prefix:
            return path
        if not path.startswith(self.strip_prefix):
            path = paths.strict(path)
        rest = path[len(self.strip_prefix) :]
        return rest if rest.startswith(b"/") else b"/" + rest

    def can_strip(self, strict: bytes) -> bool:
        """Whether a path, strictly read, begins with the prefix that is to be cut off."""
        prefix = self.strip_prefix
        return not prefix or strict == prefix or strict.startswith(prefix + b"/")

    def is_as_strict_as(self, other: Route) -> bool:
        """Whether it refuses whatever the other refuses, and shows nothing that the other hides."""
        return (
            _STRICTNESS[self.auth] >= _STRICTNESS[other.auth]
            and all(
                name in self.claims and set(self.claims[name]) <= set(allowed)
                for name, allowed in other.claims.items()
            )
            and (not self.accepts_jwt or other.accepts_jwt)
            and (
                not self.bad_key_is_anonymous
                or other.bad_key_is_anonymous
                or other.auth is Auth.PUBLIC
            )
            and (self.captures is not None or other.captures is None)
            and other.token in (None, self.token)
            and self.cors == other.cors
        )

    def within(self, routes: Sequence[Route]) -> Route:
        """The route with the limits of all these."""
        return replace(
            self,
            websocket=all(route.websocket for route in routes),
            close_on_logout=any(route.close_on_logout for route in routes),
            body_limit=min(route.body_limit for route in routes),
        )


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
        if not all(route.can_strip(readings.strict) for route in found.all()):
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
            upstream = paths.read(route.upstream_path(path)) if route.strip_prefix else readings
            return meant.hold(upstream.loose, suffixes=route.reads_loosely and not named)

        if any(leads_to(route, route.guarded) for route in found.all()):
            return refusals.NO_ROUTE  # wire-rules.md#E1
        at_login = self._logins.hold(readings.loose, suffixes=not named)
        if not at_login and not any(leads_to(route, route.logout.paths) for route in found.all()):
            return found
        return found.mapped(
            lambda route: replace(
                route, at_login=at_login, at_logout=leads_to(route, route.logout.paths)
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
    if first is None or not first.reads_loosely:
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

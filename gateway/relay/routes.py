"""The rules of config.yaml in the form in which requests meet them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core import origins, paths, refusals
from gateway.core.cors import Policy
from gateway.core.refusals import Refusal
from gateway.core.routing import Methods, Table
from gateway.relay.heads import RequestHead
from gateway.relay.route_tokens import RouteTokens

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange

# How many paths are remembered, and how long they may be: at most about 2 MiB of a client's choice.
_MOST_PATHS = 4096
_LONGEST_PATH = 256


_SAFE = frozenset(method.encode() for method in origins.SAFE_METHODS)


class Auth(enum.Enum):
    """Who may pass. `OFFERED` is for endpoints: a key is looked up, but none is asked for."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    PUBLIC = "public"
    OFFERED = "offered"


class Destination(Protocol):
    """Where a route leads: to an upstream's pool, or to what answers in the place of one."""

    @property
    def host(self) -> bytes: ...
    @property
    def guarded(self) -> frozenset[bytes]: ...
    @property
    def acquire(self) -> Callable[[Exchange], None]: ...


@dataclass(frozen=True, slots=True)
class InPlace:
    """Answers at once, without a connection to anybody."""

    acquire: Callable[[Exchange], None]
    guarded: frozenset[bytes] = frozenset()
    host: bytes = b""


@dataclass(frozen=True, slots=True)
class BackendLogout:
    """A backend's own logout, which ends the gateway's session as well."""

    paths: frozenset[bytes]  # as `core.paths.guard_form` writes them
    method: bytes

    def is_asked(self, method: bytes) -> bool:
        """Whether a request of this method logs out; another safe one only looks."""
        return method == self.method or method not in _SAFE


@dataclass(slots=True, eq=False)
class Route:
    """One rule: where it goes, who may pass, and what is different on the way."""

    name: str  # the pattern; names the route in logs
    pool: Destination
    auth: Auth
    keeps_host: bool = True  # the client's Host goes upstream, else the upstream's own
    strip_prefix: bytes = b""
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
    logout: BackendLogout | None = None  # of its upstream
    at_logout: bool = False  # this path is that logout's
    varies: tuple[bytes, ...] = ()  # the fields whose key decides who gets which answer
    response_timeout: float = 60.0
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
            return paths.read(head.path).strict + head.query
        return self.upstream_path(head.path) + head.query

    def upstream_path(self, path: bytes) -> bytes:
        """The path after rewriting. A prefix that is spelled in escapes is cut off all the same."""
        if not self.strip_prefix:
            return path
        if not path.startswith(self.strip_prefix):
            path = paths.read(path).strict
        rest = path[len(self.strip_prefix) :]
        return rest if rest.startswith(b"/") else b"/" + rest

    def leads_to_logout(self, path: bytes) -> bool:
        """Whether this path is the backend's own logout."""
        if self.logout is None:
            return False
        return paths.guard_form(self.upstream_path(path)) in self.logout.paths


class RouteTable:
    """Finds the route of a path, and remembers what it found."""

    def __init__(
        self,
        endpoints: Iterable[Route],
        routes: Iterable[tuple[str, Iterable[str] | None, Route]],
    ) -> None:
        """`routes` are (pattern, methods or None for every method, route)."""
        self._endpoints = Table((route.name, None, route) for route in endpoints)
        self._routes = Table(routes)
        self._memo: dict[bytes, Methods[Route] | Refusal] = {}

    def match(self, path: bytes) -> Methods[Route] | Refusal:
        """The routes of a path as it came (without its query), or why there is none."""
        found = self._memo.get(path)
        if found is None:
            found = self._look_up(path)
            if len(path) <= _LONGEST_PATH:
                if len(self._memo) >= _MOST_PATHS:
                    self._memo.clear()
                self._memo[path] = found
        return found

    def _look_up(self, path: bytes) -> Methods[Route] | Refusal:
        try:
            readings = paths.read(path)
            found = self._match(readings.strict)
            if found is not self._match(readings.loose):
                return refusals.AMBIGUOUS_PATH
            if found is None or any(self._is_guarded(route, path) for route in found.all()):
                return refusals.NO_ROUTE
            if any(route.leads_to_logout(path) for route in found.all()):
                return found.mapped(
                    lambda route: replace(route, at_logout=route.leads_to_logout(path))
                )
        except paths.AmbiguousPath:
            return refusals.AMBIGUOUS_PATH
        return found

    def _match(self, path: bytes) -> Methods[Route] | None:
        return self._endpoints.match(path) or self._routes.match(path)

    @staticmethod
    def _is_guarded(route: Route, path: bytes) -> bool:
        """Whether this would reach a backend's own login and its token (rule E1)."""
        if route.in_process or not route.pool.guarded:
            return False  # whatever token comes back that way, it reaches nobody
        return paths.guard_form(route.upstream_path(path)) in route.pool.guarded

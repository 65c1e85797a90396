"""One rule of config.yaml in the form in which requests meet it.

`Access` and `Action` hold its options, in the groups of `config/route_sections.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http import paths, refusals
from gateway.core.http.path_patterns import PathPattern
from gateway.core.http.paths import Readings
from gateway.observe.access_record import label_of
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import Action
from gateway.relay.access.token_watch import UNWATCHED, TokenWatch
from gateway.relay.access.upstream_paths import BackendLogout, UpstreamPaths
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.relay.upstream.pool import Pool


@dataclass(slots=True, eq=False)
class Route:
    """One rule: what it matches, who may pass, and what happens then."""

    name: str  # the pattern; names the route in logs
    access: Access
    action: Action = field(default_factory=Action)
    pool: Pool | None = None  # of the upstream; without one, the decision answers
    upstream_paths: UpstreamPaths = field(default_factory=UpstreamPaths)
    at_login: bool = False  # an upstream has its login at this path
    at_logouts: tuple[BackendLogout, ...] = ()  # its upstream has these at this path
    pattern: PathPattern | None = None  # of a rule of config.yaml
    number: int | None = None  # of that rule
    watch: TokenWatch = UNWATCHED  # for JWTs in replies
    is_endpoint: bool = False  # the gateway itself answers
    is_login: bool = False  # and answers logins
    verifies: bool = False  # the request describes another one, which is decided on
    identifies: bool = field(init=False)  # a key is looked up
    in_process: bool = field(init=False)  # leads to the gateway's own endpoints
    reshapes: bool = field(init=False)  # the upstream's answers change, or are compressed
    rewrites: bool = field(init=False)  # the target or a field changes on its way upstream
    label: bytes = field(init=False)  # the name, for records

    def __post_init__(self) -> None:
        self.identifies = self.access.auth is not Auth.PUBLIC
        self.in_process = self.is_endpoint or self.action.whole is not None
        self.rewrites = (
            self.is_endpoint
            or self.action.moves_paths
            or self.action.request_fields is not None
            or self.action.drops_via
        )
        action = self.action
        shapes = (action.links, action.answer_fields, action.security, action.compression)
        self.reshapes = any(shape is not None for shape in shapes)
        self.label = label_of(self.name)

    def target(self, head: RequestHead) -> bytes:
        """The request target for the upstream, on a route that rewrites it."""
        if self.is_endpoint:
            # In the spelling that was matched, whatever spelling was asked for.
            return paths.strict(head.path) + head.query
        action = self.action
        # The endpoint that reads a reply as a whole calls the upstream below its base by itself.
        prefix = action.add_prefix if self.in_process else action.prefix
        return prefix + action.upstream_path(head.path) + head.query

    def path_values(self, head: RequestHead) -> dict[str, str]:
        """The segments of a path that the route's pattern names, decoded.

        They are alike in all readings of the path: no slash, no control byte, never empty.

        Raises `Refused` if a backend could read other ones.
        """
        if self.pattern is None or not self.pattern.names:
            return {}
        try:
            readings = paths.read(head.path)
            return self.pattern.values(readings.strict, readings.resolved)
        except ValueError:
            raise Refused(refusals.AMBIGUOUS_PATH) from None

    def takes(self, path: Readings) -> bool:
        """Whether the route has its prefix to strip, and the values of its fields.

        All backends have to find them in the path.
        """
        action = self.action
        if not action.can_strip(path.strict):
            return False
        changes = (action.request_fields, action.answer_fields)
        if self.pattern is None or not any(change and change.of_paths for change in changes):
            return True
        try:
            self.pattern.values(path.strict, path.resolved)
        except ValueError:
            return False
        return True

    def is_looser_than(self, other: Route) -> Iterator[str]:
        """The settings in which it does not refuse or hide what the other does; none if it does."""
        yield from self.access.opens_more_than(other.access)
        yield from self.action.shows_more_than(other.action)
        if other.watch.refuses and not (self.watch.refuses or self.action.captures):
            yield "tokens"

    def within(self, routes: Sequence[Route]) -> Route:
        """The route with the limits of all these."""
        return replace(self, action=self.action.within([route.action for route in routes]))

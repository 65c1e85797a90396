"""One rule of config.yaml in the form in which requests meet it.

Its options stand in the groups of `config/route_sections.py`. A group reads its options there, so a
new option is a field of the group and a line in its `of`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.config.limit_places import exposed_fields
from gateway.config.token_places import key_schemes
from gateway.core.http import paths, refusals
from gateway.core.http.backend_links import BackendLinks
from gateway.core.http.cors import Policy
from gateway.core.http.path_patterns import PathPattern
from gateway.core.http.path_rewriting import Rewrite
from gateway.core.http.paths import BackendPaths, Readings
from gateway.core.http.security_fields import SecurityFields
from gateway.core.logins.token_sending import TokenSending
from gateway.relay.access.concurrency import Concurrency
from gateway.relay.access.field_changes import FieldChanges, replaces_as_much
from gateway.relay.access.limits import RouteLimits, limits_of_all
from gateway.relay.access.requirements import Requirements
from gateway.relay.access.route_answers import RouteAnswer
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.access.token_watch import UNWATCHED, TokenWatch
from gateway.relay.compression.compression import Compression
from gateway.relay.http1.request_head import SAFE_METHODS, RequestHead
from gateway.relay.loop.settings import AnswerTimeouts
from gateway.relay.outcomes import Refused

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteAccess, RouteAction
    from gateway.config.traffic_sections import Timeouts
    from gateway.relay.upstream.pool import Pool
    from gateway.rules.rule import RuleSet


class Auth(enum.Enum):
    """Who may pass.

    `OFFERED` is for endpoints: a key is looked up, and none is required.
    """

    REQUIRED = "required"
    OPTIONAL = "optional"
    PUBLIC = "public"
    OFFERED = "offered"


# A route with a higher number is stricter.
_STRICTNESS = {Auth.PUBLIC: 0, Auth.OFFERED: 0, Auth.OPTIONAL: 1, Auth.REQUIRED: 2}

# The gateway's own fields of each answer: its name (RFC 9110 §7.6.3), and the request's id.
VIA = b"Via: 1.1 latchkey\r\n"
REQUEST_ID = b"X-Request-Id: "

_NO_PATHS = BackendPaths(())


@dataclass(frozen=True, slots=True)
class BackendLogout:
    """The logouts of backends by one method.

    They end the gateway's session as well.
    """

    paths: BackendPaths
    method: bytes

    def is_asked(self, method: bytes) -> bool:
        """Whether a request of this method logs out. Other safe methods only look.

        Backends answer HEAD as GET, and do the same for it (wire-rules.md#C7).
        """
        meant = b"GET" if method == b"HEAD" else method
        return meant == self.method or method not in SAFE_METHODS


@dataclass(frozen=True, slots=True)
class UpstreamPaths:
    """What paths mean to the upstream of a route."""

    read_loosely: bool = True  # its backend may take other spellings for a path
    guarded: BackendPaths = _NO_PATHS  # where it hands out tokens: no route leads there
    logouts: tuple[BackendLogout, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Who may pass by a route, and what other callers are told."""

    auth: Auth
    requires: Requirements | None = None  # of the session, beyond being one
    bad_key_is_anonymous: bool = False
    accepts_jwt: bool = False  # a caller may bring a JWT in place of a key
    key_in_query: bytes | None = None  # the parameter in which a key may come
    key_in_subprotocol: bool = False  # a key may come among the subprotocols of a WebSocket
    login_page: str | None = None  # browsers without a session are sent there
    sends_all_to_login: bool = False  # programs as well
    asks_for_basic: bool = False  # programs send their keys as Basic once they are asked to
    cors: Policy | None = None  # which other origins' pages may read the answers

    @classmethod
    def of(cls, options: RouteAccess, config: Config, rules: RuleSet) -> Access:
        """The access that a route of config.yaml gives; `rules` are those in Python."""
        return cls(
            auth=Auth(options.auth),
            requires=Requirements.of(options, config, rules),
            bad_key_is_anonymous=options.bad_key == "anonymous",
            accepts_jwt=options.accept_jwt == "verify",
            key_in_query=None if options.key_in_query is None else options.key_in_query.encode(),
            key_in_subprotocol=options.key_in_subprotocol,
            login_page=None if options.on_unauthenticated == "401" else config.login_page,
            sends_all_to_login=options.on_unauthenticated == "login",
            asks_for_basic="basic" in map(str.lower, key_schemes(config)),
            cors=Policy.of(options.cors or config.cors, exposed_fields(config)),
        )

    def is_as_strict_as(self, other: Access) -> bool:
        """Whether it refuses all that the other refuses, with the same readers."""
        return (
            _STRICTNESS[self.auth] >= _STRICTNESS[other.auth]
            and (
                other.requires is None
                or (self.requires is not None and self.requires.imply(other.requires))
            )
            and (not self.accepts_jwt or other.accepts_jwt)
            and self.key_in_query in (None, other.key_in_query)
            and (not self.key_in_subprotocol or other.key_in_subprotocol)
            and (
                not self.bad_key_is_anonymous
                or other.bad_key_is_anonymous
                or other.auth is Auth.PUBLIC
            )
            and self.cors == other.cors
        )


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to a route's requests and answers on their way."""

    host: bytes = b""  # the upstream's own Host
    keeps_host: bool = True  # the client's Host goes upstream in its place
    strip_prefix: bytes = b""
    add_prefix: bytes = b""  # stands before the path upstream, where the other was
    base: bytes = b""  # the path below which the upstream is reached
    rewrite: Rewrite | None = None  # makes another path, in place of strip_prefix
    answer: RouteAnswer | None = None  # of the gateway itself, in place of an upstream's
    request_fields: FieldChanges | None = None
    answer_fields: FieldChanges | None = None
    security: SecurityFields | None = None  # by which browsers protect the site
    mark: bytes = VIA + REQUEST_ID  # what begins the gateway's own fields of an answer
    links: BackendLinks | None = None  # how answers name the upstream's own URLs
    upgrades: frozenset[bytes] = frozenset()  # to these protocols (in lower case)
    close_on_logout: bool = True  # exchanges in flight end with their session
    extends_session: bool = True  # its requests keep their session from being idle
    token: RouteTokens | None = None  # makes a token in place of the session's own
    send_token: TokenSending | None = None  # how the token goes upstream; None: as it came
    whole: int | None = None  # the rule's number, if an endpoint reads its replies as a whole
    captures: bool = False  # a token in replies becomes the session's
    ends: str | None = None  # after a success, the subject's `others` or `all` sessions end
    keeps_no_pages: bool = True  # a session's HTML is not to be stored, unless the upstream says so
    varies: tuple[bytes, ...] = ()  # answers differ by the key in one of these fields
    timeouts: AnswerTimeouts = field(default_factory=AnswerTimeouts)
    request_body_idle: float = 30.0  # seconds without a piece of a request's body
    compression: Compression | None = None  # of its answers; None: they stay as they are
    streams: bool = False  # its answers are event streams, whatever their type
    body_limit: int = 2**63  # bytes
    buffer_request: int | None = None  # bodies are read first, and up to so many bytes in memory
    limits: RouteLimits | None = None  # how many requests a client may send
    concurrency: tuple[Concurrency, ...] = ()  # how many it may have in flight

    @classmethod
    def of(cls, options: RouteAction, config: Config) -> Action:
        """The action that a rule of config.yaml describes by itself.

        `setup.routes` adds the fields about the upstream, tokens and keys.
        """
        timeouts = config.timeouts
        return cls(
            strip_prefix=(options.strip_prefix or "").encode().rstrip(b"/"),
            add_prefix=(options.add_prefix or "").encode().rstrip(b"/"),
            upgrades=frozenset(token.encode() for token in options.upgrades),
            close_on_logout=options.close_on_logout,
            keeps_no_pages=options.no_store,
            extends_session=options.extends_session,
            captures=options.captures is not None,
            ends=options.ends,
            timeouts=_answer_timeouts(options, timeouts),
            request_body_idle=(
                options.request_body_idle or options.body_idle or timeouts.body_idle
            ),
            streams=options.stream,
            # A stream would hold an encoder for as long as it lasts, and a key is not compressed
            # beside what others choose (BREACH).
            compression=(
                None
                if options.stream or options.captures is not None or options.ends is not None
                else Compression.of(options, config)
            ),
            buffer_request=options.buffer_request,
            body_limit=(
                config.limits.body_size if options.body_size is None else options.body_size
            ),
        )

    @property
    def moves_paths(self) -> bool:
        """Whether a path is another one upstream."""
        return bool(self.strip_prefix or self.add_prefix or self.base or self.rewrite is not None)

    @property
    def prefix(self) -> bytes:
        """What stands before all paths upstream."""
        return self.base + self.add_prefix

    def upstream_path(self, path: bytes) -> bytes:
        """The path without the prefix, which may be spelled in escapes, or rewritten.

        Raises `AmbiguousPath` if it cannot be rewritten.
        """
        if self.rewrite is not None:
            return self.rewrite(path)
        if not self.strip_prefix:
            return path
        if not path.startswith(self.strip_prefix):
            path = paths.strict(path)
        rest = path[len(self.strip_prefix) :]
        return rest if rest.startswith(b"/") else b"/" + rest

    def can_strip(self, strict: bytes) -> bool:
        """Whether a path, in its strict reading, begins with the prefix."""
        prefix = self.strip_prefix
        return not prefix or strict == prefix or strict.startswith(prefix + b"/")

    def hides_as_much_as(self, other: Action) -> bool:
        """Whether it hides all that the other does, and ends all sessions that the other ends.

        It hides tokens, and what clients write into fields that the other replaces.
        """
        return (
            (self.captures or not other.captures)
            and other.token in (None, self.token)
            and replaces_as_much(self.request_fields, other.request_fields)
            and (other.ends in (None, self.ends) or self.ends == "all")
        )

    def within(self, others: Sequence[Action]) -> Action:
        """The action with the limits of all these."""
        return replace(
            self,
            upgrades=self.upgrades.intersection(*(other.upgrades for other in others)),
            close_on_logout=any(other.close_on_logout for other in others),
            keeps_no_pages=any(other.keeps_no_pages for other in others),
            extends_session=all(other.extends_session for other in others),
            body_limit=min(other.body_limit for other in others),
            compression=(self.compression if all(other.compression for other in others) else None),
            limits=limits_of_all([other.limits for other in others]),
            concurrency=tuple(dict.fromkeys(one for other in others for one in other.concurrency)),
        )


def _answer_timeouts(options: RouteAction, timeouts: Timeouts) -> AnswerTimeouts:
    """A route's own timeouts, else those of all routes.

    `body_idle` of a route holds for event streams as well, unless it says `stream_idle`.
    """
    body_idle = options.response_body_idle or options.body_idle
    return AnswerTimeouts(
        response=options.response_timeout or timeouts.response,
        body_idle=body_idle or timeouts.body_idle,
        stream_idle=options.stream_idle or body_idle or timeouts.stream_idle,
        tunnel_idle=options.tunnel_idle or timeouts.tunnel_idle,
    )


@dataclass(slots=True, eq=False)
class Route:
    """One rule: what it matches, who may pass, and what happens then."""

    name: str  # the pattern; names the route in logs
    access: Access
    action: Action = Action()
    pool: Pool | None = None  # of the upstream; without one, the decision answers
    upstream_paths: UpstreamPaths = UpstreamPaths()
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
    rewrites: bool = field(init=False)  # the target changes on its way upstream
    label: bytes = field(init=False)  # the name, for the log

    def __post_init__(self) -> None:
        self.identifies = self.access.auth is not Auth.PUBLIC
        self.in_process = self.is_endpoint or self.action.whole is not None
        self.rewrites = (
            self.is_endpoint or self.action.moves_paths or self.action.request_fields is not None
        )
        action = self.action
        shapes = (action.links, action.answer_fields, action.security, action.compression)
        self.reshapes = any(shape is not None for shape in shapes)
        self.label = self.name.encode()

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

    def is_as_strict_as(self, other: Route) -> bool:
        """Whether it refuses and hides all that the other does."""
        return (
            self.access.is_as_strict_as(other.access)
            and self.action.hides_as_much_as(other.action)
            and (self.watch.refuses or self.action.captures or not other.watch.refuses)
        )

    def within(self, routes: Sequence[Route]) -> Route:
        """The route with the limits of all these."""
        return replace(self, action=self.action.within([route.action for route in routes]))

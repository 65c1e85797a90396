"""What happens to the requests and answers of a route on their way.

Its options stand in `RouteAction` of `config/route_sections.py`. A new one is a field
here, and a line in `of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.core.http import paths
from gateway.core.http.backend_links import BackendLinks
from gateway.core.http.path_rewriting import Rewrite
from gateway.core.http.security_fields import SecurityFields
from gateway.core.logins.token_sending import TokenSending
from gateway.relay.access.concurrency import Concurrency
from gateway.relay.access.field_changes import FieldChanges, replaces_as_much
from gateway.relay.access.limits import RouteLimits, limits_of_all
from gateway.relay.access.route_answers import RouteAnswer
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.compression.compression import Compression
from gateway.relay.loop.settings import AnswerTimeouts

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteAction
    from gateway.config.traffic_sections import Timeouts

# The gateway's own fields of each answer: its name (RFC 9110 §7.6.3), and the request's id.
VIA = b"Via: 1.1 latchkey\r\n"

REQUEST_ID = b"X-Request-Id: "


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
    own_lines: bytes = VIA + REQUEST_ID  # begins the gateway's own fields of an answer
    drops_via: bool = False  # its requests go without the Via of the connection
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

    def shows_more_than(self, other: Action) -> Iterator[str]:
        """The settings in which it hides less than the other, or ends fewer sessions.

        Hidden are tokens, and what clients write into fields that the other replaces.
        """
        if other.captures and not self.captures:
            yield "captures"
        if other.token not in (None, self.token):
            yield "token"
        if not replaces_as_much(self.request_fields, other.request_fields):
            yield "request_headers"
        if other.ends not in (None, self.ends) and self.ends != "all":
            yield "ends"

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
            concurrency=tuple(
                dict.fromkeys(limit for other in others for limit in other.concurrency)
            ),
        )


def _answer_timeouts(options: RouteAction, timeouts: Timeouts) -> AnswerTimeouts:
    """A route's own timeouts, else those of all routes.

    Without a `stream_idle` of its own, no event stream gets less time than other bodies.
    """
    body_idle = options.response_body_idle or options.body_idle
    return AnswerTimeouts(
        response=options.response_timeout or timeouts.response,
        body_idle=body_idle or timeouts.body_idle,
        stream_idle=options.stream_idle or max(body_idle or 0.0, timeouts.stream_idle),
        tunnel_idle=options.tunnel_idle or timeouts.tunnel_idle,
    )

"""Makes the routes of a relay, for rules in config.yaml and for endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gateway.config.exposed_fields import exposed_fields
from gateway.config.login_places import backend_paths, logout_paths, max_bodies
from gateway.config.own_tokens import minter
from gateway.config.route_rules import name_of, pattern_of
from gateway.config.token_places import token_fields, token_sending
from gateway.core.http import path_rewriting
from gateway.core.http.addresses import share_a_server
from gateway.core.http.backend_links import BackendLinks
from gateway.core.http.cors import Policy
from gateway.core.http.path_rewriting import Rewrite
from gateway.core.http.paths import BackendPaths
from gateway.core.http.security_fields import SecurityFields
from gateway.observe.unsent_fields import UnsentFields
from gateway.relay.access.field_changes import FieldChanges
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_action import REQUEST_ID, VIA, Action
from gateway.relay.access.route_answers import answer_of
from gateway.relay.access.route_tokens import RouteTokens
from gateway.relay.access.token_watch import UNWATCHED, TokenWatch, TokenWatches
from gateway.relay.access.upstream_paths import BackendLogout, UpstreamPaths
from gateway.relay.loop.settings import AnswerTimeouts
from gateway.relay.setup.limits import LimitBuilder
from gateway.relay.setup.pools import PoolBuilder
from gateway.relay.upstream.server import Connect
from gateway.rules.rule import RuleSet

if TYPE_CHECKING:
    from gateway.config.field_sections import FieldChanges as FieldChangesSection
    from gateway.config.field_sections import SecurityHeaders
    from gateway.config.model import Config
    from gateway.config.route_sections import RouteOptions, RouteToken
    from gateway.config.upstream_sections import Upstream
    from gateway.observe.metrics import Metrics

_NO_PATHS = BackendPaths(())


class RouteBuilder:
    """Makes routes of rules and of endpoints."""

    def __init__(
        self,
        config: Config,
        pools: PoolBuilder,
        captures: Connect,
        metrics: Metrics,
        limits: LimitBuilder,
    ) -> None:
        """Take what routes are made of.

        captures: connects to the endpoint that asks upstreams where tokens are captured
        metrics: counts routes whose replies give clients a JWT
        limits: makes the rate limits of routes
        """
        self.watches = TokenWatches()
        self.rules = RuleSet()
        self._metrics = metrics
        self._config = config
        self._pools = pools
        self._captures = captures
        self._limits = limits
        self._minter = minter(config)
        self._tokens: dict[tuple[Any, ...], RouteTokens] = {}
        named = [name.encode() for name in (*config.keys.field, *token_fields(config))]
        named = list({name.lower(): name for name in named}.values())
        self._key_fields = (b"Cookie", *named)
        self._login_paths = {path.path for login in config.login for path in login.paths}
        self._guarded = _reached(config, backend_paths(config))
        self.logins = _anywhere(config, backend_paths(config))
        self._logouts: dict[str, tuple[BackendLogout, ...]] = dict.fromkeys(config.upstreams, ())
        self._any_logout: tuple[BackendLogout, ...] = ()
        for method, asked in logout_paths(config).items():
            for name, found in _reached(config, asked).items():
                self._logouts[name] += (BackendLogout(found, method.encode()),)
            self._any_logout += (BackendLogout(_anywhere(config, asked), method.encode()),)

    def route(self, number: int, rule: RouteOptions) -> Route:
        """The route of a rule; `number` is the rule's index in config.yaml."""
        upstream = None if rule.upstream is None else self._config.upstreams[rule.upstream]
        via = self._config.via if rule.via is None else rule.via
        answer = answer_of(rule, self._config)
        pool = None if rule.upstream is None else self._pools.upstreams[rule.upstream]
        if answer is not None:
            pool = None
        elif rule.is_read_whole:
            pool = self._pools.endpoint(self._captures)
        return Route(
            name=name_of(rule),
            number=number,
            pattern=pattern_of(rule),
            access=Access.of(rule, self._config, self.rules),
            action=replace(
                Action.of(rule, self._config),
                host=b"" if pool is None else pool.host,
                keeps_host=rule.is_read_whole or upstream is None or upstream.own_host is None,
                base=b"" if upstream is None else upstream.base.encode(),
                rewrite=_rewrite(rule),
                answer=answer,
                own_lines=_own_lines(via),
                drops_via=via_is_sent(self._config) and not via,
                request_fields=_changes(rule.request_headers, f"routes[{number}].request_headers"),
                answer_fields=_changes(rule.response_headers, f"routes[{number}].response_headers"),
                security=security_fields(rule.security_headers or self._config.security_headers),
                links=None if upstream is None else _links(rule, upstream),
                token=self._route_tokens(rule.token),
                send_token=token_sending(rule, self._config),
                whole=number if rule.is_read_whole and answer is None else None,
                varies=self._key_fields if rule.auth == "optional" else (),
                limits=self._limits.of_route(number, rule),
                concurrency=self._limits.concurrency_of(number, rule),
            ),
            pool=pool,
            upstream_paths=self._upstream_paths(rule),
            watch=UNWATCHED if rule.captures is not None or pool is None else self._watch(rule),
        )

    def _watch(self, rule: RouteOptions) -> TokenWatch:
        watch = TokenWatch(
            name_of(rule), self._metrics.token_passed, refuses=rule.tokens == "refuse"
        )
        self.watches.add(watch)
        return watch

    def _upstream_paths(self, rule: RouteOptions) -> UpstreamPaths:
        if rule.upstream is None:
            return UpstreamPaths(logouts=self._any_logout)
        return UpstreamPaths(
            read_loosely=self._config.upstreams[rule.upstream].paths == "loose",
            # A captured reply is read as a whole, so no token gets out.
            guarded=_NO_PATHS if rule.captures is not None else self._guarded[rule.upstream],
            logouts=self._logouts[rule.upstream],
        )

    def _route_tokens(self, section: RouteToken | None) -> RouteTokens | None:
        """The tokens of a route. Routes with the same section share them."""
        if section is None or self._minter is None:
            return None
        asked = (section.audience, section.claims, section.lifetime)
        if asked not in self._tokens:
            self._tokens[asked] = RouteTokens(
                self._minter,
                audience=section.audience,
                claims=section.claims,
                lifetime=section.lifetime,
            )
        return self._tokens[asked]

    def endpoint(self, path: str, connect: Connect) -> Route:
        """The route of an endpoint: a path, or all paths below one."""
        timeouts, whoami = self._config.timeouts, self._config.whoami
        cors = Policy.of(self._config.cors, exposed_fields(self._config))
        is_whoami = whoami is not None and whoami.path == path
        return Route(
            name=path,
            access=Access(Auth.OFFERED, cors=cors),
            action=Action(
                security=security_fields(self._config.security_headers),
                own_lines=_own_lines(self._config.via),
                close_on_logout=False,  # a logout must not end itself
                extends_session=whoami is None or not is_whoami or whoami.extends_session,
                timeouts=AnswerTimeouts(timeouts.response, timeouts.body_idle),
                request_body_idle=timeouts.body_idle,
                body_limit=max_bodies(self._config).get(path, self._config.limits.body_size),
                limits=self._limits.of_endpoint(path),
            ),
            pool=self._pools.endpoint(connect),
            is_endpoint=True,
            is_login=path in self._login_paths,
        )


def _reached(config: Config, asked: Sequence[tuple[str, str]]) -> dict[str, BackendPaths]:
    """The paths that are `asked` for, by the upstreams that reach them.

    An upstream also reaches the paths of others with which it shares a server.

    asked: pairs of an upstream and a path
    """
    return {
        name: BackendPaths(
            (config.upstreams[other].base + path).encode()
            for other, path in asked
            if share_a_server(upstream.servers, config.upstreams[other].servers)
        )
        for name, upstream in config.upstreams.items()
    }


def _anywhere(config: Config, asked: Iterable[tuple[str, str]]) -> BackendPaths:
    """The paths that are `asked` for, with what their upstreams put before them and without."""
    found = {path for _, path in asked}
    found |= {config.upstreams[name].base + path for name, path in asked}
    return BackendPaths(path.encode() for path in found)


def via_is_sent(config: Config) -> bool:
    """Whether some route sends Via to its upstream."""
    return any(config.via if rule.via is None else rule.via for rule in config.routes)


def _own_lines(via: bool, /) -> bytes:  # noqa: FBT001 (a value of the file)
    return VIA + REQUEST_ID if via else REQUEST_ID


def _changes(section: FieldChangesSection | None, setting: str) -> FieldChanges | None:
    return None if section is None else FieldChanges(section, UnsentFields(setting))


def security_fields(section: SecurityHeaders | Literal["off"] | None) -> SecurityFields | None:
    """The fields of a policy; None if there are none."""
    if section is None or isinstance(section, str):
        return None
    fields: dict[str, str] = {}
    if section.hsts is not None:
        hsts = f"max-age={int(section.hsts.max_age)}"
        hsts += "; includeSubDomains" if section.hsts.subdomains else ""
        fields["Strict-Transport-Security"] = hsts + ("; preload" if section.hsts.preload else "")
    if section.nosniff:
        fields["X-Content-Type-Options"] = "nosniff"
    if section.frame_options != "off":
        fields["X-Frame-Options"] = section.frame_options
    if section.frame_ancestors is not None:
        fields["Content-Security-Policy"] = f"frame-ancestors {section.frame_ancestors}"
    if section.referrer_policy is not None:
        fields["Referrer-Policy"] = section.referrer_policy
    if section.permissions_policy is not None:
        fields["Permissions-Policy"] = section.permissions_policy
    return SecurityFields(fields) if fields else None


def _rewrite(rule: RouteOptions) -> Rewrite | None:
    section = rule.rewrite
    if section is not None and section.path is not None:
        return path_rewriting.by_template(rule.path, section.path)
    if section is not None and section.match is not None and section.to is not None:
        return path_rewriting.by_pattern(section.match, section.to)
    return None


def _links(rule: RouteOptions, upstream: Upstream) -> BackendLinks | None:
    """How the answers of a route name its upstream's own URLs; None if as clients know them."""
    client = (rule.strip_prefix or "").rstrip("/").encode()
    prefix = (upstream.base + (rule.add_prefix or "").rstrip("/")).encode()
    if not client and not prefix and upstream.own_host is None:
        return None
    if not rule.proxy_redirect and not rule.proxy_cookie_path:
        return None
    names = {server.authority for server in upstream.servers} | {upstream.own_host or ""}
    return BackendLinks.of(
        client,
        prefix,
        [name.encode() for name in names if name],
        moves_urls=rule.proxy_redirect,
        # A key's cookie is for all paths.
        moves_cookies=rule.proxy_cookie_path and not rule.is_read_whole,
    )

"""The settings of a route in three groups: match, access and action.

The relay has a rule for the options of each group (`relay/access/route.py`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.answer_sections import MaintenanceText, Redirect, Respond
from gateway.config.base import Model, Shorthand
from gateway.config.content_codings import Codings, MediaTypes
from gateway.config.field_sections import FieldChanges, SecurityHeadersText
from gateway.config.limit_sections import Concurrency, LimitList
from gateway.config.path_values import (
    ExactPath,
    HostPattern,
    PathPrefix,
    RegexText,
    Rewriting,
    RewrittenPath,
    RewrittenPattern,
    RoutePath,
    Wanted,
    WantedInField,
)
from gateway.config.require_sections import Require, RequiredClaim
from gateway.config.token_values import CapturedPlace, ClaimAddress, ClaimName, TokenSendingText
from gateway.config.units import Duration, Size
from gateway.config.values import (
    FieldName,
    Method,
    OneOrMany,
    Origin,
    ParameterName,
    UpgradeToken,
    written,
)
from gateway.core.http import cors, path_rewriting, templates
from gateway.core.http.field_names import fold


class Cors(Model):
    """CORS: the origins whose pages may read responses."""

    origins: Annotated[tuple[Origin, ...], OneOrMany(), Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] = cors.DEFAULT_METHODS
    headers: Annotated[tuple[FieldName, ...], OneOrMany()] = cors.DEFAULT_HEADERS
    exposed: Annotated[tuple[FieldName, ...], OneOrMany()] = ()
    credentials: bool = False
    max_age: Duration = 600.0

    @model_validator(mode="after")
    def _fits(self) -> Cors:
        if self.credentials and cors.ANY in self.origins:
            raise ValueError("credentials for every origin would let any site act as its visitors")
        return self


class RouteToken(Model):
    """A token for the upstream of one route."""

    audience: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)]
    claims: Annotated[tuple[ClaimName, ...], OneOrMany()] | None = None
    lifetime: Annotated[Duration, Field(ge=1)] | None = None


def _status_as_text(value: Any) -> Any:
    """YAML reads 401 without quotes as a number."""
    return "401" if value == 401 else value


class RouteMatch(Model):
    """Which requests a route is for."""

    path: RoutePath = ""
    path_regex: RegexText | None = None
    bare: bool = True
    host: Annotated[tuple[HostPattern, ...], OneOrMany(), Field(min_length=1)] = ()
    headers: dict[FieldName, WantedInField] = {}
    query: dict[Annotated[str, Field(min_length=1)], Wanted] = {}
    methods: Annotated[
        Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] | None,
        BeforeValidator(written),
    ] = None

    @model_validator(mode="after")
    def _has_one_path(self) -> RouteMatch:
        if bool(self.path) == (self.path_regex is not None):
            raise ValueError("needs path, or path_regex in its place")
        if len({fold(name.encode()) for name in self.headers}) < len(self.headers):
            raise ValueError("headers name a field twice: a route has one condition for it")
        return self


class Impersonates(Model):
    """Who may act as another subject, with a token that the upstream issues."""

    claims: Annotated[dict[ClaimAddress, RequiredClaim], Field(min_length=1)]


class RouteAccess(Model):
    """Who may pass by a route, and what other callers are told."""

    auth: Literal["required", "optional", "public"] = "required"
    claims: dict[ClaimAddress, RequiredClaim] = {}
    require: Annotated[Require | None, BeforeValidator(written)] = None
    impersonates: Annotated[Impersonates | None, BeforeValidator(written)] = None
    bad_key: Literal["refuse", "anonymous"] = "refuse"
    accept_jwt: Literal["refuse", "verify"] = "refuse"
    key_in_query: ParameterName | None = None
    key_in_subprotocol: bool = False
    on_unauthenticated: Annotated[
        Literal["auto", "401", "login"],
        BeforeValidator(_status_as_text),
        WithJsonSchema({"enum": ["auto", "401", 401, "login"]}),
    ] = "auto"
    cors: Cors | None = None

    @model_validator(mode="after")
    def _access_fits(self) -> RouteAccess:
        if self.claims and self.auth == "public":
            raise ValueError("claims need a session: auth cannot be public")
        if self.require is not None and self.auth == "public":
            raise ValueError("require needs a session: auth cannot be public")
        if self.accept_jwt == "verify" and self.auth == "public":
            raise ValueError("accept_jwt needs credentials: auth cannot be public")
        if (self.key_in_query is not None or self.key_in_subprotocol) and self.auth == "public":
            raise ValueError("key_in_query and key_in_subprotocol need auth: no key is looked at")
        if self.bad_key == "anonymous" and self.auth != "optional":
            raise ValueError("bad_key: anonymous goes with auth: optional")
        return self


class PathRewrite(Shorthand):
    """Another path for the upstream: as a text, or by a regular expression."""

    _short_for = "path"

    path: Rewriting | None = None
    match: RewrittenPattern | None = None
    to: RewrittenPath | None = None

    @model_validator(mode="after")
    def _fits(self) -> PathRewrite:
        if (self.match is None) == (self.path is None) or (self.match is None) != (self.to is None):
            raise ValueError("needs a path, or match and to")
        if self.match is None or self.to is None:
            return self
        found = path_rewriting.compiled(self.match).groups
        if path_rewriting.groups(self.to) > found:
            raise ValueError(f"names a group that match does not have: it has {found}")
        return self


class RouteAction(Model):
    """Where the requests of a route go, and what happens to them on the way."""

    upstream: str | None = None
    respond: Respond | None = None
    redirect: Redirect | None = None
    maintenance: MaintenanceText = None
    strip_prefix: PathPrefix | None = None
    add_prefix: PathPrefix | None = None
    rewrite: PathRewrite | None = None
    request_headers: FieldChanges | None = None
    response_headers: FieldChanges | None = None
    security_headers: SecurityHeadersText = None
    proxy_redirect: bool = True
    proxy_cookie_path: bool = True
    via: bool | None = None
    websocket: bool = False
    upgrade: Annotated[tuple[UpgradeToken, ...], OneOrMany()] = ()
    close_on_logout: bool = True
    no_store: bool = True
    tokens: Literal["warn", "refuse", "swap"] = "warn"
    extends_session: bool = True
    token: RouteToken | None = None
    send_token: TokenSendingText | None = None
    response_timeout: Annotated[Duration, Field(gt=0)] | None = None
    body_idle: Annotated[Duration, Field(gt=0)] | None = None
    request_body_idle: Annotated[Duration, Field(gt=0)] | None = None
    response_body_idle: Annotated[Duration, Field(gt=0)] | None = None
    stream: bool = False
    stream_idle: Annotated[Duration, Field(gt=0)] | None = None
    tunnel_idle: Annotated[Duration, Field(gt=0)] | None = None
    body_size: Size | None = None
    buffer_request: Size | None = None
    limits: LimitList = ()
    concurrency: Annotated[tuple[Concurrency, ...], OneOrMany()] = ()
    compress: Codings | None = None
    compress_min: Size | None = None
    compress_types: MediaTypes | None = None
    captures: CapturedPlace = None
    login: ExactPath | None = None
    ends: Literal["others", "all"] | None = None
    max_reply: Size = 2**20

    @property
    def upgrades(self) -> frozenset[str]:
        """The protocols to which requests may upgrade. `websocket` is short for one of them."""
        return frozenset((*self.upgrade, "websocket") if self.websocket else self.upgrade)

    @model_validator(mode="before")
    @classmethod
    def _read_as_a_whole(cls, value: Any) -> Any:
        """A captured reply is read as a whole, and so is its request.

        So is one after which sessions end.
        """
        if not isinstance(value, dict):
            return value
        if value.get("tokens") == "swap" or value.get("impersonates") is not None:
            value = {"captures": True, **value}
        if (value.get("captures") or value.get("ends")) and "body_size" not in value:
            value = {"body_size": 2**20, **value}
        return value

    @model_validator(mode="after")
    def _action_fits(self) -> RouteAction:
        if self.buffer_request is not None and self.upstream is None:
            raise ValueError("buffer_request goes with an upstream: a proxy that asks sends bodies")
        prefix = (self.strip_prefix or "").rstrip("/")
        if self.upstream is None and (prefix or self.captures is not None):
            raise ValueError("strip_prefix and captures go with an upstream")
        kinds = (self.upstream, self.respond, self.redirect)
        if sum(kind is not None for kind in kinds) > 1:
            raise ValueError("can have only one of upstream, respond and redirect")
        if self.upstream is None and (self.add_prefix or self.rewrite is not None):
            raise ValueError("add_prefix and rewrite go with an upstream")
        if self.rewrite is not None and (prefix or self.add_prefix):
            raise ValueError("rewrite stands for the whole path: without strip_prefix, add_prefix")
        if self.upstream is None and self.tokens == "refuse":
            raise ValueError("tokens: refuse goes with an upstream: its replies are looked at")
        if self.captures is not None and not self.extends_session:
            raise ValueError("captures write the session anew: extends_session cannot be false")
        if self.ends is not None and (self.upstream is None or self.upgrades):
            raise ValueError("ends waits for an upstream's whole reply: nothing can be upgraded")
        if self.ends == "all" and self.captures is not None:
            raise ValueError("ends: all ends the session that captures would go on with")
        if self.captures is not None and self.upgrades:
            raise ValueError("captures read whole replies: nothing can be upgraded")
        if self.captures is not None and self.tokens == "refuse":
            raise ValueError("captures hide all tokens of a reply: tokens cannot be refuse")
        if self.captures is None and self.tokens == "swap":
            raise ValueError("tokens: swap captures them: captures cannot be false")
        if self.captures is not None and self.token is not None:
            raise ValueError("token is for minted sessions, whose tokens are never captured")
        return self


# What a rule of access says of its answers alone, and not of who may pass.
_OF_ANSWERS = {"cors", "on_unauthenticated"}


# Pydantic takes the fields from right to left.
class RouteOptions(RouteAction, RouteAccess, RouteMatch):
    """One rule: what it matches, who may pass, where it goes."""

    @property
    def is_read_whole(self) -> bool:
        """Whether the gateway itself reads the upstream's replies, as a whole."""
        return self.captures is not None or self.ends is not None

    @property
    def is_answered_here(self) -> bool:
        """Whether the gateway itself answers, without an upstream."""
        return bool(self.respond or self.redirect or self.maintenance)

    @property
    def same_route(self) -> str:
        """A digest of what it matches, who may pass and where it leads.

        Tunnels outlive a reload if a rule of the new configuration has the same.
        """
        meant = {*RouteMatch.model_fields, *RouteAccess.model_fields, "upstream"} - _OF_ANSWERS
        text = self.model_dump_json(include=meant)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def begins_sessions(self) -> bool:
        """Whether a captured token may begin a session, as a login does."""
        return self.captures is not None and self.auth == "optional"

    @model_validator(mode="after")
    def _groups_fit(self) -> RouteOptions:
        prefix = (self.strip_prefix or "").rstrip("/")
        if prefix and self.path_regex is not None:
            raise ValueError("strip_prefix goes with path: paths of an expression are rewritten")
        if prefix and not (self.path == prefix or self.path.startswith(prefix + "/")):
            raise ValueError(f"path {self.path} does not begin with strip_prefix {prefix}")
        self._check_path_values()
        if self.captures is not None and (self.auth == "public" or self.accept_jwt == "verify"):
            raise ValueError("captures look at keys: auth cannot be public, nor go with accept_jwt")
        if self.impersonates is not None and (self.captures is None or self.auth != "required"):
            raise ValueError("impersonates captures tokens, and goes with auth: required")
        if self.ends is not None and self.impersonates is not None:
            raise ValueError("ends is for a subject's own requests, and not with impersonates")
        if self.ends is not None and (self.auth != "required" or self.accept_jwt == "verify"):
            raise ValueError("ends needs a session: auth must be required, without accept_jwt")
        if self.login is not None and not self.begins_sessions:
            raise ValueError("login goes with captures and auth: optional, where sessions begin")
        if self.key_in_query is not None and self.upstream is None:
            raise ValueError("key_in_query needs an upstream: a proxy that asks would send it on")
        if self.key_in_subprotocol and not ("websocket" in self.upgrades and self.upstream):
            raise ValueError("key_in_subprotocol goes with an upstream and websocket: true")
        if self.token is not None and self.auth == "public":
            raise ValueError("token needs a session: auth cannot be public")
        if self.token is not None and self.accept_jwt == "verify":
            raise ValueError("token replaces the JWT that accept_jwt would forward unchanged")
        return self

    def _check_path_values(self) -> None:
        """Each `${path.name}` is a segment that the route's path names. Raises `ValueError`."""
        names = path_rewriting.written_values(self.path, self.path.encode())
        texts = {
            "rewrite": None if self.rewrite is None else self.rewrite.path,
            "redirect": None if self.redirect is None else self.redirect.to,
        }
        for changes in (self.request_headers, self.response_headers):
            for name in () if changes is None else changes.path_names:
                if name not in names or name == "*":
                    raise ValueError(f"path {self.path} has no ${{path.{name}}}")
        for setting, text in texts.items():
            for name in templates.parse(text or "").names:
                if name != "query" and name.removeprefix("path.") not in names:
                    raise ValueError(f"{setting}: path {self.path} has no ${{{name}}}")
                if name == "query" and setting == "rewrite":
                    raise ValueError("rewrite: the query goes upstream as it came")

"""What config.yaml may say. Everything is frozen, and an unknown key is an error.

Times are seconds and sizes bytes once they are read, whatever unit they were written in.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from gateway.config.units import Duration, Size
from gateway.core import cors
from gateway.core.addresses import Address, ServerUrl, parse_address, parse_server
from gateway.core.authorization import PARAMETERS
from gateway.core.minting import REGISTERED
from gateway.core.provider_metadata import is_protected
from gateway.core.refresh_tokens import Sending, parse_sending
from gateway.core.secret import Secret
from gateway.core.store_urls import StoreUrl, parse_store_url
from gateway.core.token_places import (
    ClaimPlace,
    JsonPointer,
    TokenPlace,
    parse_claim_place,
    parse_pointer,
    parse_token_place,
)
from gateway.core.verifying_keys import Algorithm

_PATH = re.compile(r"/[A-Za-z0-9_.~!$&'()+,=:@/-]*(?<!/)\*?|/[A-Za-z0-9_.~!$&'()+,=:@/-]*/\*?|/\*?")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class OneOrMany:
    """Marks a list for which one value may stand."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        many = handler(schema)
        return {"anyOf": [handler.resolve_ref_schema(many).get("items", {}), many]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is no path: it begins with a slash")
    if "*" in value and (not value.endswith("/*") or value.count("*") > 1):
        raise ValueError("is no path: a star stands only at the end, as in /api/*")
    if not _PATH.fullmatch(value) or "//" in value or "/./" in value or "/../" in value:
        raise ValueError("is no plain path: write it decoded, without //, dots or a query")
    return value


def _exact_path(value: str) -> str:
    if value.endswith("*"):
        raise ValueError("is one path: it cannot end in a star")
    return _path(value)


def _path_of_a_list(value: str) -> str:
    if value.endswith("/"):
        raise ValueError("cannot end in a slash: there is more below it")
    return value


def _off(value: Any) -> Any:
    """YAML 1.1 reads a plain `off` as false."""
    return "off" if value is False else value


def _unless_off(value: Any) -> Any:
    return None if _off(value) == "off" else value


def _method(value: str) -> str:
    if not _METHOD.fullmatch(value):
        raise ValueError("is no method: write it in capitals, as in GET")
    if value in ("CONNECT", "TRACE"):
        raise ValueError("is never served")
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError("is no field name")
    return value


def _origin(value: str) -> str:
    if value != cors.ANY and not _ORIGIN.fullmatch(value):
        raise ValueError("is no origin: write https://app.example, or * for all")
    return value


def _claim_name(value: str) -> str:
    if value in REGISTERED:
        raise ValueError("is a claim that the gateway itself makes")
    return value


def _store_url(value: str) -> StoreUrl:
    if value != "embedded":
        parse_store_url(value)
    return StoreUrl(value)


def _key_set_url(value: str) -> str:
    parts = urlsplit(value)  # a ValueError says what is wrong with a host or a port
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("is no address of a key set: it begins with https://, or http://")
    if parts.username is not None:
        raise ValueError("cannot hold a password: what is published needs none")
    return value


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if not is_protected(value):
        raise ValueError("is no issuer: write https://id.example, or http:// only on loopback")
    if parts.query or parts.fragment or parts.username is not None or not value.isprintable():
        raise ValueError("is no issuer: it has no query, no fragment and no password")
    return value


def _published(value: str) -> str:
    if value.startswith("HS"):
        raise ValueError("goes with a secret, and providers publish none")
    return value


def _own_origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("is no origin: write https://app.example, without a path")
    return value


def _captured(value: Any) -> Any:
    if isinstance(value, bool):
        return parse_token_place("auto") if value else None
    if value is not None and not isinstance(value, str):
        raise ValueError("names no place: write true, or where the token is")
    return None if value is None else parse_token_place(value)


def _parsed(parse: Any, schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    """How a text becomes a value of `core`, which knows nothing of pydantic."""
    return (
        BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value),
        PlainSerializer(str),
        WithJsonSchema(schema),
    )


_TEXT = {"type": "string"}
Path = Annotated[str, AfterValidator(_path)]
ExactPath = Annotated[str, AfterValidator(_exact_path)]
ListPath = Annotated[ExactPath, AfterValidator(_path_of_a_list)]
Method = Annotated[str, AfterValidator(_method)]
FieldName = Annotated[str, AfterValidator(_field_name)]
Origin = Annotated[str, AfterValidator(_origin)]
PublishedAlgorithm = Annotated[Algorithm, AfterValidator(_published)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]  # RFC 6749 §3.3
Listen = Annotated[Address, *_parsed(parse_address, _TEXT)]
Listens = Annotated[tuple[Listen, ...], OneOrMany(), Field(min_length=1)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], OneOrMany()]
ServerAddress = Annotated[ServerUrl, *_parsed(parse_server, _TEXT)]
SecretText = Annotated[Secret, *_parsed(Secret, {**_TEXT, "format": "password", "writeOnly": True})]
Place = Annotated[TokenPlace, *_parsed(parse_token_place, _TEXT)]
CapturedPlace = Annotated[
    TokenPlace | None,
    BeforeValidator(_captured),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _TEXT]}),
]
PointerText = Annotated[JsonPointer, *_parsed(parse_pointer, _TEXT)]
Carrier = Literal["auto", "reply", "cookie"]
ClaimAt = Annotated[ClaimPlace, *_parsed(parse_claim_place, _TEXT)]
ClaimName = Annotated[str, AfterValidator(_claim_name)]
SendingText = Annotated[Sending | None, *_parsed(parse_sending, _TEXT)]


class Model(BaseModel):
    """The habits of every section."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,  # only the whole document is ever validated: 5 MiB less per process
    )


class Shorthand(Model):
    """A section for which a text may stand: the value of its field `_short_for`."""

    _short_for: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        return {cls._short_for: value} if isinstance(value, str | bool) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class Admin(Model):
    """The listener for operators. Keep it away from the public."""

    listen: Listens = (parse_address("127.0.0.1:8081"),)
    secret: SecretText | None = None


class NearCache(Model):
    """What each worker remembers of the sessions that it has seen."""

    entries: Annotated[int, Field(ge=0)] = 20_000
    ttl: Duration = 30.0


class StoreTls(Model):
    """How the store is checked over TLS, and what the gateway shows of itself."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _fits(self) -> StoreTls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file goes with a cert_file")
        return self


class Account(Model):
    """Who the gateway is to a server."""

    username: str | None = None
    password: SecretText | None = None

    @model_validator(mode="after")
    def _needs_password(self) -> Self:
        if self.username is not None and self.password is None:
            raise ValueError("username goes with a password")
        return self


class Store(Account, Shorthand):
    """Where sessions are kept. A plain text is short for its `url`."""

    _short_for = "url"

    url: Annotated[str, AfterValidator(_store_url)] = StoreUrl("embedded")
    sentinel: Account = Account()
    tls: StoreTls = StoreTls()
    data_dir: str = ".latchkey"
    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    replicas: Annotated[int, Field(ge=0)] = 0
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]*$")] = "latchkey:"
    near_cache: NearCache = NearCache()

    @model_validator(mode="after")
    def _fits(self) -> Store:
        place = None if self.url == "embedded" else parse_store_url(self.url)
        if place is None and (self.password is not None or self.replicas):
            raise ValueError("password and replicas are for a Redis, not for the embedded store")
        if self.tls != StoreTls() and not (place and place.tls):
            raise ValueError("tls goes with a URL that begins with rediss")
        if self.sentinel != Account() and not (place and place.kind == "sentinel"):
            raise ValueError("sentinel goes with a redis+sentinel:// URL")
        return self


class StoreOutage(Model):
    """What happens to requests while the store is away."""

    serve_cached: Duration = 0.0


class Renew(Model):
    """How a backend gives a new token for a refresh token."""

    upstream: str
    backend_path: ExactPath
    method: Method = "POST"
    refresh_token: Place = parse_token_place("auto")
    send: SendingText = None
    body: dict[str, str] = {}
    token: Place = parse_token_place("auto")
    before: Annotated[Duration, Field(gt=0)] = 60.0
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    max_reply: Size = 2**20


class Verify(Model):
    """How tokens are verified: by one key, or by those that a provider publishes."""

    secret: SecretText | None = None
    public_key: str | None = None
    jwks: Annotated[str, AfterValidator(_key_set_url)] | None = None
    algorithms: Annotated[tuple[Algorithm, ...], OneOrMany()] = ()
    issuer: Annotated[tuple[str, ...], OneOrMany()] = ()
    audience: Annotated[tuple[str, ...], OneOrMany()] = ()
    leeway: Duration | None = None
    require_expiry: bool = False

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if sum(each is not None for each in (self.secret, self.public_key, self.jwks)) != 1:
            raise ValueError("needs one of secret, public_key and jwks")
        return self


class Jwt(Verify):
    """How tokens are verified that callers bring along themselves."""

    require_expiry: bool = True


class SessionSettings(Model):
    """How long sessions last, and the secrets that are mixed into their seals."""

    idle_timeout: Annotated[Duration, Field(gt=0)] = 1800.0
    max_age: Annotated[Duration, Field(gt=0)] = 43200.0
    secrets: tuple[SecretText, ...] = ()
    secrets_file: str | None = None
    clock_skew: Duration = 5.0
    renew: Renew | None = None
    end_on_upstream_401: bool = False
    max_per_subject: Annotated[int, Field(ge=0)] = 0


class UpstreamTls(Model):
    """How https servers are checked."""

    ca_file: str | None = None
    verify: bool = True


class Upstream(Shorthand):
    """A named backend: its servers, and how they are spoken to. A text is short for one server."""

    _short_for = "servers"

    servers: Annotated[tuple[ServerAddress, ...], Field(min_length=1), OneOrMany()]
    host: Literal["client", "upstream"] = "client"
    max_connections: Annotated[int, Field(ge=1)] = 256
    tls: UpstreamTls = UpstreamTls()


class Keys(Model):
    """How keys travel."""

    carrier: Carrier = "auto"
    field: FieldName | None = None
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "latchkey"
    secure: Literal["auto"] | bool = "auto"


class Cors(Model):
    """Which other origins' pages may read answers."""

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


class Guessing(Model):
    """How many logins may fail before the next one has to wait. 0 is any number; off is all of it.

    Whole seconds are counted in.
    """

    account: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)] = (
        "username",
        "email",
        "login",
        "user",
    )
    window: Annotated[Duration, Field(ge=1)] = 300.0
    per_account: Annotated[int, Field(ge=0)] = 10
    per_account_everywhere: Annotated[int, Field(ge=0)] = 100
    per_address: Annotated[int, Field(ge=0)] = 100
    in_all: Annotated[int, Field(ge=0)] = 0
    delay_after: Annotated[int, Field(ge=0)] = 5
    delay: Annotated[Duration, Field(ge=1)] = 1.0
    longest_delay: Annotated[Duration, Field(ge=1)] = 60.0
    known_for: Duration = 30 * 86400.0

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        return dict.fromkeys(_COUNTS, 0) if _off(value) == "off" else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [{"enum": [False, "off"]}, handler(schema)]}


_COUNTS = ("per_account", "per_account_everywhere", "per_address", "in_all")


class LoginSection(Model):
    """What every login has."""

    path: ExactPath
    max_body: Size = 2**20
    body_timeout: Annotated[Duration, Field(gt=0)] = 20.0
    carrier: Carrier | None = None
    guessing: Guessing | None = None


class AskingLogin(LoginSection):
    """A login for which a backend is asked."""

    upstream: str
    backend_path: ExactPath = ""
    methods: Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] = ("POST",)
    timeout: Annotated[Duration, Field(gt=0)] = 15.0
    max_reply: Size = 2**20
    failed: PointerText = parse_pointer("/errors")

    @model_validator(mode="before")
    @classmethod
    def _same_path(cls, value: Any) -> Any:
        if isinstance(value, dict) and "backend_path" not in value and "path" in value:
            return {**value, "backend_path": value["path"]}
        return value


class BackendLogin(AskingLogin):
    """A login by the backend's own login: its reply's token becomes a key."""

    kind: Literal["backend"]
    token: Place = parse_token_place("auto")
    failed: PointerText = parse_pointer("/errors")
    subject: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)] = (
        "sub",
        "user_id",
        "uid",
        "username",
        "email",
    )
    renew: Renew | None = None
    verify: Verify | None = None


class Claim(Shorthand):
    """Where a claim stands in a backend's reply. A text is short for `at`."""

    _short_for = "at"

    at: ClaimAt
    required: bool = True


class MintLogin(AskingLogin):
    """A login by a backend that only says yes and who: the gateway mints the token."""

    kind: Literal["mint"]
    claims: dict[str, Claim]
    reply: PointerText = parse_pointer("/token")

    @model_validator(mode="after")
    def _fits(self) -> MintLogin:
        if "sub" not in self.claims or not self.claims["sub"].required:
            raise ValueError("claims must say where sub is: whom a token is for")
        for name in self.claims:
            if name != "sub" and name in REGISTERED:
                raise ValueError(f"claims cannot hold {name}, which the gateway itself makes")
        return self


class UsersLogin(LoginSection):
    """A login by a file of users, whose tokens the gateway mints."""

    kind: Literal["users"]
    file: str
    methods: tuple[Literal["POST"]] = ("POST",)
    max_body: Size = 16 * 1024


class OidcLogin(Model):
    """A login at an OpenID provider, to which browsers go and from which they come back."""

    kind: Literal["oidc"]
    path: ExactPath
    callback_path: ExactPath = ""
    backchannel_path: ExactPath = ""
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretText | None = None
    client_auth: Literal["auto", "client_secret_basic", "client_secret_post", "none"] = "auto"
    scopes: Annotated[tuple[Scope, ...], OneOrMany()] = ("openid",)
    parameters: dict[str, str] = {}
    token: Literal["access_token", "id_token"] = "access_token"  # noqa: S105 (which, not what)
    subject: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)] = ("sub",)
    subject_prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+:)?$")] | None = None
    algorithms: Annotated[tuple[PublishedAlgorithm, ...], OneOrMany()] = ()
    origin: Annotated[str, AfterValidator(_own_origin)] | None = None
    after_logout: ExactPath = "/"
    renew_before: Annotated[Duration, Field(gt=0)] = 60.0
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    ca_file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _paths_below(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not _PATH.fullmatch(str(value.get("path", "*"))):
            return value
        path = value["path"].removesuffix("*").rstrip("/")
        below = {"callback_path": f"{path}/callback", "backchannel_path": f"{path}/backchannel"}
        return {**below, **value}

    @model_validator(mode="after")
    def _fits(self) -> OidcLogin:
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid: without it, nobody is logged in")
        for name in self.parameters:
            if name in PARAMETERS:
                raise ValueError(f"parameters cannot hold {name}, which the gateway itself says")
        needs_secret = self.client_auth.startswith("client_secret")
        if needs_secret and self.client_secret is None:
            raise ValueError(f"client_auth: {self.client_auth} needs a client_secret")
        if self.client_auth == "none" and self.client_secret is not None:
            raise ValueError("client_auth: none has no use for a client_secret")
        return self


AnyLogin = Annotated[BackendLogin | MintLogin | UsersLogin | OidcLogin, Field(discriminator="kind")]


class SigningKey(Model):
    """A key that tokens are signed with."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"]
    kid: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    private_key_file: str | None = None
    private_key: SecretText | None = None
    secret: SecretText | None = None

    @model_validator(mode="after")
    def _one(self) -> SigningKey:
        given = [self.private_key_file, self.private_key, self.secret]
        if sum(each is not None for each in given) != 1:
            raise ValueError("needs one of private_key_file, private_key and secret")
        if (self.algorithm == "HS256") != (self.secret is not None):
            raise ValueError("HS256 goes with a secret, the other algorithms with a private key")
        return self


class Signing(Model):
    """How the gateway's own tokens are made. The first key signs, and all are published."""

    keys: Annotated[tuple[SigningKey, ...], OneOrMany(), Field(min_length=1)]
    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[tuple[str, ...], OneOrMany()] = ()
    lifetime: Annotated[Duration, Field(ge=1)] = 300.0


class Logout(Model):
    """The gateway's logout, and the backend's own if it is to be told."""

    path: ExactPath = "/logout"
    upstream: str | None = None
    backend_path: ExactPath | None = None
    method: Method = "POST"
    timeout: Annotated[Duration, Field(gt=0)] = 5.0

    @model_validator(mode="after")
    def _both(self) -> Logout:
        if (self.upstream is None) != (self.backend_path is None):
            raise ValueError("upstream and backend_path go together")
        return self


class SessionList(Shorthand):
    """The list of the caller's own sessions. A plain text is short for its `path`; off is none."""

    _short_for = "path"

    path: Annotated[
        ListPath | None,
        BeforeValidator(_unless_off),
        WithJsonSchema({"anyOf": [_TEXT, {"const": False}]}),
    ] = "/sessions"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [_TEXT, {"const": False}, handler(schema)]}


class Pages(Model):
    """What people see of the gateway."""

    templates: str | None = None
    login: ExactPath | None = None


class RouteToken(Model):
    """The token that a route's upstream gets, which is meant for it alone."""

    audience: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)]
    claims: Annotated[tuple[ClaimName, ...], OneOrMany()] | None = None
    lifetime: Annotated[Duration, Field(ge=1)] | None = None


class Route(Model):
    """One rule: what it matches, where it goes, who may pass."""

    path: Path
    upstream: str | None = None
    auth: Literal["required", "optional", "public"] = "required"
    methods: Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] | None = None
    strip_prefix: ExactPath | None = None
    websocket: bool = False
    close_on_logout: bool = True
    claims: dict[
        str, Annotated[tuple[str | int | bool, ...], OneOrMany(), Field(min_length=1)]
    ] = {}
    token: RouteToken | None = None
    bad_key: Literal["refuse", "anonymous"] = "refuse"
    accept_jwt: Literal["refuse", "verify"] = "refuse"
    on_unauthenticated: Literal["auto", "401", "login"] = "auto"
    cors: Cors | None = None
    response_timeout: Annotated[Duration, Field(gt=0)] | None = None
    body_size: Size | None = None
    captures: CapturedPlace = None
    max_reply: Size = 2**20

    @model_validator(mode="before")
    @classmethod
    def _read_as_a_whole(cls, value: Any) -> Any:
        """What is captured is read as a whole, and so is what leads to it."""
        if isinstance(value, dict) and value.get("captures") and "body_size" not in value:
            return {**value, "body_size": 2**20}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Route:
        prefix = (self.strip_prefix or "").rstrip("/")
        if prefix and not (self.path == prefix or self.path.startswith(prefix + "/")):
            raise ValueError(f"strip_prefix {prefix} is not what path {self.path} begins with")
        if self.upstream is None and (prefix or self.captures is not None):
            raise ValueError("strip_prefix and captures go with an upstream")
        if self.claims and self.auth == "public":
            raise ValueError("claims need a session: auth cannot be public")
        if self.captures is not None:
            self._check_captures()
        if self.token is not None:
            self._check_token()
        if self.accept_jwt == "verify" and self.auth == "public":
            raise ValueError("accept_jwt looks at credentials: auth cannot be public")
        if self.bad_key == "anonymous" and self.auth != "optional":
            raise ValueError("bad_key: anonymous goes with auth: optional")
        return self

    def _check_captures(self) -> None:
        if self.auth != "required" or self.accept_jwt == "verify":
            raise ValueError("captures need a session: auth is required, and by key alone")
        if self.websocket:
            raise ValueError("captures read whole replies: there is none of a websocket")

    def _check_token(self) -> None:
        if self.auth == "public":
            raise ValueError("token needs a session: auth cannot be public")
        if self.accept_jwt == "verify":
            raise ValueError("token replaces what accept_jwt lets pass as it is")
        if self.captures is not None:
            raise ValueError("token is for minted sessions, of which nothing is captured")


class ForwardAuth(Shorthand):
    """The forward-auth endpoint, and who may ask it. A plain text is short for its `path`."""

    _short_for = "path"

    path: ListPath = "/.well-known/latchkey/verify"
    trusted: Networks = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Timeouts(Model):
    """How long the relay waits for what."""

    head: Annotated[Duration, Field(gt=0)] = 10.0
    idle: Annotated[Duration, Field(gt=0)] = 75.0
    connect: Annotated[Duration, Field(gt=0)] = 5.0
    response: Annotated[Duration, Field(gt=0)] = 60.0
    body_idle: Annotated[Duration, Field(gt=0)] = 30.0
    write: Annotated[Duration, Field(gt=0)] = 30.0
    continue_: Annotated[Duration, Field(gt=0, alias="continue")] = 1.0
    upstream_idle: Annotated[Duration, Field(gt=0)] = 4.0
    tunnel_idle: Annotated[Duration, Field(gt=0)] = 3600.0
    linger: Annotated[Duration, Field(gt=0)] = 2.0
    drain: Duration = 30.0


class Limits(Model):
    """How much of what the relay takes."""

    head_size: Annotated[Size, Field(ge=1024)] = 32 * 1024
    target_size: Annotated[Size, Field(ge=256)] = 8 * 1024
    fields: Annotated[int, Field(ge=8)] = 100
    body_size: Size = 8 * 2**30
    response_head_size: Annotated[Size, Field(ge=1024)] = 64 * 1024
    connections: Annotated[int, Field(ge=1)] = 10_000
    requests: Annotated[int, Field(ge=1)] = 5_000


def _workers(value: Any) -> Any:
    return os.cpu_count() or 1 if value == "auto" else value


class Config(Model):
    """All of config.yaml."""

    version: Literal[1]
    listen: Listens = (parse_address("127.0.0.1:8080"),)
    admin: Admin = Admin()
    workers: Annotated[
        int,
        BeforeValidator(_workers),
        Field(ge=1, le=256),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
    ] = 1
    store: Store = Store()
    store_outage: StoreOutage = StoreOutage()
    session: SessionSettings = SessionSettings()
    upstreams: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")],
        Upstream,
    ]
    login: Annotated[tuple[AnyLogin, ...], OneOrMany()] = ()
    guessing: Guessing = Guessing()
    signing: Signing | None = None
    logout: Logout = Logout()
    jwt: Jwt | None = None
    keys: Keys = Keys()
    cors: Cors | None = None
    login_page: ExactPath | None = None
    sessions: SessionList = SessionList()
    pages: Pages = Pages()
    routes: tuple[Route, ...]
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    trusted_proxies: Networks = ()
    verify: ForwardAuth | None = None
    identity: dict[FieldName, str] = {"X-User-Id": "sub"}
    access_log: Annotated[str, BeforeValidator(_off)] = "stdout"
    audit_log: Annotated[str, BeforeValidator(_off)] = "stdout"

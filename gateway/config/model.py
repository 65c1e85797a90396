"""The sections of config.yaml.

Once read, durations are seconds and sizes are bytes.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gateway.config import content_codings
from gateway.config.answer_sections import MaintenanceText
from gateway.config.base import Model, Shorthand
from gateway.config.content_codings import Codings, MediaTypes
from gateway.config.cores import usable_cores
from gateway.config.field_sections import SecurityHeadersText
from gateway.config.limit_sections import LimitList, LimitName, RateLimit
from gateway.config.login_sections import Guessing
from gateway.config.logins import AnyLogin
from gateway.config.require_sections import RequireFrom
from gateway.config.route_sections import Cors, RouteOptions
from gateway.config.store_sections import Store, StoreOutage
from gateway.config.token_sections import Jwt, Renew, Signing
from gateway.config.units import Duration, Percent, Size
from gateway.config.upstream_sections import Balance, Breaker, Eject, Health, Retries
from gateway.config.values import (
    _TEXT,
    AskedSending,
    Carrier,
    ClaimAddress,
    DnsServer,
    ExactPath,
    FieldName,
    Group,
    HostName,
    JoinText,
    KeyForm,
    ListenAddress,
    ListPath,
    LogPlace,
    Method,
    Networks,
    OneOrMany,
    RedirectPort,
    Scheme,
    SecretText,
    ShapedPath,
    SiteOrigin,
    SocketMode,
    TlsName,
    TokenSendingText,
    WeightedServer,
    unless_none,
    unless_off,
)
from gateway.core.http.addresses import (
    Address,
    CertificateFiles,
    Entrance,
    UnixAddress,
    parse_address,
)
from gateway.core.logins.token_sending import AUTO
from gateway.core.sessions import identity_headers
from gateway.core.sessions.jwt_shape import OWN_CLAIMS


class CertificatePair(Model):
    """A certificate with its chain, and its key, in PEM."""

    cert_file: Annotated[str, Field(min_length=1)]
    key_file: Annotated[str, Field(min_length=1)]


class ListenTls(Model):
    """The certificates of a listener, and the oldest version of TLS."""

    cert_file: Annotated[str, Field(min_length=1)] | None = None
    key_file: Annotated[str, Field(min_length=1)] | None = None
    certificates: Annotated[tuple[CertificatePair, ...], Field(min_length=1)] | None = None
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(str)] = "1.2"

    @model_validator(mode="after")
    def _has_one_way(self) -> ListenTls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if (self.cert_file is None) == (self.certificates is None):
            raise ValueError("needs cert_file and key_file, or certificates")
        return self

    @property
    def files(self) -> tuple[CertificateFiles, ...]:
        """The files of all certificates, the first one for unknown names."""
        if self.cert_file is not None and self.key_file is not None:
            return (CertificateFiles(self.cert_file, self.key_file),)
        return tuple(
            CertificateFiles(pair.cert_file, pair.key_file) for pair in self.certificates or ()
        )


class Listen(Shorthand):
    """An address to listen on. A text is short for its `address`."""

    _short_for = "address"

    address: ListenAddress
    mode: SocketMode = 0o600
    group: Group | None = None
    tls: ListenTls | None = None
    redirect: RedirectPort = 0
    proxy_protocol: bool = False

    def as_address(self) -> Address:
        """The address with all that goes with it. Raises `ValueError`."""
        entrance = Entrance(
            certificates=() if self.tls is None else self.tls.files,
            min_version="1.2" if self.tls is None else self.tls.min_version,
            redirect=self.redirect,
            proxy_protocol=self.proxy_protocol,
        )
        if entrance.certificates and entrance.redirect:
            raise ValueError("redirect is for plain HTTP: it cannot stand beside tls")
        if isinstance(self.address, UnixAddress):
            return UnixAddress(self.address.path, self.mode, self.group, entrance)
        if self.model_fields_set & {"mode", "group"}:
            raise ValueError("mode and group go with a unix socket")
        return replace(self.address, entrance=entrance)


if TYPE_CHECKING:
    Listens = tuple[Address, ...]  # the value after validation
else:
    Listens = Annotated[
        tuple[Annotated[Listen, AfterValidator(Listen.as_address), PlainSerializer(str)], ...],
        OneOrMany(),
        Field(min_length=1),
    ]


class Admin(Model):
    """The listener for operators. Keep it away from the public."""

    listen: Listens = (parse_address("127.0.0.1:8081"),)
    secret: SecretText | None = None


class IdentityField(Shorthand):
    """What a field shows: a claim, or the session's handle. A text is a claim."""

    _short_for = "claim"

    claim: ClaimAddress | None = None
    session: Literal["handle"] | None = None
    join: JoinText = ","
    encode: identity_headers.Encoding | None = None

    @model_validator(mode="after")
    def _one(self) -> IdentityField:
        if (self.claim is None) == (self.session is None):
            raise ValueError("needs one of claim and session")
        return self


class SessionSettings(Model):
    """How long sessions last, and the secrets that are mixed into their seals."""

    idle_timeout: Annotated[Duration, Field(gt=0)] = 1800.0
    max_age: Annotated[Duration, Field(gt=0)] = 43200.0
    secrets: tuple[SecretText, ...] = ()
    secrets_file: str | None = None
    clock_skew: Duration = 5.0
    renew: Renew | None = None
    renew_on_upstream_401: bool = False
    end_on_upstream_401: bool = False
    max_per_subject: Annotated[int, Field(ge=0)] = 100


class UpstreamTls(Model):
    """How the certificates of https servers are checked, and the gateway's own one."""

    ca_file: str | None = None
    server_name: TlsName | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _fits(self) -> UpstreamTls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file goes with a cert_file")
        return self


class Queue(Model):
    """The requests that wait for a connection of an upstream."""

    size: Annotated[int, Field(ge=0)] | None = None
    timeout: Annotated[Duration, Field(gt=0)] | None = None


class Resolve(Shorthand):
    """How often the names of servers are looked up, and where. A time is `every`."""

    _short_for = "every"

    every: Annotated[Duration, Field(gt=0)] = 5.0
    resolver: DnsServer | None = None


class Upstream(Shorthand):
    """A named backend: its servers, and how to talk to them.

    A text is short for one server.
    """

    _short_for = "servers"

    servers: Annotated[tuple[WeightedServer, ...], Field(min_length=1), OneOrMany()]
    host: Literal["client", "upstream"] | HostName = "client"
    paths: Literal["loose", "strict"] = "loose"
    max_connections: Annotated[int, Field(ge=1)] = 256
    max_streams: Annotated[int, Field(ge=0)] = 1024
    queue: Queue = Queue()
    upstream_idle: Annotated[Duration, Field(gt=0)] | None = None
    lenient: bool = False
    maintenance: MaintenanceText = None
    send_token: TokenSendingText = AUTO
    limits: LimitList = ()
    resolve: Resolve | None = None
    balance: Balance = Balance()
    slow_start: Duration = 0.0
    health: Health | None = None
    eject: Eject = Eject()
    retries: Retries = Retries()
    try_for: Duration | None = None
    breaker: Breaker | None = None
    tls: UpstreamTls = UpstreamTls()

    @property
    def base(self) -> str:
        """The path below which all its servers are reached."""
        return self.servers[0].base

    @property
    def own_host(self) -> str | None:
        """The Host that it gets; None for the client's."""
        if self.host == "client":
            return None
        return self.servers[0].authority if self.host == "upstream" else self.host

    @model_validator(mode="after")
    def _one_base(self) -> Upstream:
        if len({server.base for server in self.servers}) > 1:
            raise ValueError("servers of one upstream have the same path")
        return self


class Keys(Model):
    """How keys travel between gateway and clients."""

    carrier: Carrier = "auto"
    field: Annotated[tuple[FieldName, ...], OneOrMany(), BeforeValidator(unless_none)] = ()
    schemes: Annotated[tuple[Scheme, ...], OneOrMany(), Field(min_length=1)] = ("Bearer",)
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "latchkey"
    form: KeyForm = "opaque"
    claims: Annotated[tuple[ClaimAddress, ...], OneOrMany()] = ("sub",)
    secure: Literal["auto"] | bool = "auto"

    @field_validator("claims")
    @classmethod
    def _may_be_shown(cls, claims: tuple[str, ...]) -> tuple[str, ...]:
        for name in OWN_CLAIMS.intersection(claims):
            raise ValueError(f"cannot hold {name}, which the gateway itself says")
        return claims


class Logout(Model):
    """A logout of the gateway, and the backend's own logout to call."""

    path: ExactPath = "/logout"
    methods: Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] = ("GET", "POST")
    scope: Literal["this", "others", "all"] | None = None
    upstream: str | None = None
    backend_path: ExactPath | None = None
    method: Method = "POST"
    send_refresh_token: AskedSending = None
    body: dict[str, str] = {}
    pass_reply: bool = False
    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    max_reply: Size = 2**20

    @model_validator(mode="after")
    def _fits(self) -> Logout:
        if (self.upstream is None) != (self.backend_path is None):
            raise ValueError("upstream and backend_path go together")
        if self.upstream is None and (self.pass_reply or self.send_refresh_token is not None):
            raise ValueError("pass_reply and send_refresh_token go with an upstream")
        if self.body and self.send_refresh_token is None:
            raise ValueError("body goes with send_refresh_token: it holds what else is sent")
        if "OPTIONS" in self.methods:
            raise ValueError("methods cannot hold OPTIONS: it asks what may be done")
        return self


class SessionList(Shorthand):
    """The list of the caller's own sessions.

    A text is short for its `path`; `off` turns it off.
    """

    _short_for = "path"

    path: Annotated[
        ListPath | None,
        BeforeValidator(unless_off),
        WithJsonSchema({"anyOf": [_TEXT, {"const": False}]}),
    ] = "/sessions"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [_TEXT, {"const": False}, handler(schema)]}


class Whoami(Shorthand):
    """The endpoint that tells clients of their session. A text is its `path`."""

    _short_for = "path"

    path: ExactPath
    claims: Annotated[tuple[ClaimAddress, ...], OneOrMany()] = ()
    extends_session: bool = False


class Pages(Model):
    """The pages that people see."""

    templates: str | None = None
    login: ExactPath | None = None
    leads_to: Annotated[tuple[SiteOrigin, ...], OneOrMany()] = ()
    return_origins: Annotated[tuple[SiteOrigin, ...], OneOrMany()] = ()


class ForwardAuth(Shorthand):
    """The verify endpoint, and who may ask it. A text is short for its `path`."""

    _short_for = "path"

    path: ListPath = "/.well-known/latchkey/verify"
    trusted: Networks = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Timeouts(Model):
    """How long the relay waits (seconds)."""

    head: Annotated[Duration, Field(gt=0)] = 10.0
    idle: Annotated[Duration, Field(gt=0)] = 75.0
    connect: Annotated[Duration, Field(gt=0)] = 5.0
    response: Annotated[Duration, Field(gt=0)] = 60.0
    body_idle: Annotated[Duration, Field(gt=0)] = 30.0
    write: Annotated[Duration, Field(gt=0)] = 30.0
    continue_: Annotated[Duration, Field(gt=0, alias="continue")] = 1.0
    upstream_idle: Annotated[Duration, Field(gt=0)] = 4.0
    stream_idle: Annotated[Duration, Field(gt=0)] = 3600.0
    tunnel_idle: Annotated[Duration, Field(gt=0)] = 3600.0
    linger: Annotated[Duration, Field(gt=0)] = 2.0
    drain: Duration = 30.0
    start: Annotated[Duration, Field(gt=0)] = 60.0


class Limits(Model):
    """How much the relay accepts."""

    head_size: Annotated[Size, Field(ge=1024)] = 32 * 1024
    target_size: Annotated[Size, Field(ge=256)] = 8 * 1024
    fields: Annotated[int, Field(ge=8)] = 100
    body_size: Size = 8 * 2**30
    response_head_size: Annotated[Size, Field(ge=1024)] = 64 * 1024
    connections: Annotated[int, Field(ge=1)] = 10_000
    requests: Annotated[int, Field(ge=1)] = 5_000
    buffered: Size = 64 * 2**20
    min_rate: Size = 240
    per_address: Percent = 50
    shed: Annotated[Annotated[Duration, Field(gt=0)] | None, BeforeValidator(unless_off)] = None


def _workers(value: Any) -> Any:
    return usable_cores() if value == "auto" else value


class Config(Model):
    """The whole of config.yaml."""

    version: Literal[1]
    listen: Listens = (parse_address("127.0.0.1:8080"),)
    admin: Admin = Admin()
    workers: Annotated[
        int,
        BeforeValidator(_workers),
        Field(ge=1, le=256),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
    ] = 1
    watch: bool = False
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
    logout: Annotated[tuple[Logout, ...], OneOrMany(), Field(min_length=1)] = (Logout(),)
    jwt: Jwt | None = None
    keys: Keys = Keys()
    cors: Cors | None = None
    security_headers: SecurityHeadersText = None
    via: bool = True
    login_page: ExactPath | None = None
    sessions: SessionList = SessionList()
    whoami: Whoami | None = None
    pages: Pages = Pages()
    routes: tuple[RouteOptions, ...]
    compress: Codings = ()
    compress_min: Size = 1024
    compress_types: MediaTypes = content_codings.TYPES
    require_from: RequireFrom = RequireFrom()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    rate_limits: dict[LimitName, RateLimit] = {}
    endpoint_limits: dict[ShapedPath, LimitList] = {}
    trusted_proxies: Networks = ()
    verify: ForwardAuth | None = None
    identity: dict[FieldName, IdentityField] = {"X-User-Id": IdentityField(claim="sub")}
    access_log: LogPlace = "stdout"
    audit_log: LogPlace = "stdout"

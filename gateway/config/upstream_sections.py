"""The sections of upstreams: their servers, how to reach them, and what if they fail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.address_values import DnsServer, HostName, TlsName, WeightedServer
from gateway.config.answer_sections import MaintenanceText
from gateway.config.base import Model, Shorthand
from gateway.config.limit_sections import LimitList
from gateway.config.token_values import TokenSendingText
from gateway.config.units import WHOLE, Duration, Percent
from gateway.config.values import OneOrMany, unless_off
from gateway.core.http.balancing import FIRST_EJECTION_SECONDS, MAX_EJECTION_SECONDS
from gateway.core.logins.token_sending import AUTO

_SECONDS = Annotated[Duration, Field(gt=0)]
_COUNT = Annotated[int, Field(ge=1)]

# The least time between two checks of a server, by one worker: the clock ticks twice a second.
_MIN_INTERVAL_SECONDS = 0.5


def _failing(status: int) -> int:
    if status != 429 and not 500 <= status <= 599:
        raise ValueError("is not a status of failure: 429 or 500 to 599")
    return status


def _requests(value: Any) -> Any:
    """A number, from a text such as `20 requests`."""
    if isinstance(value, str) and value.removesuffix(" requests").isdecimal():
        return int(value.removesuffix(" requests"))
    return value


class Balance(Shorthand):
    """Which server gets a request. A text is the `method`.

    Requests are sticky by session or by a cookie, or else go by the method.
    """

    _short_for = "method"

    method: Literal["least_busy", "round_robin"] = "least_busy"
    sticky: Literal["session", "cookie"] | None = None
    name: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Balance:
        if self.name is not None and self.sticky != "cookie":
            raise ValueError("name goes with sticky: cookie")
        if self.sticky is not None and "method" in self.model_fields_set:
            raise ValueError("method and sticky exclude each other")
        return self

    @property
    def cookie(self) -> str | None:
        """The name of the cookie that requests stick to."""
        return (self.name or "latchkey_server") if self.sticky == "cookie" else None


class Health(Shorthand):
    """Active health checks. A text is the `path`."""

    _short_for = "path"

    path: Annotated[str, Field(pattern=r'^/[!"$-~]*$')]
    host: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = None
    interval: Annotated[Duration, Field(ge=_MIN_INTERVAL_SECONDS)] = 10.0
    timeout: _SECONDS = 5.0
    healthy_after: _COUNT = 1
    unhealthy_after: _COUNT = 2
    status: Annotated[
        tuple[Annotated[int, Field(ge=200, le=999)], ...], Field(min_length=1), OneOrMany()
    ] = tuple(range(200, 300))


class Eject(Model):
    """When a server is ejected, and for how long."""

    after: _COUNT = 1
    statuses: Annotated[tuple[Annotated[int, AfterValidator(_failing)], ...], OneOrMany()] = ()
    for_: Annotated[Duration, Field(gt=0, alias="for")] = FIRST_EJECTION_SECONDS
    max_for: _SECONDS = MAX_EJECTION_SECONDS
    max_percent: Percent = WHOLE

    @model_validator(mode="after")
    def _fits(self) -> Eject:
        if self.max_for < self.for_:
            raise ValueError("max_for is shorter than for")
        return self


class Retries(Model):
    """How many requests may be sent again: a part of all, and so many a second in any case."""

    budget: Percent = 20
    min_per_second: Annotated[float, Field(ge=0, le=1e6)] = 10.0


class Breaker(Model):
    """When an upstream that fails is left alone, and for how long."""

    errors: Percent = 50
    of: Annotated[
        int,
        BeforeValidator(_requests),
        Field(ge=2, le=10_000),
        WithJsonSchema({"type": ["integer", "string"]}),
    ] = 20
    open_for: _SECONDS = 5.0


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
    retries: Annotated[Retries | None, BeforeValidator(unless_off)] = Retries()
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

"""The whole of config.yaml; its sections stand in `*_sections.py`.

Once read, durations are seconds and sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.config import content_codings
from gateway.config.address_values import Networks
from gateway.config.base import Model
from gateway.config.content_codings import Codings, MediaTypes
from gateway.config.cores import usable_cores
from gateway.config.endpoint_sections import ForwardAuth, Logout, Pages, SessionList, Whoami
from gateway.config.field_sections import SecurityHeadersText
from gateway.config.limit_sections import LimitList, LimitName, RateLimit
from gateway.config.listen_sections import Admin, Listens
from gateway.config.login_sections import Guessing
from gateway.config.logins import AnyLogin
from gateway.config.path_values import ExactPath, ShapedPath
from gateway.config.require_sections import RequireFrom
from gateway.config.route_sections import Cors, RouteOptions
from gateway.config.session_sections import IdentityField, Keys, SessionSettings
from gateway.config.store_sections import Store, StoreOutage
from gateway.config.token_sections import Jwt, Signing
from gateway.config.traffic_sections import Limits, Timeouts
from gateway.config.units import Size
from gateway.config.upstream_sections import Upstream
from gateway.config.values import FieldName, LogPlace, OneOrMany
from gateway.core.http.addresses import parse_address


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

"""The sections of what the gateway answers itself: logouts, lists, pages, verify."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator

from gateway.config.address_values import Networks
from gateway.config.base import Model, Shorthand
from gateway.config.path_values import ExactPath, ListPath
from gateway.config.token_values import AskedSending, ClaimAddress
from gateway.config.units import Duration, Size
from gateway.config.values import TEXT, Method, OneOrMany, SiteOrigin, unless_off


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
        WithJsonSchema({"anyOf": [TEXT, {"const": False}]}),
    ] = "/sessions"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [TEXT, {"const": False}, handler(schema)]}


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

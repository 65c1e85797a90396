"""Sections of config.yaml about renewing, verifying and minting tokens."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.config.base import Model, Shorthand
from gateway.config.path_values import ExactPath, Target
from gateway.config.token_values import (
    ClaimAddress,
    KeySetUrl,
    PrefixText,
    SendingText,
    TokenPlaceText,
)
from gateway.config.units import Duration, Size
from gateway.config.values import Method, OneOrMany, SecretText, SentField, unless_off
from gateway.core.logins.refresh_tokens import CSRF_FIELD
from gateway.core.logins.token_places import parse_token_place
from gateway.core.tokens.verifying_keys import Algorithm


class Renew(Model):
    """How a backend gives a new token for a refresh token."""

    upstream: str
    backend_path: Target
    method: Method = "POST"
    refresh_token: TokenPlaceText = parse_token_place("auto")
    send: SendingText = None
    body: dict[str, str] = {}
    csrf_field: SentField = CSRF_FIELD
    fields: dict[SentField, SecretText] = {}
    token: TokenPlaceText = parse_token_place("auto")
    before: Annotated[Duration, Field(gt=0)] = 60.0
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    max_reply: Size = 2**20

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.backend_path.partition("?")[0]


class Refresh(Shorthand):
    """The refresh call of frontends. A text is short for its `path`.

    path: where they call; None: as `renew.backend_path` says, seen from the login
    methods: those of a refresh call; none: that of `renew`
    grace: how long a refresh key is good that another one has replaced (seconds)
    """

    _short_for = "path"

    path: ExactPath | None = None
    methods: Annotated[tuple[Method, ...], OneOrMany()] = ()
    grace: Annotated[Duration, Field(gt=0)] = 30.0


RefreshOrOff = Annotated[Refresh | None, BeforeValidator(unless_off)]


class UserinfoSection(Shorthand):
    """Where a backend says whose token it is. A text is short for its `path`.

    upstream: None is the login's own
    """

    _short_for = "path"

    upstream: str | None = None
    path: ExactPath
    method: Method = "GET"
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    max_reply: Size = 2**20


class Verify(Model):
    """How tokens are verified: by one key, or by a provider's key set."""

    secret: SecretText | None = None
    public_key: str | None = None
    jwks: KeySetUrl | None = None
    algorithms: Annotated[tuple[Algorithm, ...], OneOrMany()] = ()
    issuer: Annotated[tuple[str, ...], OneOrMany()] = ()
    audience: Annotated[tuple[str, ...], OneOrMany()] = ()
    leeway: Duration | None = None
    require_expiry: bool = False

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if sum(key is not None for key in (self.secret, self.public_key, self.jwks)) != 1:
            raise ValueError("needs one of secret, public_key and jwks")
        return self


class Jwt(Verify):
    """How the tokens that callers bring along are verified."""

    require_expiry: bool = True
    subject: Annotated[tuple[ClaimAddress, ...], OneOrMany(), Field(min_length=1)] = ("sub",)
    subject_prefix: PrefixText | None = None

    @model_validator(mode="after")
    def _has_no_host(self) -> Self:
        if self.subject_prefix is not None and self.subject_prefix.has_host:
            raise ValueError("subject_prefix cannot hold the host: a token is the same at each")
        return self


class SigningKeySection(Model):
    """A key that signs tokens."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"]
    kid: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    private_key_file: str | None = None
    private_key: SecretText | None = None
    secret: SecretText | None = None

    @model_validator(mode="after")
    def _one(self) -> SigningKeySection:
        given = [self.private_key_file, self.private_key, self.secret]
        if sum(key is not None for key in given) != 1:
            raise ValueError("needs one of private_key_file, private_key and secret")
        if (self.algorithm == "HS256") != (self.secret is not None):
            raise ValueError("HS256 goes with a secret, the other algorithms with a private key")
        return self


class Signing(Model):
    """How the gateway mints tokens. The first key signs; all are published."""

    keys: Annotated[tuple[SigningKeySection, ...], OneOrMany(), Field(min_length=1)]
    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[tuple[str, ...], OneOrMany()] = ()
    lifetime: Annotated[Duration, Field(ge=1)] = 300.0

"""The sections of sessions: how long they last, how keys travel, what upstreams are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from gateway.config.base import Model, Shorthand
from gateway.config.token_sections import Renew
from gateway.config.token_values import ClaimAddress
from gateway.config.units import Duration
from gateway.config.values import (
    Carrier,
    FieldName,
    JoinText,
    KeyForm,
    OneOrMany,
    Scheme,
    SecretText,
    unless_none,
)
from gateway.core.sessions import identity_headers
from gateway.core.sessions.jwt_shape import OWN_CLAIMS


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

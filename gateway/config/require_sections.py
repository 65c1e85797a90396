"""What a route requires of the sessions that use it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator

from gateway.config.base import Model
from gateway.config.token_values import ClaimAddress
from gateway.config.units import Duration
from gateway.config.values import OneOrMany, RuleText

_ClaimValues = Annotated[tuple[str | int | float | bool, ...], OneOrMany()]

# RFC 6749 §3.3; a space would part two of them.
_Scopes = Annotated[tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...], OneOrMany()]
_Roles = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], OneOrMany()]


class _RequiredValues(Model):
    """Values of which one, or each, is needed. One value, or a list, is short."""

    _short_for: ClassVar[str]
    _unnamed: ClassVar[str]  # is said of a section without a value
    _value: ClassVar[Any] = {"type": "string"}  # its JSON Schema

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {cls._short_for: value}

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(self._unnamed)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        value = dict(cls._value)
        return {"anyOf": [value, {"type": "array", "items": value}, handler(schema)]}


class RequiredClaim(_RequiredValues):
    """Values of a claim. One value, or a list, is short for `any`."""

    _short_for = "any"
    _unnamed = "names no value: write admin, {any: [admin, owner]} or {all: [a, b]}"
    _value = {"type": ["string", "number", "boolean"]}

    any: _ClaimValues = ()
    all: _ClaimValues = ()


class RequiredScopes(_RequiredValues):
    """Scopes of a token. One scope, or a list, is short for `all`."""

    _short_for = "all"
    _unnamed = "names no scope: write read, [read, write] or {any: [read, write]}"

    any: _Scopes = ()
    all: _Scopes = ()


class RequiredRoles(_RequiredValues):
    """Roles of a user. One role, or a list, is short for `any`."""

    _short_for = "any"
    _unnamed = "names no role: write admin, [admin, owner] or {all: [staff, auditor]}"

    any: _Roles = ()
    all: _Roles = ()


class RequireFrom(Model):
    """The claims in which `scopes` and `roles` of routes are looked for."""

    scopes: Annotated[tuple[ClaimAddress, ...], OneOrMany(), Field(min_length=1)] = (
        "scope",
        "scp",
    )
    roles: Annotated[tuple[ClaimAddress, ...], OneOrMany(), Field(min_length=1)] = (
        "roles",
        "role",
        "realm_access.roles",
    )


class RequireGroup(Model):
    """Conditions that hold together."""

    claims: dict[ClaimAddress, RequiredClaim] = {}
    scopes: RequiredScopes | None = None
    roles: RequiredRoles | None = None
    any: Annotated[tuple[RequireGroup, ...], OneOrMany(), Field(min_length=1)] = ()
    all: Annotated[tuple[RequireGroup, ...], OneOrMany(), Field(min_length=1)] = ()

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("requires nothing: name claims, scopes or roles")
        for name in self.model_fields_set:
            if not getattr(self, name):  # as of a variable that is empty
                raise ValueError(f"requires nothing at {name}: write a value, or leave it out")
        return self


class Require(RequireGroup):
    """What a route requires: of the token's claims, of the login, and by rules."""

    max_age: Annotated[Duration, Field(ge=1)] | None = None
    rules: Annotated[tuple[RuleText, ...], OneOrMany(), Field(min_length=1)] = ()

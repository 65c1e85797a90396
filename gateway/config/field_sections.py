"""The settings of fields that routes set, add and remove, and of security fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.answer_sections import FieldText
from gateway.config.base import Model
from gateway.config.units import Duration
from gateway.config.values import FieldName, OneOrMany, off, unless_off
from gateway.core.http import templates
from gateway.core.http.field_names import (
    HOP_BY_HOP,
    OF_THE_RELAY,
    OWN_PREFIX,
    PREFIXES_OF_THE_RELAY,
    fold,
    has_meaning,
)
from gateway.core.sessions import claim_names

_PATH_NAME = re.compile(r"path\.[a-z][a-z0-9_]*")

_FRAMING = HOP_BY_HOP | {b"content-length", b"trailer", b"via", b"date", b"x-request-id"}
_OF_REQUESTS = _FRAMING | OF_THE_RELAY | {b"max-forwards", b"traceparent"}
_OF_ANSWERS = _FRAMING | {b"content-encoding", b"content-range", b"set-cookie", b"www-authenticate"}
_PREFIXES_OF_ANSWERS = (OWN_PREFIX, b"access-control-", b"sec-websocket-")


def _template(value: str) -> str:
    template = templates.parse(value)
    if "${" in "".join(template.literals):
        raise ValueError("has a value that does not end: write ${claims.email}")
    for name in template.names:
        claim = name.removeprefix("claims.")
        if name not in ("subject", "session.handle") and not _PATH_NAME.fullmatch(name):
            if claim == name or not claim:
                raise ValueError(
                    f"cannot hold ${{{name}}}: write ${{claims.email}}, ${{subject}}, …"
                )
            claim_names.plain(claim)
    return value


FieldTemplate = Annotated[FieldText, Field(min_length=1), AfterValidator(_template)]


class FieldChanges(Model):
    """Fields that are set, added or removed."""

    set: dict[FieldName, FieldTemplate] = {}
    add: dict[FieldName, FieldTemplate] = {}
    remove: Annotated[tuple[FieldName, ...], OneOrMany()] = ()

    @property
    def of_sessions(self) -> list[str]:
        """The names of fields with values of the session."""
        return [
            name
            for name, text in self.set.items()
            if any(not value.startswith("path.") for value in templates.parse(text).names)
        ]

    @property
    def path_names(self) -> list[str]:
        """The segments of the route's path that are used."""
        texts = (*self.set.values(), *self.add.values())
        names = {name for text in texts for name in templates.parse(text).names}
        return sorted(name.removeprefix("path.") for name in names if name.startswith("path."))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [fold(name.encode()) for name in (*self.set, *self.add, *self.remove)]
        if len(set(names)) < len(names):
            raise ValueError("names a field twice: to replace one, set it")
        for name, text in self.add.items():
            if any(not value.startswith("path.") for value in templates.parse(text).names):
                raise ValueError(f"add: {name} would stand beside the client's own: set it")
        return self

    def owned(self, *, of_requests: bool) -> Iterator[str]:
        """The names that only the gateway itself may use."""
        names, prefixes = (
            (_OF_REQUESTS, (*PREFIXES_OF_THE_RELAY, b"sec-websocket-"))
            if of_requests
            else (_OF_ANSWERS, _PREFIXES_OF_ANSWERS)
        )
        for name in (*self.set, *self.add, *self.remove):
            folded = fold(name.encode())
            if folded in names or folded.startswith(prefixes):
                yield name
        if of_requests:
            for name in self.of_sessions:
                if has_meaning(fold(name.encode())):
                    yield name


# Referrer Policy (W3C) §3. Browsers ignore other words, so a mistyped one protects nothing.
_REFERRER_POLICIES = frozenset(
    {"no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin"}
    | {"origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"}
)


def _referrer_policy(value: str | None) -> str | None:
    known = _REFERRER_POLICIES
    if value is not None and not known.issuperset(map(str.strip, value.split(","))):
        raise ValueError("is no referrer policy, such as no-referrer")
    return value


def _ancestors(value: str | None) -> str | None:
    if value is not None and (";" in value or "," in value):
        raise ValueError("would begin another directive: write sources with spaces between them")
    return value


class Hsts(Model):
    """Strict-Transport-Security (RFC 6797 §6.1)."""

    max_age: Annotated[Duration, Field(ge=0)] = 31536000.0
    subdomains: bool = False
    preload: bool = False


def _default(value: Any) -> Any:
    """`true` is short for the defaults, and `off` for none."""
    return {} if value is True else unless_off(value)


_HSTS_SCHEMA = {"anyOf": [{"type": "boolean"}, {"const": "off"}, {"type": "object"}]}
_OptionalText = Annotated[
    FieldText | None,
    BeforeValidator(unless_off),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"const": False}]}),
]


class SecurityHeaders(Model):
    """Fields by which browsers protect a site."""

    hsts: Annotated[Hsts | None, BeforeValidator(_default), WithJsonSchema(_HSTS_SCHEMA)] = Hsts()
    nosniff: bool = True
    frame_options: Annotated[Literal["DENY", "SAMEORIGIN", "off"], BeforeValidator(off)] = (
        "SAMEORIGIN"
    )
    frame_ancestors: Annotated[_OptionalText, AfterValidator(_ancestors)] = None
    referrer_policy: Annotated[_OptionalText, AfterValidator(_referrer_policy)] = (
        "strict-origin-when-cross-origin"
    )
    permissions_policy: _OptionalText = None


def _policy(value: Any) -> Any:
    """`true` is short for the defaults, and `off` for none."""
    return {} if value is True else off(value)


SecurityHeadersText = Annotated[
    SecurityHeaders | Literal["off"] | None,
    BeforeValidator(_policy),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "object"}]}),
]

"""Types of values in config.yaml that several sections share; other ones stand in `*_values.py`.

`core` parses them; it knows nothing of pydantic.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

from gateway.core.http import allowed_origins, cors
from gateway.core.secret import Secret
from gateway.core.sessions.identity_headers import AS_JSON
from gateway.core.store_urls import StoreUrl, parse_store_url
from gateway.rules.loading import RuleSource, parse_source

# The JSON schema of a text.
TEXT = {"type": "string"}

_METHOD = re.compile(r"[A-Z][A-Z-]*")
# Marks that stand between values: no letter, digit or escape of them.
_SEPARATOR = re.compile(r"[ ,;|:]{1,2}")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class OneOrMany:
    """Marks a list that may be written as one value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        many = handler(schema)
        return {"anyOf": [handler.resolve_ref_schema(many).get("items", {}), many]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]


def off(value: Any) -> Any:
    """Undo YAML 1.1, which reads a plain `off` as false."""
    return "off" if value is False else value


def written(value: Any) -> Any:
    """The value of a setting that narrows a route: nothing in its place would open the route.

    Raises `ValueError`.
    """
    if value is None:
        raise ValueError("has no value: write one, or leave the name out")
    return value


def unless_off(value: Any) -> Any:
    """None for `off`."""
    return None if off(value) == "off" else value


def unless_none(value: Any) -> Any:
    """An empty list for none."""
    return () if value is None else value


def _method(value: str) -> str:
    if not _METHOD.fullmatch(value):
        raise ValueError("is not a method: write it in capitals, as in GET")
    if value in ("CONNECT", "TRACE"):
        raise ValueError("is never served")
    return value


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError("is not a field name")
    return value


def _sent_field(value: str) -> str:
    if value.lower() in ("cookie", "host") or value.lower().startswith("content-"):
        raise ValueError("is a field that the gateway itself sends")
    return _field_name(value)


def _origin(value: str) -> str:
    return value if value == cors.ANY else allowed_origins.parse(value)


def _join(value: str) -> str:
    if value != AS_JSON and not _SEPARATOR.fullmatch(value):
        raise ValueError('joins no values: write ",", " ", another mark or two, or json')
    return value


def _store_url(value: str) -> StoreUrl:
    if value != "embedded":
        parse_store_url(value)
    return StoreUrl(value)


def parsed(parse: Any, schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The pydantic annotations of a value that `parse` reads from a text."""

    def from_text(value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value if value is None else parse(value)
        raise PydanticCustomError("string_type", "must be a text")

    return BeforeValidator(from_text), PlainSerializer(str), WithJsonSchema(schema)


# RFC 9110 §7.8. A request that is HTTP by another name would pass all rules by (request smuggling).
_UPGRADE = re.compile(rf"{_FIELD_NAME.pattern}(?:/{_FIELD_NAME.pattern})?")
_HTTP_BY_ANOTHER_NAME = frozenset({"h2c", "h2", "h3", "http", "https", "tls", "ssl"})


def _upgrade(text: str) -> str:
    token = text.lower()
    if not _UPGRADE.fullmatch(token):
        raise ValueError(f"{text!r} is no protocol of Upgrade: write websocket, tcp or SPDY/3.1")
    if token.partition("/")[0] in _HTTP_BY_ANOTHER_NAME:
        raise ValueError(
            f"{text} would carry requests past all rules of the gateway (request smuggling)"
        )
    return token


Method = Annotated[str, AfterValidator(_method)]
UpgradeToken = Annotated[str, AfterValidator(_upgrade)]
FieldName = Annotated[str, AfterValidator(_field_name)]
SentField = Annotated[str, AfterValidator(_sent_field)]
Origin = Annotated[str, AfterValidator(_origin)]
SiteOrigin = Annotated[str, AfterValidator(allowed_origins.parse_site)]
StoreUrlText = Annotated[str, AfterValidator(_store_url)]
LogPlace = Annotated[str, BeforeValidator(off)]
RuleText = Annotated[RuleSource, *parsed(parse_source, TEXT)]
SecretText = Annotated[Secret, *parsed(Secret, {**TEXT, "format": "password", "writeOnly": True})]
Carrier = Literal["auto", "reply", "cookie"]
KeyForm = Literal["opaque", "jwt"]
JoinText = Annotated[str, AfterValidator(_join)]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]+$")]  # RFC 3986 §2.3
# A scheme of Authorization (RFC 9110 §11.1), or `none`.
Scheme = Annotated[str, Field(pattern=rf"^{_FIELD_NAME.pattern}$")]

"""Types of what config.yaml says of tokens: their claims, places, issuers and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from gateway.config.units import parse_duration
from gateway.config.values import TEXT, parsed
from gateway.core.json_text import pointed
from gateway.core.logins.provider_metadata import is_address, is_protected
from gateway.core.logins.refresh_tokens import AS_IT_CAME, Sending, parse_sending
from gateway.core.logins.token_places import (
    ClaimPlace,
    JsonPointer,
    TokenPlace,
    parse_claim_place,
    parse_pointer,
    parse_token_place,
)
from gateway.core.logins.token_sending import TokenSending, parse_token_sending
from gateway.core.sessions import claim_names
from gateway.core.sessions.realms import SubjectPrefix, parse_prefix
from gateway.core.tokens.minting import REGISTERED
from gateway.core.tokens.verifying_keys import Algorithm


def _claim_name(value: str) -> str:
    address = _claim_address(value)
    if claim_names.path_of(address)[0] in REGISTERED:
        raise ValueError("is a claim that the gateway sets itself")
    return address


def _claim_place_text(value: str) -> str:
    """A claim's name, or the place of one inside of another."""
    if not value:
        raise ValueError("names no claim")
    if value.startswith("/"):
        _pointer(value)
    return value


def _claim_address(value: str) -> str:
    """The same in its one spelling."""
    return claim_names.plain(_claim_place_text(value))


def _lifetime(value: Any) -> JsonPointer | float | None:
    """Parse `auto` (None), a place in the reply, or a duration."""
    if value is None or value == "auto":
        return None
    if isinstance(value, str) and value.startswith("/"):
        return _pointer(value)  # type: ignore[no-any-return]
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be more than 0")
    return seconds


def _url(value: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:  # its message may repeat the host
        raise ValueError("is not a URL: its host is wrong") from None


def _key_set_url(value: str) -> str:
    if _url(value).username is not None:
        raise ValueError("cannot hold a password: a public key set needs none")
    if not is_address(value):
        raise ValueError("is not an address of a key set: it begins with https://, or http://")
    return value


def _issuer(value: str) -> str:
    parts = _url(value)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("is not an issuer: it has no query, no fragment and no password")
    if not is_protected(value):
        raise ValueError("is not an issuer: write https://id.example, or http:// only on loopback")
    return value


def _published(value: str) -> str:
    if value.startswith("HS"):
        raise ValueError("goes with a secret, which providers do not publish")
    return value


def _named(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have `parse` refuse JSON pointers with empty names.

    RFC 6901 allows them, and no API uses them.
    """

    def read(text: str) -> Any:
        place = parse(text)
        if isinstance(place, JsonPointer) and "" in pointed(place.pointer):
            raise ValueError("has an empty name: there is a slash too many")
        return place

    return read


_token_place = _named(parse_token_place)

_pointer = _named(parse_pointer)

_claim_place = _named(parse_claim_place)


def _asked_sending(text: str) -> Sending | str:
    """Parse how a refresh token is sent, where none is sent by default."""
    return parse_sending(text) or AS_IT_CAME


def _captured(value: Any) -> Any:
    if isinstance(value, bool):
        return parse_token_place("auto") if value else None
    if value is not None and not isinstance(value, str):
        raise ValueError("is not a place: write true, or where the token is")
    return None if value is None else _token_place(value)


Issuer = Annotated[str, AfterValidator(_issuer)]

KeySetUrl = Annotated[str, AfterValidator(_key_set_url)]

PublishedAlgorithm = Annotated[Algorithm, AfterValidator(_published)]

Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]  # RFC 6749 §3.3

TokenPlaceText = Annotated[TokenPlace, *parsed(_token_place, TEXT)]

CapturedPlace = Annotated[
    TokenPlace | None,
    BeforeValidator(_captured),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, TEXT]}),
]

PrefixText = Annotated[SubjectPrefix, *parsed(parse_prefix, TEXT)]

PointerText = Annotated[JsonPointer, *parsed(_pointer, TEXT)]

ClaimAt = Annotated[ClaimPlace, *parsed(_claim_place, TEXT)]

ClaimAddress = Annotated[str, AfterValidator(_claim_address)]

ClaimPlaceText = Annotated[str, AfterValidator(_claim_place_text)]

LifetimeText = Annotated[
    JsonPointer | float | None,
    BeforeValidator(_lifetime),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [TEXT, {"type": "number", "exclusiveMinimum": 0}]}),
]

ClaimName = Annotated[str, AfterValidator(_claim_name)]

SendingText = Annotated[Sending | None, *parsed(parse_sending, TEXT)]

AskedSending = Annotated[Sending | Literal["auto"] | None, *parsed(_asked_sending, TEXT)]

TokenSendingText = Annotated[TokenSending | Literal["auto"], *parsed(parse_token_sending, TEXT)]

"""Where in a login's reply the token is: what `token` may say in config.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass

# How a place in JSON is written by those who know no pointers: at least two names.
_DOTTED = re.compile(r"[^\s./~:]+(?:\.[^\s./~:]+)+")


@dataclass(frozen=True, slots=True)
class Auto:
    """Wherever a JWT is found: the JSON body first, then the fields, then the cookies."""


@dataclass(frozen=True, slots=True)
class JsonPointer:
    """A place in a JSON body (RFC 6901)."""

    pointer: str


@dataclass(frozen=True, slots=True)
class Header:
    """A field of the reply; an authentication scheme before the token is kept."""

    name: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that the reply sets."""

    name: str


TokenPlace = Auto | JsonPointer | Header | Cookie
ClaimPlace = JsonPointer | Header


class BadTokenPlace(ValueError):
    """The text names no place; the message says what would."""


def parse_token_place(text: str) -> TokenPlace:
    """`auto`, a place in JSON (see `parse_pointer`), `header:Name` or `cookie:name`."""
    if text == "auto":
        return Auto()
    kind, _, name = text.partition(":")
    if kind == "header" and name:
        return Header(name)
    if kind == "cookie" and name:
        return Cookie(name)
    try:
        return parse_pointer(text)
    except BadTokenPlace:
        raise BadTokenPlace(
            "names no place: write auto, /a/json/pointer, header:Name or cookie:name"
        ) from None


def parse_claim_place(text: str) -> ClaimPlace:
    """A JSON pointer such as `/user/id`, the same as `user.id`, or `header:Name`."""
    kind, _, name = text.partition(":")
    if kind == "header" and name:
        return Header(name)
    try:
        return parse_pointer(text)
    except BadTokenPlace:
        raise BadTokenPlace("names no place: write /a/json/pointer or header:Name") from None


def parse_pointer(text: str) -> JsonPointer:
    """A JSON pointer such as `/data/token`, or the same as `data.token`."""
    if text.startswith("/"):
        return JsonPointer(text)
    if _DOTTED.fullmatch(text):
        return JsonPointer("/" + text.replace(".", "/"))
    raise BadTokenPlace("names no place in JSON: write /a/json/pointer")

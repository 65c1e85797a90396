"""What a reply holds in place of a token: kinds and places, no values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import NotJson, pointed
from gateway.core.logins import opaque_tokens, token_names
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie
from gateway.core.logins.token_places import Cookie, Header, JsonPointer, TokenPlace
from gateway.core.tokens import jwt_text

# A member's name that is shown. Any other one may be a value, or what a client has sent.
_NAME = re.compile(r"[A-Za-z_$][\w$-]{0,39}|[0-9]{1,3}")
_HIDDEN_NAME = "…"

_MAX_SHOWN = 8


def without_token(reply: Reply, place: TokenPlace) -> str:
    """What stands at the configured place instead, and where JWTs stand."""
    there = _stands_at(reply, place)
    found = list(islice(places_of_jwts(reply), _MAX_SHOWN))
    hint = f"{there}; JWTs: {', '.join(found) or 'none'}"
    opaque = [] if found else list(islice(_places_of_opaque(reply), _MAX_SHOWN))
    return f"{hint}; other texts named as tokens: {', '.join(opaque)}" if opaque else hint


def places_of_jwts(reply: Reply) -> Iterator[str]:
    """The places of JWTs in a reply, as config.yaml spells them."""
    try:
        strings = reply.strings()
    except (NotJson, UnreadableReply):
        strings = []
        if jwt_text.first(reply.text()[0]):
            yield "the body, which is no JSON"
    for string in strings:
        if not string.is_name and jwt_text.sole(string.value):
            yield _pointer(string.path) or "the whole body"
    for line in reply.fields:
        if jwt_text.first(line[1]):
            name, cookie = field_and_cookie(line)
            yield f"cookie:{_shown(cookie)}" if cookie else f"header:{_shown(name)}"


def _places_of_opaque(reply: Reply) -> Iterator[str]:
    """The places of texts that may be opaque tokens, by their names."""
    try:
        strings = reply.strings()
    except (NotJson, UnreadableReply):
        return
    for string in strings:
        is_named = not string.is_name and token_names.rank(string.name) is not None
        if is_named and opaque_tokens.is_token(string.value):
            yield _pointer(string.path)


def _stands_at(reply: Reply, place: TokenPlace) -> str:
    match place:
        case JsonPointer(pointer):
            return f"at {pointer} stands {_in_body(reply, pointed(pointer))}"
        case Header(name):
            values = [value for given, value in reply.fields if given.lower() == name.lower()]
            return f"at header:{name} stands {_text(values)}"
        case Cookie(name):
            lines = [line for line in reply.fields if field_and_cookie(line)[1] == name]
            values = [line[1].partition("=")[2].partition(";")[0] for line in lines]
            return f"at cookie:{name} stands {_text(values)}"
    return "no JWT has a known name"


def _in_body(reply: Reply, path: tuple[str, ...]) -> str:
    try:
        value = json_text.found_at(json_text.parsed(reply.text()[0]), path)
    except NotJson:
        return "nothing: the body is no JSON"
    return _kind(value)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return _text([value])
        case int() | float():
            return "a number"
    return "a list" if isinstance(value, list) else "an object"


def _text(values: list[str]) -> str:
    if not values:
        return "nothing"
    text = values[0]
    if not text.strip():
        return "an empty text"
    if jwt_text.sole(text):
        return "a JWT that the client has sent, or that cannot be read"
    may_be = ", maybe an opaque token (token_kind)" if opaque_tokens.is_token(text) else ""
    return f"a text of {len(text)} characters that is no JWT{may_be}"


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{_shown(str(part))}" for part in path)


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else _HIDDEN_NAME

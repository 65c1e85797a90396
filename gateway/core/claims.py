"""Claims that a backend's reply hands to the gateway, which then says them in tokens of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import NotJson, pointed
from gateway.core.minting import BadClaims, check_claims, subject_of
from gateway.core.replies import Reply
from gateway.core.token_places import ClaimPlace, JsonPointer

# (claim, where it stands, whether there is no login without it)
Wanted = tuple[str, ClaimPlace, bool]

# As what a reply's body is read if it is no text in any charset (see `Reply.text`).
_LAST_RESORT = "latin-1"


class _Missing(Exception):
    """There is nothing at the place, or more than one thing."""


def collect(reply: Reply, wanted: Iterable[Wanted]) -> dict[str, Any]:
    """The claims that the reply holds, `sub` among them as a text. Raises `BadClaims`."""
    body: Any = None
    claims: dict[str, Any] = {}
    for name, place, required in wanted:
        try:
            if isinstance(place, JsonPointer):
                body = _body(reply) if body is None else body
                claims[name] = _at(body, pointed(place.pointer))
            else:
                claims[name] = _field(reply, place.name.lower())
        except _Missing:
            if required:
                raise BadClaims(f"{name} is missing") from None
    check_claims(claims)
    claims["sub"] = subject_of(claims)
    return claims


def _body(reply: Reply) -> Any:
    if not reply.body:
        return {}
    text, encoding = reply.text()
    if encoding == _LAST_RESORT:
        raise BadClaims("the reply's body is no text")
    try:
        return json_text.value(text)
    except NotJson:
        raise BadClaims("the reply's body is no JSON, or says something twice") from None


def _at(body: Any, pointer: tuple[str, ...]) -> Any:
    """RFC 6901 §4. A null is nothing."""
    found = body
    for part in pointer:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise _Missing
    if found is None:
        raise _Missing
    return found


def _field(reply: Reply, name: str) -> str:
    """A field that came twice would let a reader choose."""
    values = [value for each, value in reply.fields if each.lower() == name]
    if len(values) > 1:
        raise BadClaims(f"the field {name} came twice")
    if not values or not values[0]:
        raise _Missing
    return values[0]

"""Claims in a backend's reply, for tokens that the gateway mints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import NotJson, pointed
from gateway.core.logins.denials import is_denial
from gateway.core.logins.mfa import replies as mfa_replies
from gateway.core.logins.opaque_claims import GRAPHQL_DATA
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import ClaimPlace, JsonPointer
from gateway.core.tokens.minting import BadClaims, check_claims, subject_of

# A claim's name, its place, and whether it is required.
Wanted = tuple[str, ClaimPlace, bool]

# The encoding of a body that is no text in any charset (see `Reply.text`).
_LAST_RESORT = "latin-1"


def collect(reply: Reply, wanted: Iterable[Wanted]) -> dict[str, Any]:
    """The wanted claims of a reply, with `sub` as a text. Raises `BadClaims`."""
    body: Any = None
    claims: dict[str, Any] = {}
    for name, place, required in wanted:
        if isinstance(place, JsonPointer):
            body = _body(reply) if body is None else body
            found = json_text.found_at(body, pointed(place.pointer))
        else:
            found = _field(reply, place.name.lower())
        if found is not None:
            claims[name] = found
        elif required:
            raise BadClaims(f"{name} is missing")
    check_claims(claims)
    claims["sub"] = subject_of(claims)
    return claims


def deny_login(reply: Reply, wanted: Iterable[Wanted]) -> bool:
    """Whether a reply denies the login, or asks for a second step.

    It says so around `sub`. Raises `UnreadableReply`.
    """
    try:
        document = reply.document()
    except NotJson:
        return False
    around = mfa_replies.objects_above(document, names_of_subject(wanted))
    return any(mfa_replies.asks(members) or is_denial(members) for members in around)


def names_of_subject(wanted: Iterable[Wanted]) -> tuple[str, ...]:
    """The members that lead to the subject; none if it stands in a field."""
    places = [place for name, place, _ in wanted if name == "sub"]
    [path] = [pointed(place.pointer) for place in places if isinstance(place, JsonPointer)] or [()]
    return path


def are_named_by(sent: EchoDetector, wanted: Iterable[Wanted]) -> bool:
    """Whether the client may have chosen what stands at a claim's place.

    A GraphQL client can give one field the name of another, and all of them are below `data`.
    """
    places = (place for _, place, _ in wanted)
    paths = (pointed(place.pointer) for place in places if isinstance(place, JsonPointer))
    return any(
        sent.may_name(name) for path in paths if path[:1] == (GRAPHQL_DATA,) for name in path[1:]
    )


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


def _field(reply: Reply, name: str) -> str | None:
    """The value of a field that came once; None without one, or for an empty one."""
    values = [value for given, value in reply.fields if given.lower() == name]
    if len(values) > 1:
        raise BadClaims(f"the field {name} came twice")
    return values[0] or None if values else None

"""Pending logins: a first step whose reply hands out a temporary token.

config.yaml says with `pending` where a reply announces the second step. The client needs such a
reply as the backend wrote it. A temporary token is good for that step alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from gateway.core.json_text import NotJson, pointed
from gateway.core.logins import denials, refresh_tokens, token_names
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import JsonPointer
from gateway.core.tokens import jwt_text

_BROKEN = 500  # and above: the backend broke down

# Below it, GraphQL answers each part of a request, which the client composes.
_GRAPHQL_DATA = "data"


def is_pending(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply announces a second step here. Raises `UnreadableReply`."""
    return reply.status < _BROKEN and denials.says_no(reply, place)


def is_set_by_client(place: JsonPointer, sent: EchoDetector) -> bool:
    """Whether the client may have written the announcement itself.

    A backend may repeat what it gets, and a GraphQL client can give one field the name of another.
    """
    path = pointed(place.pointer)
    if path[0] == _GRAPHQL_DATA and any(map(sent.may_name, path[1:])):
        return True
    return sent.may_set(path[-1])


def may_be_left_out(
    reply: Reply, place: JsonPointer, sent: EchoDetector, names: Sequence[str]
) -> bool:
    """Whether a GraphQL client may have kept an announcement out of a reply.

    A GraphQL request chooses what is answered: it may not ask for the flag, or give its name to
    another field. Then a temporary token would look like a session's.

    names: the members that lead to the token, or to the subject; none if it stands in a field

    Raises `UnreadableReply`.
    """
    path = pointed(place.pointer)
    part = path[: len(("data", "part"))]
    is_elsewhere = bool(names) and tuple(names[: len(part)]) != part
    if path[0] != _GRAPHQL_DATA or is_elsewhere:
        return False
    return not denials.answers(reply, place) or any(map(sent.may_name, path[1:]))


def holds_other_tokens(reply: Reply, place: JsonPointer) -> bool:
    """Whether another part of a GraphQL request may have brought a token.

    The part that announces the step may hold any token. Raises `UnreadableReply`.
    """
    path = pointed(place.pointer)
    if path[0] != _GRAPHQL_DATA or len(path) <= len(("data", "part")):
        return False
    if any(_hands_out(*line) for line in reply.fields):
        return True
    part = path[: len(("data", "part"))]
    return any(
        jwt_text.first(string.value) != ""
        or refresh_tokens.is_refresh(string)
        or token_names.rank(string.name) is not None
        for string in reply.strings()
        if not string.is_name and not string.is_below(part)
    )


def tokens(reply: Reply, limit: int) -> list[str]:
    """The JWTs in the body and the fields of a reply, at most `limit` of them."""
    return list(islice(_tokens(reply), limit))


def _tokens(reply: Reply) -> Iterator[str]:
    texts = [value for _, value in reply.fields]
    try:
        texts += [string.value for string in reply.strings()]
    except (NotJson, UnreadableReply):
        texts.append(reply.text()[0])
    for text in texts:
        for start, end in jwt_text.spans(text):
            yield text[start:end]


def _hands_out(name: str, value: str) -> bool:
    field_name, cookie = field_and_cookie((name, value))
    return jwt_text.first(value) != "" or refresh_tokens.names_refresh(field_name, cookie)

"""Tokens in replies: where the one stands that a login, a capture or a renewal is after.

Tokens are looked for at a configured place, or under the names that are known for tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.core.json_text import NotJson, String, pointed
from gateway.core.logins import cookie_deletions, denials, refresh_tokens, token_names
from gateway.core.logins.refresh_tokens import is_refresh
from gateway.core.logins.replies import IsEcho, Reply, field_and_cookie, nothing_sent
from gateway.core.logins.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, NotAJwt, read_claims

# The right token is among the first of these, or none is. Whether one is an echo takes time by
# the size of the request, and a backend may repeat one that is made of tokens.
MAX_TOKENS = 16


class NoToken(ValueError):
    """There is no token at the place where one was looked for."""


@dataclass(frozen=True, slots=True)
class InBody:
    """The token stands in the reply's body, in JSON below these names."""

    token: str = field(repr=False)
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InField:
    """The token stands in the field line of this index, which may set a cookie."""

    token: str = field(repr=False)
    index: int


Found = InBody | InField


@dataclass(frozen=True, slots=True)
class _Line:
    """A field line that holds a token."""

    found: InField
    name: str  # in lower case
    cookie: str  # that it sets, or nothing
    is_alone: bool  # the token is all of it, but for a scheme


def find(reply: Reply, place: TokenPlace, is_echo: IsEcho = nothing_sent) -> Found:
    """The token that the reply hands out, and where.

    What the client has sent itself is none. Raises `NoToken`, and `BadToken` if there are two of
    which either could be meant: no reader may choose between two who may be two people.
    """
    tried = 0
    for group in _groups(reply, place):
        tokens = dict.fromkeys(found.token for found in group)
        tried += len(tokens)
        if tried > MAX_TOKENS:
            raise BadToken("too_many_tokens")
        believable = [token for token in tokens if not is_echo(token)]
        if len(believable) > 1:
            raise BadToken("two_tokens")
        if believable:
            return next(found for found in group if found.token == believable[0])
    raise NoToken


def is_named_by_client(found: Found, may_name: Callable[[str], bool]) -> bool:
    """Whether a client may have put the token where it was found: by naming what a reply of GraphQL
    calls its members, all of which are below `data`.
    """
    if not isinstance(found, InBody) or found.names[:1] != ("data",):
        return False
    return any(map(may_name, found.names[1:]))


def is_in_cookie(reply: Reply, found: Found) -> bool:
    """Whether the token came in a cookie, which then is the key's."""
    return isinstance(found, InField) and bool(field_and_cookie(reply.fields[found.index])[1])


def kept_cookie(reply: Reply, found: Found, path: str) -> str:
    """What a session keeps of the cookie that holds its key, if the token came in one (see
    `cookie_deletions.kept_place`); `path` is where the reply's request went.
    """
    if isinstance(found, InField) and is_in_cookie(reply, found):
        return cookie_deletions.kept_place(reply.fields[found.index][1], path)
    return ""


def _groups(reply: Reply, place: TokenPlace) -> Iterable[Sequence[Found]]:
    """What stands at a place; if that is anywhere, the likeliest first."""
    match place:
        case JsonPointer(pointer):
            return [_at(reply, pointed(pointer))]
        case Header(name):
            return [_in_fields(reply, lambda line: line.name == name.lower())]
        case Cookie(name):
            return [_in_fields(reply, lambda line: line.cookie == name)]
        case Auto():
            return _by_known_names(reply)


def _by_known_names(reply: Reply) -> Iterator[Sequence[Found]]:
    """The tokens that are as likely, the likeliest first: those of the JSON body, then of the
    fields, then of the cookies; of each by their names, and nearer to the top.

    The body of a redirect is for people, if anything; what asks for a second step logs in later,
    and what says no does not log in.
    """
    if denials.is_no_around(reply):
        return
    if reply.status < 300:
        yield from _in_body(reply)
    for of_cookies in (False, True):
        yield from _by_rank(
            ((rank, 0), line.found)
            for line in _lines_with_tokens(reply)
            if bool(line.cookie) is of_cookies
            and (line.cookie or line.is_alone)
            and (rank := token_names.rank(line.cookie or line.name)) is not None
        )


def _in_body(reply: Reply) -> Iterator[Sequence[Found]]:
    """The tokens of a body: of one that is no JSON, the token that is all there is in it."""
    try:
        strings = reply.strings()
    except NotJson:
        token = jwt_text.sole(reply.text()[0])
        if token and _is_usable(token):
            yield [InBody(token)]
        return
    yield from _by_rank(
        ((rank, string.depth), _at_string(token, string))
        for string in strings
        if (token := jwt_text.sole(string.value)) and (rank := _rank(string)) is not None
    )


def _rank(string: String) -> int | None:
    """How likely a string of a JSON body is the token; None is not at all."""
    if string.is_name or is_refresh(string) or token_names.is_of_others(string.path):
        return None
    is_all_there_is = string.container is None
    return 0 if is_all_there_is else token_names.rank(string.name)


def _by_rank(ranked: Iterable[tuple[tuple[int, int], Found]]) -> Iterator[Sequence[Found]]:
    alike: dict[tuple[int, int], list[Found]] = {}
    for rank, found in ranked:
        if _is_usable(found.token):
            alike.setdefault(rank, []).append(found)
    return (alike[rank] for rank in sorted(alike))


def _at(reply: Reply, pointer: tuple[str, ...]) -> Sequence[Found]:
    try:
        strings = reply.strings()
    except NotJson:
        return []
    found = [string for string in strings if string.is_at(pointer)]
    return [_at_string(token, string) for string in found if (token := jwt_text.sole(string.value))]


def _at_string(token: str, string: String) -> InBody:
    return InBody(token, tuple(part for part in string.path if isinstance(part, str)))


def _in_fields(reply: Reply, is_chosen: Callable[[_Line], bool]) -> Sequence[Found]:
    return [line.found for line in _lines_with_tokens(reply) if is_chosen(line)]


def _lines_with_tokens(reply: Reply) -> Iterator[_Line]:
    """The field lines that hold a token.

    But for Set-Cookie, parts between commas may have been lines of their own (RFC 9110 §5.3).
    """
    for index, line in enumerate(reply.fields):
        name, cookie = field_and_cookie(line)
        text = refresh_tokens.blotted(line[1])
        for part in [text.partition(";")[0]] if cookie else text.split(","):
            if token := jwt_text.first(part):
                is_alone = jwt_text.sole(part) == token
                yield _Line(InField(token, index), name, cookie, is_alone)


def _is_usable(token: str) -> bool:
    """Whether its claims can be read at all; a JWE, say, tells nothing to the gateway."""
    try:
        read_claims(token, now=0)
    except BadToken as error:
        return not isinstance(error, NotAJwt)
    return True

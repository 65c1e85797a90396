"""Finding the token in a reply, for logins, captures and renewals.

It is looked for at a configured place, or under the names that are known for tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.core.http.field_names import fold, has_meaning
from gateway.core.json_text import NotJson, String, pointed
from gateway.core.logins import (
    cookie_deletions,
    denials,
    double_submit,
    refresh_tokens,
    token_names,
    token_sending,
)
from gateway.core.logins.refresh_tokens import is_refresh
from gateway.core.logins.replies import IsEcho, Reply, field_and_cookie, nothing_sent
from gateway.core.logins.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace
from gateway.core.logins.token_sending import AUTHORIZATION, BEARER, TokenSending
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, NotAJwt, read_claims

# Tokens that are compared with the request, which takes time by its size: a backend may repeat a
# request that is made of tokens.
MAX_TOKENS = 16


class NoToken(ValueError):
    """There is no token at the place."""


@dataclass(frozen=True, slots=True)
class InBody:
    """The token stands in the reply's body, in JSON below these names."""

    token: str = field(repr=False)
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class InField:
    """The token stands in the field line of this index, maybe in a cookie."""

    token: str = field(repr=False)
    index: int


Found = InBody | InField


@dataclass(frozen=True, slots=True)
class _Line:
    """A field line that holds a token."""

    found: InField
    name: str  # in lower case
    cookie: str  # the name of the cookie that it sets, or ""
    is_alone: bool  # the token is the whole value, maybe behind a scheme


def find(reply: Reply, place: TokenPlace, is_echo: IsEcho = nothing_sent) -> Found:
    """The token that a reply hands out, and its place.

    A token that the client has sent does not count. Raises `NoToken`, and `BadToken` if either of
    two could be meant: they may be two users'.
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
    """Whether a client may have chosen the token's place.

    GraphQL clients can name members of the reply. All members that it can name are below `data`.
    """
    if not isinstance(found, InBody) or found.names[:1] != ("data",):
        return False
    return any(map(may_name, found.names[1:]))


def is_in_cookie(reply: Reply, found: Found) -> bool:
    """Whether the token came in a cookie, which then holds the key."""
    return isinstance(found, InField) and bool(field_and_cookie(reply.fields[found.index])[1])


def setting_of(reply: Reply, found: Found) -> str | None:
    """The Set-Cookie value in which the token came; None if it came elsewhere."""
    if isinstance(found, InField) and is_in_cookie(reply, found):
        return reply.fields[found.index][1]
    return None


def kept_cookie(reply: Reply, found: Found, path: str, *, lasts: bool = False) -> str:
    """The name and attributes of the cookie in which the token came, or "".

    path: of the reply's request
    lasts: whether the cookie will be set again, so that all of its attributes are needed

    See `cookie_deletions.kept_place`.
    """
    setting = setting_of(reply, found)
    return "" if setting is None else cookie_deletions.kept_place(setting, path, lasts=lasts)


def sending(reply: Reply, found: Found) -> TokenSending:
    """How a token is sent as it came: in its cookie, or in its field.

    A token in a body, or in a field with another meaning, is sent as a bearer token.
    """
    if not isinstance(found, InField):
        return BEARER
    name, text = reply.fields[found.index]
    cookie = field_and_cookie((name, text))[1]
    if cookie:
        before, seen, after = (
            text.partition("=")[2].partition(";")[0].strip().partition(found.token)
        )
        if not seen:  # the token is spelled in another way there
            return token_sending.InCookie(cookie)
        return token_sending.InCookie(cookie, before, after)
    scheme, _, rest = text.strip().rpartition(" ")
    if rest != found.token or (scheme and not scheme.isalnum()):
        return BEARER
    if name.lower() == AUTHORIZATION.lower():
        return token_sending.InField(AUTHORIZATION, scheme or BEARER.scheme)
    return BEARER if has_meaning(fold(name.encode())) else token_sending.InField(name, scheme)


def csrf_value(reply: Reply, found: Found) -> str:
    """The double submit's value beside a token in a cookie; "" for none."""
    return double_submit.value_for_token(reply) if is_in_cookie(reply, found) else ""


def _groups(reply: Reply, place: TokenPlace) -> Iterable[Sequence[Found]]:
    """The tokens at a place in groups, the likeliest group first."""
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
    """The tokens under known names in groups, the likeliest group first.

    Those of a JSON body come first, then those of fields, then those of cookies; within each, by
    their names and by their depth. The body of a redirect is for people. A reply that denies the
    login, or asks for a second step, has no token.
    """
    if denials.denies_around_token(reply):
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
    """The tokens of a body. A body that is no JSON may be a token as a whole."""
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
    """How likely a string of a JSON body is the token (0: most likely).

    None: it is not.
    """
    if string.is_name or is_refresh(string) or token_names.is_for_other_purpose(string.path):
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

    Commas join lines of one name (RFC 9110 §5.3), but for Set-Cookie.
    """
    for index, line in enumerate(reply.fields):
        name, cookie = field_and_cookie(line)
        text = refresh_tokens.blotted(line[1])
        for part in [text.partition(";")[0]] if cookie else text.split(","):
            if token := jwt_text.first(part):
                is_alone = jwt_text.sole(part) == token
                yield _Line(InField(token, index), name, cookie, is_alone)


def _is_usable(token: str) -> bool:
    """Whether the token's claims can be read at all; those of a JWE cannot."""
    try:
        read_claims(token, now=0)
    except BadToken as error:
        return not isinstance(error, NotAJwt)
    return True

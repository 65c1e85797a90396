"""Login replies: finding the token that was issued, and swapping it for the key.

The swap edits the reply's text, so that a frontend sees what its backend wrote, with the key in the
token's place. Everything else that would do instead of a key is blotted out: other JWTs anywhere,
and refresh tokens, which are known by their names since they are often opaque.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import Members, NotJson, String, pointed
from gateway.core.logins import cookie_deletions, second_steps, token_names
from gateway.core.logins.denials import is_denial
from gateway.core.logins.refresh_tokens import is_refresh, names_refresh
from gateway.core.logins.replies import IsEcho, Reply, UnreadableReply, names, nothing_sent
from gateway.core.logins.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, NotAJwt, read_claims

# A refresh token within a text: in a URL, a form, or JSON inside of something else.
_REFRESH_IN_TEXT = re.compile(
    r"(refresh[_-]?(?:token|jwt)(?:=|[\"']\s*+:\s*+[\"']))[^&#;,\s\"'<>\\]++", re.IGNORECASE
)
_SHORTEST_REFRESH = len("refreshjwt=")

# What speaks of the body's very bytes (RFC 9110 §8.8, RFC 9530), and is wrong once they change.
_OF_THE_BYTES = frozenset({"etag", "content-md5", "digest", "content-digest", "repr-digest"})

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


# What stands in the place of a token afterwards.
Put = Callable[[str], str]


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


def swap(reply: Reply, found: Found, key: str) -> Reply:
    """The reply with the key where the token was, and without any other token.

    In the body, the same token may stand twice, and both become the key. A second carrier does
    not get it: a client that then sent the key twice would be refused. Raises `UnreadableReply`.
    """

    def put(token: str) -> str:
        return key if token == found.token else ""

    if isinstance(found, InBody):
        return _rewritten(reply, -1, _nothing, put)
    return _rewritten(reply, found.index, put, _nothing)


def is_in_cookie(reply: Reply, found: Found) -> bool:
    """Whether the token came in a cookie, which then is the key's."""
    return isinstance(found, InField) and bool(names(reply.fields[found.index])[1])


def kept_cookie(reply: Reply, found: Found, path: str) -> str:
    """What a session keeps of the cookie that holds its key, if the token came in one (see
    `cookie_deletions.kept_place`); `path` is where the reply's request went.
    """
    if isinstance(found, InField) and is_in_cookie(reply, found):
        return cookie_deletions.kept_place(reply.fields[found.index][1], path)
    return ""


def says_no(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply says at this place what was wrong, as those of GraphQL do, whatever their
    status; of a list of answers, whether one of them does. Raises `UnreadableReply`.
    """
    return any(_complaints(reply, place))


def may_hand_out(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply that says no at this place may hand out a token that is no JWT all the same.

    Of a list of answers another one may have succeeded, and beside a list of errors, as in GraphQL,
    a part of what was asked. Raises `UnreadableReply`.
    """
    if not isinstance(reply.document(), Members):
        return True
    is_in_part = any(isinstance(complaint, list) for complaint in _complaints(reply, place))
    return is_in_part and _names_token(reply, pointed(place.pointer))


def is_no_login(reply: Reply) -> bool:
    """Whether a JSON reply asks for a second step, wherever it does, or says plainly that nothing
    came of the login, and hands nothing opaque out. Raises `UnreadableReply`.
    """
    try:
        if second_steps.are_asked_for(reply.document()):
            return True
    except NotJson:
        return False
    return _is_no_around(reply) and not _names_token(reply, ())


def scrub(reply: Reply) -> Reply:
    """The reply without any token: for replies from which no session is issued.

    Raises `UnreadableReply`.
    """
    return _rewritten(reply, -1, _nothing, _nothing)


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


def _complaints(reply: Reply, place: JsonPointer) -> list[Any]:
    """What a JSON reply says at a place, in each of its answers; nothing, if it is no JSON."""
    try:
        document = reply.document()
    except NotJson:
        return []
    is_batch = isinstance(document, list) and not isinstance(document, Members)
    # Of a batch, the place may be one in each answer, or in all of it.
    answers = [document, *document] if is_batch else [document]
    path = pointed(place.pointer)
    return [value for answer in answers for value in json_text.values_at(answer, path)]


def _names_token(reply: Reply, beside: Sequence[str]) -> bool:
    """Whether a JSON reply hands out something opaque that is called a token; not in what it says
    `beside`, if anything.
    """
    return any(
        _is_called_token(string.name, string.value) and not jwt_text.sole(string.value)
        for string in reply.strings()
        if not string.is_name and not (beside and string.is_below(beside))
    )


def _by_known_names(reply: Reply) -> Iterator[Sequence[Found]]:
    """The tokens that are as likely, the likeliest first: those of the JSON body, then of the
    fields, then of the cookies; of each by their names, and nearer to the top.

    The body of a redirect is for people, if anything; what asks for a second step logs in later,
    and what says no does not log in.
    """
    if _is_no_around(reply):
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


def _is_no_around(reply: Reply) -> bool:
    """Whether a JSON reply says so around a token, or around everything."""
    try:
        around = second_steps.objects_around(reply.document(), _is_called_token)
    except NotJson:
        return False
    return any(second_steps.asks(members) or is_denial(members) for members in around)


def _is_called_token(name: str, text: str) -> bool:
    return text != "" and token_names.rank(name) is not None


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
        name, cookie = names(line)
        text = _REFRESH_IN_TEXT.sub(r"\1", line[1])
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


def _nothing(_token: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _Eraser:
    """Puts something in the place of each JWT, and takes refresh tokens out."""

    put: Put
    # Not in a refusal: it hands nothing out, and `{"refresh": ["required"]}` says what is wrong.
    by_name: bool

    def text(self, text: str) -> str:
        if text.count(".") >= jwt_text.JWS_PARTS - 1:
            text = jwt_text.replaced(text, self.put)
        if self.by_name and len(text) > _SHORTEST_REFRESH:
            text = _REFRESH_IN_TEXT.sub(r"\1", text)
        return text

    def string(self, string: String) -> str:
        # The chosen token becomes the key under any name, since config.yaml may point at it.
        chosen = self.put(string.value)
        if chosen or (self.by_name and is_refresh(string)):
            return chosen
        return self.text(string.value)

    def leaves(self, name: str, value: str) -> bool:
        """Whether anything is left of a field; of one that only hands a token out, nothing is."""
        field_name, cookie = names((name, value))
        if not cookie:
            return not (self.by_name and names_refresh(field_name, ""))
        content = value.partition("=")[2].partition(";")[0].strip(' "')
        is_token = jwt_text.first(content) or (self.by_name and names_refresh(field_name, cookie))
        return not (content and is_token)


def _rewritten(reply: Reply, chosen: int, in_field: Put, in_body: Put) -> Reply:
    """The reply with something in the place of the JWTs of one field line, and of the body."""
    by_name = reply.status < 400
    this, others = _Eraser(in_field, by_name), _Eraser(_nothing, by_name)
    fields = tuple(
        (name, (this if index == chosen else others).text(value))
        for index, (name, value) in enumerate(reply.fields)
        if index == chosen or others.leaves(name, value)
    )
    body = _body(reply, _Eraser(in_body, by_name))
    if body != reply.body:
        fields = tuple(line for line in fields if line[0].lower() not in _OF_THE_BYTES)
    return _certain(replace(reply, fields=fields, body=body))


def _body(reply: Reply, eraser: _Eraser) -> bytes:
    text, encoding = reply.text()
    try:
        strings = reply.strings()
    except NotJson:
        return eraser.text(text).encode(encoding)
    wanted = [(each, eraser.string(each)) for each in strings]
    edits = [(each, value) for each, value in wanted if each.value != value]
    return json_text.replaced(text, edits).encode(encoding)


def _certain(reply: Reply) -> Reply:
    """The reply, after a look at its bytes: whatever it was decoded as, no token is left in it."""
    plain = reply.body.replace(b"\0", b"").decode("latin-1")
    if jwt_text.first(plain) or any(jwt_text.first(value) for _, value in reply.fields):
        raise UnreadableReply
    return reply

"""Login replies: finding the token that was issued, and swapping it for the key.

The swap edits the reply's text, so that a frontend sees what its backend wrote, with the key in the
token's place. Everything else that would do instead of a key is blotted out: other JWTs anywhere,
and refresh tokens, which are known by their names since they are often opaque.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from gateway.core import json_text, jwts
from gateway.core.json_text import NotJson, String, pointed
from gateway.core.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace
from gateway.core.tokens import BadToken, NotAJwt, read_claims

# Under these names backends hand out the token that is to be sent back, the likeliest first;
# compared without case, `_` and `-`.
_NAMES = (
    "token",
    "accesstoken",
    "access",
    "idtoken",
    "jwt",
    "key",
    "accessjwt",
    "authtoken",
    "authorization",
    "xaccesstoken",
    "xauthtoken",
)
_JOINTS = str.maketrans("", "", "_-")

# What a refresh token is called; `my_refresh_token` is one, and `refresh_token_expires_in` is none.
_REFRESH = re.compile(r"refresh(?:[_-]?(?:token|jwt|key|value|secret))?s?$|^rt$", re.IGNORECASE)
# What may stand beside a refresh token in an object of its own, without being one.
_HARMLESS = re.compile(r"expir|type|scope|issued|created|ttl|(?:_a|A)t$")
# A refresh token within a text: in a URL, a form, or JSON inside of something else.
_REFRESH_IN_TEXT = re.compile(
    r"(refresh[_-]?(?:token|jwt)(?:=|[\"']\s*+:\s*+[\"']))[^&#;,\s\"'<>\\]++", re.IGNORECASE
)
# The non-standard field that reloads a page; the one field of such a name that is no token.
_RELOADS = "refresh"

# What speaks of the body's very bytes (RFC 9110 §8.8, RFC 9530), and is wrong once they change.
_OF_THE_BYTES = frozenset({"etag", "content-md5", "digest", "content-digest", "repr-digest"})

_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:-]+)\"?", re.IGNORECASE)


class NoToken(ValueError):
    """There is no token at the place where one was looked for."""


class UnreadableReply(ValueError):
    """The reply cannot be read well enough to say that it holds no token."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A backend's reply: its status line, its field lines in order, and its decoded body."""

    status: int
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    reason: str = ""

    def field(self, name: str) -> str:
        """The first field of this name (in lower case), or nothing."""
        return next((value for each, value in self.fields if each.lower() == name), "")


@dataclass(frozen=True, slots=True)
class InBody:
    """The token stands in the reply's body."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InField:
    """The token stands in the field line of this index, which may set a cookie."""

    token: str = field(repr=False)
    index: int


Found = InBody | InField

# What stands in the place of a token afterwards.
Put = Callable[[str], str]


def find(reply: Reply, place: TokenPlace) -> Found:
    """The token that the reply hands out, and where. Raises `NoToken`."""
    match place:
        case JsonPointer(pointer):
            candidates = _at(reply, pointed(pointer))
        case Header(name):
            candidates = _in_fields(reply, lambda each, _cookie: each == name.lower())
        case Cookie(name):
            candidates = _in_fields(reply, lambda _each, cookie: cookie == name)
        case Auto():
            candidates = _anywhere(reply)
    found = next(iter(candidates), None)
    if found is None:
        raise NoToken
    return found


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


def scrub(reply: Reply) -> Reply:
    """The reply without any token: for replies from which no session is issued.

    Raises `UnreadableReply`.
    """
    return _rewritten(reply, -1, _nothing, _nothing)


def _anywhere(reply: Reply) -> Iterator[Found]:
    """The JSON body first, then the fields, then the cookies; of each, the likeliest name first."""
    text, _ = _decoded(reply.body, reply.field("content-type"))
    try:
        strings = _members(text).values()
    except NotJson:
        token = jwts.sole(text)
        if token and _is_usable(token):
            yield InBody(token)
    else:
        named = [each for each in strings if not _is_refresh(each)]
        for string in sorted(named, key=lambda each: (_rank(each.name), len(each.path))):
            token = jwts.sole(string.value)
            if token and _is_usable(token):
                yield InBody(token)
    for of_cookies in (False, True):
        places = [
            (_rank(cookie or name), index)
            for index, (name, cookie) in enumerate(map(_names, reply.fields))
            if bool(cookie) is of_cookies and not _names_refresh(cookie or name)
        ]
        for _, index in sorted(places):
            token = jwts.first(reply.fields[index][1])
            if token and _is_usable(token):
                yield InField(token, index)


def _at(reply: Reply, pointer: tuple[str, ...]) -> Iterator[Found]:
    text, _ = _decoded(reply.body, reply.field("content-type"))
    try:
        members = _members(text)
    except NotJson:
        return
    string = members.get(pointer)
    token = jwts.sole(string.value) if string is not None else ""
    if token:
        yield InBody(token)


def _in_fields(reply: Reply, chosen: Callable[[str, str], bool]) -> Iterator[Found]:
    for index, (name, value) in enumerate(reply.fields):
        if chosen(*_names((name, value))):
            token = jwts.first(value)
            if token:
                yield InField(token, index)


def _members(text: str) -> dict[tuple[str, ...], String]:
    """The string values by their paths; of those with the same path, readers take the last."""
    return {
        tuple(map(str, each.path)): each for each in json_text.strings(text) if not each.is_name
    }


def _is_usable(token: str) -> bool:
    """Whether its claims can be read at all; a JWE, say, tells nothing to the gateway."""
    try:
        read_claims(token, now=0)
    except BadToken as error:
        return not isinstance(error, NotAJwt)
    return True


def _rank(name: str) -> int:
    name = name.lower().translate(_JOINTS)
    return _NAMES.index(name) if name in _NAMES else len(_NAMES)


def _is_refresh(string: String) -> bool:
    """Whether a value is a refresh token, or part of an object that is one.

    A text with spaces is none: `{"refresh": ["This field is required."]}` says what was wrong.
    """
    names = [part for part in string.path if isinstance(part, str)]
    if not names or string.is_name or " " in string.value:
        return False
    if _REFRESH.search(names[-1]):
        return True
    return any(map(_REFRESH.search, names)) and not _HARMLESS.search(names[-1])


def _names_refresh(name: str) -> bool:
    """Whether a field or a cookie of this name holds a refresh token."""
    return name != _RELOADS and _REFRESH.search(name) is not None


def _names(line: tuple[str, str]) -> tuple[str, str]:
    """A field's name in lower case, and the name of the cookie that it sets, or nothing."""
    name = line[0].lower()
    return name, line[1].partition("=")[0].strip() if name == "set-cookie" else ""


def _nothing(_token: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _Eraser:
    """Puts something in the place of each JWT, and takes refresh tokens out."""

    put: Put
    # Not in a refusal: it hands nothing out, and `{"refresh": ["required"]}` says what is wrong.
    by_name: bool

    def text(self, text: str) -> str:
        text = jwts.replaced(text, self.put)
        return _REFRESH_IN_TEXT.sub(r"\1", text) if self.by_name else text

    def string(self, string: String) -> str:
        # The chosen token becomes the key under any name, since config.yaml may point at it.
        chosen = self.put(string.value)
        if chosen or (self.by_name and _is_refresh(string)):
            return chosen
        return self.text(string.value)

    def leaves(self, name: str, value: str) -> bool:
        """Whether anything is left of a field; of one that only hands a token out, nothing is."""
        field_name, cookie = _names((name, value))
        if not cookie:
            return not (self.by_name and _names_refresh(field_name))
        content = value.partition("=")[2].partition(";")[0].strip(' "')
        is_token = jwts.first(content) or (self.by_name and _REFRESH.search(cookie))
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
    text, encoding = _decoded(reply.body, reply.field("content-type"))
    try:
        strings = json_text.strings(text)
    except NotJson:
        return eraser.text(text).encode(encoding)
    wanted = [(each, eraser.string(each)) for each in strings]
    edits = [(each, value) for each, value in wanted if each.value != value]
    return json_text.replaced(text, edits).encode(encoding)


def _decoded(body: bytes, content_type: str) -> tuple[str, str]:
    """The body as text, and the encoding that makes the very same bytes of it again."""
    seen = json.detect_encoding(body)  # byte order marks, and the zeros of wide characters
    wide = (seen, f"{seen}-be") if seen.startswith(("utf-16", "utf-32")) else (seen,)
    declared = _CHARSET.search(content_type)
    for encoding in (*wide, declared[1] if declared else "utf-8", "utf-8"):
        try:
            text = body.decode(encoding)
            if text.encode(encoding) == body:
                return text, encoding
        except (LookupError, ValueError):
            continue
    return body.decode("latin-1"), "latin-1"


def _certain(reply: Reply) -> Reply:
    """The reply, after a look at its bytes: whatever it was decoded as, no token is left in it."""
    plain = reply.body.replace(b"\0", b"").decode("latin-1")
    if jwts.first(plain) or any(jwts.first(value) for _, value in reply.fields):
        raise UnreadableReply
    return reply

"""Opaque tokens in replies: texts that say nothing by themselves.

DRF's TokenAuthentication, knox, Sanctum and JWEs are such. No sign tells one from another text, so
it counts at a configured place alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.core.http import set_cookies
from gateway.core.json_text import NotJson, pointed
from gateway.core.logins import denials, reply_tokens
from gateway.core.logins.mfa import replies as mfa_replies
from gateway.core.logins.replies import IsEcho, Reply, field_and_cookie, nothing_sent
from gateway.core.logins.reply_tokens import Found, InBody, InField, NoToken
from gateway.core.logins.token_places import Cookie, Header, JsonPointer, TokenPlace
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import MAX_TOKEN, BadToken

# 16 hexadecimal digits are 64 bits (OWASP ASVS 4.0, 3.2.2). A shorter text is a word or a code.
MIN_CHARACTERS = 16

# The characters that a field and a cookie can hold: cookie-octet (RFC 6265 §4.1.1).
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")

# A scheme before a token in a field.
_SCHEME = re.compile(r"(?:[A-Za-z]+ +)?(\S+)")


def find(reply: Reply, place: TokenPlace, now: float, is_echo: IsEcho = nothing_sent) -> Found:
    """The opaque token that a reply hands out at a place.

    A text that the client has sent does not count, nor does a reply that denies the login or asks
    for a second step around the place. Raises `NoToken`, `UnreadableReply`, and `BadToken` if the
    text is no token or either of two could be meant.
    """
    if _denies_around(reply, place):
        raise NoToken
    found = list(_at(reply, place, now))
    tokens = dict.fromkeys(candidate.token for candidate in found)
    if len(tokens) > reply_tokens.MAX_TOKENS:
        raise BadToken("too_many_tokens")
    believable = [token for token in tokens if not is_echo(token)]
    if not believable:
        raise NoToken
    if len(believable) > 1:
        raise BadToken("two_tokens")
    [token] = believable
    _check(token)
    return next(candidate for candidate in found if candidate.token == token)


def is_token(text: str) -> bool:
    """Whether a text may be an opaque token."""
    return MIN_CHARACTERS <= len(text) <= MAX_TOKEN and _TOKEN.fullmatch(text) is not None


def _denies_around(reply: Reply, place: TokenPlace) -> bool:
    try:
        document = reply.document()
    except NotJson:
        return False
    path = pointed(place.pointer) if isinstance(place, JsonPointer) else ()
    around = mfa_replies.objects_above(document, path)
    return any(mfa_replies.asks(members) or denials.is_denial(members) for members in around)


def _at(reply: Reply, place: TokenPlace, now: float) -> Iterator[Found]:
    match place:
        case JsonPointer(pointer):
            yield from _in_body(reply, pointed(pointer))
        case Header(name):
            for index, line in enumerate(reply.fields):
                held = _SCHEME.fullmatch(line[1].strip())
                if line[0].lower() == name.lower() and held is not None:
                    yield InField(held[1], index)
        case Cookie(name):
            for index, line in enumerate(reply.fields):
                if field_and_cookie(line)[1] != name:
                    continue
                cookie = set_cookies.read(line[1])
                if not set_cookies.is_deletion(cookie, now):
                    yield InField(cookie.value, index)


def _in_body(reply: Reply, path: tuple[str, ...]) -> Iterator[Found]:
    try:
        strings = reply.strings()
    except NotJson:
        return
    for string in strings:
        if string.is_at(path) and string.value:
            names = tuple(part for part in string.path if isinstance(part, str))
            yield InBody(string.value, names)


def _check(token: str) -> None:
    """Raise `BadToken` for a text that is no token."""
    if len(token) < MIN_CHARACTERS:
        raise BadToken(f"opaque_too_short ({len(token)} characters, at least {MIN_CHARACTERS})")
    if len(token) > MAX_TOKEN:
        raise BadToken("too_long")
    if not is_token(token):
        raise BadToken("holds_spaces_or_letters_that_no_field_can_hold")
    if KEY_PATTERN.search(token.encode("ascii")):
        raise BadToken("is_a_key")
    is_jws = jwt_text.sole(token) == token and token.count(".") == jwt_text.JWS_PARTS - 1
    if is_jws and not jwt_text.is_signed(token):
        raise BadToken("unsigned")

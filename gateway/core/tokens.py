"""Tokens in login replies: finding the one that was issued, and swapping it for the key.

The swap works on the reply's text, so that a frontend sees what its backend wrote with the key in
the token's place; only where the text spells the token in escapes is the JSON written anew. Every
other token in the reply is blotted out: whoever holds one needs no key.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jwt

from gateway.core.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace

# A JWS in compact form (RFC 7515 §7.1), whose header always begins with `{"`; RFC 7519 §3.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

# Under these names backends hand out the token that is to be sent back, the likeliest first.
_NAMES = (
    "access_token",
    "accesstoken",
    "access",
    "token",
    "jwt",
    "auth_token",
    "authtoken",
    "id_token",
    "idtoken",
    "key",
)
_REFRESH = re.compile(r"refresh(?:[_-]?token)?|rt", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:-]+)\"?", re.IGNORECASE)
_POINTER_ESCAPES = (("~1", "/"), ("~0", "~"))  # RFC 6901 §4, in this order

# No user has a use for a deeper reply, and Python's own limit is not far above.
_DEEPEST = 100


class BadToken(ValueError):
    """The token cannot be used; the message is a reason that may be logged."""


class UnreadableReply(ValueError):
    """The reply's text cannot be read, so nobody can say that it holds no token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `expires` is its `exp` in UNIX seconds, if it has one."""

    payload: Mapping[str, Any]
    expires: float | None

    def subject(self, names: tuple[str, ...]) -> str | None:
        """The first of the named claims that holds a text or a number."""
        for name in names:
            value = self.payload.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value)
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """A backend's reply: its status, its field lines in order, and its decoded body."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str:
        """The first field of this name (in lower case), or nothing."""
        return next((value for each, value in self.fields if each.lower() == name), "")


def read_claims(token: str, now: float) -> Claims:
    """Reads a token without verifying it: its backend does that. Raises `BadToken`."""
    try:
        payload = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise BadToken("not_a_jwt") from None
    expires = payload.get("exp")
    if expires is None:
        return Claims(payload, None)
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise BadToken("exp_is_no_number")
    if not math.isfinite(expires) or expires <= now:
        raise BadToken("expired")
    return Claims(payload, float(min(expires, 2**53)))


def find(reply: Reply, place: TokenPlace) -> str | None:
    """The token that the reply hands out, or None. Raises `UnreadableReply`."""
    match place:
        case JsonPointer(pointer):
            return _jwt_in(_at(_json(_text(reply)), pointer))
        case Header(name):
            return _jwt_in(reply.field(name.lower()))
        case Cookie(name):
            values = (value for _, value in _cookies(reply) if value.partition("=")[0].strip() == name)
            return next((token for value in values if (token := _jwt_in(value))), None)
        case Auto():
            return _find_anywhere(reply)


def swap(reply: Reply, token: str, key: str) -> Reply:
    """The reply with the key where the token was, and without any other token.

    Raises `UnreadableReply`.
    """
    return _rewrite(reply, lambda found: key if found == token else "")


def scrub(reply: Reply) -> Reply:
    """The reply without any token: for replies from which no session is issued."""
    return _rewrite(reply, lambda _found: "")


def _find_anywhere(reply: Reply) -> str | None:
    text = _text(reply)
    try:
        strings = list(_strings(_json(text)))
    except ValueError:
        strings = [("", text)]
    named: dict[str, str] = {}
    for name, value in strings:
        token = _jwt_in(value)
        if token is not None and not _REFRESH.fullmatch(name):
            named.setdefault(name.lower(), token)
    for name in _NAMES:
        if name in named:
            return named[name]
    if named:
        return next(iter(named.values()))
    for name, value in reply.fields:
        token = _jwt_in(value)
        cookie = value.partition("=")[0].strip() if name.lower() == "set-cookie" else ""
        if token is not None and not _is_refresh_cookie(cookie):
            return token
    return None


def _rewrite(reply: Reply, put: Callable[[str], str]) -> Reply:
    """Puts something in the place of each token, in the fields and in the body."""

    def put_in(text: str) -> str:
        return _JWT.sub(lambda found: put(found[0]), text)

    fields = []
    for name, value in reply.fields:
        if name.lower() == "set-cookie":
            cookie = value.partition("=")[0].strip()
            if _is_refresh_cookie(cookie) or any(not put(found) for found in _JWT.findall(value)):
                continue
        fields.append((name, put_in(value)))
    return replace(reply, fields=tuple(fields), body=_rewrite_body(reply, put_in))


def _rewrite_body(reply: Reply, put_in: Callable[[str], str]) -> bytes:
    if not reply.body:
        return b""
    text, encoding = _decoded(reply)
    try:
        data = _json(text)
    except ValueError:
        return put_in(text).encode(encoding)
    wanted = _mapped(data, put_in)
    if wanted == data:
        return reply.body
    for name, value in _strings(data):
        # In the text, a refresh token goes with its quotation marks, so that nothing else does.
        if _REFRESH.fullmatch(name) and value:
            text = text.replace(json.dumps(value), '""').replace(
                json.dumps(value, ensure_ascii=False), '""'
            )
    text = put_in(text)
    try:
        same = _json(text) == wanted
    except ValueError:
        same = False
    if not same:
        text = json.dumps(wanted, ensure_ascii=False)
    return text.encode(encoding)


def _mapped(data: Any, put_in: Callable[[str], str], name: str = "", depth: int = 0) -> Any:
    """The data with every string rewritten, and refresh tokens emptied."""
    if depth > _DEEPEST:
        raise UnreadableReply
    if isinstance(data, str):
        return "" if _REFRESH.fullmatch(name) else put_in(data)
    if isinstance(data, list):
        return [_mapped(each, put_in, name, depth + 1) for each in data]
    if isinstance(data, dict):
        return {put_in(k): _mapped(v, put_in, k, depth + 1) for k, v in data.items()}
    return data


def _strings(data: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every string with the name of the object member that it is in."""
    if depth > _DEEPEST:
        raise UnreadableReply
    if isinstance(data, str):
        yield name, data
    elif isinstance(data, list):
        for each in data:
            yield from _strings(each, name, depth + 1)
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _strings(value, key, depth + 1)


def _at(data: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer leads to, or None."""
    for part in pointer.split("/")[1:]:
        for escape, character in _POINTER_ESCAPES:
            part = part.replace(escape, character)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and part.isascii() and part.isdigit():
            data = data[int(part)] if int(part) < len(data) else None
        else:
            return None
    return data


def _jwt_in(value: Any) -> str | None:
    found = _JWT.search(value) if isinstance(value, str) else None
    return None if found is None else found[0]


def _is_refresh_cookie(name: str) -> bool:
    return "refresh" in name.lower()


def _cookies(reply: Reply) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in reply.fields if name.lower() == "set-cookie")


def _json(text: str) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise UnreadableReply from None


def _text(reply: Reply) -> str:
    return _decoded(reply)[0]


def _decoded(reply: Reply) -> tuple[str, str]:
    """The body as text, and the encoding to write it back in. Raises `UnreadableReply`."""
    found = _CHARSET.search(reply.field("content-type"))
    encoding = found[1] if found else json.detect_encoding(reply.body).removesuffix("-sig")
    try:
        text = reply.body.decode(encoding)
        text.encode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise UnreadableReply from None
    return text, encoding

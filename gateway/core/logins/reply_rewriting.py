"""Replacing the token in a reply by the key, and removing the others.

The reply's text is edited, so a frontend sees what its backend wrote. Everything that could be used
instead of a key is erased: other JWTs anywhere, and refresh tokens, which are found by their names
since they are often opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from gateway.core import json_text
from gateway.core.json_text import NotJson, String
from gateway.core.logins import refresh_tokens
from gateway.core.logins.refresh_tokens import RefreshToken, is_refresh, names_refresh
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie
from gateway.core.logins.reply_tokens import Found, InBody
from gateway.core.tokens import jwt_text

# Fields about the body's bytes (RFC 9110 §8.8, RFC 9530): wrong once these change.
_DIGEST_FIELDS = frozenset({"etag", "content-md5", "digest", "content-digest", "repr-digest"})

# In place of the index of a field line.
_BODY, _NOWHERE = -1, -2

# By the token: the text that takes its place.
Put = Mapping[str, str]


def swap(
    reply: Reply,
    found: Found,
    key: str,
    refresh: RefreshToken | None = None,
    refresh_key: str = "",
) -> Reply:
    """The reply with the key in the token's place, and no other token.

    If the token stands twice in the body, both become the key. Of two carriers only one gets it: a
    client that sent the key twice would be refused. A refresh key takes the place of the refresh
    token in the same way. Raises `UnreadableReply`.
    """
    places = {_BODY if isinstance(found, InBody) else found.index: {found.token: key}}
    if refresh is not None and refresh_key:
        there = places.setdefault(_place(reply, refresh), {})
        there[refresh.secret.reveal()] = refresh_key
    return _rewritten(reply, places, key, found.token)


def scrub(reply: Reply, token: str = "") -> Reply:
    """The reply without any token, for replies that make no session.

    `token` is a known one, which may be opaque. Raises `UnreadableReply`.
    """
    return _rewritten(reply, {}, token=token)


def filled(reply: Reply, texts: Mapping[str, str]) -> Reply:
    """The reply with other texts in the place of its marks."""

    def fill(text: str) -> str:
        for mark, put in texts.items():
            text = text.replace(mark, put)
        return text

    text, encoding = reply.text()
    fields = tuple((name, fill(value)) for name, value in reply.fields)
    return replace(reply, fields=fields, body=fill(text).encode(encoding))


def _place(reply: Reply, refresh: RefreshToken) -> int:
    """The index of the field line that held a refresh token, or `_BODY`."""
    if refresh.came.way == "json":
        return _BODY
    secret = refresh.secret.reveal()
    wanted = {
        "cookie": ("set-cookie", refresh.came.name),
        "header": (refresh.came.name.lower(), ""),
    }[refresh.came.way]
    for index, line in enumerate(reply.fields):
        if field_and_cookie(line) == wanted and secret in line[1]:
            return index
    return _NOWHERE


@dataclass(frozen=True, slots=True)
class _Eraser:
    """Replaces the JWTs of a reply, and erases its refresh tokens."""

    put: Put
    # Off in refusals: they hand nothing out, and `{"refresh": ["required"]}` names a mistake.
    by_name: bool
    token: str  # the chosen token, which may be opaque

    def text(self, text: str) -> str:
        if text.count(".") >= jwt_text.JWS_PARTS - 1:
            text = jwt_text.replaced(text, lambda token: self.put.get(token, ""))
        if self.by_name:
            text = refresh_tokens.blotted(text)
        # Last: a key may look like a JWT (see `jwt_shape`).
        for spelled in _spellings(self.token):
            text = text.replace(spelled, self.put.get(self.token, ""))
        return text

    def field(self, value: str) -> str:
        """A field's value. A text that was put there is kept, whatever its name."""
        for token, put in self.put.items():
            before, found, after = value.partition(token)
            if found:
                return self.text(before) + put + self.field(after)
        return self.text(value)

    def string(self, string: String) -> str:
        # The chosen token becomes the key under any name, since config.yaml may point at it.
        chosen = self.put.get(string.value, "")
        if chosen or (self.by_name and is_refresh(string)):
            return chosen
        return self.text(string.value)

    def leaves(self, name: str, value: str) -> bool:
        """Whether a field stays; one that only hands a token out goes."""
        field_name, cookie = field_and_cookie((name, value))
        if not cookie:
            return not (self.by_name and names_refresh(field_name, ""))
        content = value.partition("=")[2].partition(";")[0].strip(' "')
        is_token = (
            jwt_text.first(content)
            or (self.by_name and names_refresh(field_name, cookie))
            or any(spelled in content for spelled in _spellings(self.token))
        )
        return not (content and is_token)


def _rewritten(reply: Reply, places: Mapping[int, Put], key: str = "", token: str = "") -> Reply:
    """Erase tokens, except in field lines or a body where they are replaced.

    These are the JWTs, and `token`, which may be opaque. `key` is what may take its place.
    """
    by_name = reply.status < 400
    others = _Eraser({}, by_name, token)
    erasers = {index: _Eraser(put, by_name, token) for index, put in places.items()}
    fields = tuple(
        (name, erasers.get(index, others).field(value))
        for index, (name, value) in enumerate(reply.fields)
        if index in erasers or others.leaves(name, value)
    )
    body = _body(reply, erasers.get(_BODY, others))
    if body != reply.body:
        fields = tuple(line for line in fields if line[0].lower() not in _DIGEST_FIELDS)
    return _certain(replace(reply, fields=fields, body=body), key, token)


def _body(reply: Reply, eraser: _Eraser) -> bytes:
    text, encoding = reply.text()
    try:
        strings = reply.strings()
    except NotJson:
        return eraser.text(text).encode(encoding)
    wanted = [(string, eraser.string(string)) for string in strings]
    edits = [(string, value) for string, value in wanted if string.value != value]
    return json_text.replaced(text, edits).encode(encoding)


def _certain(reply: Reply, key: str, opaque: str) -> Reply:
    """The reply, once its bytes hold no token, whatever it was decoded as.

    The key itself may look like one (see `jwt_shape`).
    """
    plain = reply.body.replace(b"\0", b"").decode("latin-1")
    for text in (plain, *(value for _, value in reply.fields)):
        rest = text.replace(key, " ") if key else text
        if jwt_text.first(rest) or any(spelled in rest for spelled in _spellings(opaque)):
            raise UnreadableReply
    return reply


def _spellings(token: str) -> tuple[str, ...]:
    """A token's spellings: as it is, and percent-encoded for a cookie or URL."""
    return tuple(dict.fromkeys((token, quote(token, safe="")))) if token else ()

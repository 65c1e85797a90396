"""Replacing the token in a reply by the key, and removing the others.

The reply's text is edited, so a frontend sees what its backend wrote. Everything that could be used
instead of a key is erased: other JWTs anywhere, and refresh tokens, which are found by their names
since they are often opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.core import json_text
from gateway.core.json_text import NotJson, String
from gateway.core.logins import refresh_tokens
from gateway.core.logins.refresh_tokens import is_refresh, names_refresh
from gateway.core.logins.replies import Reply, UnreadableReply, field_and_cookie
from gateway.core.logins.reply_tokens import Found, InBody
from gateway.core.tokens import jwt_text

# Fields about the body's bytes (RFC 9110 §8.8, RFC 9530): wrong once these change.
_DIGEST_FIELDS = frozenset({"etag", "content-md5", "digest", "content-digest", "repr-digest"})

# Gives the text that takes a token's place.
Put = Callable[[str], str]


def swap(reply: Reply, found: Found, key: str) -> Reply:
    """The reply with the key in the token's place, and no other token.

    If the token stands twice in the body, both become the key. Of two carriers only one gets it: a
    client that sent the key twice would be refused. Raises `UnreadableReply`.
    """

    def put(token: str) -> str:
        return key if token == found.token else ""

    if isinstance(found, InBody):
        return _rewritten(reply, -1, _nothing, put, key)
    return _rewritten(reply, found.index, put, _nothing, key)


def scrub(reply: Reply) -> Reply:
    """The reply without any token, for replies that make no session.

    Raises `UnreadableReply`.
    """
    return _rewritten(reply, -1, _nothing, _nothing)


@dataclass(frozen=True, slots=True)
class _Eraser:
    """Replaces the JWTs of a reply, and erases its refresh tokens."""

    put: Put
    # Off in refusals: they hand nothing out, and `{"refresh": ["required"]}` names a mistake.
    by_name: bool

    def text(self, text: str) -> str:
        if text.count(".") >= jwt_text.JWS_PARTS - 1:
            text = jwt_text.replaced(text, self.put)
        return refresh_tokens.blotted(text) if self.by_name else text

    def string(self, string: String) -> str:
        # The chosen token becomes the key under any name, since config.yaml may point at it.
        chosen = self.put(string.value)
        if chosen or (self.by_name and is_refresh(string)):
            return chosen
        return self.text(string.value)

    def leaves(self, name: str, value: str) -> bool:
        """Whether a field stays; one that only hands a token out goes."""
        field_name, cookie = field_and_cookie((name, value))
        if not cookie:
            return not (self.by_name and names_refresh(field_name, ""))
        content = value.partition("=")[2].partition(";")[0].strip(' "')
        is_token = jwt_text.first(content) or (self.by_name and names_refresh(field_name, cookie))
        return not (content and is_token)


def _rewritten(reply: Reply, chosen: int, in_field: Put, in_body: Put, key: str = "") -> Reply:
    """The reply with the JWTs of one field line, and of the body, replaced.

    `key` is what may take their place.
    """
    by_name = reply.status < 400
    this, others = _Eraser(in_field, by_name), _Eraser(_nothing, by_name)
    fields = tuple(
        (name, (this if index == chosen else others).text(value))
        for index, (name, value) in enumerate(reply.fields)
        if index == chosen or others.leaves(name, value)
    )
    body = _body(reply, _Eraser(in_body, by_name))
    if body != reply.body:
        fields = tuple(line for line in fields if line[0].lower() not in _DIGEST_FIELDS)
    return _certain(replace(reply, fields=fields, body=body), key)


def _body(reply: Reply, eraser: _Eraser) -> bytes:
    text, encoding = reply.text()
    try:
        strings = reply.strings()
    except NotJson:
        return eraser.text(text).encode(encoding)
    wanted = [(string, eraser.string(string)) for string in strings]
    edits = [(string, value) for string, value in wanted if string.value != value]
    return json_text.replaced(text, edits).encode(encoding)


def _certain(reply: Reply, key: str) -> Reply:
    """The reply, once its bytes hold no token, whatever it was decoded as.

    The key itself may look like one (see `key_texts`).
    """
    plain = reply.body.replace(b"\0", b"").decode("latin-1")
    for text in (plain, *(value for _, value in reply.fields)):
        if jwt_text.first(text.replace(key, " ") if key else text):
            raise UnreadableReply
    return reply


def _nothing(_token: str) -> str:
    return ""

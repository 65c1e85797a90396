"""Refresh tokens: finding them in replies, and sending them.

They are often opaque, so they are found by their names. One is sent back as it came, unless
config.yaml says otherwise: in that JSON member, that cookie or that field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import urlencode

from gateway.core.json_text import MAX_DEPTH, Container, NotJson, String, pointed
from gateway.core.logins import double_submit
from gateway.core.logins.replies import IsEcho, Reply, field_and_cookie, nothing_sent
from gateway.core.logins.token_places import Auto, Cookie, Header, JsonPointer, TokenPlace
from gateway.core.secret import Secret

# The names of refresh tokens: `my_refresh_token` is one, `refresh_token_expires_in` is not, and
# `refresh_token_cookie` is Flask-JWT-Extended's.
_REFRESH = re.compile(
    r"refresh(?:[_-]?(?:token|jwt|key|value|secret))?s?(?:[_-]?cookie)?$|^rt$", re.IGNORECASE
)
# The names of other members in an object that holds a refresh token.
_HARMLESS = re.compile(r"expir|type|scope|issued|created|ttl|(?:_a|A)t$")
# A field that reloads a page: the one field of such a name that holds no token.
_RELOADS = "refresh"

# A refresh token inside a text: a URL, a form, or JSON in another format.
_REFRESH_IN_TEXT = re.compile(
    r"(?<![cx]srf[_-])(refresh[_-]?(?:token|jwt)(?:=|[\"']\s*+:\s*+[\"']))[^&#;,\s\"'<>\\]++",
    re.IGNORECASE,
)
_MIN_REFRESH_IN_TEXT = len("refreshjwt=")

# The name for one that came without a name of its own (RFC 6749 §6).
STANDARD_NAME = "refresh_token"

# The field of Flask-JWT-Extended's double submit.
CSRF_FIELD = "X-CSRF-TOKEN"

Way = Literal["json", "form", "cookie", "header"]

# The names that can be configured: a member's (no pointer), or a token of RFC 9110 §5.6.2.
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAMES: dict[Way, re.Pattern[str]] = {
    "json": re.compile(r"[^/\s](?:.*\S)?"),
    "form": re.compile(r"[^/\s](?:.*\S)?"),
    "cookie": re.compile(_WORD),
    "header": re.compile(rf"(?!(?i:cookie|host|content-[a-z]+)$){_WORD}"),
}


@dataclass(frozen=True, slots=True)
class Sending:
    """How a refresh token is sent: in what, and under which name."""

    way: Way
    name: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token, and how it came: it is sent in the same way by default.

    generation: of the refresh key that stands for it at the frontend (see `refresh_keys`)
    replaced_at: when that one took the place of another (UNIX seconds)
    csrf: the cookie of a double submit, `name=value`, that came with it (see `double_submit`)
    """

    secret: Secret
    came: Sending
    generation: int = 0
    replaced_at: float = 0.0
    csrf: str = ""


class BadSending(ValueError):
    """The text names no way to send a refresh token; the message says more."""


# How a refresh token is sent by default.
AS_IT_CAME = "auto"


def parse_sending(text: str) -> Sending | None:
    """Parse `auto`, `json:name`, `form:name`, `cookie:name` or `header:Name`.

    `auto` is None.
    """
    if text == AS_IT_CAME:
        return None
    way, _, name = text.partition(":")
    for known, names_of_it in _NAMES.items():
        if way == known and names_of_it.fullmatch(name):
            return Sending(known, name)
    raise BadSending("is no way to send it: write auto, json:, form:, cookie: or header:NAME")


def dump(token: RefreshToken | None) -> str:
    """One line of text for the seal; "" for none."""
    if token is None:
        return ""
    line: list[object] = [token.came.way, token.came.name, token.secret.reveal()]
    if token.generation or token.csrf:
        line += [token.generation, token.replaced_at, token.csrf]
    return json.dumps(line)


def load(line: str) -> RefreshToken | None:
    """The refresh token of a line that `dump` made. Raises `ValueError`."""
    if not line:
        return None
    way, name, secret, *counted = json.loads(line)
    return RefreshToken(Secret(secret), Sending(way, name), *counted)


def replaced(line: str, token: RefreshToken) -> str:
    """The line for a token that replaces the one of `line`.

    The frontend's refresh key stays the same.
    """
    try:
        before = load(line)
    except ValueError:  # of another kind of login
        before = None
    if before is not None:
        token = replace(token, generation=before.generation, replaced_at=before.replaced_at)
    return dump(token)


def find(reply: Reply, place: TokenPlace, is_echo: IsEcho = nothing_sent) -> RefreshToken | None:
    """The refresh token that a reply hands out.

    None if there is none but the client's own.
    """
    tokens = (token for token in _all(reply, place) if not is_echo(token.secret.reveal()))
    found = next(tokens, None)
    if found is None or found.came.way != "cookie":
        return found
    return replace(found, csrf=double_submit.cookie_for_refresh_token(reply))


def request(
    token: RefreshToken,
    sending: Sending | None,
    more: Mapping[str, str],
    csrf_field: str = CSRF_FIELD,
) -> tuple[list[tuple[str, str]], bytes]:
    """The fields and the body that send a refresh token.

    more: what the body has beside it
    csrf_field: repeats the value of its cookie of a double submit, if it has one
    """
    how, secret = sending or token.came, token.secret.reveal()
    if how.way == "form":
        body = urlencode({**more, how.name: secret}).encode()
        return [("Content-Type", "application/x-www-form-urlencoded")], body
    if how.way == "json":
        return [("Content-Type", "application/json")], json.dumps(
            {**more, how.name: secret}
        ).encode()
    if how.way == "cookie":
        fields = [("Cookie", f"{how.name}={secret}")]
        if token.csrf:
            fields = [
                ("Cookie", f"{how.name}={secret}; {token.csrf}"),
                (csrf_field, token.csrf.partition("=")[2]),
            ]
    elif how.name.lower() == "authorization":
        fields = [(how.name, f"Bearer {secret}")]
    else:
        fields = [(how.name, secret)]
    if not more:
        return fields, b""
    return [*fields, ("Content-Type", "application/json")], json.dumps(dict(more)).encode()


def is_refresh(string: String) -> bool:
    """Whether a value is a refresh token, or part of an object that is one.

    A text with spaces is no token: `{"refresh": ["This field is required."]}` names a mistake.
    """
    name = string.name
    if not name or string.is_name or " " in string.value:
        return False
    if is_name(name):
        return True
    return _is_in_refresh(string.container) and not _HARMLESS.search(name)


@lru_cache(maxsize=4 * MAX_DEPTH)
def _is_in_refresh(container: Container | None) -> bool:
    """Whether a container, or one around it, has the name of a refresh token.

    Neighbours share their containers, so a small cache is enough.
    """
    if container is None:
        return False
    name = container.part
    is_so_called = isinstance(name, str) and is_name(name)
    return is_so_called or _is_in_refresh(container.above)


def is_name(name: str) -> bool:
    """Whether a name means a refresh token. `csrf_refresh_token` does not."""
    return _REFRESH.search(name) is not None and not double_submit.is_name(name)


def blotted(text: str) -> str:
    """The text without the refresh tokens in it."""
    return _REFRESH_IN_TEXT.sub(r"\1", text) if len(text) > _MIN_REFRESH_IN_TEXT else text


def names_refresh(name: str, cookie: str) -> bool:
    """Whether a field of this name, or its cookie, holds a refresh token."""
    if cookie:
        return is_name(cookie)
    return name != _RELOADS and is_name(name)


def _all(reply: Reply, place: TokenPlace) -> Iterator[RefreshToken]:
    match place:
        case JsonPointer(pointer):
            yield from _in_body(reply, pointed(pointer))
        case Header(name):
            yield from _in_fields(reply, name.lower(), "")
        case Cookie(name):
            yield from _in_fields(reply, "set-cookie", name)
        case Auto():
            yield from _in_body(reply, None)
            yield from _in_fields(reply, None, "")


def _in_body(reply: Reply, pointer: tuple[str, ...] | None) -> Iterator[RefreshToken]:
    try:
        members = reply.members()
    except NotJson:
        return
    for string in members:
        found = is_refresh(string) if pointer is None else string.is_at(pointer)
        if found and string.value:
            name = string.name if is_name(string.name) else STANDARD_NAME
            yield RefreshToken(Secret(string.value), Sending("json", name))


def _in_fields(reply: Reply, wanted: str | None, wanted_cookie: str) -> Iterator[RefreshToken]:
    for line in reply.fields:
        name, cookie = field_and_cookie(line)
        if wanted is None:
            found = names_refresh(name, cookie)
        else:
            found = name == wanted and cookie == wanted_cookie
        if not found:
            continue
        if cookie:
            value = line[1].partition("=")[2].partition(";")[0].strip(' "')
            sending = Sending("cookie", cookie)
        else:
            value = line[1].strip().removeprefix("Bearer ")
            sending = Sending("header", line[0])
        if value:
            yield RefreshToken(Secret(value), sending)

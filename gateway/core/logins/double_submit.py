"""A backend's double submit: a CSRF value that belongs to its token.

Such a backend (Flask-JWT-Extended, for instance) sets a second cookie beside its token's. The
frontend repeats its value in a field, and the backend compares that with a claim of the token. When
the gateway renews the token by itself, no reply reaches the browser, which goes on with the value
of an earlier token. So a session keeps the value that its browser has, and the present one: this
takes the place of that in requests. A request without the browser's value gets none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from gateway.core.logins.replies import Reply, field_and_cookie
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, read_claims

_CSRF = re.compile(r"csrf|xsrf", re.IGNORECASE)
_REFRESH = re.compile(r"refresh", re.IGNORECASE)

# A value without white space and quotes, so that a session can keep it in a text.
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]+")  # RFC 6265 §4.1.1

_COOKIE = b"cookie"


def is_name(name: str) -> bool:
    """Whether a cookie or a field of a double submit may have this name."""
    return _CSRF.search(name) is not None


def value_for_token(reply: Reply) -> str:
    """The CSRF value that a reply sets for its token; "" for none, or for two."""
    return _only([value for name, value in _cookies(reply) if not _REFRESH.search(name)])


def cookie_for_refresh_token(reply: Reply) -> str:
    """The CSRF cookie of a reply's refresh token, `name=value`; "" for none."""
    cookies = [f"{name}={value}" for name, value in _cookies(reply) if _REFRESH.search(name)]
    return _only(cookies)


def renewed(kept: str, value: str) -> str:
    """What a session keeps after a renewal that its browser has not seen."""
    shown = kept.partition(" ")[0]
    return f"{shown} {value}" if shown and value and shown != value else kept


def values(kept: str) -> tuple[bytes, bytes] | None:
    """The browser's value and the present one; None if they are the same."""
    shown, _, present = kept.partition(" ")
    return (shown.encode(), present.encode()) if present else None


def with_present(lines: Sequence[bytes], shown: bytes, present: bytes) -> list[bytes]:
    """Field lines with the present value in place of the browser's."""
    return [
        _with_present(line, shown, present) if line.find(shown) >= 0 else line for line in lines
    ]


def without_those_of(replacing: Sequence[bytes], lines: Sequence[bytes]) -> list[bytes]:
    """Set-Cookie lines without the values of tokens that no session gets.

    A backend may refresh its token with any answer, in the lines `replacing`. Where that token is
    not taken, the browser has to keep the value of the present one.
    """
    values = {value for line in replacing for value in _texts_of_token(line)}
    return [line for line in lines if not _sets_value(line, values)]


def _texts_of_token(line: bytes) -> list[bytes]:
    """The texts among the claims of a token in a line."""
    try:
        claims = read_claims(jwt_text.first(line.decode("latin-1")), now=0).payload
    except BadToken:
        return []
    return [text.encode() for text in claims.values() if isinstance(text, str)]


def _sets_value(line: bytes, values: Collection[bytes]) -> bool:
    field, _, cookie = line.partition(b":")
    if field.lower() != b"set-cookie":
        return False
    name, _, value = cookie.partition(b";")[0].partition(b"=")
    return value.strip(b' "\r\n') in values and is_name(name.decode("latin-1"))


def _with_present(line: bytes, shown: bytes, present: bytes) -> bytes:
    name, _, value = line.partition(b":")
    if name.lower() == _COOKIE:
        pairs = [_pair(pair, shown, present) for pair in value[:-2].split(b";")]
        return name + b":" + b";".join(pairs) + b"\r\n"
    if is_name(name.decode("latin-1")) and value.strip() == shown:
        return name + b": " + present + b"\r\n"
    return line


def _pair(pair: bytes, shown: bytes, present: bytes) -> bytes:
    name, _, value = pair.partition(b"=")
    is_shown = value.strip() == shown and is_name(name.decode("latin-1"))
    return name + b"=" + present if is_shown else pair


def _cookies(reply: Reply) -> list[tuple[str, str]]:
    """The cookies of double submits that a reply sets."""
    found = []
    for line in reply.fields:
        name = field_and_cookie(line)[1]
        value = line[1].partition("=")[2].partition(";")[0].strip(' "')
        if is_name(name) and _VALUE.fullmatch(value):
            found.append((name, value))
    return found


def _only(texts: Sequence[str]) -> str:
    distinct = set(texts)
    return distinct.pop() if len(distinct) == 1 else ""

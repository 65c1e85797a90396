"""How a token is sent upstream: in which field, cookie or parameter.

config.yaml says it for an upstream or a route (`send_token`). With `auto`, the token goes as it
came: the session keeps the place in which its login handed the token out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gateway.core.http import queries
from gateway.core.http.field_names import fold, has_meaning

AUTHORIZATION = "Authorization"

# In place of a scheme: what follows stands alone.
NO_SCHEME = "none"

# In the text of a cookie's value: where the token stands.
_GAP = "{}"

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 §5.6.2
_SCHEME = re.compile(rf"scheme:({_WORD})")
_FIELD = re.compile(rf"header:({_WORD})(?: ({_WORD}))?")
_COOKIE = re.compile(r"cookie:([!-+\--:<>-~]+)(?:=([!-:<-~ ]*?)\{\}([!-:<-~ ]*))?")
_PARAMETER = re.compile(r"query:([A-Za-z0-9_.~-]+)")

_HINTS = {
    "none": "header:Authorization sends the token alone",
    "scheme:": "header:Authorization sends the token alone",
    "cookie": "with the name of the cookie, as in cookie:access_token",
    "query": "with the name of the parameter, as in query:access_token",
    "header": "with the name of the field, as in header:X-Access-Token",
    "token": "as in scheme:Token",
    "jwt": "as in scheme:JWT",
}


@dataclass(frozen=True, slots=True)
class InField:
    """The token in a field, behind a scheme if there is one."""

    name: str
    scheme: str = ""

    def __str__(self) -> str:
        if self.name == AUTHORIZATION and self.scheme:
            return "bearer" if self.scheme == "Bearer" else f"scheme:{self.scheme}"
        return f"header:{self.name} {self.scheme}".rstrip()

    def line(self, token: bytes) -> bytes:
        """The field line."""
        scheme = f"{self.scheme} " if self.scheme else ""
        return b"%b: %b%b\r\n" % (self.name.encode(), scheme.encode(), token)


@dataclass(frozen=True, slots=True)
class InCookie:
    """The token in a cookie, maybe with text around it, such as `Bearer ` and quotes."""

    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        around = f"={self.before}{_GAP}{self.after}" if self.before or self.after else ""
        return f"cookie:{self.name}{around}"


@dataclass(frozen=True, slots=True)
class InQuery:
    """The token in a parameter of the query."""

    name: str

    def __str__(self) -> str:
        return f"query:{self.name}"


TokenSending = InField | InCookie | InQuery
AUTO: Literal["auto"] = "auto"
BEARER = InField(AUTHORIZATION, "Bearer")

# The field line of a bearer token (RFC 6750 §2.1).
BEARER_LINE = b"Authorization: Bearer %b\r\n"


class BadTokenSending(ValueError):
    """The text names no way to send a token. `hint` is what may be meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Request(NamedTuple):
    """The parts of a request that may hold its token."""

    target: bytes
    lines: list[bytes]  # the client's field lines, with their CRLF
    token_line: bytes = b""  # the line, or lines, that hold the token

    @property
    def token_lines(self) -> list[bytes]:
        return self.token_line.splitlines(keepends=True)


def parse_token_sending(text: str) -> TokenSending | Literal["auto"]:
    """Parse `auto`, `bearer`, `scheme:…`, `header:…`, `cookie:…` or `query:…`.

    Raises `BadTokenSending`.
    """
    if text == AUTO:
        return AUTO
    if text == "bearer":
        return BEARER
    if scheme := _SCHEME.fullmatch(text):
        return InField(AUTHORIZATION, scheme[1])
    if field := _FIELD.fullmatch(text):
        name = AUTHORIZATION if field[1].lower() == "authorization" else field[1]
        if name != AUTHORIZATION and has_meaning(fold(name.encode())):
            raise BadTokenSending("names a field with a meaning of its own")
        return InField(name, field[2] or "")
    if cookie := _COOKIE.fullmatch(text):
        return InCookie(cookie[1], cookie[2] or "", cookie[3] or "")
    if parameter := _PARAMETER.fullmatch(text):
        return InQuery(parameter[1])
    raise BadTokenSending(
        "is no way to send a token: write auto, bearer, scheme:Token, header:Name, cookie:name "
        "or query:name",
        _HINTS.get(text.lower(), ""),
    )


def kept(sending: TokenSending) -> str:
    """What a session keeps of how its token came; "" for a bearer token."""
    text = "" if sending == BEARER else str(sending)
    return text if "\t" not in text and "\n" not in text else ""


@lru_cache(maxsize=1024)
def as_it_came(text: str) -> TokenSending | None:
    """How a token came, by the text that its session keeps; None: as a bearer."""
    if not text:
        return None
    try:
        sending = parse_token_sending(text)
    except BadTokenSending:  # a later version knows more
        return None
    return None if sending == AUTO else sending


def put(sending: TokenSending, token: bytes, target: bytes, lines: list[bytes]) -> Request:
    """The request with the token in its place, where no client's text stays.

    `lines` have no Authorization.
    """
    match sending:
        case InField(name):
            folded, own = fold(name.encode()), lines
            if name != AUTHORIZATION:
                own = [line for line in lines if fold(line.partition(b":")[0]) != folded]
            return Request(target, own, sending.line(token))
        case InCookie(name, before, after):
            cookie = f"{name}={before}".encode() + token + after.encode()
            return Request(target, *_with_cookie(lines, name.encode(), cookie))
        case InQuery(name):
            path, mark, query = target.partition(b"?")
            rest, _ = queries.cut(mark + query, name.encode())
            value = quote_from_bytes(token).encode()
            return Request(path + queries.added(rest, name.encode(), value), lines)


def put_as_it_came(
    sending: TokenSending, token: bytes, target: bytes, lines: list[bytes], *, by_cookie: bool
) -> Request:
    """The request with the token in the place in which it came.

    A backend that answers in a field of its own may read that field, or Authorization. And a
    client that sends its key in a field does not rely on the backend's cookie.

    by_cookie: the key came in a cookie
    """
    request = put(sending, token, target, lines)
    is_field = isinstance(sending, InField)
    if (is_field and sending.name == AUTHORIZATION) or (not is_field and by_cookie):
        return request
    return request._replace(token_line=BEARER_LINE % token + request.token_line)


def _with_cookie(lines: list[bytes], name: bytes, cookie: bytes) -> tuple[list[bytes], bytes]:
    """Put a cookie in place of all of its name, or on a line of its own.

    It comes first: of several cookies with one name, most backends read the first one. All stand
    in one line, since a request has one (RFC 6265 §5.4).
    """
    kept, others = [], []
    for line in lines:
        if line[:7].lower() != b"cookie:":
            kept.append(line)
            continue
        pairs = [pair for pair in line[7:-2].split(b";") if not _is_named(pair, name)]
        if rest := b";".join(pairs).strip(b" \t;"):
            others.append(rest)
    return kept, b"Cookie: %b\r\n" % b"; ".join([cookie, *others])


def _is_named(pair: bytes, name: bytes) -> bool:
    """Whether a backend may read a cookie by this name (PHP: `a.b` as `a_b`)."""
    if len(pair) < len(name):  # the length first: a field may have thousands of cookies
        return False
    given = unquote_to_bytes(pair.partition(b"=")[0].strip(b' \t"'))
    return re.sub(rb"[. \[]", b"_", given) == re.sub(rb"[. \[]", b"_", name)

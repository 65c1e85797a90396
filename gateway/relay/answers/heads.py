"""Heads of answers as the client gets them.

What an upstream must not decide is removed while its head is read (`relay/http1/response_head.py`);
here the gateway's own fields are added, and what would give a session's token or key away is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from gateway.core.http import queries, set_cookies, shared_caches, subprotocols
from gateway.core.http.cors import PREFIX as CORS
from gateway.core.http.subprotocols import Offer
from gateway.core.logins import double_submit
from gateway.core.logins.token_sending import InQuery
from gateway.relay.access import browsers
from gateway.relay.access.decision import Forward
from gateway.relay.access.route_action import REQUEST_ID
from gateway.relay.answers import dates
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead, cookie_name

# By their lines in lower case: an answer that browsers show, and the fields by which an upstream
# says whether they may keep it (RFC 9111 §5).
_PAGE = re.compile(
    rb"^content-type:[ \t]*(?:text/html|application/xhtml\+xml)[ \t]*[;\r]", re.MULTILINE
)
_KEEPING = re.compile(rb"^(?:cache-control|expires|pragma):", re.MULTILINE)
_NO_STORE = b"Cache-Control: no-store\r\n"

_REFERRER_POLICY = b"referrer-policy:"


def final_head(
    response: ResponseHead,
    request: RequestHead,
    forward: Forward,
    *,
    request_id: bytes,
    framing: bytes,
    close: bool,
) -> bytes:
    """The head of the answer to a request.

    framing: its framing line, or nothing
    close: whether the client's connection ends with the answer
    """
    route = forward.route
    action, cors = route.action, route.access.cors
    if cors is not None:
        _put_cors(response, browsers.cors_fields(request, cors))
    if request.key_fields or action.varies:
        _confine(response, request, forward)
    parts = [
        _status_line(response.status, response.reason),
        _passed_lines(response, request, forward),
        framing,
        forward.answer_lines,
        action.own_lines,
        request_id,
        b"\r\n",
    ]
    if not response.has_date:
        parts.append(dates.line())
    if request.cookie_settings:
        parts += _cookie_lines(response, request, forward)
    if close:
        parts.append(b"Connection: close\r\n")
    elif request.old:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


@lru_cache(maxsize=64)
def _status_line(status: int, reason: bytes) -> bytes:
    """Upstreams send a few different ones."""
    return b"HTTP/1.1 %d%b\r\n" % (status, reason)


def interim_head(response: ResponseHead, request: RequestHead, forward: Forward) -> bytes:
    """A 1xx on its way to the client (RFC 9110 §15.2)."""
    lines = _passed_lines(response, request, forward)
    return b"HTTP/1.1 %d%b\r\n%b\r\n" % (response.status, response.reason, lines)


def upgraded_head(response: ResponseHead, request: RequestHead, forward: Forward) -> bytes:
    """The 101 that opens a tunnel (RFC 9110 §7.8)."""
    if request.subprotocols is not None:
        _answer_offer(response, request.subprotocols, forward)
    lines = [_passed_lines(response, request, forward), forward.answer_lines]
    if request.cookie_settings:
        lines += _cookie_lines(response, request, forward)
    return b"HTTP/1.1 101%b\r\n%bConnection: Upgrade\r\nUpgrade: %b\r\n%b\r\n" % (
        response.reason,
        b"".join(lines),
        response.upgrade or b"",
        forward.route.action.own_lines.removesuffix(REQUEST_ID),
    )


def _cookie_lines(response: ResponseHead, request: RequestHead, forward: Forward) -> list[bytes]:
    """The lines by which the browser forgets cookies with dead keys, or keeps one for longer.

    Cookies that the gateway's endpoints set are left out, and all in an answer that caches keep.
    """
    values: Iterable[str] = request.cookie_settings
    if forward.route.in_process:
        if any(b"public" in line for line in response.for_caches):
            return []
        path = request.path.decode("latin-1")
        lines = (line.partition(b":")[2].decode("latin-1") for line in response.set_cookies)
        put = {set_cookies.place(value.strip(), path) for value in lines}
        values = [value for value in values if set_cookies.place(value, path) not in put]
    return [b"Set-Cookie: %b\r\n" % value.encode() for value in values]


def _answer_offer(response: ResponseHead, offer: Offer, forward: Forward) -> None:
    """Answer with a subprotocol that the client has offered.

    The upstream was offered others, without the key.
    """
    picked, kept = None, []
    for line in response.passed:
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-protocol":
            picked = value.strip(b" \t\r\n")
        else:
            kept.append(line)
    token = None if forward.resolved is None else forward.resolved.token
    answer = offer.answered(picked, token)
    response.passed = kept if answer is None else [*kept, subprotocols.joined([answer])]


def hidden_token(forward: Forward) -> bytes | None:
    """The token that an answer must not show.

    None for the gateway's own endpoints: they know what they do.
    """
    resolved = forward.resolved
    return None if resolved is None or forward.route.in_process else resolved.token


def _put_cors(response: ResponseHead, fields: Mapping[str, str]) -> None:
    """Replace the upstream's CORS fields by the gateway's."""
    kept = [line for line in response.passed if not line[: len(CORS)].lower().startswith(CORS)]
    lines = [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
    response.passed = [*kept, *lines]
    response.vary += tuple(line for line in lines if line.startswith(b"Vary:"))


def _confine(response: ResponseHead, request: RequestHead, forward: Forward) -> None:
    """Tell shared caches which callers the answer is for (wire-rules.md#B15).

    Caches know `Authorization` by themselves (RFC 9111 §3.5), but no other field with a key.
    """
    route, resolved, key_fields = forward.route, forward.resolved, request.key_fields
    if request.query_key is not None:
        lines = [line for line in response.passed if not line.lower().startswith(_REFERRER_POLICY)]
        response.passed = [*lines, b"Referrer-Policy: no-referrer\r\n"]
    if resolved is None:
        if route.action.varies:
            # An answer by which one browser forgets a cookie is for that one alone.
            _limit_caches(
                response, route.action.varies, None, private=bool(request.cookie_settings)
            )
    elif key_fields and not route.is_endpoint:
        if route.action.keeps_no_pages and _is_page_without_word(response):
            # A browser's Back button would show it again after a logout (RFC 9111 §5.2.2.5).
            response.passed.append(_NO_STORE)
            response.for_caches += (_NO_STORE,)
        if request.sets_key:
            # Whatever the upstream allows: a cache would hand the key to others.
            kept = [line for line in response.passed if line not in response.for_caches]
            response.passed, response.for_caches = [*kept, _NO_STORE], (_NO_STORE,)
        _limit_caches(response, route.action.varies or key_fields, resolved.token, private=True)


def _is_page_without_word(response: ResponseHead) -> bool:
    """Whether the answer is HTML without a word on how long it may be kept."""
    head = b"".join(response.passed).lower()
    if head.find(b"html") < 0:  # so it is with most answers, and takes a tenth of the time
        return False
    return _PAGE.search(head) is not None and _KEEPING.search(head) is None


def _limit_caches(
    response: ResponseHead, key_fields: tuple[bytes, ...], token: bytes | None, *, private: bool
) -> None:
    """Rewrite the fields for caches.

    key_fields: the fields in which the caller's key came, or in which one might have come
    token: the session's, which stands in none of the lines; None if no key came
    private: the answer is one caller's
    """
    if private and not response.for_caches:
        # Browsers alone keep it, and they read every line of Vary.
        response.passed.append(shared_caches.confined((), key_fields, private=True))
        return
    lines = response.for_caches + response.vary
    kept = [line for line in response.passed if line not in lines]
    if token is not None and token in b"".join(lines):
        lines = tuple(line for line in lines if token not in line)
    kept.append(shared_caches.confined(lines, key_fields, private=private))
    response.passed = kept


def _passed_lines(response: ResponseHead, request: RequestHead, forward: Forward) -> bytes:
    """The upstream's lines that the client gets.

    Left out are lines with the session's token (wire-rules.md#C4), and those that would replace the
    key's cookie (wire-rules.md#E7), with the cookie of its double submit.
    """
    lines = response.passed
    in_process = forward.route.in_process
    if in_process and forward.route.action.whole is None:
        return b"".join(lines)
    token = None if forward.resolved is None else forward.resolved.token
    sending = forward.route.action.send_token
    if token is not None and isinstance(sending, InQuery):
        lines = _without_query_token(lines, sending.name.encode(), token)
    joined = b"".join(lines)
    cookie = request.cookie if response.set_cookies and not in_process else None
    # `find`: `in` costs 0.2 µs more (CPython 3.11 to 3.13 raises and drops a TypeError inside).
    if cookie is None and (token is None or joined.find(token) < 0):
        return joined
    kept = [
        line
        for line in lines
        if (token is None or token not in line)
        and (line[:11].lower() != b"set-cookie:" or cookie_name(line) != cookie)
    ]
    replacing = [line for line in response.set_cookies if cookie_name(line) == cookie]
    return b"".join(double_submit.without_those_of(replacing, kept) if replacing else kept)


def _without_query_token(lines: Iterable[bytes], name: bytes, token: bytes) -> list[bytes]:
    """The lines without the token that the upstream got in its query.

    It may be percent-encoded. A redirect goes on without the token's parameter: backends repeat
    the query.
    """
    kept = [_without_parameter(line, name) if _spells(line, token) else line for line in lines]
    return [line for line in kept if not _spells(line, token)]


def _spells(line: bytes, token: bytes) -> bool:
    return token in line or (b"%" in line and token in unquote_to_bytes(line))


def _without_parameter(line: bytes, name: bytes) -> bytes:
    if line[:9].lower() != b"location:":
        return line
    url, hash_, fragment = line[:-2].partition(b"#")
    path, mark, query = url.partition(b"?")
    return path + queries.cut(mark + query, name)[0] + hash_ + fragment + b"\r\n"

"""The answers that the relay gives by itself: refusals, and OPTIONS for the gateway as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus

from gateway.core.http.refusals import PROBLEM_TYPE, Refusal
from gateway.pages.refusals import RefusalPage
from gateway.relay.http1.request_head import Answered


def refusal(
    kind: Refusal,
    *,
    request_id: bytes,
    head_only: bool,
    close: bool,
    fields: Mapping[str, str],
    cookies: Sequence[str] = (),
    page: RefusalPage | None = None,
) -> bytes:
    """A whole answer: `page` for people, or a JSON problem. It carries nothing of the request but
    the id that the gateway gave it. `cookies` are Set-Cookie values.
    """
    body = kind.body(request_id.decode("ascii")) if page is None else page.body
    lines = {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        **({} if page is None else page.fields),
        **kind.fields,
        **fields,
    }
    head = _head(kind.status, kind.phrase, lines, cookies, request_id, close=close)
    return head if head_only else head + body


# RFC 9110 §9.3.7: what `OPTIONS *`, or an OPTIONS that may not be forwarded, is told.
OPTIONS = Answered(204, {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"})


def bodiless(
    answer: Answered, *, cookies: Sequence[str] = (), request_id: bytes, close: bool
) -> bytes:
    """A whole answer without a body; `cookies` are Set-Cookie values."""
    fields = dict(answer.fields)
    if answer.status != 204:  # RFC 9110 §8.6: which must not have one
        fields["Content-Length"] = "0"
    phrase = HTTPStatus(answer.status).phrase
    return _head(answer.status, phrase, fields, cookies, request_id, close=close)


def _head(
    status: int,
    phrase: str,
    fields: Mapping[str, str],
    cookies: Sequence[str],
    request_id: bytes,
    *,
    close: bool,
) -> bytes:
    lines = {
        **fields,
        "Date": formatdate(usegmt=True),
        "Via": "1.1 latchkey",
        "X-Request-Id": request_id.decode("ascii"),
    }
    if close:
        lines["Connection"] = "close"
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    text += "".join(f"Set-Cookie: {value}\r\n" for value in cookies)
    return f"HTTP/1.1 {status} {phrase}\r\n{text}\r\n".encode("latin-1")

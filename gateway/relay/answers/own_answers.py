"""The relay's own answers: refusals, and what routes without an upstream answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from gateway.core.http.cors import Policy
from gateway.core.http.refusals import PROBLEM_TYPE, Refusal
from gateway.core.http.security_fields import SecurityFields
from gateway.pages.refusals import RefusalPage, RefusalPages
from gateway.relay.access import browsers
from gateway.relay.answers import dates
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered

# The fields by which browsers protect the site, and whether TLS protects the way to it.
Protection = tuple[SecurityFields, bool]

_PHRASES = {status.value: status.phrase for status in HTTPStatus}

# RFC 9110 §8.6: a 204 must not have one, and that of a 304 is for what was not sent.
_WITHOUT_LENGTH = frozenset({204, 304})


def refusal(
    kind: Refusal,
    head: RequestHead,
    *,
    request_id: bytes,
    close: bool,
    policy: Policy | None,
    fields: Mapping[str, str],
    pages: RefusalPages,
    protection: Protection | None = None,
) -> bytes:
    """The answer to a refused request: a page for a person, or a JSON problem.

    policy: who else may read the route's answers
    fields: more fields of the answer
    """
    cors = {} if policy is None else browsers.cors_fields(head, policy)
    if head.query_key is not None:
        cors["Referrer-Policy"] = "no-referrer"
    return _refusal(
        kind,
        {**cors, **fields},
        request_id,
        close=close,
        head_only=head.method == b"HEAD",
        cookies=_deletions(head),
        page=_page(kind, head, pages),
        protection=protection,
    )


def unread(kind: Refusal, *, request_id: bytes) -> bytes:
    """The answer to what is no request. Nothing of it is repeated."""
    return _refusal(kind, {}, request_id, close=True)


def answered(
    answer: Answered,
    head: RequestHead,
    *,
    request_id: bytes,
    close: bool,
    policy: Policy | None = None,
    protection: Protection | None = None,
) -> bytes:
    """A whole answer.

    policy: who else may read the route's answers
    protection: the fields by which browsers protect the site
    """
    fields = {**answer.fields, **({} if policy is None else browsers.cors_fields(head, policy))}
    if head.query_key is not None:
        fields["Referrer-Policy"] = "no-referrer"
    fields |= _protecting(protection, fields)
    if answer.status not in _WITHOUT_LENGTH:
        fields["Content-Length"] = str(len(answer.body))
    phrase = _PHRASES.get(answer.status, "")
    lines = _head(answer.status, phrase, fields, _deletions(head), request_id, close=close)
    return lines if head.method == b"HEAD" else lines + answer.body


def _page(kind: Refusal, head: RequestHead, pages: RefusalPages) -> RefusalPage | None:
    """The page for a person; None for programs."""
    if not browsers.wants_page(head):
        return None
    return pages.page(kind, head.passed_list(b"accept-language") or "")


def _protecting(protection: Protection | None, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields that an answer lacks."""
    return {} if protection is None else protection[0].beside(fields, https=protection[1])


def _deletions(head: RequestHead) -> tuple[str, ...]:
    """Set-Cookie values for the cookies that the browser is to forget."""
    return (head.described or head).deletions


def _refusal(
    kind: Refusal,
    fields: Mapping[str, str],
    request_id: bytes,
    *,
    close: bool,
    head_only: bool = False,
    cookies: Sequence[str] = (),
    page: RefusalPage | None = None,
    protection: Protection | None = None,
) -> bytes:
    """A refusal.

    Of the request it holds the id alone, which the gateway gave it.
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
    lines |= _protecting(protection, lines)
    head = _head(kind.status, kind.phrase, lines, cookies, request_id, close=close)
    return head if head_only else head + body


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
        "Date": dates.now(),
        "X-Request-Id": request_id.decode("ascii"),
    }
    if close:
        lines["Connection"] = "close"
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    text += "".join(f"Set-Cookie: {value}\r\n" for value in cookies)
    return f"HTTP/1.1 {status} {phrase}\r\n{text}\r\n".encode("latin-1")

"""The relay's own answers: refusals, and what routes without an upstream answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

# Changes the fields of an answer as its route says.
Change = Callable[[Mapping[str, str]], dict[str, str]]

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
    change: Change | None = None,
    protection: Protection | None = None,
) -> bytes:
    """The answer to a refused request: a page for a person, or a JSON problem.

    policy: who else may read the route's answers
    fields: more fields of the answer
    change: of a route that refuses all its requests
    """
    page = _page(kind, head, pages)
    body = kind.body(request_id.decode("ascii")) if page is None else page.body
    answer = {**_fields_of(kind, len(body), page), **fields}
    answer = _completed(answer, head, policy=policy, change=change, protection=protection)
    lines = _head(kind.status, kind.phrase, answer, _cookie_settings(head), request_id, close=close)
    return lines if head.method == b"HEAD" else lines + body


def unread(kind: Refusal, *, request_id: bytes, protection: Protection | None = None) -> bytes:
    """The answer to what is no request. Nothing of it is repeated."""
    body = kind.body(request_id.decode("ascii"))
    fields = _fields_of(kind, len(body), None)
    if protection is not None:
        fields |= protection[0].beside(fields, https=protection[1])
    return _head(kind.status, kind.phrase, fields, (), request_id, close=True) + body


def answered(
    answer: Answered,
    head: RequestHead,
    *,
    request_id: bytes,
    close: bool,
    policy: Policy | None = None,
    change: Change | None = None,
    protection: Protection | None = None,
) -> bytes:
    """A whole answer.

    policy: who else may read the route's answers
    change: what its route changes
    protection: the fields by which browsers protect the site
    """
    fields = _completed(answer.fields, head, policy=policy, change=change, protection=protection)
    if answer.status not in _WITHOUT_LENGTH:
        fields["Content-Length"] = str(len(answer.body))
    phrase = _PHRASES.get(answer.status, "")
    lines = _head(answer.status, phrase, fields, _cookie_settings(head), request_id, close=close)
    return lines if head.method == b"HEAD" else lines + answer.body


def _page(kind: Refusal, head: RequestHead, pages: RefusalPages) -> RefusalPage | None:
    """The page for a person; None for programs."""
    if not browsers.wants_page(head):
        return None
    return pages.page(kind, head.passed_list(b"accept-language") or "")


def _fields_of(kind: Refusal, length: int, page: RefusalPage | None) -> dict[str, str]:
    """The fields of a refusal. Of the request it holds the id alone, which the gateway gave it."""
    return {
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(length),
        "Cache-Control": "no-store",
        **({} if page is None else page.fields),
        **kind.fields,
    }


def _completed(
    fields: Mapping[str, str],
    head: RequestHead,
    *,
    policy: Policy | None,
    change: Change | None,
    protection: Protection | None,
) -> dict[str, str]:
    """The fields with what the route changes, and what browsers need to know."""
    fields = dict(fields) if change is None else change(fields)
    if policy is not None:
        cors = browsers.cors_fields(head, policy)
        vary = _spelled("Vary", fields)
        if "Vary" in cors and vary in fields:
            cors[vary] = f"{fields[vary]}, {cors.pop('Vary')}"
        fields |= cors
    if head.query_key is not None:
        fields[_spelled("Referrer-Policy", fields)] = "no-referrer"
    if protection is not None:
        fields |= protection[0].beside(fields, https=protection[1])
    return fields


def _spelled(name: str, fields: Mapping[str, str]) -> str:
    """A field's name as it stands among the fields, if it does."""
    return next((known for known in fields if known.lower() == name.lower()), name)


def _cookie_settings(head: RequestHead) -> tuple[str, ...]:
    """The gateway's own Set-Cookie values for the browser."""
    return (head.described or head).cookie_settings


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

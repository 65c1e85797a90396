"""Refresh calls: requests by which a frontend asks for a new token.

Frontends put what they hold into JSON, a form, a cookie or a field. A refresh key is known by its
shape, so it may stand anywhere; of a text in its place, nothing is sent on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qsl

from gateway.core import json_text
from gateway.core.http import media_types
from gateway.core.json_text import NotJson
from gateway.core.logins import refresh_tokens
from gateway.core.logins.refresh_tokens import Sending
from gateway.core.sessions.refresh_keys import REFRESH_KEY_PATTERN

# In bytes. No refresh call is longer.
MAX_BODY = 64 * 1024
_MAX_FIELDS = 100

_GRANT_TYPE = "grant_type"
_REFRESH_GRANT = "refresh_token"


def refresh_key_in(body: bytes) -> bytes | None:
    """The first refresh key in a body; None without one."""
    found = REFRESH_KEY_PATTERN.search(body[:MAX_BODY])
    return None if found is None else found[0]


def is_refresh_grant(query: str, content_type: str, body: bytes) -> bool:
    """Whether a request at a token endpoint is a refresh call (RFC 6749 §6).

    It is if all that it says of its `grant_type` is `refresh_token`, or if a refresh key stands in
    its body: no backend gets one.
    """
    if refresh_key_in(body):
        return True
    given = [value for name, value in _members(query, content_type, body) if name == _GRANT_TYPE]
    return bool(given) and all(value == _REFRESH_GRANT for value in given)


def sending(content_type: str, body: bytes, cookie: str) -> Sending:
    """How a frontend sends what it holds, as far as the request shows.

    `cookie` is the name of the cookie that held a refresh key, or "".
    """
    names = [name for name, _ in _members("", content_type, body)]
    name = next(filter(refresh_tokens.is_name, names), None)
    if name is None and cookie:
        return Sending("cookie", cookie)
    is_form = media_types.essence(content_type) == media_types.FORM
    return Sending("form" if is_form else "json", name or refresh_tokens.STANDARD_NAME)


def _members(query: str, content_type: str, body: bytes) -> Iterator[tuple[str, object]]:
    """The parameters of a query and of a body: a form or a JSON object."""
    yield from _pairs(query.removeprefix("?"))
    if len(body) > MAX_BODY:
        return
    text = body.decode("utf-8", "replace")
    if media_types.essence(content_type) == media_types.FORM:
        yield from _pairs(text)
        return
    with suppress(NotJson):
        document = json_text.document(text)
        if isinstance(document, json_text.Members):
            yield from document


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    with suppress(ValueError):
        yield from parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)

"""Fields of small forms, which browsers and programs send."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.core import json_text
from gateway.core.http import media_types, multipart
from gateway.core.json_text import NotJson, pointed

# A larger form, or one with more fields, is not read: that would take a worker's time.
_MAX_FORM_BYTES = 65536
_MAX_FORM_FIELDS = 100


def form_field(request: web.Request, body: bytes, name: str) -> str:
    """The value of a form's field; "" without one."""
    if len(body) > _MAX_FORM_BYTES:
        return ""
    content_type = request.headers.get("Content-Type", "")
    fields: Iterable[tuple[str, str]] = ()
    match media_types.essence(content_type):
        case media_types.FORM:
            with suppress(ValueError):
                fields = parse_qsl(body.decode("latin-1"), max_num_fields=_MAX_FORM_FIELDS)
        case media_types.FORM_OF_PARTS:
            fields = islice(multipart.fields(content_type, body), _MAX_FORM_FIELDS)
    return next((value for field, value in fields if field == name), "")


def login_field(request: web.Request, body: bytes, name: str) -> Any:
    """The value of a login's field, in its form, its JSON or its query.

    None without one. A `name` with a slash is a place in JSON (RFC 6901).
    """
    value: Any = form_field(request, body, name) or _json_member(request, body, name)
    return request.query.get(name) if value is None else value


def _json_member(request: web.Request, body: bytes, name: str) -> Any:
    kind = media_types.essence(request.headers.get("Content-Type", ""))
    is_form = kind in (media_types.FORM, media_types.FORM_OF_PARTS)
    if is_form or len(body) > _MAX_FORM_BYTES:
        return None
    try:
        data = json_text.value(body.decode("utf-8"))
    except (ValueError, NotJson):
        return None
    return json_text.found_at(data, pointed(name) if name.startswith("/") else (name,))

"""Fields of small forms, which browsers and programs send."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.core.http import media_types, multipart

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

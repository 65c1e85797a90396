"""The fields of multipart forms (RFC 7578, RFC 2046 §5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.core.http import media_types

# In characters (RFC 2046 §5.1.1).
_MAX_BOUNDARY = 70

# Some readers take a line feed without CR for the end of a line.
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_DISPOSITION = re.compile(
    rb"\ncontent-disposition[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE
)

# A part's name, with or without quotes. A quoted text ends before the next name begins.
_NAME = re.compile(
    rb'(?<![A-Za-z*])name\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s;"]++))', re.IGNORECASE
)


def fields(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a multipart body, in order, as (name, value).

    None without a usable boundary.

    A part whose name readers could read in several ways comes once under each name.
    """
    boundary = media_types.parameter(content_type, "boundary").encode("latin-1", "replace")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        return
    _, *parts = (b"\n" + body).split(b"\n--" + boundary)
    for part in parts:
        end_of_line = part.find(b"\n")
        if end_of_line >= 0 and not part[:end_of_line].strip():
            yield from _field(part[end_of_line:].removesuffix(b"\r"))


def _field(part: bytes) -> Iterator[tuple[str, str]]:
    """The fields of one part, which begins at the end of its delimiter's line."""
    head = _BLANK_LINE.search(part)
    if head is None:
        return
    value = part[head.end() :].decode("utf-8", "replace")
    for disposition in _DISPOSITION.finditer(part, 0, head.start()):
        for name in _NAME.finditer(disposition[1]):
            yield (name[1] or name[2] or b"").decode("utf-8", "replace"), value

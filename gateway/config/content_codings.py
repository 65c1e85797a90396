"""The settings `compress`: content codings that are installed, and media types."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.config.values import OneOrMany

# By coding, the preferred one first: its library; None for the standard library.
LIBRARIES = {"zstd": "zstandard", "br": "brotli", "gzip": None}

# What compresses well. Pictures, films and archives are compressed already. A vendor's type says by
# its suffix what it is (RFC 6839: `application/vnd.github+json`).
TYPES = (
    "text/*",
    "application/*+json",
    "application/*+xml",
    "application/javascript",
    "application/wasm",
    "application/x-javascript",
    "image/svg+xml",
)


def _installed(coding: str) -> bool:
    library = LIBRARIES[coding]
    return library is None or find_spec(library) is not None


def _codings(value: Any) -> Any:
    """`true` is each coding that is installed."""
    if value is None:
        return None
    if isinstance(value, bool):
        return tuple(filter(_installed, LIBRARIES)) if value else ()
    listed = value if isinstance(value, list | tuple) else [value]
    for coding in listed:
        if not isinstance(coding, str) or coding not in LIBRARIES:
            raise ValueError(f"must be true, false, or some of {', '.join(LIBRARIES)}")
        if not _installed(coding):
            raise ValueError(
                f"{coding} needs a library that is not installed: pip install {LIBRARIES[coding]}"
            )
    if len(set(listed)) < len(listed):
        raise ValueError("names a coding twice")
    return tuple(listed)


_NAMES = {"enum": list(LIBRARIES)}
Codings = Annotated[
    tuple[str, ...],
    BeforeValidator(_codings),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _NAMES, {"type": "array", "items": _NAMES}]}),
]
MediaTypes = Annotated[
    tuple[
        Annotated[str, Field(pattern=r"^[a-z0-9.+-]+/(?:\*(?:\+[a-z0-9.-]+)?|[a-z0-9.+-]+)$")], ...
    ],
    OneOrMany(),
]

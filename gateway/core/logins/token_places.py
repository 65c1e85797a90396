"""Places of tokens in a reply: what config.yaml's `token` may say.

A text that could never name a place is refused, with a hint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.http.field_names import HOP_BY_HOP

# A place in JSON in dots, instead of a pointer: at least two names.
_DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+")
# RFC 6901 §3: a tilde begins an escape. White space at an end is a mistake.
_POINTER = re.compile(r"/(?!\s)(?:[^~]|~[01])*+(?<!\s)|/")
# A field's name (RFC 9110 §5.1), or a cookie's (RFC 6265 §4.1.1).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# Fields of a reply that the gateway does not see as they were sent.
_NOT_SEEN = HOP_BY_HOP | {b"content-encoding", b"content-length", b"trailer"}

# Other notations, and how to write them here. No hint repeats the text: it may be a secret in a
# wrong place.
_POINTER_HINTS = (
    (re.compile(r"\w+:.*"), "a JSON pointer stands alone, as in /data/token"),
    (re.compile(r"[$#@].*|.*[\[\]].*"), "as in /data/token; an index is written /tokens/0"),
    (re.compile(r"[\w-]+"), "a member at the top is written with a slash, as in /token"),
    (re.compile(r"[\w-]+/.*"), "a JSON pointer begins with a slash, as in /data/token"),
)
_HINTS = (
    (re.compile(r"\s*auto\s*", re.IGNORECASE), "auto is written in small letters, without spaces"),
    (
        re.compile(r"\s*(?:header|cookie)\s*[:=].*", re.IGNORECASE),
        "as in header:X-Token and cookie:jwt, in small letters and without spaces",
    ),
    *_POINTER_HINTS,
)


@dataclass(frozen=True, slots=True)
class Auto:
    """Under a known name: in the body, else in a field, else in a cookie."""


@dataclass(frozen=True, slots=True)
class JsonPointer:
    """A place in a JSON body (RFC 6901)."""

    pointer: str


@dataclass(frozen=True, slots=True)
class Header:
    """A field of the reply. An authentication scheme before the token stays."""

    name: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that the reply sets."""

    name: str


TokenPlace = Auto | JsonPointer | Header | Cookie
ClaimPlace = JsonPointer | Header


class BadTokenPlace(ValueError):
    """The text names no place. The message says how places are written.

    The hint is the text that may be meant.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_token_place(text: str) -> TokenPlace:
    """Parse `auto`, a place in JSON, `header:Name` or `cookie:name`.

    See `parse_pointer`.
    """
    if text == "auto":
        return Auto()
    kind, _, name = text.partition(":")
    if kind == "cookie" and _NAME.fullmatch(name):
        return Cookie(name)
    found = _header(text) or _pointer(text)
    if found is None:
        raise BadTokenPlace(
            "names no place: write auto, /a/json/pointer, header:Name or cookie:name",
            _hint(text, _HINTS),
        )
    return found


def parse_claim_place(text: str) -> ClaimPlace:
    """Parse a JSON pointer such as `/user/id` or `user.id`, or `header:Name`."""
    found = _header(text) or _pointer(text)
    if found is None:
        message = "names no place: write /a/json/pointer or header:Name"
        raise BadTokenPlace(message, _hint(text, _POINTER_HINTS))
    return found


def parse_pointer(text: str) -> JsonPointer:
    """Parse a JSON pointer such as `/data/token`, or the same as `data.token`."""
    found = _pointer(text)
    if found is None:
        message = "names no place in JSON: write /a/json/pointer"
        raise BadTokenPlace(message, _hint(text, _POINTER_HINTS))
    return found


def _header(text: str) -> Header | None:
    """The field that a text names, if any. Raises `BadTokenPlace`."""
    kind, _, name = text.partition(":")
    if kind != "header" or not _NAME.fullmatch(name):
        return None
    if name.lower() in ("set-cookie", "cookie"):
        raise BadTokenPlace("names no one cookie", "a cookie goes by its name, as in cookie:jwt")
    if name.lower().encode() in _NOT_SEEN:
        raise BadTokenPlace("names a field that ends at the gateway, so nothing is found there")
    return Header(name)


def _pointer(text: str) -> JsonPointer | None:
    """The place in JSON that a text names, if any. Raises `BadTokenPlace`."""
    if _DOTTED.fullmatch(text):
        return JsonPointer("/" + text.replace(".", "/"))
    if not text.startswith("/"):
        return None
    if not _POINTER.fullmatch(text):
        raise BadTokenPlace(
            "is no JSON pointer: it has white space at an end, or a ~ that is not escaped",
            "~ is written ~0, and / in a name ~1",
        )
    if "*" in text.split("/"):
        raise BadTokenPlace("is no JSON pointer: a star stands for nothing in one")
    return JsonPointer(text)


def _hint(text: str, hints: Iterable[tuple[re.Pattern[str], str]]) -> str:
    return next((hint for pattern, hint in hints if pattern.fullmatch(text)), "")

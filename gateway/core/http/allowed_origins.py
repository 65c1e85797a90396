"""Origins that config.yaml allows, and whether a browser's is one of them.

An origin is that of a site, or of an app's own pages: Capacitor, Ionic and Tauri have schemes of
their own, and so have browser extensions. `https://*.preview.example` stands for names of exactly
one label more. `null` is the origin of pages that hide theirs (RFC 6454 §7.1): it is never allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from gateway.core.http.public_suffixes import is_public

_SITE = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_STARRED = re.compile(r"https?://\*\.([a-z0-9.-]+?)(?::[0-9]{1,5})?")

# Firefox gives an extension another name in each browser, so one cannot be listed.
_ANY_OF_FIREFOX = "moz-extension://*"
_EXTENSION_OF_FIREFOX = re.compile(r"moz-extension://[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Pages of apps and extensions. URLs of other schemes have the origin `null` (WHATWG URL §4.7).
_OF_APP = re.compile(
    r"(?:app|capacitor|chrome-extension|electron|extension|ionic|moz-extension|"
    r"safari-web-extension|tauri)://[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]{1,5})?"
)

# A host whose first label a star may stand for (RFC 1035 §2.3.1; xn-- for other alphabets).
_LABELLED = re.compile(r"(https?://)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(\..+)")


class BadOrigin(ValueError):
    """The text is no origin that can be allowed; the message says more."""


def parse_site(text: str) -> str:
    """The origin of one site. Raises `BadOrigin`."""
    if not _SITE.fullmatch(text):
        raise BadOrigin("is not an origin: write https://app.example, without a path")
    return text


def parse(text: str) -> str:
    """An origin, or a pattern of origins. Raises `BadOrigin`."""
    if _SITE.fullmatch(text) or _OF_APP.fullmatch(text) or text == _ANY_OF_FIREFOX:
        return text
    starred = _STARRED.fullmatch(text)
    if starred is None:
        raise BadOrigin(
            "is not an origin: write https://app.example, https://*.app.example for names with "
            "one label more, capacitor://localhost, or * for all"
        )
    if is_public(starred[1]):
        raise BadOrigin(f"lets strangers in: anyone can register a name below {starred[1]}")
    return text


def is_pattern(allowed: str) -> bool:
    """Whether an allowed origin stands for several."""
    return "*" in allowed


def hold(allowed: Collection[str], origin: str) -> bool:
    """Whether an origin, as a browser sends it, is among the allowed ones."""
    if "*" in origin:
        return False
    return origin in allowed or _starred(origin) in allowed


def _starred(origin: str) -> str:
    """The pattern that would allow an origin; "" if none could."""
    if _EXTENSION_OF_FIREFOX.fullmatch(origin):
        return _ANY_OF_FIREFOX
    found = _LABELLED.fullmatch(origin)
    return f"{found[1]}*{found[2]}" if found is not None else ""

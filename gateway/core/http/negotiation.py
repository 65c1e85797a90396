"""A client's choice of page or JSON, and of a language (RFC 9110 §12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

# Browsers need a tenth of this. The rest of a longer field does not count.
_MAX_READ = 1024

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

_HTML, _JSON = "text/html", "application/json"

# Sec-Fetch-Mode of a person's browser that goes somewhere (Fetch Metadata §2.1).
_NAVIGATE = "navigate"


def wants_page(accept: str | None, fetch_mode: str | None) -> bool:
    """Whether a person reads the answer.

    A person gets a page, and a program gets JSON.

    accept: the Accept field, which decides (RFC 9110 §12.5.1); None if the request has none
    fetch_mode: the Sec-Fetch-Mode field, which decides without Accept
    """
    return fetch_mode == _NAVIGATE if accept is None else prefers(accept, _HTML, _JSON)


def navigates(accept: str | None, fetch_mode: str | None) -> bool:
    """Whether a person's browser goes somewhere, and can be sent elsewhere.

    Sec-Fetch-Mode decides, unless Accept refuses HTML, and Accept decides without it. A script that
    fetches a page would follow a redirect without a person seeing it.
    """
    if fetch_mode is None:
        return wants_page(accept, fetch_mode)
    return fetch_mode == _NAVIGATE and (accept is None or _takes(accept, _HTML))


def prefers(accept: str, one: str, other: str) -> bool:
    """Whether one media type is wanted more than another.

    A client that names neither is a program, and wants both alike.
    """
    ranges = dict(_ranges(accept))
    return _quality(ranges, one) > _quality(ranges, other)


def names_html(accept: str) -> bool:
    """Whether an Accept field names HTML with a weight above 0."""
    return dict(_ranges(accept)).get(_HTML, 0.0) > 0


def language(accept: str, offered: Sequence[str]) -> str:
    """Choose the language that is wanted most.

    The first offered one if none is wanted.

    Of languages with the same weight, the one that the field names first is taken, as browsers mean
    it.

    accept: the Accept-Language field
    offered: the languages to choose from, as primary subtags
    """
    ranges = list(_ranges(accept))

    def wanted(name: str) -> tuple[float, int]:
        for pattern in (name, "*"):
            named = [
                (quality, -place if quality else 0)
                for place, (tag, quality) in enumerate(ranges)
                if tag.partition("-")[0] == pattern
            ]
            if named:
                return max(named)
        return 0.0, 0

    return max(offered, key=wanted)


def _takes(accept: str, media_type: str) -> bool:
    return _quality(dict(_ranges(accept)), media_type) > 0


def _quality(ranges: Mapping[str, float], wanted: str) -> float:
    """The weight of the most specific range that includes a media type."""
    including = (wanted, f"{wanted.partition('/')[0]}/*", "*/*")
    return next((ranges[name] for name in including if name in ranges), 0.0)


def _ranges(field: str) -> Iterable[tuple[str, float]]:
    """The names in a field, in lower case, with their weights.

    Malformed members are left out.
    """
    if len(field) > _MAX_READ:
        field = field[:_MAX_READ].rpartition(",")[0]
    for item in field.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights = [text[2:].strip() for text in parameters if text.startswith("q=")]
        if name and all(_QUALITY.fullmatch(weight) for weight in weights):
            yield name, float(weights[0]) if weights else 1.0

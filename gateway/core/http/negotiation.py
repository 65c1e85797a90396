"""What a client would rather have, by its Accept and Accept-Language fields (RFC 9110 §12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Browsers say what they accept in a tenth of this. Of a longer field, the rest does not count.
_MAX_READ = 1024

_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def prefers(accept: str, one: str, other: str) -> bool:
    """Whether one media type is wanted more than another; without a word about them, it is not."""
    ranges = list(_ranges(accept))
    return _of_type(ranges, one) > _of_type(ranges, other)


def language(accept: str, offered: Sequence[str]) -> str:
    """The wanted one of the languages that there are, each a primary subtag; else the first.

    Of several that are wanted as much, the one that was named first, as browsers mean it.
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


def _of_type(ranges: Iterable[tuple[str, float]], wanted: str) -> float:
    """The quality of a media type; the most specific range that fits it counts."""
    fitting = (wanted, f"{wanted.partition('/')[0]}/*", "*/*")
    by_range = dict(ranges)
    return next((by_range[each] for each in fitting if each in by_range), 0.0)


def _ranges(field: str) -> Iterable[tuple[str, float]]:
    """What a field names, in lower case, and how much each is wanted; what is malformed is not."""
    if len(field) > _MAX_READ:
        field = field[:_MAX_READ].rpartition(",")[0]
    for item in field.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights = [each[2:].strip() for each in parameters if each.startswith("q=")]
        if name and all(_QUALITY.fullmatch(each) for each in weights):
            yield name, float(weights[0]) if weights else 1.0

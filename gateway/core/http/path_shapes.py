"""Paths with segments that clients fill in, such as `/mfa/{token}/verify`.

Temporary tokens of logins and links in mails stand in such segments. A segment is never empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_NAMED = re.compile(r"\{([a-z][a-z0-9_]*)\}")

# Stands in the place of a segment where a shape is checked as a path.
_ANY = "x"


class BadShape(ValueError):
    """The text has braces, and is no shape."""


def names(path: str) -> list[str]:
    """The names of a path's segments. Raises `BadShape`."""
    found = [segment[1:-1] for segment in path.split("/") if _NAMED.fullmatch(segment)]
    rest = filled(path, dict.fromkeys(found, _ANY))
    if "{" in rest or "}" in rest:
        raise BadShape("has braces that name no segment: put a name alone between two slashes")
    if len(set(found)) < len(found):
        raise BadShape("names two segments alike")
    return found


def filled(path: str, values: Mapping[str, str]) -> str:
    """The path with these values in its segments."""
    return _NAMED.sub(lambda found: values.get(found[1], found[0]), path)


def values(shape: str, path: str) -> dict[str, str]:
    """The filled-in segments of a path of this shape, by name, as they came."""
    pairs = zip(shape.split("/"), path.split("/"), strict=False)  # a prefix is shorter
    return {name[1:-1]: value for name, value in pairs if _NAMED.fullmatch(name)}


class Shape:
    """The shape of a path, for bytes of requests."""

    def __init__(self, path: bytes) -> None:
        self._segments = [None if _is_named(part) else part for part in path.split(b"/")]
        self.is_plain = None not in self._segments  # the path has no segment to fill in

    def fits(self, path: bytes) -> bool:
        """Whether a path has this shape."""
        segments = path.split(b"/")
        return len(segments) == len(self._segments) and _fit(self._segments, segments)


def _fit(shape: Sequence[bytes | None], segments: Sequence[bytes]) -> bool:
    pairs = zip(shape, segments, strict=True)
    return all(segment if part is None else segment == part for part, segment in pairs)


def _is_named(segment: bytes) -> bool:
    return segment.startswith(b"{") and segment.endswith(b"}")

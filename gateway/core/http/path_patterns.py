"""The path patterns of routes, and which of them are more specific.

* `/api/me` is a path of its own.
* `/users/{id}` has segments that clients fill in. They are never empty.
* `/api/*` and `/users/{id}/*` are prefixes: all paths below them, and `/api` itself, unless the
  route says `bare: false`.
* `/*.css` and `/static/*.css` are prefixes with a suffix, in any folder below.

A path of its own comes first, then one with segments to fill in, then a prefix with more segments,
and then one with fewer. A written segment comes before one to fill in, from left to right, and a
prefix with a (longer) suffix before the same prefix without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_to_bytes

from gateway.core.http import path_shapes, paths
from gateway.core.http.path_regex import escaped

# Sorts patterns that fit the same path: the more specific one is less.
Rank = tuple[int, ...]

_SUFFIX = re.compile(r"/\*([A-Za-z0-9_.~!$&'()+,=:@-]*)\Z")
_TEXT = re.compile(r"(?:/[A-Za-z0-9_.~!$&'()+,=:@-]+)*/?")

# Letters beyond ASCII in an expression.
_ESCAPED_LETTERS = re.compile(r"(?:%[89A-F][0-9A-F])+")

# By kind: exact, exact with segments to fill in, prefix, and the last resort.
_EXACT, _FILLED, _PREFIX, _REGEX = range(4)


class BadPattern(ValueError):
    """The text is no pattern."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One pattern, as its segments between slashes."""

    segments: tuple[bytes | None, ...]  # None: clients fill it in
    is_prefix: bool = False
    suffix: bytes = b""  # of a prefix: how the last segment ends
    bare: bool = False  # of a prefix without a suffix: it is its own path, too
    regex: str = ""  # the last resort; then the pattern has no segments
    names: tuple[tuple[int, str], ...] = field(default=(), compare=False)  # of segments, by place

    @property
    def is_name(self) -> bool:
        """Whether it is one path."""
        return not self.is_prefix and None not in self.segments and not self.regex

    @property
    def path(self) -> bytes:
        """The path of a pattern that is one, or below which a prefix fits."""
        return b"".join([b"/" + (b"{}" if part is None else part) for part in self.segments])

    @property
    def rank(self) -> Rank:
        """Its place among the patterns that fit the same path."""
        if self.regex:
            return (_REGEX,)
        filled = tuple(int(segment is None) for segment in self.segments)
        if self.is_prefix:
            return (_PREFIX, -len(filled), *filled, -len(self.suffix))
        return (_FILLED if any(filled) else _EXACT, *filled)

    @property
    def as_regex(self) -> str:
        """The expression that fits the same paths (see `path_regex`)."""
        if self.regex:
            return self.regex
        parts = [
            "/" + ("[^/]+" if part is None else escaped(part.decode())) for part in self.segments
        ]
        below = "/.*" + escaped(self.suffix.decode()) if self.is_prefix else ""
        return "".join(parts) + (f"({below})?" if self.bare else below)

    @property
    def folded(self) -> PathPattern:
        """The same pattern for loose readings, which are folded (see `paths.fold`)."""
        if self.regex:
            return replace(self, regex=_ESCAPED_LETTERS.sub(_folded_letters, self.regex))
        text = paths.fold(_spelled(self.segments))
        return replace(
            self,
            segments=_segments(text) if text else (),
            suffix=self.suffix.lower().rstrip(b" ."),
            bare=self.is_prefix and not self.suffix,
        )

    def meets(self, other: PathPattern) -> bool:
        """Whether some path fits both. Not for expressions."""
        if not all(map(_agree, self.segments, other.segments)):
            return False
        if self.is_prefix and other.is_prefix:
            return self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix)
        if not self.is_prefix and not other.is_prefix:
            return len(self.segments) == len(other.segments)
        whole, prefix = (other, self) if self.is_prefix else (self, other)
        if len(whole.segments) <= len(prefix.segments):
            return prefix.bare and len(whole.segments) == len(prefix.segments)
        last = whole.segments[-1]
        return last is None or last.endswith(prefix.suffix)

    def values(self, strict: bytes, resolved: bytes) -> dict[str, str]:
        """The segments that the pattern names, decoded, of two readings of one path.

        Raises `ValueError` if a backend could read others, or control bytes, or no UTF-8.
        """
        plain, decoded = strict.split(b"/")[1:], resolved.split(b"/")[1:]
        size = len(self.segments)
        if min(len(plain), len(decoded)) < size or any(
            part not in (None, segment) for part, segment in zip(self.segments, plain, strict=False)
        ):
            raise ValueError("does not fit")
        found: dict[str, str] = {}
        for place, name in self.names:
            value = unquote_to_bytes(plain[place])
            text = value.decode()
            if value != decoded[place] or not text or not text.isprintable():
                raise ValueError("has several readings")
            found[name] = text
        return found


def parse(text: str, *, bare: bool = True) -> PathPattern:
    """Read a pattern of config.yaml. Raises `BadPattern`.

    bare: whether a prefix is its own path, too
    """
    star = _SUFFIX.search(text)
    path = text if star is None else text[: star.start()]
    try:
        filled = path_shapes.filled(path, dict.fromkeys(path_shapes.names(path), "x"))
    except path_shapes.BadShape as error:
        raise BadPattern(str(error)) from None
    if not text.startswith("/"):
        raise BadPattern("is not a path: it begins with a slash")
    if "*" in path:
        raise BadPattern("is not a path: a star ends it, as in /api/*, or stands before a suffix")
    if not filled.isascii():
        raise BadPattern("is not ASCII: write letters beyond it in a path_regex, percent-encoded")
    climbs = any(segment in (".", "..") for segment in filled.split("/"))
    if not _TEXT.fullmatch(filled) or "//" in text or climbs:
        raise BadPattern("is not a plain path: write it decoded, without //, dots or a query")
    names = tuple(
        (place, part[1:-1]) for place, part in enumerate(path.split("/")[1:]) if part[:1] == "{"
    )
    if star is None:
        return PathPattern(_segments(path.encode()), names=names)
    segments = _segments(path.encode()) if path else ()
    suffix = star[1].encode()
    is_bare = bare and not suffix and bool(segments)
    return PathPattern(segments, is_prefix=True, suffix=suffix, bare=is_bare, names=names)


def _folded_letters(letters: re.Match[str]) -> str:
    """What letters of an expression are in folded paths, as a group."""
    folded = paths.plain_letters(unquote_to_bytes(letters[0]))
    return f"({escaped(paths.escaped(folded).decode())})"


def _agree(one: bytes | None, other: bytes | None) -> bool:
    """Whether two segments may be the same. One that is filled in is not empty."""
    return one == other or (one is None and other != b"") or (other is None and one != b"")


def _segments(path: bytes) -> tuple[bytes | None, ...]:
    return tuple(None if segment[:1] == b"{" else segment for segment in path[1:].split(b"/"))


def _spelled(segments: tuple[bytes | None, ...]) -> bytes:
    return b"".join([b"/" + (b"{x}" if segment is None else segment) for segment in segments])

"""Paths that a route rewrites on their way upstream, by a pattern or by a template.

What a client wrote stays in its segment: a path whose segments are other ones once it is decoded
is refused (`%2F`, `..`, `?`, `#`, a backslash).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from gateway.core.http import path_shapes, paths, templates

# Each repetition multiplies the time that a path may take by its length. With two, a path of this
# length takes at most some 20 ms (bytes).
MAX_MATCHED_BYTES = 2048
MAX_REPETITIONS = 2

_GROUP = re.compile(r"\$([0-9])")
_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT})
_LETTERS = frozenset({_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY})

# Decoded, some backend ends the path here, or splits it.
_SPLITS = re.compile(rb"[\x00-\x1f\x7f?#\\]")

Rewrite = Callable[[bytes], bytes]


class BadPattern(ValueError):
    """The text is no pattern for paths. The message says why."""


def by_template(pattern: str, text: str) -> Rewrite:
    """Rewrite to a path with `${path.name}`, the segments that the route's pattern names.

    The rewrite raises `AmbiguousPath`.
    """
    template = templates.parse(text)

    def rewrite(path: bytes) -> bytes:
        values = written_values(pattern, paths.strict(path))
        filled = template.filled(lambda name: values.get(name.removeprefix("path."), ""))
        return _kept(filled.encode("ascii"))

    return rewrite


def written_values(pattern: str, path: bytes) -> dict[str, str]:
    """What fills in the segments of a route's pattern, and `*`: what stands below a prefix.

    As it is written, for targets and locations; `Route.path_values` decodes it.

    path: in its strict reading, without control bytes and letters beyond ASCII
    """
    text = path.decode("ascii")
    found = path_shapes.values(pattern, text)
    if pattern.endswith("/*"):
        found["*"] = "/".join(text.split("/")[pattern.count("/") :])
    return found


def by_pattern(match: str, to: str) -> Rewrite:
    """Rewrite paths that a regular expression matches as a whole; others stay as they are.

    `to` holds the expression's groups as `$1`. The rewrite raises `AmbiguousPath`.
    """
    pattern = compiled(match)

    def rewrite(path: bytes) -> bytes:
        if len(path) > MAX_MATCHED_BYTES:
            raise paths.AmbiguousPath
        found = pattern.fullmatch(paths.strict(path).decode("ascii"))
        if found is None:
            return path
        return _kept(_GROUP.sub(lambda group: found[int(group[1])] or "", to).encode("ascii"))

    return rewrite


def compiled(match: str) -> re.Pattern[str]:
    """A regular expression whose time is bounded. Raises `BadPattern`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pattern = re.compile(match, re.ASCII)
            repetitions = _repetitions(_parser.parse(match))
    except (re.error, OverflowError, RecursionError, Warning):
        raise BadPattern("is not a regular expression") from None
    if repetitions > MAX_REPETITIONS:
        raise BadPattern("has more than two repetitions (*, +): a template needs none")
    return pattern


def groups(to: str) -> int:
    """The highest number of a group in a rewritten path."""
    return max((int(found[1]) for found in _GROUP.finditer(to)), default=0)


def _repetitions(parsed: Any) -> int:
    """How many repetitions an expression has. Raises `BadPattern` for one of more than a letter."""
    count = 0
    for operation, arguments in parsed:
        if operation in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            raise BadPattern("refers to a group: paths are matched without that")
        if operation in _REPEATS and arguments[1] > 1:
            repeated = arguments[2]
            if len(repeated) != 1 or repeated[0][0] not in _LETTERS:
                raise BadPattern("repeats more than a letter or a class: write [^/]+ or .*")
            count += 1
        else:
            count += sum(map(_repetitions, _parts(arguments)))
    return count


def _parts(arguments: Any) -> list[Any]:
    """The expressions inside of one operation."""
    if isinstance(arguments, _parser.SubPattern):
        return [arguments]
    if not isinstance(arguments, tuple | list):
        return []
    return [part for argument in arguments for part in _parts(argument)]


def _kept(path: bytes) -> bytes:
    """The path, if each of its segments is one for every backend. Raises `AmbiguousPath`."""
    path = b"/" + path.lstrip(b"/")
    decoded = paths.decoded(path)
    names = [part.partition(b";")[0] for part in decoded.split(b"/")]
    dots = any(name and not name.rstrip(b" .") for name in names)
    if dots or decoded.count(b"/") != path.count(b"/") or _SPLITS.search(decoded):
        raise paths.AmbiguousPath
    return path

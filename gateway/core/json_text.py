"""The strings of a JSON text, with their places in it.

A reply that is edited as text stays as its backend wrote it, byte for byte, but for the strings
that are replaced. And such an edit misses nothing: of members with the same name, a parser that
builds objects keeps only the last one, while the text has all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

# What is found in a text that is known to be JSON: strings, brackets, and commas, each with the
# numbers and further commas behind it.
_PIECES = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]]|,[^"{}\[\]]*+')

# All but the brackets of any text. A string without an end goes on to the end of the text.
_NOT_NESTING = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[^"{}\[\]]++', re.DOTALL)

_BYTE_ORDER_MARK = "\ufeff"

# Replies are nested ten deep or so. A sensible text of 1 MiB has less than 200,000 strings, lists,
# objects and commas; so many take a tenth of a second.
MAX_DEPTH = 64
MAX_PIECES = 250_000


class NotJson(ValueError):
    """The text is no JSON (RFC 8259)."""


class TooComplex(NotJson):
    """The text may be JSON, but exceeds `MAX_DEPTH` or `MAX_PIECES`."""


@dataclass(slots=True, eq=False)
class Container:
    """An object or a list: a member or an element of the container `above`.

    Containers share those above them, so together they take no more room than the text. There is
    one for each path.
    """

    above: Container | None
    part: str | int | None  # None at the top
    depth: int  # how many parts lead here


class String(NamedTuple):
    """One string literal. It is a small tuple, since a text can hold many."""

    container: Container | None  # None: the string is all there is
    part: str | int | None  # the member or the index that it is; None: it names a member
    value: str
    start: int  # where the literal begins in the text, with its quotation mark
    end: int

    @property
    def place(self) -> tuple[Container | None, str | int | None]:
        """A value that is equal for two strings of a text with the same path."""
        return self.container, self.part

    @property
    def is_name(self) -> bool:
        return self.part is None and self.container is not None

    @property
    def depth(self) -> int:
        """How many names and indexes lead to it."""
        above = 0 if self.container is None else self.container.depth
        return above if self.part is None else above + 1

    @property
    def path(self) -> tuple[str | int, ...]:
        """The names and indexes that lead to the string, outermost first."""
        return tuple(self._parts())[::-1]

    @property
    def name(self) -> str:
        """The member that the string is in, however deep in lists."""
        return next((part for part in self._parts() if isinstance(part, str)), "")

    def is_at(self, path: Sequence[str]) -> bool:
        """Whether it is the value at this path, as `pointed` returns one."""
        if self.is_name or self.depth != len(path):
            return False
        pairs = zip(self._parts(), reversed(path), strict=True)
        return all(str(part) == wanted for part, wanted in pairs)

    def is_below(self, path: Sequence[str]) -> bool:
        """Whether it is the value at this path, or inside of it."""
        return [str(part) for part in self.path[: len(path)]] == list(path)

    def _parts(self) -> Iterator[str | int]:
        """The names and indexes that lead to the string, innermost first."""
        part, container = self.part, self.container
        while True:
            if part is not None:
                yield part
            if container is None:
                return
            part, container = container.part, container.above


def strings(text: str) -> list[String]:
    """Every string of a JSON text, in its order. Raises `NotJson`."""
    _loads(text)
    found: list[String] = []
    known: dict[tuple[Container | None, str | int | None], Container] = {}
    within: list[tuple[Container | None, str | int | None]] = []
    # The next string is in `container`: the element `part` of a list, or in an object the value of
    # the member `part`, or a member's name if `part` is None.
    container: Container | None = None
    part: str | int | None = None
    for number, piece in enumerate(_PIECES.finditer(text)):
        if number == MAX_PIECES:
            raise TooComplex
        start, end = piece.span()
        mark = text[start]
        if mark == '"':
            literal = text[start:end]
            value = json.loads(literal) if "\\" in literal else literal[1:-1]
            found.append(String(container, part, value, start, end))
            if part is None:
                part = value
        elif mark == ",":
            part = part + text.count(",", start, end) if isinstance(part, int) else None
        elif mark in "{[":
            if len(within) == MAX_DEPTH:
                raise TooComplex
            place = container, part
            container = known.setdefault(place, Container(*place, len(within)))
            within.append(place)
            part = 0 if mark == "[" else None
        else:
            container, part = within.pop()
    return found


def replaced(text: str, edits: Iterable[tuple[String, str]]) -> str:
    """The text with other values for some of its strings.

    edits: strings and their new values, in the order of the text
    """
    parts = []
    at = 0
    for string, value in edits:
        # Escaped to ASCII, so that it can be written in any charset.
        parts += [text[at : string.start], json.dumps(value)]
        at = string.end
    return "".join([*parts, text[at:]])


def value(text: str) -> Any:
    """The value of a JSON text that has one reading only. Raises `NotJson`.

    No name may stand twice in an object, and no number may be NaN or infinite.
    """
    _check_depth(text)
    return _loads(text, object_pairs_hook=_unambiguous, parse_constant=_no_number)


def parsed(text: str) -> Any:
    """The value of a JSON text, as a parser reads it. Raises `NotJson`."""
    _check_depth(text)
    return _loads(text)


def pointed(pointer: str) -> tuple[str, ...]:
    """The parts of a JSON pointer, all as texts (RFC 6901 §4)."""
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


class Members(list[tuple[str, Any]]):
    """The members of an object, in their order. A name may stand twice."""


def document(text: str) -> Any:
    """The value of a JSON text, with objects as `Members`. Raises `NotJson`."""
    _check_depth(text)
    return _loads(text, object_pairs_hook=Members)


def values_at(document: Any, path: Sequence[str]) -> list[Any]:
    """The values that parsers may find at a path of a `document`.

    They may be several where a name stands twice.
    """
    found = [document]
    for part in path:
        found = [inner for value in found for inner in _inside(value, part)]
    return found


# A parsed object, which may be read only.
_OBJECTS = (dict, MappingProxyType)


def found_at(value: Any, path: Sequence[str]) -> Any:
    """The value at a path in a parsed JSON text; None if there is none."""
    for part in path:
        if isinstance(value, _OBJECTS):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _inside(value: Any, part: str) -> list[Any]:
    if isinstance(value, Members):
        return [inner for name, inner in value if name == part]
    inner = found_at(value, [part])
    return [] if inner is None else [inner]


def _unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise NotJson("a name stands twice")
    return found


def _no_number(_name: str) -> None:
    raise NotJson("no JSON number")


def _check_depth(text: str) -> None:
    """Raise `TooComplex` or `NotJson` for a text that is nested too deep."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for mark in _NOT_NESTING.sub("", text):
        depth += 1 if mark in "[{" else -1
        if depth > MAX_DEPTH:
            raise _too_deep(text)


def _loads(text: str, **options: Any) -> Any:
    try:
        return json.loads(text.removeprefix(_BYTE_ORDER_MARK), **options)
    except RecursionError:
        raise _too_deep(text) from None
    except (json.JSONDecodeError, NotJson):
        raise NotJson from None
    except ValueError:
        # A number of thousands of digits: Python would read it in quadratic time.
        raise TooComplex from None


def _too_deep(text: str) -> NotJson:
    """The error for a deeply nested text.

    It is `NotJson` if the brackets do not match in number.
    """
    nesting = _NOT_NESTING.sub("", text)
    is_even = all(nesting.count(one) == nesting.count(other) for one, other in ("[]", "{}"))
    return TooComplex() if is_even else NotJson()

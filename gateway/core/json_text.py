"""The strings of a JSON text, with their places in it.

A reply that is edited in its text stays what its backend wrote, byte for byte, but for the strings
that are replaced. And an edit in the text misses nothing: of members with the same name, a parser
that builds objects keeps the last one only, while all of them are in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# All that matters in a text that is known to be JSON: its strings, and what nests and separates.
_PIECES = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],]')

_BYTE_ORDER_MARK = "\ufeff"


class NotJson(ValueError):
    """The text is no JSON (RFC 8259), or is nested deeper than anybody could mean."""


@dataclass(frozen=True, slots=True)
class String:
    """One string literal. `path` are the names and indexes that lead to it, outermost first."""

    path: tuple[str | int, ...]
    value: str
    start: int  # where the literal begins in the text, with its quotation mark
    end: int
    is_name: bool  # it names a member of the object at `path`

    @property
    def name(self) -> str:
        """The member that the string is in, however deep in lists."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")


def strings(text: str) -> list[String]:
    """Every string of a JSON text, in its order. Raises `NotJson`."""
    _parsed(text)
    found = []
    path: list[str | int | None] = []  # None: an object whose next string is a member's name
    for piece in _PIECES.finditer(text):
        mark = piece[0]
        if mark == "{":
            path.append(None)
        elif mark == "[":
            path.append(0)
        elif mark in "}]":
            path.pop()
        elif mark == ",":
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
        else:
            value = json.loads(mark)
            is_name = bool(path) and path[-1] is None
            leads = tuple(part for part in path if part is not None)
            found.append(String(leads, value, piece.start(), piece.end(), is_name))
            if is_name:
                path[-1] = value
    return found


def replaced(text: str, edits: Iterable[tuple[String, str]]) -> str:
    """The text with other values for some of its strings, which come in their order."""
    parts = []
    at = 0
    for string, value in edits:
        # Escaped to ASCII, so that it can be written in any charset.
        parts += [text[at : string.start], json.dumps(value)]
        at = string.end
    return "".join([*parts, text[at:]])


def value(text: str) -> Any:
    """What a JSON text says, if it can be read in one way only: no name stands twice in an object,
    and no number is infinite or none. Raises `NotJson`.
    """
    try:
        return json.loads(
            text.removeprefix(_BYTE_ORDER_MARK),
            object_pairs_hook=_unambiguous,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError):
        raise NotJson from None


def pointed(pointer: str) -> tuple[str, ...]:
    """The parts of a JSON pointer (RFC 6901 §4); an index is a text among them."""
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def value_at(text: str, path: tuple[str, ...]) -> Any:
    """What a parser finds at a place in a JSON text; None if there is nothing. Raises `NotJson`."""
    return found_at(_parsed(text), path)


def found_at(value: Any, path: tuple[str, ...]) -> Any:
    """What is at a place in a parsed JSON text; None if there is nothing."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name stands twice")
    return found


def _no_number(_name: str) -> None:
    raise ValueError("no JSON number")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text.removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        raise NotJson from None

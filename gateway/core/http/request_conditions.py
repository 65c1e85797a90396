"""Conditions of routes on the header fields and the query of a request.

A condition is a value, `True` (present) or `False` (absent). Backends read repeated names, letter
case, `;` and brackets in different ways. So a condition may hold in the gateway's reading and fail
in another, or the other way round; then a stricter route decides.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.core.http import queries
from gateway.core.http.field_names import fold


class Holds(enum.Enum):
    """Whether conditions hold: in the gateway's reading, and in all others."""

    YES = (True, True)
    NO = (False, True)
    BY_OUR_READING = (True, False)
    BY_ANOTHER_READING = (False, False)

    @property
    def strictly(self) -> bool:
        """Whether they hold in the gateway's own reading."""
        return self.value[0]


Wanted = bytes | bool


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one rule."""

    headers: tuple[tuple[bytes, Wanted], ...] = ()  # by names in lower case
    query: tuple[tuple[bytes, Wanted], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.headers or self.query)

    @property
    def rank(self) -> tuple[int, int]:
        """More conditions first, then more of them with a value."""
        wanted = [wanted for _, wanted in (*self.headers, *self.query)]
        return -len(wanted), -sum(not isinstance(value, bool) for value in wanted)

    def excludes(self, other: Conditions) -> bool:
        """Whether no request meets both."""
        return any(
            _exclude(value, dict(theirs)[name])
            for ours, theirs in ((self.headers, other.headers), (self.query, other.query))
            for name, value in ours
            if name in dict(theirs)
        )

    def imply(self, other: Conditions) -> bool:
        """Whether each request that meets these meets the others as well."""
        return all(
            name in dict(ours) and _implies(dict(ours)[name], value)
            for ours, theirs in ((self.headers, other.headers), (self.query, other.query))
            for name, value in theirs
        )

    def read(self, lines: Sequence[bytes], query: bytes) -> Holds:
        """Whether they hold for a request.

        lines: its header field lines
        query: with its question mark, or empty
        """
        readings = [_in_fields(lines, name, wanted) for name, wanted in self.headers]
        readings += [_in_query(query, name, wanted) for name, wanted in self.query]
        if Holds.NO in readings:
            return Holds.NO
        strictly = all(reading.strictly for reading in readings)
        return Holds((strictly, all(reading is Holds.YES for reading in readings)))


def cover(others: Sequence[Conditions], given: Conditions) -> bool:
    """Whether each request that meets `given` meets one of the others.

    Names that are present in one of them and absent in another are looked at one after the other.
    """
    if any(given.imply(other) for other in others):
        return True
    for kind in ("headers", "query"):
        known = dict(getattr(given, kind))
        pairs = [pair for other in others for pair in getattr(other, kind)]
        split = {name for name, wanted in pairs if wanted is False and name not in known}
        for name in sorted(split & {name for name, wanted in pairs if wanted is True}):
            ways = [replace(given, **{kind: (*known.items(), (name, it))}) for it in (True, False)]
            return all(cover(others, way) for way in ways)
    return False


def _exclude(one: Wanted, other: Wanted) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return (one is False) != (other is False)
    return one.lower() != other.lower()


def _implies(one: Wanted, other: Wanted) -> bool:
    return one == other or (other is True and one is not False)


def _in_fields(lines: Sequence[bytes], name: bytes, wanted: Wanted) -> Holds:
    folded = fold(name)
    ours: list[bytes] = []
    others: list[bytes] = []
    for line in lines:
        given, _, text = line.partition(b":")
        if len(given) == len(name) and fold(given.lower()) == folded:
            value = text.strip(b" \t\r\n")
            (ours if given.lower() == name else others).append(value)
    others += [member.strip(b" \t") for value in ours for member in value.split(b",")]
    return _holds(ours, others, wanted)


def _in_query(query: bytes, name: bytes, wanted: Wanted) -> Holds:
    lower = name.lower()
    ours: list[bytes] = []
    others: list[bytes] = []
    for piece in query[1:].split(b"&"):
        given, _, value = piece.partition(b"=")
        if queries.decoded(given) == name:
            ours.append(queries.decoded(value))
    for piece in re.split(rb"[&;?]", query[1:]):
        given, _, value = piece.partition(b"=")
        if len(given) >= len(name) and queries.is_named(given.lower(), lower):
            others.append(queries.decoded(value))
    return _holds(ours, others, wanted)


def _holds(ours: Sequence[bytes], others: Iterable[bytes], wanted: Wanted) -> Holds:
    """Whether a name with these values meets a condition.

    ours: the values in the gateway's reading
    others: those in other readings
    """
    known = [*ours, *others]
    if isinstance(wanted, bool):
        return Holds((bool(ours) is wanted, bool(ours) is bool(known)))
    readings = {value == wanted for value in known}
    readings |= {True for value in known if value.lower() == wanted.lower()}
    strictly = bool(ours) and ours[0] == wanted
    return Holds((strictly, readings <= {strictly} and (bool(ours) or not known or not strictly)))

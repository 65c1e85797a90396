"""What a route requires of a session's claims: conditions, joined by any and all.

A condition is met or not, whichever session asks; and of two conditions, one may imply the other,
so that the stricter of two routes is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.core.sessions import required_claims
from gateway.core.sessions.required_claims import Clauses


class HasClaims(Protocol):
    """A session, as far as conditions look at it."""

    def claim(self, name: str) -> Any:
        """The claim of this name or place; None if there is none."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these values stands in one of these claims."""

    places: tuple[str, ...]
    values: tuple[Any, ...]  # in the form of `required_claims.clauses`
    of_words: bool = False  # a text there is a list of words (RFC 6749 §3.3)

    def is_met(self, session: HasClaims) -> bool:
        clauses: Clauses = (self.values,)
        for place in self.places:  # a loop, since each request takes this way
            if required_claims.is_met(place, session.claim(place), clauses, of_words=self.of_words):
                return True
        return False


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these conditions are met."""

    parts: tuple[Condition, ...]

    def is_met(self, session: HasClaims) -> bool:
        for part in self.parts:  # noqa: SIM110 (a generator costs 0.3 µs)
            if not part.is_met(session):
                return False
        return True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these conditions is met, at least."""

    parts: tuple[Condition, ...]

    def is_met(self, session: HasClaims) -> bool:
        return any(part.is_met(session) for part in self.parts)


Condition = OneOf | AllOf | AnyOf

# It is met by each session.
NOTHING = AllOf(())


def holds(places: tuple[str, ...], clauses: Clauses, *, of_words: bool = False) -> Condition:
    """For each clause, one of its values stands in one of these claims.

    of_words: texts there are lists of words
    """
    return all_of(OneOf(places, clause, of_words) for clause in clauses)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """All of these conditions. Groups within are dissolved."""
    parts: list[Condition] = []
    for condition in conditions:
        parts += condition.parts if isinstance(condition, AllOf) else [condition]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def any_of(conditions: Iterable[Condition]) -> Condition:
    """One of these conditions."""
    parts = tuple(conditions)
    return parts[0] if len(parts) == 1 else AnyOf(parts)


def implies(condition: Condition, other: Condition) -> bool:
    """Whether each session that meets `condition` is known to meet `other`.

    False is also said where that would take more than a look at the parts.
    """
    if isinstance(other, AllOf):
        return all(implies(condition, part) for part in other.parts)
    if isinstance(condition, AnyOf):
        return all(implies(part, other) for part in condition.parts)
    if isinstance(other, AnyOf) and any(implies(condition, part) for part in other.parts):
        return True
    if isinstance(condition, AllOf):
        return any(implies(part, other) for part in condition.parts)
    return isinstance(other, OneOf) and _is_within(condition, other)


def _is_within(one: OneOf, other: OneOf) -> bool:
    return (
        set(one.places) <= set(other.places)
        and set(one.values) <= set(other.values)
        and (other.of_words or not one.of_words)
    )

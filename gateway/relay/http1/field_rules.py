"""The rules of header fields, by their names as spelled.

A name is classified once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Rule = TypeVar("Rule")

# Peers choose the names, so what is remembered must not grow with them.
MAX_NAMES = 2048
MAX_NAME_BYTES = 64


class FieldRules(Generic[Rule]):
    """Knows the rules of names; None for a name whose lines pass as they came.

    known: the rules of the names that have come; a look-up in a class of its own that is derived
        from dict takes four times as long (CPython 3.11)
    """

    def __init__(self, classify: Callable[[bytes], Rule | None]) -> None:
        """`classify` finds the rule of a name in a new spelling."""
        self.known: dict[bytes, Rule | None] = {}
        self._classify = classify

    def learn(self, name: bytes) -> Rule | None:
        """The rule of a name that is not known."""
        rule = self._classify(name)
        if len(self.known) < MAX_NAMES and len(name) <= MAX_NAME_BYTES:
            self.known[name] = rule
        return rule

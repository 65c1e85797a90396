"""The rules of header fields, by their names as spelled.

A name is classified once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Rule = TypeVar("Rule")

# Peers choose the names, so what is remembered must not grow with them.
MAX_NAMES = 2048
MAX_NAME_BYTES = 64


class FieldRules(dict[bytes, Rule | None]):
    """Gives the rule of a name; None for a name whose lines pass as they came."""

    def __init__(self, classify: Callable[[bytes], Rule | None]) -> None:
        """`classify` finds the rule of a name in a new spelling."""
        self._classify = classify

    def __missing__(self, name: bytes) -> Rule | None:
        rule = self._classify(name)
        if len(self) < MAX_NAMES and len(name) <= MAX_NAME_BYTES:
            self[name] = rule
        return rule

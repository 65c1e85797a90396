"""Texts of config.yaml with values of a request in them, such as `${path.id}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_VALUE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A text, and the values in it.

    literals: what stands before, between and behind the values
    names: the values
    """

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def filled(self, value: Callable[[str], str]) -> str:
        """The text with its values."""
        filled = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            filled += (value(name), literal)
        return "".join(filled)


def parse(text: str) -> Template:
    """Read a text."""
    parts = _VALUE.split(text)
    return Template(tuple(parts[::2]), tuple(parts[1::2]))

"""Problems of a config.yaml: where they are, and how to mend them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. Its text never repeats a value.

    Lines and columns count from 1.
    """

    file: str
    line: int
    column: int
    field: str  # for example routes[2].path; empty for the whole document
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        hint = f" ({self.hint})" if self.hint else ""
        return place + (f"{self.field}: " if self.field else "") + self.message + hint


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems by line and column."""
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


class ConfigError(Exception):
    """The configuration cannot be used. The text has a line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

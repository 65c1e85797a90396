"""Answers about a whole configuration, which is asked for each of its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gateway.config.model import Config

R = TypeVar("R")


def once(function: Callable[[Config], R]) -> Callable[[Config], R]:
    """Remember the answer for the last configuration, which never changes."""
    known: list[tuple[Config, R]] = []

    def answer(config: Config) -> R:
        if not known or known[0][0] is not config:
            known[:] = [(config, function(config))]
        return known[0][1]

    return answer

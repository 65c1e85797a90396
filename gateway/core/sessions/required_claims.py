"""Claims that a route requires, compared by their JSON types.

JSON has one type for numbers, so 1 is 1.0, and another for true and false (RFC 8259 §3), while
Python takes `True` for 1. A text is neither: "1" is not 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core.sessions import subjects
from gateway.core.sessions.session import SUBJECT


def allowed_values(name: str, values: Iterable[str | int | bool]) -> tuple[Any, ...]:
    """The allowed values of a claim, in the form that `is_met` compares with.

    Subjects are texts, so a number in config.yaml becomes one.
    """
    if name == SUBJECT:
        values = (subjects.name_of(value) or value for value in values)
    return tuple(_distinct(value) for value in values)


def is_met(claim: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether a claim is an allowed value, or a list that holds one.

    A list inside a list, or an object, meets nothing.
    """
    if isinstance(claim, list):
        return any(_distinct(value) in allowed for value in claim)
    return _distinct(claim) in allowed


def _distinct(value: Any) -> Any:
    """The value in a form that equals no value of another JSON type.

    True and false are put into a tuple, which is no type of JSON.
    """
    return (value,) if isinstance(value, bool) else value

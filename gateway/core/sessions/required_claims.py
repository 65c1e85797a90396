"""Claims that a route asks for: whether a token's claim meets them, compared as JSON compares.

Python takes `True` for 1; JSON has one type for numbers, so 1 is 1.0, and another for true and
false (RFC 8259 §3). A text is neither: "1" is not 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.core.sessions import subjects
from gateway.core.sessions.session import SUBJECT


def allowed_values(name: str, values: Iterable[str | int | bool]) -> tuple[Any, ...]:
    """The values that config.yaml allows for a claim, in the form that `is_met` compares with.

    A subject is a text, as which config.yaml may say a number.
    """
    if name == SUBJECT:
        values = (subjects.name_of(value) or value for value in values)
    return tuple(_distinct(value) for value in values)


def is_met(claim: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether a claim is one of the allowed values, or a list that holds one itself.

    A list inside a list, or an object, is no such value.
    """
    if isinstance(claim, list):
        return any(_distinct(value) in allowed for value in claim)
    return _distinct(claim) in allowed


def _distinct(value: Any) -> Any:
    """The value in a form that equals no other type's: true and false inside a tuple, which JSON
    does not have.
    """
    return (value,) if isinstance(value, bool) else value

"""Claims that a route requires, compared by their JSON types.

JSON has one type for numbers, so 1 is 1.0, and another for true and false (RFC 8259 §3), while
Python takes `True` for 1. A text is neither: "1" is not 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.core.sessions import claim_names, subjects
from gateway.core.sessions.session import SUBJECT

Value = str | int | float | bool

# What a claim must hold: of each clause at least one value.
Clauses = tuple[tuple[Any, ...], ...]

# Claims whose text is a list of words (RFC 6749 §3.3); `scp` is Entra ID's name.
_OF_WORDS = ("scope", "scp")


def clauses(name: str, any_of: Iterable[Value], all_of: Iterable[Value] = ()) -> Clauses:
    """What `is_met` asks of a claim: one value of `any_of`, all of `all_of`.

    Subjects are texts, so a number in config.yaml becomes one.
    """
    found = [tuple(_wanted(name, value) for value in any_of)]
    found += [(_wanted(name, value),) for value in all_of]
    return tuple(clause for clause in found if clause)


def is_met(name: str, claim: Any, required: Clauses, *, of_words: bool = False) -> bool:
    """Whether a claim is a required value, or a list that holds them.

    The words of `scope` and `scp` are such a list. A list inside a list, or an object, meets
    nothing.

    of_words: the words of a text are such a list, whatever the claim's name
    """
    value = _distinct(claim)
    for clause in required:  # a loop, since each request takes this way
        if value not in clause:
            break
    else:
        return True
    held = list(_held(claim, of_words=of_words or _is_of_words(name)))
    return all(any(value in clause for value in held) for clause in required)


def _wanted(name: str, value: Value) -> Any:
    is_subject = name == SUBJECT
    return _distinct(subjects.name_of(value) or value if is_subject else value)


def _held(claim: Any, *, of_words: bool) -> Iterator[Any]:
    """The values that a claim holds, each in the form of `_distinct`."""
    for value in claim if isinstance(claim, list) else [claim]:
        yield _distinct(value)
        if of_words and isinstance(value, str):
            yield from value.split()


def _is_of_words(name: str) -> bool:
    return name.endswith(_OF_WORDS) and claim_names.path_of(name)[-1] in _OF_WORDS


def _distinct(value: Any) -> Any:
    """The value in a form that equals no value of another JSON type.

    True and false are put into a tuple, which is no type of JSON.
    """
    return (value,) if isinstance(value, bool) else value

"""Replies that ask for a second step: the first one makes no session.

A backend with a second factor answers the right password with a token that is good for the second
step alone, often under the name of a login's token. An object around the token says so: by a member
such as `mfa_required` or `challenge`, or by a `status` such as `MFA_REQUIRED` (see `words`). For
replies that say it in another way, config.yaml has the setting `failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import Members
from gateway.core.logins.mfa import words


def any_asks(document: Any) -> bool:
    """Whether any object of a JSON document asks for a second step."""
    if isinstance(document, Members):
        return asks(document) or any(any_asks(inner) for _, inner in document)
    return isinstance(document, list) and any(map(any_asks, document))


def objects_around(document: Any, is_token: Callable[[str, str], bool]) -> list[Members]:
    """The objects around a token, and the outermost one.

    `is_token` tells a token by its name and its text.
    """
    around = [document] if isinstance(document, Members) else []
    _collect_around(document, "", is_token, around)
    return around


def asks(members: Members) -> bool:
    """Whether an object asks for a second step by its own members."""
    return any(words.asks(name, value) for name, value in members)


def objects_above(document: Any, path: Sequence[str]) -> list[Members]:
    """The objects of a JSON document around this place, and the outermost one."""
    ends = (path[:length] for length in range(max(1, len(path))))
    around = (value for end in ends for value in json_text.values_at(document, end))
    return [value for value in around if isinstance(value, Members)]


def _collect_around(
    value: Any, name: str, is_token: Callable[[str, str], bool], around: list[Members]
) -> bool:
    """Add the objects that hold a token to `around`.

    Returns whether this value holds one.
    """
    if isinstance(value, Members):
        held = [part for part, inner in value if _collect_around(inner, part, is_token, around)]
        if held:
            around.append(value)
        return bool(held)
    if isinstance(value, list):
        return bool([inner for inner in value if _collect_around(inner, name, is_token, around)])
    return isinstance(value, str) and is_token(name, value)

"""JSON replies with the status of a success that say in so many words that nothing came of it.

Many an API answers `{"ok": false}` with 200, and beside it repeats what was typed. What says it in
other words is told by `failed`.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.core.json_text import Members
from gateway.core.logins.token_names import words

_JOINTS = re.compile(r"[^a-z0-9]+")

_SUCCESS = re.compile(
    r"(?:is)?(?:fully)?(?:ok|success|successful|succeeded|authenticated|authorized|loggedin|valid)"
)
_ERROR = re.compile(r"errors?|errormessages?")
_STATUS = re.compile(r"status(?:code)?")
_WORD = re.compile(r"status(?:code)?|result|code")

_FALSE = ("false", "no", "0")
_NOTHING = ("", "none", "null", *_FALSE)
_REFUSALS = frozenset(
    {
        *("bad", "denied", "error", "fail", "failed", "failure", "forbidden", "incorrect"),
        *("invalid", "ko", "rejected", "unauthenticated", "unauthorized", "wrong"),
    }
)


def is_denial(document: Any) -> bool:
    """Whether an object of JSON says by its own members that a request has failed."""
    if not isinstance(document, Members):
        return False
    return any(_denies(_JOINTS.sub("", name.lower()), value) for name, value in document)


def _denies(name: str, value: Any) -> bool:
    if _SUCCESS.fullmatch(name):
        return value is False or value == 0 or (isinstance(value, str) and value.lower() in _FALSE)
    if _ERROR.fullmatch(name):
        return value.lower() not in _NOTHING if isinstance(value, str) else bool(value)
    if _WORD.fullmatch(name) and value is False:
        return True
    if isinstance(value, str) and _WORD.fullmatch(name):
        return not _REFUSALS.isdisjoint(words(value))
    is_number = isinstance(value, int) and _STATUS.fullmatch(name) is not None
    return is_number and 400 <= value < 600  # as in HTTP

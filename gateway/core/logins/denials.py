"""Replies with the status of a success that deny the login.

Many an API answers `{"ok": false}` with 200, and repeats beside it what was typed. Others ask for a
second step. For replies that say it in other words, config.yaml has the setting `failed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import Members, NotJson, pointed
from gateway.core.logins import token_names
from gateway.core.logins.mfa import replies as mfa_replies
from gateway.core.logins.mfa import words as mfa_words
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.throttle_keys import plain_name
from gateway.core.logins.token_names import words
from gateway.core.logins.token_places import JsonPointer
from gateway.core.tokens import jwt_text

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
    """Whether a JSON object says by its own members that a request has failed."""
    if not isinstance(document, Members):
        return False
    return any(_denies(_JOINTS.sub("", name.lower()), value) for name, value in document)


def any_denies(reply: Reply) -> bool:
    """Whether any object of a JSON reply says no. Raises `UnreadableReply`."""
    try:
        return _any_denies(reply.document())
    except NotJson:
        return False


def says_no(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply says at this place what was wrong.

    GraphQL does so with any status. In a list of answers, one that does is enough. Raises
    `UnreadableReply`.
    """
    return any(_complaints(reply, place))


def answers(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply has a value at this place, even null.

    Each of its answers must have one. Raises `UnreadableReply`.
    """
    try:
        document = reply.document()
    except NotJson:
        return False
    parts = document if _is_batch(document) else [document]
    return all(json_text.values_at(part, pointed(place.pointer)) for part in parts)


def may_hand_out(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply that says no here may still hand out an opaque token.

    In a list of answers another one may have succeeded; beside a list of errors, as in GraphQL, a
    part of the request. Raises `UnreadableReply`.
    """
    if not isinstance(reply.document(), Members):
        return True
    is_in_part = any(isinstance(complaint, list) for complaint in _complaints(reply, place))
    return is_in_part and _names_token(reply, pointed(place.pointer))


def denies_login(reply: Reply) -> bool:
    """Whether a JSON reply asks for a second step, or denies the login.

    A denial counts only if the reply hands out no token. Raises `UnreadableReply`.
    """
    try:
        if mfa_replies.any_asks(reply.document()):
            return True
    except NotJson:
        return False
    return denies_around_token(reply) and not _names_token(reply, ())


def says_another_step(reply: Reply, place: JsonPointer) -> bool:
    """Whether a reply without a token announces another step at this place.

    The place's own name has to speak of one.
    """
    path = pointed(place.pointer)
    try:
        return bool(path) and mfa_words.names_step(plain_name(path[-1])) and says_no(reply, place)
    except UnreadableReply:
        return False


def denies_around_token(reply: Reply) -> bool:
    """Whether a JSON reply says no, or asks for a step, around a token."""
    try:
        around = mfa_replies.objects_around(reply.document(), _is_called_token)
    except NotJson:
        return False
    return any(mfa_replies.asks(members) or is_denial(members) for members in around)


def _any_denies(document: Any) -> bool:
    if isinstance(document, Members):
        return is_denial(document) or any(_any_denies(inner) for _, inner in document)
    return isinstance(document, list) and any(map(_any_denies, document))


def _is_called_token(name: str, text: str) -> bool:
    return text != "" and token_names.rank(name) is not None


def _complaints(reply: Reply, place: JsonPointer) -> list[Any]:
    """The values at a place of a JSON reply, in each of its answers.

    A reply without JSON has none.
    """
    try:
        document = reply.document()
    except NotJson:
        return []
    # In a batch, the place may be inside each answer, or in the list of them.
    parts = [document, *document] if _is_batch(document) else [document]
    path = pointed(place.pointer)
    return [value for part in parts for value in json_text.values_at(part, path)]


def _is_batch(document: Any) -> bool:
    return isinstance(document, list) and not isinstance(document, Members)


def _names_token(reply: Reply, beside: Sequence[str]) -> bool:
    """Whether a JSON reply holds an opaque text under the name of a token.

    Texts below the place `beside` do not count.
    """
    return any(
        _is_called_token(string.name, string.value) and not jwt_text.sole(string.value)
        for string in reply.strings()
        if not string.is_name and not (beside and string.is_below(beside))
    )


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

"""Replies to a login that ask for a second step: nobody is logged in by the first one.

A backend with a second factor answers the right password with a token that is good for the second
step alone, often under the name of a login's token. What tells stands in an object around it: a
member such as `mfa_required` or `challenge`, or a `status` such as `MFA_REQUIRED`. Known here are
names and values that say so in so many words; `failed` is for those that say it otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gateway.core import json_text
from gateway.core.json_text import Members
from gateway.core.token_names import words

_JOINTS = re.compile(r"[^a-z0-9]+")

_FACTOR = r"(?:mfa|2fa|tfa|[th]?otp|(?:two|multi|second)(?:step|factor)|stepup|challenge)"
_IS_DUE = r"(?:required|needed|pending|requested|sent)"
_ASKING = re.compile(
    # mfa_required, requires2FA, twoFactorAuthRequired, otp_sent, mfaToken, ChallengeName
    rf"(?:is|needs?|requires?|must|pending|awaiting)?{_FACTOR}"
    r"(?:auth(?:entication)?|verification|verify|login|step|check)?(?:is)?"
    rf"(?:{_IS_DUE}|token|code|id|session|ticket|state|name|parameters|s)?"
    # verification_required, needsConfirmation
    rf"|(?:needs?|requires?|pending|awaiting)(?:verification|confirmation|step|action)"
    rf"|(?:verification|confirmation|step|action)(?:is)?{_IS_DUE}"
)
# In what is asked for, what says that it really is.
_DUE = re.compile(rf"(?:is)?{_IS_DUE}|(?:.*(?:token|challenge|session|ticket|state))?(?:id|code)?")

_STATUS = re.compile(
    r"(?:login|auth|authentication|signin)?"
    r"(?:status|state|step|stage|result|next|nextstep|nextaction|action|code|reason|type|error)"
)
_FACTORS = frozenset({"2fa", "challenge", "factor", "hotp", "mfa", "otp", "tfa", "totp"})
_STEPS = frozenset({"confirm", "confirmation", "verification", "verify"})
_NEEDS = frozenset({"needed", "pending", "required"})

# What says of a step that it is over, or that there is none.
_SETTLED = frozenset(
    {
        *("active", "complete", "completed", "disabled", "done", "enabled", "false", "inactive"),
        *("no", "none", "not", "null", "off", "ok", "optional", "passed", "skipped", "succeeded"),
        *("success", "valid", "verified"),
    }
)

# A longer text says something to people.
_MAX_STATUS = 64


def are_asked_for(document: Any) -> bool:
    """Whether any object of a JSON document asks for a second step."""
    if isinstance(document, Members):
        return _asks(document) or any(are_asked_for(inner) for _, inner in document)
    return isinstance(document, list) and any(map(are_asked_for, document))


def are_asked_for_around(document: Any, is_token: Callable[[str, str], bool]) -> bool:
    """Whether an object asks for a second step that is around a token, or around everything.

    `is_token` knows a token by its name and its text.
    """
    around = [document] if isinstance(document, Members) else []
    _note_around(document, "", is_token, around)
    return any(map(_asks, around))


def are_asked_for_on_the_way_to(document: Any, path: Sequence[str]) -> bool:
    """Whether an object of a JSON document asks for a second step that is around this place, or
    around everything.
    """
    ends = (path[:length] for length in range(max(1, len(path))))
    around = (value for end in ends for value in json_text.values_at(document, end))
    return any(isinstance(value, Members) and _asks(value) for value in around)


def _note_around(
    value: Any, name: str, is_token: Callable[[str, str], bool], around: list[Members]
) -> bool:
    """Whether a value holds a token; the objects that do are put into `around`."""
    if isinstance(value, Members):
        held = [part for part, inner in value if _note_around(inner, part, is_token, around)]
        if held:
            around.append(value)
        return bool(held)
    if isinstance(value, list):
        return bool([inner for inner in value if _note_around(inner, name, is_token, around)])
    return isinstance(value, str) and is_token(name, value)


def _asks(members: Members) -> bool:
    return any(_says_so(_squeezed(name), value) for name, value in members)


def _says_so(name: str, value: Any) -> bool:
    if _ASKING.fullmatch(name):
        return _is_due(value)
    return isinstance(value, str) and _STATUS.fullmatch(name) is not None and _names_step(value)


def _is_due(value: Any) -> bool:
    """Whether what is asked for is really asked for, and not just spoken of."""
    if isinstance(value, Members):
        return any(_is_due(inner) for name, inner in value if _DUE.fullmatch(_squeezed(name)))
    if isinstance(value, str):
        return value != "" and _SETTLED.isdisjoint(words(value)) and value != "0"
    return bool(value)


def _names_step(status: str) -> bool:
    if len(status) > _MAX_STATUS:
        return False
    said = frozenset(words(status))
    is_asked_for = bool(said & _FACTORS) or (bool(said & _STEPS) and bool(said & _NEEDS))
    return is_asked_for and not said & _SETTLED


def _squeezed(name: str) -> str:
    return _JOINTS.sub("", name.lower())

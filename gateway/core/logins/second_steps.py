"""Replies to a login that ask for a second step: the first one makes no session.

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
from gateway.core.logins.token_names import is_of_others, words

_JOINTS = re.compile(r"[^a-z0-9]+")

_FACTOR = r"(?:mfa|2fa|tfa|[th]?otp|(?:two|multi|second)(?:step|factor)|stepup|challenge)"
_IS_DUE = r"(?:required|needed|pending|requested|sent)"
_STEP = (
    r"(?:(?:additional|extra|further)?(?:verification|confirmation|step|action)"
    r"|(?:auth|email|login|security|sms|verification)?(?:code|passcode|pin)"
    r"|sms|authenticator|passkey|securitykey|u2f|webauthn)"
)
_ASKING = re.compile(
    # mfa_required, requires2FA, twoFactorAuthRequired, otp_sent, mfaToken, ChallengeName
    rf"(?:is|needs?|requires?|must|pending|awaiting)?(?:verify|enter|confirm)?{_FACTOR}"
    r"(?:auth(?:entication)?|verification|verify|login|step|check)?(?:is)?"
    rf"(?:challenge)?(?:{_IS_DUE}|token|code|id|session|ticket|state|name|parameters|s)?"
    # verification_required, needsConfirmation, sms_code_sent
    rf"|(?:needs?|requires?|pending|awaiting){_STEP}|{_STEP}(?:is)?{_IS_DUE}"
    rf"|(?:login|auth|signin|sms)challenge"
)
# The token is one for the time until then: temporary, is_partial_session.
_FLAG = re.compile(
    r"(?:is)?(?:interim|partial|pending|preauth|temp|temporary)(?:auth|login|session|token)?"
)
# The step is not done yet: mfa_verified, isTwoFactorPassed.
_DONE = re.compile(
    rf"(?:is)?{_FACTOR}(?:is)?(?:authenticated|completed?|confirmed|done|passed|verified)"
)
# In what is asked for, what says that it really is.
_DUE = re.compile(rf"(?:is)?{_IS_DUE}|(?:.*(?:token|challenge|session|ticket|state))?(?:id|code)?")

_STATUS = re.compile(
    r"(?:login|auth|authentication|signin)?"
    r"(?:status|state|step|stage|result|next|nextstep|nextaction|action|code|reason|type|error)"
)
# What a token is for, in the words that its name would have.
_KIND = re.compile(r"token(?:kind|purpose|type|use)|purpose")
_MESSAGE = re.compile(r"message|msg|detail")

_FACTORS = frozenset(
    {"2fa", "challenge", "factor", "hotp", "mfa", "otp", "tfa", "totp", "twofactor"}
)
_STEPS = frozenset({"code", "confirm", "confirmation", "verification", "verify"})
_NEEDS = frozenset({"needed", "pending", "required"})
# In a message, which may speak of a factor in passing.
_TOLD = frozenset({*_NEEDS, "enter", "sent"})

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
        return asks(document) or any(are_asked_for(inner) for _, inner in document)
    return isinstance(document, list) and any(map(are_asked_for, document))


def objects_around(document: Any, is_token: Callable[[str, str], bool]) -> list[Members]:
    """The objects that are around a token, or around everything.

    `is_token` knows a token by its name and its text.
    """
    around = [document] if isinstance(document, Members) else []
    _note_around(document, "", is_token, around)
    return around


def asks(members: Members) -> bool:
    """Whether one object asks for a second step by its own members."""
    return any(_says_so(_squeezed(name), value) for name, value in members)


def objects_on_the_way_to(document: Any, path: Sequence[str]) -> list[Members]:
    """The objects of a JSON document that are around this place, or around everything."""
    ends = (path[:length] for length in range(max(1, len(path))))
    around = (value for end in ends for value in json_text.values_at(document, end))
    return [value for value in around if isinstance(value, Members)]


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


def _says_so(name: str, value: Any) -> bool:
    if _ASKING.fullmatch(name):
        return _is_due(value)
    if _DONE.fullmatch(name):
        return value is False
    if _FLAG.fullmatch(name):
        return value is True
    return isinstance(value, str) and len(value) <= _MAX_STATUS and _is_said(name, value)


def _is_said(name: str, text: str) -> bool:
    """Whether a short text of this name says that a step follows."""
    said = words(text)
    if _KIND.fullmatch(name):
        return is_of_others([text])
    if not _SETTLED.isdisjoint(said):
        return False
    if _MESSAGE.fullmatch(name):
        return not (_FACTORS.isdisjoint(said) or _TOLD.isdisjoint(said))
    return _STATUS.fullmatch(name) is not None and _names_step(said)


def _is_due(value: Any) -> bool:
    """Whether what is asked for is really asked for, and not just spoken of."""
    if isinstance(value, Members):
        return any(_is_due(inner) for name, inner in value if _DUE.fullmatch(_squeezed(name)))
    if isinstance(value, str):
        return value != "" and _SETTLED.isdisjoint(words(value)) and value != "0"
    return bool(value)


def _names_step(said: Sequence[str]) -> bool:
    is_due = not (_STEPS.isdisjoint(said) or _NEEDS.isdisjoint(said))
    return is_due or not _FACTORS.isdisjoint(said)


def _squeezed(name: str) -> str:
    return _JOINTS.sub("", name.lower())

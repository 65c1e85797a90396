"""The words of logins in two steps: names and values of second factors.

There are two sets of patterns. Requests, and the texts that continue a login, are matched loosely
by plain names (see `throttle_keys.plain_name`): a mistake only changes what a failure counts for. A
reply has to ask for a step in so many words, since a mistake refuses a login.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.core.json_text import Members
from gateway.core.logins.token_names import is_for_other_purpose, words

_FACTOR_OR_STEP = r"mfa|[2t]fa|otp|factor|challenge|step|pending"

# In the name of a member by which a reply says that another step follows.
_STEP_NAME = re.compile(rf"{_FACTOR_OR_STEP}|verif|authenticator|coderequired|requirescode")

# The name of a temporary token. Under another name, a value has to look like one.
_TOKEN_NAME = re.compile(
    rf"(?:{_FACTOR_OR_STEP}|temp|partial|preauth|interim|ticket|transaction|flow|logintoken"
    r"|loginsession).*(?<!code)(?<!otp)(?<!pin)\Z"
)
_MIN_TOKEN = 16

# A code by its name, and one by its looks: most have six digits.
_CODE_NAME = re.compile(r"(?:code|otp|pin|mfa|[2t]fa|token)\Z")
_MAX_CODE = 16
# The same in a text that is not read further, where names are not plain.
CODE_NAMES = r"[\w-]*+(?:(?<=code)|(?<=otp)|(?<=pin)|(?<=[m2t]fa))"
_DIGITS = re.compile(r"[0-9]{4,8}")

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
# The token is good until the second step: temporary, is_partial_session.
_FLAG = re.compile(
    r"(?:is)?(?:interim|partial|pending|preauth|temp|temporary)(?:auth|login|session|token)?"
)
# The step is not done yet: mfa_verified, isTwoFactorPassed.
_DONE = re.compile(
    rf"(?:is)?{_FACTOR}(?:is)?(?:authenticated|completed?|confirmed|done|passed|verified)"
)
# The members of a factor's object that say that it is due.
_DUE = re.compile(rf"(?:is)?{_IS_DUE}|(?:.*(?:token|challenge|session|ticket|state))?(?:id|code)?")

_STATUS = re.compile(
    r"(?:login|auth|authentication|signin)?"
    r"(?:status|state|step|stage|result|next|nextstep|nextaction|action|code|reason|type|error)"
)
# The purpose of a token, in words that its name could have.
_KIND = re.compile(r"token(?:kind|purpose|type|use)|purpose")
_MESSAGE = re.compile(r"message|msg|detail")

_FACTORS = frozenset(
    {"2fa", "challenge", "factor", "hotp", "mfa", "otp", "tfa", "totp", "twofactor"}
)
_STEPS = frozenset({"code", "confirm", "confirmation", "verification", "verify"})
_NEEDS = frozenset({"needed", "pending", "required"})
# In a message, which may mention a factor by the way.
_NEEDS_IN_MESSAGES = frozenset({*_NEEDS, "enter", "sent"})

# The step is over, or there is none.
_SETTLED = frozenset(
    {
        *("active", "complete", "completed", "disabled", "done", "enabled", "false", "inactive"),
        *("no", "none", "not", "null", "off", "ok", "optional", "passed", "skipped", "succeeded"),
        *("success", "valid", "verified"),
    }
)

# In characters. A longer text is for people.
_MAX_STATUS = 64


def names_step(name: str) -> bool:
    """Whether a member of this plain name speaks of another step."""
    return _STEP_NAME.search(name) is not None


def names_token(name: str) -> bool:
    """Whether this plain name is that of a temporary token."""
    return _TOKEN_NAME.search(name) is not None


def is_token(name: str, value: str) -> bool:
    """Whether this may be a temporary token. Digits alone are a code."""
    if not any(map(str.isalpha, value)) or any(map(str.isspace, value)):
        return False
    looks_like_one = len(value) >= _MIN_TOKEN and any(map(str.isdigit, value))
    return looks_like_one or names_token(name)


def is_code(name: str, value: str) -> bool:
    """Whether this may be the code of a second step."""
    return is_called_code(name, value) or _DIGITS.fullmatch(value.strip()) is not None


def is_called_code(name: str, value: str) -> bool:
    """Whether a plain name and a length are those of a second step's code."""
    return _CODE_NAME.search(name) is not None and 0 < len(value) <= _MAX_CODE


def asks(name: str, value: Any) -> bool:
    """Whether a member of a JSON object asks for a second step."""
    return _says_so(_squeezed(name), value)


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
    found = words(text)
    if _KIND.fullmatch(name):
        return is_for_other_purpose([text])
    if not _SETTLED.isdisjoint(found):
        return False
    if _MESSAGE.fullmatch(name):
        return not (_FACTORS.isdisjoint(found) or _NEEDS_IN_MESSAGES.isdisjoint(found))
    return _STATUS.fullmatch(name) is not None and _names_step(found)


def _is_due(value: Any) -> bool:
    """Whether the value says that the named step is really due."""
    if isinstance(value, Members):
        return any(_is_due(inner) for name, inner in value if _DUE.fullmatch(_squeezed(name)))
    if isinstance(value, str):
        return value != "" and _SETTLED.isdisjoint(words(value)) and value != "0"
    return bool(value)


def _names_step(found: Sequence[str]) -> bool:
    is_due = not (_STEPS.isdisjoint(found) or _NEEDS.isdisjoint(found))
    return is_due or not _FACTORS.isdisjoint(found)


def _squeezed(name: str) -> str:
    return _JOINTS.sub("", name.lower())

"""The names under which backends hand out login tokens and other tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Names in frameworks and their tutorials, the likeliest first; without case and joints, without
# `x-` and `__Host-` in front and `cookie` behind. `auto` looks under no other name.
_KNOWN = (
    "token",
    "accesstoken",
    "access",
    "idtoken",
    "jwt",
    "key",
    "accessjwt",
    "authtoken",
    "authorization",
    "jwttoken",
    "authjwt",
    "jwtauth",  # dj-rest-auth
    "bearer",
    "bearertoken",
    "authentication",
    "authenticationtoken",
    "auth",
    "apitoken",
    "usertoken",
    "sessiontoken",
    "fastapiusersauth",  # FastAPI Users
    "session",
    "sid",
    "tokens",
)
_RANKS = {name: rank for rank, name in enumerate(_KNOWN)}

_BEFORE = re.compile(r"^(?:__(?:host|secure)-)?(?:x[-_])?")
_JOINTS = re.compile(r"[-_. ]+")

# Words in the names of tokens for another purpose: a second step, one link, one form.
_OTHER_PURPOSES = frozenset(
    {
        *("2fa", "challenge", "factor", "hotp", "mfa", "otp", "step", "tfa", "totp"),
        *(
            "ephemeral",
            "interim",
            "intermediate",
            "limited",
            "partial",
            "pending",
            "pre",
            "preauth",
        ),
        *("provisional", "restricted", "temp", "temporary", "tmp"),
        *("activate", "activation", "confirm", "confirmation", "verification", "verify"),
        *("forgot", "invitation", "invite", "magic", "recover", "recovery", "reset"),
        *("csrf", "error", "errors", "refresh", "xsrf"),
    }
)
_WORD = re.compile(r"[0-9]+[Ff][Aa](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def rank(name: str) -> int | None:
    """How likely a field, a cookie or a member of this name holds the token.

    0 is the likeliest name; None: it holds none.
    """
    plain = _JOINTS.sub("", _BEFORE.sub("", name.lower()))
    return _RANKS.get(plain, _RANKS.get(plain.removesuffix("cookie")))


def is_for_other_purpose(path: Iterable[str | int]) -> bool:
    """Whether a name on a token's path marks it as for another purpose."""
    return any(
        isinstance(part, str) and not _OTHER_PURPOSES.isdisjoint(words(part)) for part in path
    )


def words(name: str) -> list[str]:
    """The words of a name in lower case: of `mfaToken` and of `mfa_token`."""
    return [word.lower() for word in _WORD.findall(name)]

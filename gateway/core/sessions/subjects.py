"""Subjects: the owner of a session, in one name."""

from __future__ import annotations

import hashlib
import re
from typing import Any

# The claims that name a subject in tokens of the usual frameworks; the first one present counts.
# New names stand at the end: a token that has an earlier one keeps its subject.
SUBJECT_CLAIMS = (
    "sub",
    "user_id",
    "uid",
    "username",
    "email",
    "userId",
    "nameid",  # ASP.NET's NameIdentifier, in short and in full
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
    "user.id",
    "id",
    "_id",  # MongoDB's
)

# Longer names are refused, since each session keeps its subject.
MAX_CHARACTERS = 1024

# A float holds every whole number below this one exactly.
_MAX_WHOLE_FLOAT = 2**53

# The subject of a session whose token names none: this word and a digest.
_UNNAMED = re.compile(r"token:[0-9a-f]{32}")


def name_of(claim: Any) -> str | None:
    """The name that a claim holds: a text or a whole number, else None.

    1, 1.0 and "1" are one name: backends write the same number in different ways.
    """
    if isinstance(claim, bool) or not isinstance(claim, str | int | float):
        return None
    if isinstance(claim, float):
        if not claim.is_integer() or abs(claim) >= _MAX_WHOLE_FLOAT:
            return None
        claim = int(claim)
    name = str(claim)
    # Printable: no lone surrogate, which UTF-8 cannot hold.
    if not 0 < len(name) <= MAX_CHARACTERS or not name.isprintable() or is_unnamed(name):
        return None
    return name


def unnamed(token: str) -> str:
    """A subject for a session whose token names none; unique to the token."""
    return f"token:{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def is_unnamed(subject: str) -> bool:
    """Whether a subject names no user: then the other sessions are unknown."""
    return subject.startswith("token:") and _UNNAMED.fullmatch(subject) is not None

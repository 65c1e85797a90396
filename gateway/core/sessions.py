"""Sessions: what is kept of a login, how long it lasts, and how it is written down."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.core.secret import Secret


class Token(Secret):
    """A JWT."""

    __slots__ = ()


@dataclass
class Session:
    """One key's session. Times are UNIX seconds; `id` is the key's digest.

    Not frozen, since one is made for each look-up and freezing doubles what that costs; nobody
    changes one.
    """

    id: str
    subject: str
    token: Token
    login: str  # the kind of login it came from
    issued_at: float
    ends_at: float  # whatever happens: the absolute timeout or the token's expiry

    @cached_property
    def claims(self) -> Mapping[str, Any]:
        """The token's payload as the backend wrote it; the backend verifies it, not we."""
        payload = self.token.reveal().split(".")[1]
        padded = payload + "=" * (-len(payload) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        return claims if isinstance(claims, dict) else {}


@dataclass(frozen=True, slots=True)
class Device:
    """Who holds a key, as far as the login's request tells: for the list of one's devices."""

    label: str
    address: str


class Unreadable(ValueError):
    """The bytes are no session that this version knows."""


def ends_at(now: float, max_age: float, token_expiry: float | None) -> float:
    """When a session issued now ends at the latest, in UNIX seconds."""
    latest = now + max_age
    return latest if token_expiry is None else min(latest, token_expiry)


def dump(session: Session) -> bytes:
    """The session as it is sealed: lines, of which the subject is the last and may hold anything.

    Its id is not in it, for the key tells that. Lines are read ten times faster than JSON, and
    every look-up reads one.
    """
    times = f"{session.issued_at:.3f}\n{session.ends_at:.3f}"
    return f"{times}\n{session.login}\n{session.token.reveal()}\n{session.subject}".encode()


def load(session_id: str, data: bytes) -> Session:
    """The session that was dumped. Raises `Unreadable`."""
    try:
        issued_at, end, login, token, subject = data.decode().split("\n", 4)
        return Session(session_id, subject, Token(token), login, float(issued_at), float(end))
    except ValueError as error:
        raise Unreadable from error

"""Sessions: what is kept of a login, how long it lasts, and how it is written down."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from gateway.core.secret import SecretBytes
from gateway.core.sessions import subjects, token_packing

# When a session ends, when its token expires and when it is due: UNIX seconds.
_TIMES = struct.Struct(">3d")

# This claim stands for the session's subject: that spares most sessions the reading of their token.
SUBJECT = "sub"

# The login of those sessions whose keys an operator has issued; no path is like it.
NAMED = "keys"


class Token(SecretBytes):
    """A JWT, as the bytes that go upstream."""

    __slots__ = ()


@dataclass(slots=True)
class Session:
    """One key's session. Times are UNIX seconds; `id` is the key's digest.

    Not frozen, since one is made for each look-up and freezing doubles what that costs; nobody
    changes one.
    """

    id: str
    subject: str
    token: Token
    login: str  # the path of the login that it came from
    ends_at: float  # whatever happens: by the absolute timeout, or with a token that is not renewed
    expires_at: float = math.inf  # the token does
    renew_at: float = math.inf  # from then on the token should be renewed
    refresh: str = field(default="", repr=False)  # what renews it: see `refresh_tokens`
    cookie: str = ""  # a backend's cookie that holds its key: see `cookie_deletions.kept_place`
    _claims: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def claim(self, name: str) -> Any:
        """A claim of the token; as `sub`, the session's subject, whichever claim the login found it
        in. Tokens of two realms may name different people alike; None if a token names none.
        """
        if name != SUBJECT:
            return self.claims.get(name)
        return None if subjects.is_unnamed(self.subject) else self.subject

    @property
    def claims(self) -> Mapping[str, Any]:
        """The token's payload as the backend wrote it; the backend verifies it, not we."""
        if self._claims is None:
            payload = self.token.raw.split(b".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
            self._claims = claims if isinstance(claims, dict) else {}
        return self._claims


@dataclass(frozen=True, slots=True)
class Device:
    """Who holds a key, as far as the login's request tells: for the list of one's devices."""

    label: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions last, in seconds."""

    idle_timeout: float  # without a request
    max_age: float  # at the most
    skew: float  # how far a backend's clock may differ from ours


class Unreadable(ValueError):
    """The bytes are no session that this version knows."""


def session_times(
    now: float, *, max_age: float, expiry: float | None, skew: float, renew_before: float | None
) -> tuple[float, float, float]:
    """When a session issued now ends, its token expires, and it should be renewed: UNIX seconds.

    `expiry` is the token's, by its backend's clock, which may differ from ours by `skew` seconds;
    `renew_before` is how long before its expiry the token is renewed, None if it cannot be.
    """
    latest = now + max_age
    if expiry is None:
        return latest, math.inf, math.inf
    if renew_before is None:
        return min(latest, expiry + skew), expiry, math.inf
    return latest, expiry, renewal_time(now, expiry, renew_before)


def renewal_time(now: float, expiry: float, before: float) -> float:
    """When a token that is got now is due: `before` its expiry, but not before three quarters of
    its life are over, or one that lives no longer than that would be renewed with each request.
    """
    return math.inf if math.isinf(expiry) else expiry - min(before, (expiry - now) / 4)


def dump_session(session: Session) -> bytes:
    """What is sealed of a session: three times, two lines, and the token, packed. Where a cookie
    is kept, it stands in the first line behind a tab, which no path of a login has.

    Its id is not in it, for the key tells that, nor its subject, which stands beside the seal. This
    is read ten times faster than JSON, and every look-up reads one.
    """
    times = _TIMES.pack(session.ends_at, session.expires_at, session.renew_at)
    login = f"{session.login}\t{session.cookie}" if session.cookie else session.login
    lines = f"{login}\n{session.refresh}\n".encode()
    return times + lines + token_packing.pack(session.token.raw)


def load_session(session_id: str, subject: str, data: bytes) -> Session:
    """The session that was dumped. Raises `Unreadable`."""
    try:
        ends, expires, renew = _TIMES.unpack_from(data)
        line, refresh, token = data[_TIMES.size :].split(b"\n", 2)
        login, _, cookie = line.partition(b"\t")
        return Session(
            session_id,
            subject,
            Token(token_packing.unpack(token)),
            intern(login.decode()),  # one of the few in config.yaml, in all that are remembered
            ends,
            expires,
            min(math.inf, renew),  # the one that all share
            refresh.decode(),
            intern(cookie.decode()),  # as many as backends set
        )
    except (ValueError, struct.error) as error:
        raise Unreadable from error

"""Trips: the way of a browser to an OpenID provider and back, and what it takes along.

A trip is named by its `state`, 32 random bytes that go to the provider and come back. All else is
in a cookie of the browser's, sealed under the state and the gateway's secret. So the gateway keeps
nothing of those who never come back; who has only the cookie, or only the state, has nothing; and
a state that somebody else's browser brings opens nothing (CWE-352).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.logins.carriers import TRIP_MARK, KeyCookie
from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import Sealer, Unsealable

# A state, a nonce and a verifier.
RANDOM_BYTES = 3 * 32

# How long a trip may take, in seconds: for a password, a second factor, and some patience.
LIFE = 600

# A browser with more of these than this has lost its way often enough to begin anew. One that
# restores its windows takes as many trips at once; all cookies together must fit into a head.
MOST = 8

# What may be sealed of a return path; a longer one does not fit into a head several times.
_LONGEST_RETURN = 1024

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Trip:
    """What is taken along. Its repr shows nothing."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)  # of PKCE (RFC 7636)
    origin: str = field(repr=False)  # the gateway's own, as the browser names it
    return_to: str = field(repr=False)
    began: int  # UNIX seconds

    @property
    def challenge(self) -> str:
        """RFC 7636 §4.2, by S256."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())


def begin(random: bytes, *, origin: str, return_to: str, now: float) -> Trip:
    """A trip that begins now; `random` are fresh random bytes."""
    state, nonce, verifier = (_base64url(random[at : at + 32]) for at in (0, 32, 64))
    shown = return_to if len(return_to) <= _LONGEST_RETURN else "/"
    return Trip(state, nonce, verifier, origin, shown, int(now))


def cookie(trip: Trip, path: str, like: KeyCookie, sealer: Sealer, random: bytes) -> str:
    """A Set-Cookie value that has the browser take the trip along.

    `path` is the login's, to which it leads back; `like` is the cookie of keys, whose protection it
    shares; `random` are 12 fresh random bytes.
    """
    content = json.dumps([trip.nonce, trip.verifier, trip.origin, trip.return_to, trip.began])
    sealed = sealer.seal(_key(trip.state), path.encode(), content.encode(), random)
    name = _name(trip.state, like)
    return replace(like, name=name).lasting(TRIP_MARK + _base64url(sealed), LIFE)


def find(
    cookies: Mapping[str, str], state: str, path: str, like: KeyCookie, sealer: Sealer, now: float
) -> Trip | None:
    """The trip of this state that the browser has with it; None if it has none that still lasts."""
    if not _STATE.fullmatch(state):
        return None
    value = cookies.get(_name(state, like), "")
    if not value.startswith(TRIP_MARK):
        return None
    sealed = value.removeprefix(TRIP_MARK)
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        content = sealer.open(_key(state), path.encode(), raw)
    except (Unsealable, ValueError):
        return None
    nonce, verifier, origin, return_to, began = json.loads(content)
    if now >= began + LIFE:
        return None
    return Trip(state, nonce, verifier, origin, return_to, began)


def ended(state: str, like: KeyCookie) -> str:
    """A Set-Cookie value that has the browser forget a trip."""
    return replace(like, name=_name(state, like)).deletion


def given_up(cookies: Iterable[str], like: KeyCookie) -> list[str]:
    """Set-Cookie values that have a browser with too many trips forget them all."""
    names = [name for name in cookies if name.startswith(f"{like.name}-")]
    if len(names) < MOST:
        return []
    return [replace(like, name=name).deletion for name in names]


def _name(state: str, like: KeyCookie) -> str:
    """Each trip has a cookie of its own, so that several windows can be on their way at once."""
    return f"{like.name}-{_base64url(hashlib.sha256(state.encode()).digest()[:6])}"


def _key(state: str) -> Key:
    """What a trip is sealed under is no key of a session's."""
    return Key(b"trip " + state.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

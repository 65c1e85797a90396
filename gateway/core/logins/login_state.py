"""Login states, which a browser takes to a provider and brings back.

A login under way is named by its `state` (RFC 6749 §10.12): 32 random bytes that go to the provider
and come back. All else is in a cookie of the browser, sealed under the state and the gateway's
secret. So the gateway keeps nothing for logins that never end. The cookie alone opens nothing, nor
does the state alone; and a state that another site brings into a browser finds no cookie there
(CWE-352).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.logins.carriers import LOGIN_STATE_MARK, KeyCookie
from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import Sealer, Unsealable

# A state, a nonce and a verifier.
RANDOM_BYTES = 3 * 32

# How long a login may take, in seconds: for a password, a second factor, and some patience.
LIFETIME = 600

# Logins under way in one browser. A browser that restores its windows begins as many at once; all
# cookies together must fit into a head.
MAX_PENDING = 8

# In characters. A longer return path does not fit into a head several times.
_MAX_RETURN_PATH = 1024

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class LoginState:
    """A login under way, as its browser keeps it. Its repr shows nothing."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)  # of PKCE (RFC 7636)
    origin: str = field(repr=False)  # the gateway's own, as the browser names it
    return_to: str = field(repr=False)
    began: int  # UNIX seconds

    @property
    def challenge(self) -> str:
        """The code challenge of the verifier (RFC 7636 §4.2, S256)."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())


def begin(random: bytes, *, origin: str, return_to: str, now: float) -> LoginState:
    """The state of a login that begins now.

    `random` are `RANDOM_BYTES` fresh random bytes.
    """
    state, nonce, verifier = (_base64url(random[at : at + 32]) for at in (0, 32, 64))
    shown = return_to if len(return_to) <= _MAX_RETURN_PATH else "/"
    return LoginState(state, nonce, verifier, origin, shown, int(now))


def cookie(pending: LoginState, path: str, like: KeyCookie, sealer: Sealer, random: bytes) -> str:
    """A Set-Cookie value that has the browser keep the state.

    path: of the login; the state opens at no other one
    like: the cookie of keys, whose protection it shares
    random: 12 fresh random bytes
    """
    content = json.dumps(
        [pending.nonce, pending.verifier, pending.origin, pending.return_to, pending.began]
    )
    sealed = sealer.seal(_key(pending.state), path.encode(), content.encode(), random)
    name = _name(pending.state, like)
    return replace(like, name=name).lasting(LOGIN_STATE_MARK + _base64url(sealed), LIFETIME)


def find(
    cookies: Mapping[str, str], state: str, path: str, like: KeyCookie, sealer: Sealer, now: float
) -> LoginState | None:
    """The login of this `state` among a browser's cookies.

    None if there is none, or it has expired.
    """
    if not _STATE.fullmatch(state):
        return None
    value = cookies.get(_name(state, like), "")
    if not value.startswith(LOGIN_STATE_MARK):
        return None
    sealed = value.removeprefix(LOGIN_STATE_MARK)
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        content = sealer.open(_key(state), path.encode(), raw)
    except (Unsealable, ValueError):
        return None
    nonce, verifier, origin, return_to, began = json.loads(content)
    if now >= began + LIFETIME:
        return None
    return LoginState(state, nonce, verifier, origin, return_to, began)


def ended(state: str, like: KeyCookie) -> str:
    """A Set-Cookie value that has the browser forget a login."""
    return replace(like, name=_name(state, like)).deletion


def deletions_if_too_many(cookies: Iterable[str], like: KeyCookie) -> list[str]:
    """Set-Cookie values that delete all login states, if there are too many."""
    names = [name for name in cookies if name.startswith(f"{like.name}-")]
    if len(names) < MAX_PENDING:
        return []
    return [replace(like, name=name).deletion for name in names]


def _name(state: str, like: KeyCookie) -> str:
    """The name of a login's own cookie.

    Several windows may log in at once.
    """
    return f"{like.name}-{_base64url(hashlib.sha256(state.encode()).digest()[:6])}"


def _key(state: str) -> Key:
    """The key of the seal, which is never a session's key."""
    return Key(b"trip " + state.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

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
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice, takewhile

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

# In characters: of all cookies together, because many servers read lines of at most 8 KiB; and of
# one cookie, because browsers keep 4096 bytes with its name and attributes (RFC 6265bis §5.6).
_MAX_CHARACTERS = 7000
_MAX_COOKIE_CHARACTERS = 3500
_MAX_PIECES = _MAX_CHARACTERS // _MAX_COOKIE_CHARACTERS

# Between the name of a login's cookie and the number of a further piece. No name of a key's cookie
# holds it.
_PIECE = "."

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
    is_remembered: bool = False  # the user asks for a session that lasts
    max_age: int | None = None  # seconds: the provider is to ask unless its login is younger

    @property
    def challenge(self) -> str:
        """The code challenge of the verifier (RFC 7636 §4.2, S256)."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())


def begin(
    random: bytes,
    *,
    origin: str,
    return_to: str,
    now: float,
    is_remembered: bool = False,
    max_age: int | None = None,
) -> LoginState:
    """The state of a login that begins now.

    `random` are `RANDOM_BYTES` fresh random bytes.
    """
    state, nonce, verifier = (_base64url(random[at : at + 32]) for at in (0, 32, 64))
    return LoginState(
        state=state,
        nonce=nonce,
        verifier=verifier,
        origin=origin,
        return_to=return_to,
        began=int(now),
        is_remembered=is_remembered,
        max_age=max_age,
    )


def cookies(
    pending: LoginState, path: str, like: KeyCookie, sealer: Sealer, random: bytes
) -> list[str]:
    """Set-Cookie values that have the browser keep the state.

    A place to come back to that is too long for them is left out.

    path: of the login; the state opens at no other one
    like: the cookie of keys, whose protection it shares
    random: 12 fresh random bytes
    """
    sealed = sealer.seal(_key(pending.state), path.encode(), _content(pending), random)
    text = _base64url(sealed)
    if len(text) > _MAX_CHARACTERS:
        return cookies(replace(pending, return_to="/"), path, like, sealer, random)
    pieces = range(0, len(text), _MAX_COOKIE_CHARACTERS)
    return [
        replace(like, name=name).lasting(
            LOGIN_STATE_MARK + text[at : at + _MAX_COOKIE_CHARACTERS], LIFETIME
        )
        for name, at in zip(_names(pending.state, like), pieces, strict=False)
    ]


def _content(pending: LoginState) -> bytes:
    """The sealed content: a line of JSON, then the place to come back to.

    That alone is compressed, because its size must not tell of the secrets beside it.
    """
    kept = [pending.nonce, pending.verifier, pending.origin, pending.began, pending.is_remembered]
    if pending.max_age is not None:  # the gateways of an earlier version know no more than these
        kept.append(pending.max_age)
    return json.dumps(kept).encode() + b"\n" + zlib.compress(pending.return_to.encode())


def find(
    cookies: Mapping[str, str], state: str, path: str, like: KeyCookie, sealer: Sealer, now: float
) -> LoginState | None:
    """The login of this `state` among a browser's cookies.

    None if there is none, or it has expired.
    """
    if not _STATE.fullmatch(state):
        return None
    sealed = ""
    for name in takewhile(cookies.__contains__, _names(state, like)):
        if not cookies[name].startswith(LOGIN_STATE_MARK):
            return None
        sealed += cookies[name].removeprefix(LOGIN_STATE_MARK)
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        line, _, packed = sealer.open(_key(state), path.encode(), raw).partition(b"\n")
        nonce, verifier, origin, began, *asked = json.loads(line)
        return_to = zlib.decompress(packed).decode()
    except (Unsealable, ValueError, zlib.error):
        return None
    if now >= began + LIFETIME:
        return None
    return LoginState(state, nonce, verifier, origin, return_to, began, *asked)


def ended(cookies: Collection[str], state: str, like: KeyCookie) -> list[str]:
    """Set-Cookie values that have the browser forget a login.

    `cookies` are the names of those that it has.
    """
    first, *_ = names = list(islice(_names(state, like), _MAX_PIECES))
    return [replace(like, name=name).deletion for name in names if name == first or name in cookies]


def deletions_if_too_many(
    cookies: Mapping[str, str], like: KeyCookie, new: Sequence[str]
) -> list[str]:
    """Set-Cookie values that delete all login states if `new` makes too many."""
    pending = {name: value for name, value in cookies.items() if name.startswith(f"{like.name}-")}
    logins = [name for name in pending if _PIECE not in name]
    characters = sum(map(len, (*pending.keys(), *pending.values(), *new)))
    if len(logins) < MAX_PENDING and characters <= _MAX_CHARACTERS:
        return []
    return [replace(like, name=name).deletion for name in pending]


def _names(state: str, like: KeyCookie) -> Iterator[str]:
    """The names of a login's cookies: one, and more if the state needs them."""
    name = _name(state, like)
    return (name if at == 1 else f"{name}{_PIECE}{at}" for at in count(1))


def _name(state: str, like: KeyCookie) -> str:
    """The name of a login's first cookie.

    Several windows may log in at once.
    """
    return f"{like.name}-{_base64url(hashlib.sha256(state.encode()).digest()[:6])}"


def _key(state: str) -> Key:
    """The key of the seal, which is never a session's key."""
    return Key(b"trip " + state.encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

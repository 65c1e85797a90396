"""Sessions: their contents, their lifetimes and their serialization."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from gateway.core import timestamps
from gateway.core.secret import SecretBytes
from gateway.core.sessions import claim_names, keys, subjects, token_packing
from gateway.core.sessions.keys import Key

# When a session ends, when its token expires, and when that is to be renewed (UNIX seconds).
_TIMES = struct.Struct(">3d")

# Records count whole seconds in four bytes.
MAX_SECONDS = 2**32 - 1

# By how much of the idle timeout a lasting cookie outlives its session.
_OUTLIVES = 1 / 8

# This claim stands for the session's subject, so most sessions need not parse their token.
SUBJECT = "sub"

# The login of named keys, which operators issue. No path of a login looks like it.
NAMED = "keys"


class Token(SecretBytes):
    """A JWT, as the bytes that go upstream."""

    __slots__ = ()

    @property
    def claims_text(self) -> bytes:
        """Its claims as a JSON text."""
        payload = self.raw.split(b".")[1]
        return base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))


class OpaqueToken(Token):
    """A token that says nothing by itself, with the claims from its backend."""

    __slots__ = ("_claims_text",)

    def __init__(self, raw: bytes, claims_text: bytes) -> None:
        super().__init__(raw)
        self._claims_text = claims_text

    @property
    def claims_text(self) -> bytes:
        """The claims as a JSON text."""
        return self._claims_text


def token_of(text: str, claims_text: bytes | None) -> Token:
    """A token: opaque with the claims of its session, or a JWT without them."""
    raw = text.encode("ascii")
    return Token(raw) if claims_text is None else OpaqueToken(raw, claims_text)


@dataclass(frozen=True, slots=True)
class Life:
    """The timeouts of one session (whole seconds). 0: those of all sessions."""

    idle_timeout: int = 0
    max_age: int = 0


AS_ALL = Life()


@dataclass(slots=True)
class Session:
    """One key's session. Times are UNIX seconds; `id` is the key's digest.

    Do not change one. It is not frozen, since each look-up makes one and freezing doubles the cost.
    """

    id: str
    subject: str
    token: Token
    login: str  # the path of the login that it came from
    ends_at: float  # by the absolute timeout, or with a token that is not renewed
    expires_at: float = math.inf  # of the token
    renew_at: float = math.inf  # from then on the token is to be renewed
    refresh: str = field(default="", repr=False)  # what renews it: see `refresh_tokens`
    cookie: str = ""  # a backend's cookie that holds its key: see `cookie_deletions.kept_place`
    sending: str = ""  # how its token came, unless as a bearer token: see `token_sending.kept`
    csrf: str = field(default="", repr=False)  # of a double submit: see `double_submit.renewed`
    parent: str = field(default="", repr=False)  # of an impersonation: see `Parent.kept`
    auth_time: str = ""  # when its user has logged in (UNIX seconds); "": when it was issued
    issued_at: int = field(default=0, compare=False)  # UNIX seconds, as its record says
    life: Life = AS_ALL
    cookie_until: int = 0  # when its browser forgets a lasting cookie; 0: it has none
    _claims: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def claim(self, name: str) -> Any:
        """A claim of the token. `sub` is the session's subject.

        It has the realm in it, since two realms may give one name to two people. None if the token
        has no such claim, or names no subject.
        """
        if name != SUBJECT:
            found = self.claims.get(name)
            return claim_names.find(self.claims, name) if found is None else found
        return None if subjects.is_unnamed(self.subject) else self.subject

    @property
    def claims(self) -> Mapping[str, Any]:
        """The token's claims as the backend wrote them."""
        if self._claims is None:
            claims = json.loads(self.token.claims_text)
            self._claims = claims if isinstance(claims, dict) else {}
        return self._claims

    @property
    def logged_in_at(self) -> float:
        """When its user has proved who they are (UNIX seconds); 0: it is not known.

        A renewal is no login, and neither is an operator's key. The token may tell of an earlier
        login (`auth_time`, OpenID Connect Core 1.0 §2), and is not believed about a later one.
        """
        if self.login == NAMED:
            return 0
        at = float(self.auth_time or self.issued_at)
        claimed = self.claims.get("auth_time")
        return min(at, claimed) if timestamps.is_date(claimed) else at

    @property
    def parent_id(self) -> str:
        """The id of the session that impersonates by this one, or ""."""
        return self.parent.partition(" ")[0]

    @property
    def parent_key(self) -> Key | None:
        """The key of that session."""
        return keys.parse_key(self.parent.partition(" ")[2].encode())


@dataclass(frozen=True, slots=True)
class Parent:
    """The session that impersonates another subject, in a second session."""

    key: Key
    id: str
    subject: str
    ends_at: float  # UNIX seconds; the second session ends with it
    logged_in_at: float = 0  # UNIX seconds; the second session is no login of its own
    cookie: str = ""  # what it keeps of a backend's cookie that holds its key

    @property
    def kept(self) -> str:
        """What the second session keeps: a logout goes back to the key."""
        return f"{self.id} {self.key.reveal()}"


@dataclass(frozen=True, slots=True)
class Device:
    """The holder of a key as its login's request describes it, for lists."""

    label: str
    address: str
    parent_id: str = ""  # of an impersonation: the first session
    impersonator: str = ""  # and its subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long sessions last, in seconds."""

    idle_timeout: float  # without a request
    max_age: float  # at the most
    skew: float  # how far a backend's clock may differ from ours

    def idle_of(self, life: Life) -> float:
        return life.idle_timeout or self.idle_timeout

    def max_age_of(self, life: Life) -> float:
        return life.max_age or self.max_age


class UnreadableSession(ValueError):
    """The bytes are no session that this version can read."""


def session_times(
    now: float, *, max_age: float, expiry: float | None, skew: float, renew_before: float | None
) -> tuple[float, float, float]:
    """When a session of now ends, and its token expires and is renewed.

    All are UNIX seconds.

    expiry: the token's, by the backend's clock (UNIX seconds); None if it has none
    skew: how far that clock may differ from ours (seconds)
    renew_before: how long before its expiry the token is renewed (seconds); None for never
    """
    latest = now + max_age
    if expiry is None:
        return latest, math.inf, math.inf
    if renew_before is None:
        return min(latest, expiry + skew), expiry, math.inf
    return latest, expiry, renewal_time(now, expiry, renew_before)


def renewal_time(now: float, expiry: float, before: float) -> float:
    """When a token of now is to be renewed: `before` its expiry (seconds).

    It is not renewed before three quarters of its life are over: else a token that lives shorter
    than `before` would be renewed with each request.
    """
    return math.inf if math.isinf(expiry) else expiry - min(before, (expiry - now) / 4)


def cookie_end(now: float, idle_timeout: float, ends_at: float) -> int:
    """When a lasting cookie that is set now ends (UNIX seconds).

    It outlives a session that is not used from now on by a part of the idle timeout.
    `is_cookie_due` says when it is set anew.
    """
    return math.ceil(min(now + idle_timeout * (1 + _OUTLIVES), ends_at, MAX_SECONDS))


def is_cookie_due(session: Session, now: float, idle_timeout: float) -> bool:
    """Whether a session that is used now needs its lasting cookie set anew."""
    needed = min(now + idle_timeout * (1 + _OUTLIVES / 2), session.ends_at)
    return 0 < session.cookie_until < needed


def cookie_seconds(session: Session, now: float) -> int | None:
    """How long a browser keeps the lasting cookie (seconds); None without one."""
    return max(1, math.ceil(session.cookie_until - now)) if session.cookie_until else None


def dump_session(session: Session) -> bytes:
    """The sealed part of a session: three times, two lines, a packed token.

    The first line is the login's path, and behind tabs the cookie, the token's sending, the values
    of a double submit, the parent and the time of the login, if they are kept. The id is left out,
    since it follows from the key, and the subject, which stands beside the seal. Every look-up
    reads this format: it takes a tenth of the time of JSON.
    """
    times = _TIMES.pack(session.ends_at, session.expires_at, session.renew_at)
    login = session.login
    more = (session.cookie, session.sending, session.csrf, session.parent, session.auth_time)
    if any(more):
        login += "\t" + "\t".join(more).rstrip("\t")
    lines = f"{login}\n{session.refresh}\n".encode()
    return times + lines + _packed(session.token)


def load_session(session_id: str, subject: str, data: bytes) -> Session:
    """The session that `dump_session` has written. Raises `UnreadableSession`."""
    try:
        ends, expires, renew = _TIMES.unpack_from(data)
        line, refresh, packed = data[_TIMES.size :].split(b"\n", 2)
        token, claims_text = token_packing.unpack(packed)
        login, _, more = line.partition(b"\t")
        session = Session(
            session_id,
            subject,
            Token(token) if claims_text is None else OpaqueToken(token, claims_text),
            intern(login.decode()),  # all remembered sessions share the few of config.yaml
            ends,
            expires,
            min(math.inf, renew),  # the one infinity that all share
            refresh.decode(),
        )
        if more:  # most sessions keep none of these
            kept = *more.decode().split("\t"), "", "", "", ""
            cookie, sending, session.csrf, session.parent, session.auth_time, *_ = kept
            session.cookie = intern(cookie)  # few: as many as backends set
            session.sending = intern(sending)
    except (ValueError, struct.error) as error:
        raise UnreadableSession from error
    return session


def _packed(token: Token) -> bytes:
    if isinstance(token, OpaqueToken):
        return token_packing.pack_opaque(token.raw, token.claims_text)
    return token_packing.pack(token.raw)

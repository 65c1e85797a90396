"""Records: a session as the store keeps it, session info before the seal.

The session info stands in the open: the subject, the device and the times. So sessions can be
listed and ended without a key. Both are one value, for each look-up reads one value, and a session
is to take at most 1 KiB of Redis.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import (
    AS_ALL,
    MAX_SECONDS,
    Device,
    Life,
    Session,
    dump_session,
    load_session,
)

# The layout: the version; when the session ends, was issued and was last seen (whole UNIX seconds,
# up to 2106); the size of the texts; then the texts and the seal. The scripts that Redis runs know
# these offsets as well.
_HEAD = struct.Struct(">BIIIH")

# The version of a session that lasts as all others, and has no lasting cookie.
_VERSION = 1

# The version whose head goes on: with the session's own idle timeout and greatest age (whole
# seconds; 0: as all sessions), and until when its browser keeps a lasting cookie (UNIX seconds).
OWN_VERSION = 2
_LIFE, _COOKIE = struct.Struct(">II"), struct.Struct(">I")

# Offsets as Lua counts, from 1: of the end, of the last-seen time and of the texts' size; and the
# size of the head.
ENDS_AT, SEEN_AT, TEXTS_SIZE_AT, HEAD_SIZE = 2, 10, 14, _HEAD.size

# The same in records of `OWN_VERSION`: of the idle timeout and of the cookie's end.
IDLE_AT, COOKIE_AT = HEAD_SIZE + 1, HEAD_SIZE + _LIFE.size + 1
OWN_HEAD_SIZE = HEAD_SIZE + _LIFE.size + _COOKIE.size
_HEAD_SIZES = {_VERSION: HEAD_SIZE, OWN_VERSION: OWN_HEAD_SIZE}

# A Lua expression: the size of the head of `record`.
HEAD_SIZE_LUA = f"(string.byte(record, 1) == {OWN_VERSION} and {OWN_HEAD_SIZE} or {HEAD_SIZE})"


class Foreign(ValueError):
    """The value is no record of this gateway, or is truncated."""


class NewerVersion(Foreign):
    """A newer gateway wrote the value."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The open part of a record. Times are whole UNIX seconds."""

    subject: str
    label: str  # of the device, or the key's name
    address: str
    ends_at: int
    created: int
    seen: int
    parent_id: str = ""  # of an impersonation: the first session
    impersonator: str = ""  # and its subject
    life: Life = AS_ALL
    cookie_until: int = 0  # when its browser forgets a lasting cookie; 0: it has none

    @property
    def is_named(self) -> bool:
        """Whether an operator issued the key.

        Then `label` is its name, and there is no address.
        """
        return not self.address


class Records:
    """Makes records from sessions, and sessions from records."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def new(self, key: Key, session: Session, device: Device, now: float, nonce: bytes) -> bytes:
        """The record of a session that is issued now; `nonce` is fresh and random."""
        first = device.address
        if device.impersonator:
            impersonator = device.impersonator.replace("\n", " ")  # these texts are lines
            first += f"\t{device.parent_id}\t{impersonator}"
        texts = f"{first}\n{device.label}\n{session.subject}".encode()
        own = _own_head(session)
        version = OWN_VERSION if own else _VERSION
        return (
            _HEAD.pack(version, end_seconds(session.ends_at), int(now), int(now), len(texts))
            + own
            + texts
            + self._seal(key, session, own, texts, nonce)
        )

    def open(self, key: Key, session_id: str, record: bytes) -> Session:
        """The session. Raises `Foreign`, `Unsealable` and `UnreadableSession`."""
        own, texts, seal = parts(record)
        content = self._sealer.open(key, _beside(session_id, own, texts), seal)
        session = load_session(session_id, texts.split(b"\n", 2)[2].decode(), content)
        session.issued_at = _HEAD.unpack_from(record)[2]
        if own:
            session.life, session.cookie_until = _read_own(own)
        return session

    def renewed(
        self, key: Key, session: Session, record: bytes, nonce: bytes
    ) -> tuple[bytes, bytes]:
        """The seal of a record, and its new seal for the renewed session."""
        own, texts, seal = parts(record)
        return seal, self._seal(key, session, own, texts, nonce)

    def _seal(self, key: Key, session: Session, own: bytes, texts: bytes, nonce: bytes) -> bytes:
        beside = _beside(session.id, own, texts)
        return self._sealer.seal(key, beside, dump_session(session), nonce)


def _own_head(session: Session) -> bytes:
    """What the head of `OWN_VERSION` has more; empty for the other version."""
    if session.life == AS_ALL and not session.cookie_until:
        return b""
    life = session.life
    return _LIFE.pack(life.idle_timeout, life.max_age) + _COOKIE.pack(session.cookie_until)


def _read_own(own: bytes) -> tuple[Life, int]:
    return Life(*_LIFE.unpack_from(own)), _COOKIE.unpack_from(own, _LIFE.size)[0]


def _beside(session_id: str, own: bytes, texts: bytes) -> bytes:
    """The data that the seal authenticates: not the cookie's end, which needs no key."""
    beside = [session_id.encode(), texts]
    if own:
        beside.append(own[: _LIFE.size])
    return b"\n".join(beside)


def end_seconds(ends_at: float) -> int:
    """A session's end, rounded down since no touch may go beyond it."""
    return int(min(ends_at, MAX_SECONDS))


def read_info(record: bytes) -> SessionInfo:
    """The open part of a record. Raises `Foreign`."""
    own, texts, _ = parts(record)
    _, ends, created, seen, _ = _HEAD.unpack_from(record)
    try:
        first, label, subject = texts.decode().split("\n", 2)
    except ValueError:
        raise Foreign from None
    address, _, more = first.partition("\t")
    parent_id, _, impersonator = more.partition("\t")
    info = SessionInfo(subject, label, address, ends, created, seen, parent_id, impersonator)
    if not own:
        return info
    life, cookie_until = _read_own(own)
    return replace(info, life=life, cookie_until=cookie_until)


def idle_end(record: bytes, idle_timeout: float) -> float:
    """The earliest time when a session may become idle (UNIX seconds).

    Infinite for a named key's, which never does: it lives without a touch for longer than that.
    """
    info = read_info(record)
    return math.inf if info.is_named else info.seen + (info.life.idle_timeout or idle_timeout)


def parts(record: bytes) -> tuple[bytes, bytes, bytes]:
    """The rest of the head, the texts (address, label, subject), the seal.

    Raises `Foreign`.
    """
    head = _HEAD_SIZES.get(record[0]) if len(record) >= HEAD_SIZE else None
    if head is None:
        raise NewerVersion if record[:1] > bytes([OWN_VERSION]) else Foreign
    start = head + (record[HEAD_SIZE - 2] << 8 | record[HEAD_SIZE - 1])
    if len(record) < start:
        raise Foreign
    return record[HEAD_SIZE:head], record[head:start], record[start:]

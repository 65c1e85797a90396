"""Records: a session as the store keeps it, session info before the seal.

The session info stands in the open: the subject, the device and the times. So sessions can be
listed and ended without a key. Both are one value, for each look-up reads one value, and a session
is to take at most 1 KiB of Redis.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from gateway.core.sessions.keys import Key
from gateway.core.sessions.sealing import Sealer
from gateway.core.sessions.session import Device, Session, dump_session, load_session

# The layout: the version; when the session ends, was issued and was last seen (whole UNIX seconds,
# up to 2106); the size of the texts; then the texts and the seal. The scripts that Redis runs know
# these offsets as well.
_VERSION = 1
_HEAD = struct.Struct(">BIIIH")

# Offsets as Lua counts, from 1: of the end, of the last-seen time and of the texts' size; and the
# size of the head.
ENDS_AT, SEEN_AT, TEXTS_SIZE_AT, HEAD_SIZE = 2, 10, 14, _HEAD.size


class Foreign(ValueError):
    """The value is no record of this gateway, or is truncated."""


class NewerVersion(Foreign):
    """A newer gateway wrote the value."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a record says in the open. Times are whole UNIX seconds."""

    subject: str
    label: str  # of the device, or the key's name
    address: str
    ends_at: int
    created: int
    seen: int
    parent_id: str = ""  # of an impersonation: the first session
    impersonator: str = ""  # and its subject

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
        return (
            _HEAD.pack(_VERSION, end_seconds(session.ends_at), int(now), int(now), len(texts))
            + texts
            + self._seal(key, session, texts, nonce)
        )

    def open(self, key: Key, session_id: str, record: bytes) -> Session:
        """The session. Raises `Foreign`, `Unsealable` and `UnreadableSession`."""
        texts, seal = parts(record)
        beside = b"%b\n%b" % (session_id.encode(), texts)
        content = self._sealer.open(key, beside, seal)
        return load_session(session_id, texts.split(b"\n", 2)[2].decode(), content)

    def renewed(
        self, key: Key, session: Session, record: bytes, nonce: bytes
    ) -> tuple[bytes, bytes]:
        """The seal of a record, and its new seal for the renewed session."""
        texts, seal = parts(record)
        return seal, self._seal(key, session, texts, nonce)

    def _seal(self, key: Key, session: Session, texts: bytes, nonce: bytes) -> bytes:
        beside = b"%b\n%b" % (session.id.encode(), texts)
        return self._sealer.seal(key, beside, dump_session(session), nonce)


def end_seconds(ends_at: float) -> int:
    """A session's end, rounded down since no touch may go beyond it."""
    return int(min(ends_at, 2**32 - 1))


def read_info(record: bytes) -> SessionInfo:
    """What a record says in the open. Raises `Foreign`."""
    texts, _ = parts(record)
    _, ends, created, seen, _ = _HEAD.unpack_from(record)
    try:
        first, label, subject = texts.decode().split("\n", 2)
    except ValueError:
        raise Foreign from None
    address, _, more = first.partition("\t")
    parent_id, _, impersonator = more.partition("\t")
    return SessionInfo(subject, label, address, ends, created, seen, parent_id, impersonator)


def idle_end(record: bytes, idle_timeout: float) -> float:
    """When a session becomes idle unless it is touched, at the earliest (UNIX seconds).

    Infinite for a named key's, which never does: it lives without a touch for longer than that.
    """
    info = read_info(record)
    return math.inf if info.is_named else info.seen + idle_timeout


def parts(record: bytes) -> tuple[bytes, bytes]:
    """The texts (address, label, subject) and the seal. Raises `Foreign`."""
    if len(record) < HEAD_SIZE or record[0] != _VERSION:
        raise NewerVersion if record[:1] > bytes([_VERSION]) else Foreign
    start = HEAD_SIZE + int.from_bytes(record[HEAD_SIZE - 2 : HEAD_SIZE], "big")
    if len(record) < start:
        raise Foreign
    return record[HEAD_SIZE:start], record[start:]

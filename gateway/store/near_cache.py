"""The near cache: the sessions that one worker remembers, until Redis says that they changed.

Keyed by the credential's bytes as received, so a request that is known costs one look-up and no
digest. Bounded by count and by age; bypassed while nobody would tell it of a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from gateway.core.sessions import Session


@dataclass(slots=True, eq=False)
class Entry:
    """A resolved session, with what a request needs of it ready-made."""

    session: Session
    lines: bytes  # the finished fields that tell upstreams of the subject
    token: bytes  # the session's, for it is wanted with each request
    expires: float  # UNIX seconds from which on it must be looked up again, at the latest

    @property
    def label(self) -> bytes:
        """The session id, for the log."""
        return self.session.id.encode()


# How many changed sessions are noted one by one.
_MOST_CHANGES = 10_000


class Changes:
    """Which sessions may have changed since somebody last looked."""

    __slots__ = ("all", "ids")

    def __init__(self) -> None:
        self.all = False
        self.ids: set[str] = set()

    def note(self, session_id: str) -> None:
        if len(self.ids) < _MOST_CHANGES:
            self.ids.add(session_id)
        else:
            self.all = True

    def clear(self) -> None:
        self.all = False
        self.ids.clear()


class NearCache:
    """Remembered entries. `trusted` says whether somebody tells us of changes."""

    def __init__(self, entries: int, ttl: float) -> None:
        """At most `entries` (0: off), each for at most `ttl` seconds."""
        self._most = entries
        self._ttl = ttl
        self._entries: dict[bytes, Entry] = {}
        self._credentials: dict[str, bytes] = {}  # session id → credential
        self._asked: dict[str, bool] = {}  # ids being looked up → changed meanwhile
        self.trusted = False
        self.changes = Changes()

    def get(self, credential: bytes, now: float) -> Entry | None:
        """The entry of a credential, if it may be used at `now` (UNIX seconds)."""
        entry = self._entries.get(credential)
        if entry is not None and entry.expires > now:
            return entry
        return None

    def expects(self, session_id: str) -> None:
        """A look-up begins: a change from now on makes its result too old to be remembered."""
        self._asked.setdefault(session_id, False)

    def learned(self, credential: bytes, entry: Entry | None, session_id: str, now: float) -> None:
        """A look-up ended; what it found is remembered unless the session changed meanwhile."""
        changed = self._asked.pop(session_id, True)
        if entry is None or changed or not self.trusted or not self._most:
            return
        if len(self._entries) >= self._most:
            self._drop_oldest()
        entry.expires = min(now + self._ttl, entry.expires, entry.session.ends_at)
        self._entries[credential] = entry
        self._credentials[session_id] = credential

    def forget(self, session_id: str) -> None:
        """The session changed, or ended."""
        self.changes.note(session_id)
        if session_id in self._asked:
            self._asked[session_id] = True
        credential = self._credentials.pop(session_id, None)
        if credential is not None:
            self._entries.pop(credential, None)

    def clear(self) -> None:
        """Anything may have changed."""
        self.changes.all = True
        self._entries.clear()
        self._credentials.clear()
        for session_id in self._asked:
            self._asked[session_id] = True

    def __len__(self) -> int:
        return len(self._entries)

    def _drop_oldest(self) -> None:
        """Dicts keep their order: what was learned first goes first, a twentieth of it at once.

        One at a time would pass over the places of those that went before each time.
        """
        for credential in list(islice(self._entries, max(1, self._most // 20))):
            entry = self._entries.pop(credential)
            self._credentials.pop(entry.session.id, None)
